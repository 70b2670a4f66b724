package shape

import (
	"bytes"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/micro"

	"natsrooms/cmd/roombench/wire"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Subscriptions. Those to rooms are counted on from the last one.
const (
	inboxSID = 1 + iota
	feedSID
	roomSID
)

// listenersLease is the lease of those who do nothing for a while, in seconds.
const listenersLease = 3600

// peer is a user with a connection, and what it hears. One goroutine at a time uses it; only
// the atomic fields are for others too.
type peer struct {
	*wire.Conn
	cfg    *Config
	at     *names
	user   string
	inbox  string // replies come there, with the command's number
	own    []byte // the user and a quotation mark
	verbs  map[room.Verb]string
	more   string // what the bodies of its commands have besides the room
	asked  uint64 // the number of its newest command
	lines  []byte
	hear   func(*wire.Msg) error
	stamps bool     // whether heardAt is kept
	last   []uint64 // the newest fact that was heard, of each room; 0: none yet

	copies  atomic.Int64 // facts heard that count
	entries atomic.Int64 // all entries heard
	newest  atomic.Uint64
	heardAt atomic.Int64 // Unix nanoseconds
}

// newPeer connects a user. lease is in seconds, 0 for that of the service.
func newPeer(cfg *Config, at *names, user string, lease int) (*peer, error) {
	c, err := wire.Dial(cfg.Address, cfg.login(user))
	if err != nil {
		return nil, err
	}
	u := subjects.User(user)
	p := &peer{
		Conn: c, cfg: cfg, at: at, user: user, inbox: subjects.UserInbox(u) + ".", own: []byte(user + `"`), last: make([]uint64, len(at.rooms)),
		verbs: map[room.Verb]string{},
	}
	for _, verb := range []room.Verb{room.Enter, room.Leave, room.Send} {
		p.verbs[verb] = cfg.command(verb, user)
	}
	lines := wire.AppendSub(nil, p.inbox+"*", inboxSID)
	if cfg.Feeds {
		lines = wire.AppendSub(lines, subjects.UserFeeds(u), feedSID)
		if lease > 0 {
			p.more = `,"leaseSeconds":` + strconv.Itoa(lease)
		}
	} else {
		p.more = `,"userID":"` + user + `"`
	}
	if err = p.Write(lines); err == nil {
		err = p.Flush()
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// command sends lines and then a command on a room, hears what comes before the reply, and
// returns the reply's body.
func (p *peer) command(lines []byte, verb room.Verb, r int, more string) ([]byte, error) {
	p.asked++
	body := `{"roomID":"` + p.at.rooms[r] + `"` + p.more + more + `}`
	lines = wire.AppendPub(lines, p.verbs[verb], p.inbox+strconv.FormatUint(p.asked, 10), nil, []byte(body))
	p.lines = lines[:0]
	if err := p.Write(lines); err != nil {
		return nil, p.cut(err)
	}
	for {
		var m wire.Msg
		if err := p.Read(&m); err != nil {
			return nil, p.cut(err)
		}
		if m.SID == inboxSID {
			return m.Data, p.answered(&m)
		}
		if err := p.hear(&m); err != nil {
			return nil, err
		}
	}
}

// answered checks that a reply is the one that was waited for, and no refusal.
func (p *peer) answered(m *wire.Msg) error {
	switch n := wire.Number(m.Subject[len(p.inbox):]); {
	case n != p.asked:
		return fmt.Errorf("%s got an answer to its command %d while it waited for that to %d", p.user, n, p.asked)
	case bytes.Contains(m.Header, []byte(micro.ErrorHeader)):
		return fmt.Errorf("a command of %s was refused: %s", p.user, m.Data)
	case len(m.Data) == 0:
		return fmt.Errorf("nobody answers commands of %s", p.user)
	}
	return nil
}

// drain hears whatever comes until the connection ends.
func (p *peer) drain() error {
	for {
		var m wire.Msg
		if err := p.Read(&m); err != nil {
			return p.cut(err)
		}
		if m.SID == inboxSID {
			return fmt.Errorf("%s got an answer to its command %d twice", p.user, wire.Number(m.Subject[len(p.inbox):]))
		}
		if err := p.hear(&m); err != nil {
			return err
		}
	}
}

func (p *peer) cut(err error) error { return fmt.Errorf("the connection of %s broke: %w", p.user, err) }

// follow takes the sequence of the next fact of a room, and returns how many are missing between
// it and the one before. Trusted callers hear every fact as long as they are connected.
func (p *peer) follow(r int, sequence uint64) (missing uint64, err error) {
	last := p.last[r]
	if sequence <= last {
		return 0, fmt.Errorf("%s heard fact %d of %s after fact %d: one was doubled, or they were out of order", p.user, sequence, p.at.rooms[r], last)
	}
	p.last[r] = sequence
	p.newest.Store(sequence)
	p.copies.Add(1)
	if p.stamps {
		p.heardAt.Store(time.Now().UnixNano())
	}
	if last > 0 {
		missing = sequence - last - 1
	}
	if missing > 0 && !p.cfg.Feeds {
		return 0, fmt.Errorf("%s heard fact %d of %s after fact %d: %d were lost", p.user, sequence, p.at.rooms[r], last, missing)
	}
	return missing, nil
}
