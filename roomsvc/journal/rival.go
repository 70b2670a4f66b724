package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/subjects"
)

// An append is one publish. Every stream in reach that takes its subject stores it and
// acknowledges it, also across leaf nodes and gateways, where no list of streams shows it. So
// acknowledgements are what gives a second journal away: one from another JetStream domain, or
// a second one for the same append.

// ErrRival says that there is a second journal.
var ErrRival = errors.New("two streams store what this instance appends")

const (
	alone     = 500 * time.Millisecond // how long a second journal may take to answer
	lookEvery = 5 * time.Second        // how often to look for one while nothing is appended
)

// place is a stream as its acknowledgements name it.
type place struct{ stream, domain string }

func (p place) String() string {
	if p.domain == "" {
		return fmt.Sprintf("%s, without a JetStream domain,", p.stream)
	}
	return fmt.Sprintf("%s in the JetStream domain %q", p.stream, p.domain)
}

func rivals(ours, other place) error {
	return fmt.Errorf("%w: its own, %v, and %v; rooms would have two histories, so nothing is acknowledged; give each deployment an account of its own, or keep room.> and $KV.> from crossing between the two (deny_imports and deny_exports of a leaf node)", ErrRival, ours, other)
}

// checkAlone looks for a second journal before this instance makes or uses its own. A second
// one that takes longer to answer shows itself later, see [Journal.Guard].
func (j *Journal) checkAlone(ctx context.Context) error {
	_, err := j.js.Stream(ctx, subjects.StreamRooms)
	if err == nil && j.acks.domain == "" {
		return nil // most servers have no domain and no neighbours, and need not wait for any
	}
	ours := 0
	for _, p := range j.census(ctx) {
		if p.domain != j.acks.domain {
			return rivals(place{subjects.StreamRooms, j.acks.domain}, p)
		}
		if ours++; ours > 1 && err == nil {
			return rivals(place{subjects.StreamRooms, j.acks.domain}, p)
		}
	}
	return nil
}

// Guard watches for a second journal as long as ctx lasts, and returns what it finds. From then
// on no acknowledgement is passed on.
func (j *Journal) Guard(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case err := <-j.acks.rival:
			return err
		case <-j.acks.twice:
			if err := j.confirm(ctx); err != nil {
				return err
			}
		case <-look.C:
			if j.takers(ctx) < 2 {
				continue
			}
			if err := j.confirm(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// confirm makes sure that more than one stream stores what is appended. While the leader of a
// replicated stream changes, two servers might answer for it, but not again and again.
func (j *Journal) confirm(ctx context.Context) error {
	for range 2 {
		found := j.census(ctx)
		if len(found) < 2 {
			return nil
		}
		for _, p := range found {
			if p.domain != j.acks.domain {
				j.acks.silence()
				return rivals(place{subjects.StreamRooms, j.acks.domain}, p)
			}
		}
	}
	ours := place{subjects.StreamRooms, j.acks.domain}
	j.acks.silence()
	return rivals(ours, ours)
}

// takers is how many streams take markers. They are asked to store one on a condition that none
// of them meets, so nothing is stored.
func (j *Journal) takers(ctx context.Context) (n int) {
	j.ask(ctx, nats.Header{jetstream.ExpectedStreamHeader: {"=" + subjects.StreamRooms}}, func(ackBody) { n++ })
	return n
}

// census appends a marker and returns the streams that stored it.
func (j *Journal) census(ctx context.Context) (found []place) {
	j.ask(ctx, nats.Header{jetstream.MsgTTLHeader: {MarkerTTL.String()}}, func(ack ackBody) {
		if ack.Seq > 0 {
			found = append(found, ack.place())
		}
	})
	return found
}

// ask sends a marker and takes what answers it until the time for that is over.
func (j *Journal) ask(ctx context.Context, h nats.Header, take func(ackBody)) {
	inbox := j.nc.NewInbox()
	sub, err := j.nc.SubscribeSync(inbox)
	if err != nil {
		return
	}
	defer func() { _ = sub.Unsubscribe() }()
	if j.nc.PublishMsg(&nats.Msg{Subject: subjects.Sync, Reply: inbox, Header: h}) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, alone)
	defer cancel()
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil { // the time is over, or nobody takes the subject
			return
		}
		if ack, err := parseAck(m); err == nil {
			take(ack)
		}
	}
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
	case subjects.StreamMessages, subjects.StreamState, subjects.StreamSessions:
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
