package leases

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/subjects"
)

// Ending is a session whose lease is over.
type Ending struct {
	Session
	At events.Time // when it ended, by the server's clock; 0: not known
}

// standby is how soon an instance looks again at a lease that is over and was not ended.
const standby = time.Second

// Next is when the next lease is due to end; ok is false if none is. Sooner says that
// there is an earlier one since.
func (b *Book) Next() (at time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.due) == 0 {
		return at, false
	}
	return b.due[0].at, true
}

// Sooner is sent to when a lease ends before the one that [Book.Next] told.
func (b *Book) Sooner() <-chan struct{} { return b.sooner }

// Due is the leases that have run out by now. Until they are ended they come again.
func (b *Book) Due() (list []Ending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for len(b.due) > 0 && !b.due[0].at.After(now) {
		d := &b.due[0]
		at := d.endAt
		if !d.early.IsZero() && d.early.Before(d.end) {
			at = b.clock.now() - events.Time(now.Sub(d.early)/time.Millisecond)
		}
		list = append(list, Ending{d.Session, at})
		d.at = now.Add(standby)
		heap.Fix(&b.due, 0)
	}
	return list
}

// End puts a marker over each of these leases, so that no renewal can be stored any
// more, and gives those that it is true of. One that was renewed meanwhile goes on.
func (b *Book) End(ctx context.Context, list []Ending) (ended []Ending) {
	ctx, cancel := context.WithTimeout(ctx, resend)
	defer cancel()
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, e := range list {
		expect, over := b.expect(e.Session)
		if over {
			ended = append(ended, e)
			continue
		}
		wait.Go(func() {
			r := &record{EndedAt: e.At, Nonce: nuid.Next()}
			if b.end(ctx, e.Session, r, expect) {
				mu.Lock()
				ended = append(ended, e)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return ended
}

// expect is the sequence behind which a marker is to be put; over says that one is there.
func (b *Book) expect(s Session) (seq uint64, over bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.leases[s]; l != nil {
		return l.seq, l.seq > 0 && l.ended
	}
	return 0, false
}

func (b *Book) end(ctx context.Context, s Session, r *record, expect uint64) bool {
	deadline, _ := ctx.Deadline()
	seq, err := b.put(s, r, nats.Header{operation: {"PURGE"}, jetstream.MsgTTLHeader: {endedTTL.String()}}, expect, deadline)
	if err != nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.entry(s); seq > l.seq {
		b.learn(l, r, true, seq)
		l.endAt = r.EndedAt
		b.lasts(l, 0)
	}
	return true
}

// Alive says that the bucket has the leases of all sessions. Where it does not, because
// it was lost, every session that had one is to get a full one by [Book.Grant], before
// [Book.SetAlive].
func (b *Book) Alive() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.alive
}

// SetAlive says so in the bucket.
func (b *Book) SetAlive(ctx context.Context) error {
	_, err := b.append(ctx, []journal.Entry{{Subject: subjects.KV(subjects.BucketSessions, subjects.KeyAlive), Data: []byte(b.journal.ID)}})
	return err
}

// Grant gives a full lease to a session of which the bucket has none.
func (b *Book) Grant(ctx context.Context, s Session, seconds int) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(resend)
	}
	done := make(chan error, 1)
	b.Touch(s, Ask{Default: seconds, Afresh: true}, deadline, func(_ Grant, err error) { done <- err })
	return <-done
}
