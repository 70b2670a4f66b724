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
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/due"
	"natsrooms/roomsvc/journal"
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
	log     *slog.Logger
	grace   time.Duration // from the end of a session's connection to the end of its lease
	life    context.Context
	failed  func(error)

	count atomic.Int64 // of leases

	mu     sync.Mutex
	leases map[Session]*lease
	users  map[subjects.User]int // how many of them are whose
	due    due.Queue[Session, *lease]
	conns  map[room.Connection]map[*lease]struct{}
	closed map[room.Connection]time.Time // connections that ended a short while ago
	alive  bool                          // the bucket has the leases of all sessions, by its own word
	heard  moment                        // of the newest message
	clock  moment                        // when the bucket was read up to the present; zero: it is not yet
	passed journal.Passed
	sooner chan struct{} // something is due before what was
}

// lease is what is known of one session's key.
type lease struct {
	Session
	seq     uint64          // of the key's newest message; 0: it has none
	seconds int             // 0: it lasts
	conn    room.Connection // zero: unknown
	ended   bool            // a marker is in the key
	heard   time.Time       // when its newest message was, or was known to be stored
	stored  events.Time     // when that was stored, by the server's clock; 0: not heard yet
	endAt   events.Time     // when it ends or ended, by the server's clock; 0: never, or not known
	end     time.Time       // the same by the clock of this machine; zero: never
	early   time.Time       // when it ends since its connection has closed; zero: that has not
	writing bool            // a write is on its way
	waiting []func()        // who comes after it
}

// moment is when a message of the bucket was heard.
type moment struct {
	seq   uint64
	at    events.Time // when it was stored, by the server's clock
	local time.Time
}

// now is the server's time, not later than it is.
func (m *moment) now() events.Time { return m.at + events.Time(time.Since(m.local)/time.Millisecond) }

func newBook(grace time.Duration, log *slog.Logger) *Book {
	return &Book{
		log: log, grace: grace, leases: map[Session]*lease{}, users: map[subjects.User]int{}, conns: map[room.Connection]map[*lease]struct{}{},
		closed: map[room.Connection]time.Time{}, sooner: make(chan struct{}, 1),
	}
}

// Open makes the bucket where it is missing, and returns when all that is in it is known.
// Following it goes on until ctx of life ends; failed is told if it can't.
func Open(ctx, life context.Context, j *journal.Journal, replicas int, grace time.Duration, log *slog.Logger, failed func(error)) (*Book, error) {
	b := newBook(grace, log)
	b.journal, b.life, b.failed = j, life, failed
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
func (b *Book) None() bool { return b.count.Load() == 0 }

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
	l := b.leases[s]
	if l == nil || l.forgotten() {
		return State{}
	}
	live := l.live()
	return State{live, !live, l.seconds, l.endAt, l.seq}
}

func (l *lease) live() bool {
	return l.seq > 0 && !l.ended && (l.end.IsZero() || time.Now().Before(l.end))
}

// forgotten says that the bucket has nothing of it any more, or nothing yet.
func (l *lease) forgotten() bool {
	return l.seq == 0 || l.ended && time.Since(l.heard) > endedTTL
}

// entry is what is known of a session, made when nothing is. The lock is held.
func (b *Book) entry(s Session) *lease {
	l := b.leases[s]
	if l == nil {
		l = &lease{Session: s}
		b.leases[s] = l
		b.users[s.User]++
		b.count.Add(1)
	}
	return l
}

// learn takes what a message in the session's key says. The lock is held.
func (b *Book) learn(l *lease, r *record, ended bool, seq uint64) {
	l.seq, l.ended, l.heard, l.stored = seq, ended, time.Now(), 0
	conn := room.Connection{}
	if r.Connection != nil && !ended {
		conn = *r.Connection
	}
	if conn != l.conn {
		if delete(b.conns[l.conn], l); len(b.conns[l.conn]) == 0 {
			delete(b.conns, l.conn)
		}
		if l.conn = conn; conn != (room.Connection{}) {
			if b.conns[conn] == nil {
				b.conns[conn] = map[*lease]struct{}{}
			}
			b.conns[conn][l] = struct{}{}
		}
	}
	if !ended {
		l.seconds = r.Seconds
	}
}

// lasts makes the lease end when that much is over, or sooner if its connection has
// closed. The lock is held.
func (b *Book) lasts(l *lease, left time.Duration) {
	l.end, l.early = time.Time{}, time.Time{}
	if !l.ended && l.seconds > 0 {
		l.end = time.Now().Add(left)
		if at, ok := b.closed[l.conn]; ok {
			l.early = at.Add(b.grace)
		}
	}
	b.place(l)
}

func (l *lease) dueAt() time.Time {
	if !l.early.IsZero() && l.early.Before(l.end) {
		return l.early
	}
	return l.end
}

// Closed takes that a connection has ended. Sessions that registered it end after the
// grace time, unless they are renewed by another one before.
func (b *Book) Closed(c room.Connection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.close(c)
}

// Left takes that no server is left but one: what is connected to another is not.
func (b *Book) Left(serverID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		if c.ServerID != serverID && c != (room.Connection{}) {
			b.close(c)
		}
	}
}

func (b *Book) close(c room.Connection) {
	now := time.Now()
	b.closed[c] = now
	for l := range b.conns[c] {
		if !l.end.IsZero() {
			l.early = now.Add(b.grace)
			b.place(l)
		}
	}
}

// Forget drops what is of no use any more: markers that the bucket has dropped too, and
// connections whose end everybody has heard of.
func (b *Book) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for s, l := range b.leases {
		if l.forgotten() && !l.writing {
			delete(b.leases, s)
			if b.users[s.User]--; b.users[s.User] == 0 {
				delete(b.users, s.User)
			}
			b.count.Add(-1)
		}
	}
	for c, at := range b.closed {
		if now.Sub(at) > b.grace+closedKept {
			delete(b.closed, c)
		}
	}
}

// closedKept is how long after its grace time a connection is known to have closed: a
// command that it sent at the last moment may still be on its way.
const closedKept = time.Minute

// place makes the lease due when it ends, or no longer if it lasts. The lock is held.
func (b *Book) place(l *lease) {
	at := l.dueAt()
	if at.IsZero() {
		b.due.Drop(l.Session)
		return
	}
	if b.due.Set(l.Session, at, l) {
		select {
		case b.sooner <- struct{}{}:
		default:
		}
	}
}
