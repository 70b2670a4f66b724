package leases

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// record is the value of a session's key.
type record struct {
	Seconds    int              `json:"leaseSeconds"`
	Connection *room.Connection `json:"connection,omitzero"`
	EndedAt    events.Time      `json:"endedAt,omitzero"` // of a marker: when the lease ended, if that is known
	Nonce      string           `json:"nonce"`            // tells who stored it
}

// clockTTL is how long an instance's question for the time stays in the bucket.
const clockTTL = time.Minute

// follow reads the bucket up to a message of its own, and goes on.
func (b *Book) follow(ctx, life context.Context, failed func(error)) error {
	cons, err := b.journal.JetStream().OrderedConsumer(ctx, subjects.StreamSessions, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return err
	}
	b.clock.nonce = nuid.Next()
	cc, err := cons.Consume(b.take, jetstream.PullMaxMessages(2000))
	if err != nil {
		return err
	}
	context.AfterFunc(life, cc.Stop)
	go func() {
		<-cc.Closed()
		if life.Err() == nil {
			failed(errGone)
		}
	}()
	ask := time.NewTicker(askAgain)
	defer ask.Stop()
	for {
		forget, err := b.journal.Append([]journal.Entry{{
			Subject: subjects.KV(subjects.BucketSessions, subjects.KeyClock), Data: []byte(b.clock.nonce),
			Header: nats.Header{jetstream.MsgTTLHeader: {clockTTL.String()}},
		}}, func(uint64, error) {})
		if err != nil {
			return err
		}
		select {
		case <-b.clock.ready:
			forget()
			return nil
		case <-ask.C:
			forget()
		case <-ctx.Done():
			forget()
			cc.Stop()
			return ctx.Err()
		}
	}
}

// errGone says that the bucket is no longer to be read.
var errGone = errors.New("following the bucket " + subjects.BucketSessions + ": its consumer ended")

// operation is the header that makes a message a marker.
const operation = "KV-Operation"

// askAgain is how long an instance waits for its question for the time to come back.
const askAgain = 2 * time.Second

// take takes a message of the bucket.
func (b *Book) take(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		return
	}
	key := subjects.KeyOfKV(subjects.BucketSessions, m.Subject())
	gone := m.Headers().Get(jetstream.MarkerReasonHeader) != "" || m.Headers().Get(operation) != ""
	b.mu.Lock()
	defer b.mu.Unlock()
	switch key {
	case subjects.KeyClock:
		b.takeClock(string(m.Data()), events.TimeOf(meta.Timestamp))
	case subjects.KeyAlive:
		b.takeAlive(m.Data(), gone)
	default:
		if u, session, ok := subjects.ParseSessionKey(key); ok {
			b.takeLease(Session{u, session}, m.Data(), gone, meta.Sequence.Stream, events.TimeOf(meta.Timestamp))
		}
	}
}

// takeClock learns the server's time. What was read before lay in the bucket when this
// instance came; how much of it is left is counted from here. The lock is held.
func (b *Book) takeClock(nonce string, at events.Time) {
	if nonce != b.clock.nonce || b.clock.at != 0 {
		return
	}
	b.clock.at, b.clock.local = at, time.Now()
	for _, l := range b.leases {
		b.lasts(l, time.Duration(l.endAt-at)*time.Millisecond)
	}
	close(b.clock.ready)
}

// takeLease learns a session's lease. The lock is held.
func (b *Book) takeLease(s Session, data []byte, ended bool, seq uint64, at events.Time) {
	l := b.entry(s)
	if seq < l.seq || seq == l.seq && l.stored != 0 {
		return
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil && !ended {
		b.log.Warn("a lease can't be read", "user", s.User, "session", s.ID, "error", err)
		return
	}
	b.learn(l, &r, ended, seq)
	l.stored = at
	switch {
	case !ended && l.seconds == 0:
		l.endAt = 0
	case !ended:
		l.endAt = at + events.Time(l.seconds)*1000
	case r.EndedAt != 0:
		l.endAt = r.EndedAt
	}
	if b.clock.at != 0 {
		b.lasts(l, time.Duration(l.seconds)*time.Second)
	}
}

// takeAlive learns whether the bucket has every lease. The lock is held.
func (b *Book) takeAlive(data []byte, gone bool) {
	b.alive = !gone && string(data) == b.journal.ID
}
