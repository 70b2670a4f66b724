package shape

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"natsrooms/cmd/roombench/wire"
	"natsrooms/roomsvc/room"
)

// clientPrefix begins the users of clients; their number follows.
const clientPrefix = 'u'

// client enters and leaves, and hears the room that it is in.
type client struct {
	*peer
	rng       *rand.Rand
	in        int    // the room that it is in, -1: none
	sid       uint64 // of the subscription to that room
	first     uint64 // the first fact that the subscription heard
	entered   int    // acknowledged
	leftAgain int
	answered  time.Time // when its newest command was answered
	took      []time.Duration

	// End users hear a room from their own entry on until their own leaving.
	stays  []stay
	inside []bool // as the facts on its feed say, of each room
	stray  []stay // what it heard while they did not say that it is inside, one fact each
}

// stay is a time in a room: the fact that begins it, and the one that ends it, 0 if it lasts.
type stay struct {
	room        int
	since, last uint64
}

func newClient(cfg *Config, at *names, i, lease int) (*client, error) {
	p, err := newPeer(cfg, at, string(clientPrefix)+strconv.Itoa(i), lease)
	if err != nil {
		return nil, err
	}
	c := &client{peer: p, rng: rand.New(rand.NewPCG(uint64(i), 1)), in: -1, sid: roomSID, inside: make([]bool, len(at.rooms))}
	c.hear = c.take
	return c, nil
}

// turn is the next command: out of the room that it is in, or into one at random.
func (c *client) turn() error {
	if c.in >= 0 {
		return c.leave()
	}
	return c.enter(c.rng.IntN(len(c.at.rooms)))
}

func (c *client) enter(r int) error {
	lines := c.lines
	if !c.cfg.Feeds {
		c.sid, c.first, c.last[r] = c.sid+1, 0, 0
		c.newest.Store(0)
		lines = wire.AppendSub(lines, c.at.facts[r], c.sid)
	}
	since, err := c.move(lines, room.Enter, r)
	c.in, c.entered, c.stays = r, c.entered+1, append(c.stays, stay{room: r, since: since})
	return err
}

func (c *client) leave() error {
	lines := c.lines
	if !c.cfg.Feeds {
		lines = wire.AppendUnsub(lines, c.sid)
	}
	last, err := c.move(lines, room.Leave, c.in)
	c.in, c.leftAgain, c.stays[len(c.stays)-1].last = -1, c.leftAgain+1, last
	return err
}

func (c *client) move(lines []byte, verb room.Verb, r int) (sequence uint64, err error) {
	reply, err := c.command(lines, verb, r, "")
	if err != nil {
		return 0, err
	}
	c.answered = time.Now()
	return position(reply)
}

func (c *client) take(m *wire.Msg) error {
	r := c.at.of(m.Subject)
	if r < 0 {
		return nil
	}
	f, err := readFact(m.Data, c.own, nil)
	if err != nil {
		return err
	}
	c.entries.Add(int64(f.entries))
	if !c.cfg.Feeds && m.SID != c.sid {
		return nil // it was on its way when the subscription ended
	}
	if c.first == 0 {
		c.first = f.sequence
	}
	if _, err := c.follow(r, f.sequence); err != nil {
		return err
	}
	if c.cfg.Feeds && !c.inside[r] && !f.own {
		c.stray = append(c.stray, stay{r, f.sequence, f.sequence})
	}
	if f.own {
		c.inside[r] = f.kind == joins
	}
	return nil
}

// told is how often facts should have said that it joined, and that it left.
func (c *client) told() (joined, left int) {
	if c.cfg.Plain != nil {
		return c.entered + c.leftAgain, 0
	}
	return c.entered, c.leftAgain
}

// want is how many facts it should have heard on its feed, if these are the rooms' newest ones.
func (c *client) want(newest []uint64) (n int64) {
	for _, s := range c.stays {
		n += int64(s.end(newest) - s.since + 1)
	}
	return n
}

func (s stay) end(newest []uint64) uint64 {
	if s.last > 0 {
		return s.last
	}
	return newest[s.room]
}

// missing is how many facts it should still hear.
func (c *client) missing(newest []uint64) int64 {
	switch {
	case c.cfg.Feeds:
		return c.want(newest) - c.copies.Load()
	case c.in >= 0:
		return int64(newest[c.in] - min(c.newest.Load(), newest[c.in]))
	}
	return 0
}

// complete checks that it heard what happened while it was in a room. What its feed left out is
// counted: the listeners have proved that it exists.
func (c *client) complete(newest []uint64) (history int, err error) {
	if !c.cfg.Feeds {
		if c.in < 0 {
			return 0, nil
		}
		since, heard := c.stays[len(c.stays)-1].since, c.last[c.in]
		if c.first == 0 || c.first > since || heard != newest[c.in] {
			return 0, fmt.Errorf("%s is in %s since fact %d of %d, and heard only %d to %d", c.user, c.at.rooms[c.in], since, newest[c.in], c.first, heard)
		}
		return 0, nil
	}
	missing := c.missing(newest)
	if missing < 0 {
		return 0, fmt.Errorf("%s heard %d facts more than there were while it was in", c.user, -missing)
	}
	for _, f := range c.stray {
		if !c.within(f, newest) {
			return 0, fmt.Errorf("%s heard fact %d of %s, in which it was not then", c.user, f.since, c.at.rooms[f.room])
		}
	}
	return int(missing), nil
}

func (c *client) within(f stay, newest []uint64) bool {
	for _, s := range c.stays {
		if s.room == f.room && s.since <= f.since && f.since <= s.end(newest) {
			return true
		}
	}
	return false
}
