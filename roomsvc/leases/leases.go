// Package leases keeps how long sessions may go without a sign of life. Each session that
// has a lease has a key in the bucket `room_sessions`. Every change of a lease is a message
// stored on the condition that it follows the previous one, so if a renewal and an end come
// at the same instant, exactly one of them wins.
//
// Every instance follows the bucket and knows all leases. The leading instance ends those
// that have run out by putting a marker over them; whoever then meets the marker is too late.
// What is left of a lease is counted on the monotonic clock, from when its newest message was
// heard. Only leases from before an instance's start are counted by the server's clock, which
// the instance learns from a message of its own.
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

// Book holds the leases of all sessions. It is safe for concurrent use.
type Book struct {
	journal *journal.Journal
	stream  jetstream.Stream
	created time.Time // when the stream was created
	life    *life.Life
	passed  journal.Passed

	mu    sync.Mutex // guards known, except its count and its channel
	known *ledger
}

// Open creates the bucket if it is missing, and returns when everything in it is known. It is
// followed until life ends; if that becomes impossible, life fails. grace is how long a lease
// lasts after its session's connection has ended.
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

// Stream returns the stream under the bucket.
func (b *Book) Stream() jetstream.Stream { return b.stream }

// None reports whether no session has a lease, so that none needs to be looked up.
func (b *Book) None() bool { return b.known.count.Load() == 0 }

// State is what is known of a session's lease.
type State struct {
	Live    bool // it has a lease, which has not run out
	Ended   bool // it had a lease, which is over
	Seconds int
	EndAt   events.Time // 0: never, or unknown
	Seq     uint64      // of the newest message under its key; 0: there is none
}

// Of returns what is known of a session's lease.
func (b *Book) Of(s Session) State {
	if b.None() {
		return State{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known.state(s)
}

// Closed records that a connection has ended. Sessions that registered it end after the grace
// time, unless another connection renews them before.
func (b *Book) Closed(c room.Connection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known.close(c)
}

// Left records that only one server is left: all connections to other servers have ended.
func (b *Book) Left(serverID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known.left(serverID)
}

// Forget drops what is no longer of use: markers that the bucket has dropped too, and
// connections whose end everybody has heard of.
func (b *Book) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known.forget()
}
