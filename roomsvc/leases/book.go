package leases

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/room"
)

// Book holds the leases of all sessions. It is safe for concurrent use.
type Book struct {
	journal *journal.Journal
	stream  jetstream.Stream
	created time.Time // when the stream was created
	life    *life.Life
	passed  journal.Passed
	serving atomic.Bool // this instance takes commands

	// Refuses says whether a token is refused now; then what it gave its user counts no more. It is
	// set before anything is asked about grants. nil: none is.
	Refuses func(room.TokenMark) bool

	mu       sync.Mutex // guards known, except its count and its channel, and the fields below it
	known    *ledger
	ahead    time.Duration // how far the server's clock is ahead of that of facts
	compared bool          // whether that is known
}

// Stream returns the stream under the bucket.
func (b *Book) Stream() jetstream.Stream { return b.stream }

// None reports whether no session has a lease, so that none needs to be looked up.
func (b *Book) None() bool { return b.known.count.Load() == 0 }

// Count is how many sessions have a lease that has not ended.
func (b *Book) Count() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.known.leases {
		if b.known.live(l) {
			n++
		}
	}
	return n
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
	b.known.close(c, true)
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
