// Package leases keeps how long sessions may go without a sign of life. A lease is a
// key of the bucket `room_sessions`, one for each session that has one, and every
// change of it is a message stored under the condition that it follows the one before:
// of a renewal and an end in the same instant one wins.
//
// Every instance follows the bucket and knows all leases. The leading one ends those
// that have run out, by putting a marker over them; whoever meets that is too late. What
// is left of a lease is counted from when its newest message was heard, on the monotonic
// clock. Only leases from before an instance's time are counted by the server's clock,
// which a message of the instance's own tells it.
package leases

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Session is one device or connection of a user.
type Session struct {
	User subjects.User
	ID   string
}

// Book is the leases of all sessions. Its methods may be called at any time, from any
// goroutine.
type Book struct {
	journal *journal.Journal
	stream  jetstream.Stream
	created time.Time // when the stream was
	life    *life.Life
	passed  journal.Passed

	mu    sync.Mutex // guards known, but for its count and its channel
	known *ledger
}

// Open makes the bucket where it is missing, and returns when all that is in it is known.
// Following it goes on until life ends, which fails if it can't. grace is how long a lease
// lasts from the end of its session's connection.
func Open(ctx context.Context, life *life.Life, j *journal.Journal, replicas int, grace time.Duration, log *slog.Logger) (*Book, error) {
	b := &Book{journal: j, life: life, known: newLedger(grace, log)}
	var err error
	b.stream, err = j.OpenStream(ctx, jetstream.StreamConfig{
		Name:                   subjects.StreamSessions,
		Description:            "natsrooms: leases of sessions; who leads",
		Subjects:               []string{subjects.KVPattern(subjects.BucketSessions)},
		Storage:                jetstream.FileStorage,
		Discard:                jetstream.DiscardNew,
		MaxMsgsPerSubject:      1,
		Replicas:               max(replicas, 1),
		AllowRollup:            true,
		DenyDelete:             true,
		AllowMsgTTL:            true,
		SubjectDeleteMarkerTTL: time.Hour,
	}, replicas)
	if err != nil {
		return nil, err
	}
	b.created = b.stream.CachedInfo().Created
	if err := b.follow(ctx); err != nil {
		return nil, fmt.Errorf("reading the bucket %s: %w", subjects.BucketSessions, err)
	}
	return b, nil
}

// Stream is the stream under the bucket.
func (b *Book) Stream() jetstream.Stream { return b.stream }

// None says that no session has a lease: nobody needs to be asked for.
func (b *Book) None() bool { return b.known.count.Load() == 0 }

// State is what is known of a session's lease.
type State struct {
	Live    bool // it has one, which has not run out
	Ended   bool // it had one, which is over
	Seconds int
	EndAt   events.Time // 0: never, or not known
	Seq     uint64      // of the newest message of its key; 0: it has none
}

// Of is what is known of a session's lease.
func (b *Book) Of(s Session) State {
	if b.None() {
		return State{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known.state(s)
}

// Closed takes that a connection has ended. Sessions that registered it end after the
// grace time, unless they are renewed by another one before.
func (b *Book) Closed(c room.Connection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known.close(c)
}

// Left takes that no server is left but one: what is connected to another is not.
func (b *Book) Left(serverID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known.left(serverID)
}

// Forget drops what is of no use any more: markers that the bucket has dropped too, and
// connections whose end everybody has heard of.
func (b *Book) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known.forget()
}
