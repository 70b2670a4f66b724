package leases

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Next returns when the next lease is due to end; ok is false if none is. [Book.Sooner] tells
// when that has become earlier.
func (b *Book) Next() (at time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known.due.Next()
}

// Sooner returns a channel that is sent to when a lease becomes due before all others.
func (b *Book) Sooner() <-chan struct{} { return b.known.sooner }

// Due returns the leases that have run out by now, if they could have been renewed until then.
// They come again until they are ended.
func (b *Book) Due(ctx context.Context) []Ending {
	b.mu.Lock()
	list := b.known.over()
	b.mu.Unlock()
	if len(list) == 0 || b.Beat(ctx) != nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(list, func(e Ending) bool { return !b.known.outlived(e) })
}

// Ask makes the book keep leases whose sessions have named a connection until they are ended:
// whoever ends leases asks first whether the connection is open.
func (b *Book) Ask() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known.asks = true
}

// Named returns the connection that a lease's session has named, unless it is known to have
// closed; own says that it must be the user's own.
func (b *Book) Named(e Ending) (c room.Connection, own, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.known.leases[e.Session]
	if l == nil || l.seq != e.Seq || !b.known.named(l) {
		return c, false, false
	}
	return l.conn, l.own, true
}

// Prolong renews leases whose sessions' connections are open, unless they have changed.
func (b *Book) Prolong(ctx context.Context, list []Ending) {
	ctx, cancel := context.WithTimeout(ctx, resend)
	defer cancel()
	deadline, _ := ctx.Deadline()
	var wait sync.WaitGroup
	for _, e := range list {
		b.mu.Lock()
		l := b.known.leases[e.Session]
		if l == nil || l.seq != e.Seq {
			b.mu.Unlock()
			continue
		}
		conn := l.conn
		r := &record{Seconds: l.seconds, Connection: &conn, Own: l.own}
		b.mu.Unlock()
		wait.Go(func() { _, _ = b.write(l, r, e.Seq, deadline) }) // if it is not stored, the lease is due again
	}
	wait.Wait()
}

// End puts a marker over each of these leases, so that no renewal can be stored any more, and
// returns those that have ended. A lease that was renewed in the meantime continues.
func (b *Book) End(ctx context.Context, list []Ending) (ended []Ending) {
	ctx, cancel := context.WithTimeout(ctx, resend)
	defer cancel()
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, e := range list {
		wait.Go(func() {
			if b.end(ctx, &e) {
				mu.Lock()
				ended = append(ended, e)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return ended
}

// end ends a lease, and updates e with what its marker says.
func (b *Book) end(ctx context.Context, e *Ending) bool {
	if known, over := b.marked(e.Session); over {
		*e = known
		return true
	}
	r := &record{EndedAt: e.At, Nonce: nuid.Next()}
	deadline, _ := ctx.Deadline()
	seq, err := b.put(e.Session, r, nats.Header{journal.OperationHeader: {"PURGE"}, jetstream.MsgTTLHeader: {endedTTL.String()}}, e.Seq, deadline)
	if errors.Is(err, errChanged) { // another instance may have ended it
		known, over := b.marked(e.Session)
		*e = known
		return over
	}
	if err != nil {
		return false
	}
	e.Seq = seq
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.known.entry(e.Session); seq > l.seq {
		b.known.learn(l, r, true, seq)
		if l.endAt = r.EndedAt; l.endAt == 0 {
			l.endAt = b.known.clock.now()
		}
		b.known.lasts(l, 0)
	}
	return true
}

// marked returns what ended a session's lease, if it was ended.
func (b *Book) marked(s Session) (e Ending, over bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.known.leases[s]; l != nil {
		return Ending{Session: s, At: l.endAt, Seq: l.seq}, l.seq > 0 && l.ended
	}
	return e, false
}

// Still returns those of the ended leases whose sessions had not begun anew by the time of
// the call. Whoever was known to be in a room before the call had joined it under the lease
// that is over.
func (b *Book) Still(ctx context.Context, ended []Ending) ([]Ending, error) {
	if err := b.pass(ctx); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(ended, func(e Ending) bool {
		l := b.known.leases[e.Session]
		return l != nil && l.seq > e.Seq && !l.ended
	}), nil
}

// Alive reports whether the bucket has the leases of all sessions. If it does not, because
// it was lost, every session that had a lease must get a full one from [Book.Grant] before
// [Book.SetAlive] is called.
func (b *Book) Alive() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known.alive
}

// SetAlive records in the bucket that it has the leases of all sessions.
func (b *Book) SetAlive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, resend)
	defer cancel()
	_, err := b.journal.Store(ctx, []journal.Entry{{Subject: subjects.KV(subjects.BucketSessions, subjects.KeyAlive), Data: []byte(b.journal.ID)}})
	return err
}

// Grant gives a full lease to a session that has none in the bucket.
func (b *Book) Grant(ctx context.Context, s Session, seconds int) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(resend)
	}
	done := make(chan error, 1)
	b.Touch(s, Ask{Default: seconds, Afresh: true}, deadline, func(_ Grant, err error) { done <- err })
	return <-done
}
