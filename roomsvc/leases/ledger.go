package leases

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc/due"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// ledger is what is known of all leases. It has no lock: whoever uses it holds its book's.
type ledger struct {
	log   *slog.Logger
	grace time.Duration // from the end of a session's connection to the end of its lease

	count  atomic.Int64  // of leases; may be read by anybody
	sooner chan struct{} // something is due before what was; may be received from by anybody

	leases map[Session]*lease
	users  map[subjects.User]int // how many of them are whose
	due    due.Queue[Session, *lease]
	conns  map[room.Connection]map[*lease]struct{}
	closed map[room.Connection]time.Time // connections that ended a short while ago
	alive  bool                          // the bucket has the leases of all sessions, by its own word
	heard  moment                        // of the newest message
	clock  moment                        // when the bucket was read up to the present; zero: it is not yet
}

func newLedger(grace time.Duration, log *slog.Logger) *ledger {
	return &ledger{
		log: log, grace: grace, leases: map[Session]*lease{}, users: map[subjects.User]int{}, conns: map[room.Connection]map[*lease]struct{}{},
		closed: map[room.Connection]time.Time{}, sooner: make(chan struct{}, 1),
	}
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
	waiting []touch         // who comes after it
}

// moment is when a message of the bucket was heard.
type moment struct {
	seq   uint64
	at    events.Time // when it was stored, by the server's clock
	local time.Time
}

// now is the server's time, not later than it is.
func (m *moment) now() events.Time { return m.at + events.Time(time.Since(m.local)/time.Millisecond) }

// state is what callers are told of a session's lease.
func (k *ledger) state(s Session) State {
	l := k.leases[s]
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

// start begins to count from a moment. What was read before lay in the bucket when this
// instance came; how much of it is left is counted by the server's clock.
func (k *ledger) start(m moment) {
	k.clock = m
	for _, l := range k.leases {
		l.heard = m.local.Add(-time.Duration(m.at-l.stored) * time.Millisecond) // as if by who was there
		k.lasts(l, time.Duration(l.endAt-m.at)*time.Millisecond)
	}
}

// entry is what is known of a session, made when nothing is.
func (k *ledger) entry(s Session) *lease {
	l := k.leases[s]
	if l == nil {
		l = &lease{Session: s}
		k.leases[s] = l
		k.users[s.User]++
		k.count.Add(1)
	}
	return l
}

// learn takes what a message in the session's key says.
func (k *ledger) learn(l *lease, r *record, ended bool, seq uint64) {
	l.seq, l.ended, l.heard, l.stored = seq, ended, time.Now(), 0
	conn := room.Connection{}
	if r.Connection != nil && !ended {
		conn = *r.Connection
	}
	if conn != l.conn {
		if delete(k.conns[l.conn], l); len(k.conns[l.conn]) == 0 {
			delete(k.conns, l.conn)
		}
		if l.conn = conn; conn != (room.Connection{}) {
			if k.conns[conn] == nil {
				k.conns[conn] = map[*lease]struct{}{}
			}
			k.conns[conn][l] = struct{}{}
		}
	}
	if !ended {
		l.seconds = r.Seconds
	}
}

// lasts makes the lease end when that much is over, or sooner if its connection has
// closed.
func (k *ledger) lasts(l *lease, left time.Duration) {
	l.end, l.early = time.Time{}, time.Time{}
	if !l.ended && l.seconds > 0 {
		l.end = time.Now().Add(left)
		if at, ok := k.closed[l.conn]; ok {
			l.early = at.Add(k.grace)
		}
	}
	k.place(l)
}

func (l *lease) dueAt() time.Time {
	if !l.early.IsZero() && l.early.Before(l.end) {
		return l.early
	}
	return l.end
}

// takeLease learns a session's lease.
func (k *ledger) takeLease(s Session, data []byte, ended bool, seq uint64, at events.Time) {
	l := k.entry(s)
	if seq < l.seq || seq == l.seq && l.stored != 0 {
		return
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil && !ended {
		k.log.Warn("a lease can't be read", "user", s.User, "session", s.ID, "error", err)
		return
	}
	k.learn(l, &r, ended, seq)
	l.stored = at
	switch {
	case !ended && l.seconds == 0:
		l.endAt = 0
	case !ended:
		l.endAt = at + events.Time(l.seconds)*1000
	case r.EndedAt != 0:
		l.endAt = r.EndedAt
	}
	if k.clock.at != 0 {
		k.lasts(l, time.Duration(l.seconds)*time.Second)
	}
}

// close notes that a connection has ended.
func (k *ledger) close(c room.Connection) {
	now := time.Now()
	k.closed[c] = now
	for l := range k.conns[c] {
		if !l.end.IsZero() {
			l.early = now.Add(k.grace)
			k.place(l)
		}
	}
}

// left closes the connections to all servers but one.
func (k *ledger) left(serverID string) {
	for c := range k.conns {
		if c.ServerID != serverID && c != (room.Connection{}) {
			k.close(c)
		}
	}
}

// place makes the lease due when it ends, or no longer if it lasts.
func (k *ledger) place(l *lease) {
	at := l.dueAt()
	if at.IsZero() {
		k.due.Drop(l.Session)
		return
	}
	if k.due.Set(l.Session, at, l) {
		select {
		case k.sooner <- struct{}{}:
		default:
		}
	}
}

// over is the leases that have run out by now; they come again after standby.
func (k *ledger) over() (list []Ending) {
	now := time.Now()
	for _, l := range k.due.Take(now, now.Add(standby)) {
		at := l.endAt
		if !l.early.IsZero() && l.early.Before(l.end) {
			at -= events.Time(l.end.Sub(l.early) / time.Millisecond)
		}
		list = append(list, Ending{l.Session, at, l.seq})
	}
	return list
}

// forget drops what is of no use any more.
func (k *ledger) forget() {
	now := time.Now()
	for s, l := range k.leases {
		if l.forgotten() && !l.writing {
			delete(k.leases, s)
			if k.users[s.User]--; k.users[s.User] == 0 {
				delete(k.users, s.User)
			}
			k.count.Add(-1)
		}
	}
	for c, at := range k.closed {
		if now.Sub(at) > k.grace+closedKept {
			delete(k.closed, c)
		}
	}
}

// closedKept is how long after its grace time a connection is known to have closed: a
// command that it sent at the last moment may still be on its way.
const closedKept = time.Minute
