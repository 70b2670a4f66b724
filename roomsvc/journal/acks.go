package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"natsrooms/subjects"
)

// An append is one publish. Every stream in reach that takes its subject stores it and
// acknowledges it, also across leaf nodes and gateways, where no list of streams shows it. So
// acknowledgements are what gives a second journal away: one from another JetStream domain, or
// a second one for the same append.

// ErrRival says that there is a second journal.
var ErrRival = errors.New("two streams store what this instance appends")

// ErrElsewhere says that there is a journal within reach, but not in the JetStream that this
// instance was to use.
var ErrElsewhere = errors.New("the rooms within reach are stored elsewhere already")

// apart is what makes two deployments out of one.
const apart = "For rooms of its own, a deployment needs an account of its own, or room.> and $KV.> must not cross between the two (deny_imports and deny_exports of a leaf node)"

// place is a stream as its acknowledgements name it.
type place struct{ stream, domain string }

func (p place) String() string {
	if p.domain == "" {
		return fmt.Sprintf("%s without a JetStream domain", p.stream)
	}
	return fmt.Sprintf("%s in the JetStream domain %q", p.stream, p.domain)
}

func rivals(ours, other place) error {
	return fmt.Errorf("%w: its own, %v, and %v; rooms would have two histories, so nothing is acknowledged; give each deployment an account of its own, or keep room.> and $KV.> from crossing between the two (deny_imports and deny_exports of a leaf node)", ErrRival, ours, other)
}

type acks struct {
	nc     *nats.Conn
	sub    *nats.Subscription
	prefix string
	domain string     // JetStream domain of the streams
	remote string     // the same if they are only reached by its name; otherwise empty
	rival  chan error // a second journal
	twice  chan place // what answered an append that had been answered
	quiet  quiet
	full   full

	mu       sync.Mutex // guards the fields below it
	next     uint64
	waiting  map[string]waiting // nil: no answer is passed on any more
	answered [count]uint64      // the newest appends that were answered, each at its number modulo count
}

// waiting is an append that waits for its answer.
type waiting struct {
	n        uint64
	stream   string // that it is to be stored in
	answered func(uint64, error)
}

func newAcks(nc *nats.Conn, domain, remote string) (*acks, error) {
	// The name of an inbox comes from the same series as the IDs of rooms' instances and of
	// messages. Without the random text, whoever sees some of those could guess this name and
	// direct the answers to commands here.
	a := &acks{
		nc: nc, prefix: nc.NewInbox() + rand.Text() + ".", domain: domain, remote: remote,
		rival: make(chan error, 1), twice: make(chan place, 1), waiting: map[string]waiting{},
	}
	sub, err := nc.Subscribe(a.prefix+"*", a.take)
	if err != nil {
		return nil, err
	}
	a.sub = sub
	return a, sub.SetPendingLimits(-1, -1)
}

func (a *acks) close() { _ = a.sub.Unsubscribe() }

func (a *acks) take(m *nats.Msg) {
	token := m.Subject[len(a.prefix):]
	ack, err := parseAck(m)
	if a.foreign(&ack) {
		return
	}
	a.mu.Lock()
	w, waited := a.waiting[token]
	if waited {
		delete(a.waiting, token)
		a.answered[w.n%count] = w.n
	}
	a.mu.Unlock()
	if !waited {
		a.again(token, &ack)
		return
	}
	if err != nil {
		w.answered(0, err)
		return
	}
	if w.stream == subjects.StreamRooms {
		a.quiet.heard()
	}
	code, why := 0, ""
	if ack.Error != nil {
		code, why = int(ack.Error.Code), ack.Error.Description
	}
	a.full.heard(w.stream, code, why, ack.Seq > 0 && !ack.Duplicate)
	w.answered(ack.means())
}

func (a *acks) send(entries []Entry, answered func(uint64, error)) (func(), error) {
	stream := subjects.StreamOf(entries[0].Subject)
	if stream == subjects.StreamRooms {
		a.quiet.asked()
	}
	a.mu.Lock()
	a.next++
	token := strconv.FormatUint(a.next, 36)
	if a.waiting != nil {
		a.waiting[token] = waiting{a.next, stream, answered}
	}
	a.mu.Unlock()
	forget := func() {
		a.mu.Lock()
		delete(a.waiting, token)
		a.mu.Unlock()
	}
	batch := ""
	if len(entries) > 1 {
		batch = nuid.Next()
	}
	for i := range entries {
		m := entries[i].message(batch, i+1, i+1 == len(entries))
		m.Subject = subjects.InDomain(a.remote, m.Subject)
		if i+1 == len(entries) {
			m.Reply = a.prefix + token
		}
		if err := a.nc.PublishMsg(m); err != nil {
			// Part of it may be on its way, so nothing is known.
			return forget, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
	}
	return forget, nil
}

type ackBody struct {
	Error *struct {
		Code        uint16 `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
	Stream    string `json:"stream"`
	Domain    string `json:"domain"`
	Seq       uint64 `json:"seq"`
	Duplicate bool   `json:"duplicate"`
}

func parseAck(m *nats.Msg) (ack ackBody, err error) {
	if m.Header.Get("Status") == "503" {
		return ack, fmt.Errorf("%w: no stream takes its subject", ErrUnknown)
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return ack, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return ack, nil
}

// means tells what an answer means. A code that is not listed below proves nothing.
func (b *ackBody) means() (uint64, error) {
	if b.Error == nil && b.Duplicate {
		return b.Seq, ErrRepeated
	}
	if b.Error == nil && b.Seq > 0 {
		return b.Seq, nil
	}
	if b.Error == nil {
		return 0, fmt.Errorf("%w: an answer without a sequence", ErrUnknown)
	}
	meaning := ErrUnknown
	switch b.Error.Code {
	case 10071, 10164: // wrong last sequence; only replicated streams send the second
		meaning = ErrConflict
	case
		codeAccount, codeResources, codeMemory, codeStorage, // the account or the server has run out of resources
		10054,                      // the message is too large
		codeFull,                   // the stream is full
		10174, 10175, 10176, 10177, // the batch was not taken, or not as a whole
		10179, 10199, 10200, 10201, 10210:
		meaning = ErrRefused
	}
	return 0, fmt.Errorf("%w: %s (%d)", meaning, b.Error.Description, b.Error.Code)
}

// count is how many answered appends are remembered, so that a second answer is noticed.
const count = 1 << 12

// foreign notices an acknowledgement by another stream than that of this instance.
func (a *acks) foreign(ack *ackBody) bool {
	if ack.Stream == "" || ack.Seq == 0 || ack.Domain == a.domain {
		return false
	}
	a.silence()
	select {
	case a.rival <- rivals(place{ours(ack.Stream), a.domain}, ack.place()):
	default:
	}
	return true
}

// ours is the stream of ours that another one's acknowledgement came in place of.
func ours(other string) string {
	switch other {
	case subjects.StreamMessages, subjects.StreamState, subjects.StreamSessions, subjects.StreamBlocks:
		return other
	}
	return subjects.StreamRooms
}

// silence makes sure that no answer is passed on any more.
func (a *acks) silence() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = nil
}

// again notices a second acknowledgement for the same append.
func (a *acks) again(token string, ack *ackBody) {
	n, err := strconv.ParseUint(token, 36, 64)
	a.mu.Lock()
	before := a.answered[n%count] == n
	a.mu.Unlock()
	if err == nil && before && ack.Seq > 0 {
		select {
		case a.twice <- ack.place():
		default:
		}
	}
}

func (b *ackBody) place() place { return place{b.Stream, b.Domain} }

// quiet knows for how long the journal has owed an answer. A server that can't write answers
// nothing.
type quiet struct{ since atomic.Int64 } // when something was appended for the first time since the last answer; 0: nothing was

func (q *quiet) asked() { q.since.CompareAndSwap(0, time.Now().UnixNano()) }
func (q *quiet) heard() { q.since.Store(0) }
