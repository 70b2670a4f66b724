package leases

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc/clock"
	"natsrooms/roomsvc/due"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Timing of writes.
const (
	resend   = 2 * time.Second
	onItsWay = time.Second // after this time, what a closed connection sent last has arrived
	mostBeat = 5           // how often in a row a write may lose against another one

	// keep is how long a lease stays in the bucket after its end. The leader ends it long
	// before that, with a marker that stays for endedTTL.
	keep     = 30 * 24 * time.Hour
	endedTTL = 10 * time.Minute
)

// standby is how soon an instance looks again at a lease that has run out and was not ended.
const standby = time.Second

// ledger is what is known of all leases. It has no lock of its own: whoever uses it must hold
// the book's.
type ledger struct {
	log   *slog.Logger
	grace time.Duration // how long a lease lasts after its session's connection has ended
	time  *clock.Clock

	count  atomic.Int64  // of leases; may be read without the lock
	sooner chan struct{} // tells that something is due earlier than before; may be received from without the lock

	leases  map[Session]*lease
	users   map[subjects.User]int    // how many leases each user has
	bearers map[subjects.User]bearer // what tokens say of users
	due     due.Queue[Session, *lease]
	conns   map[room.Connection]map[*lease]struct{}
	closed  map[room.Connection]time.Time // connections that ended recently, and when
	beats   beats
	asks    bool   // whether a named connection is open is asked before its session's lease is ended
	alive   bool   // the bucket says that it has the leases of all sessions
	heard   moment // when the newest message was
	clock   moment // when the bucket had been read up to the present; zero: it has not been yet
}

func newLedger(grace time.Duration, now *clock.Clock, log *slog.Logger) *ledger {
	return &ledger{
		log: log, grace: grace, time: now, leases: map[Session]*lease{}, users: map[subjects.User]int{}, bearers: map[subjects.User]bearer{}, conns: map[room.Connection]map[*lease]struct{}{},
		closed: map[room.Connection]time.Time{}, sooner: make(chan struct{}, 1),
	}
}

// lease is what is known of one session's key.
type lease struct {
	Session
	seq     uint64          // of the newest message under the key; 0: there is none
	seconds int             // 0: the lease never ends
	conn    room.Connection // zero: unknown
	own     bool            // conn must be the user's own
	ended   bool            // the key holds a marker
	heard   time.Time       // when its newest message was heard, or was known to be stored
	stored  events.Time     // when that message was stored, by the server's clock; 0: not heard yet
	endAt   events.Time     // when the lease ends or ended, by the server's clock; 0: never, or unknown
	end     time.Time       // the same by this machine's clock; zero: never
	early   time.Time       // when it ends because its connection has closed; zero: it has not closed
	writing bool            // a write is under way
	waiting []touch         // what came during that write
}

// state returns what callers are told of a session's lease.
func (k *ledger) state(s Session) State {
	l := k.leases[s]
	if l == nil || l.forgotten() {
		return State{}
	}
	live := k.live(l)
	at := l.endAt
	if !live {
		at = k.ended(l, l.end)
	}
	return State{live, !live, l.seconds, at, l.seq}
}

// ended is when a lease ended that ended at a moment here: by the server's clock, which all
// instances see alike, unless that is not the clock of facts. Then a stay would end before it
// began, or long after.
func (k *ledger) ended(l *lease, end time.Time) events.Time {
	at := l.endAt
	if end.IsZero() {
		return at
	}
	if !k.time.Agrees(at, l.end) {
		return k.time.Of(end)
	}
	return at - events.Time(l.end.Sub(end)/time.Millisecond)
}

// live reports whether a lease can still be renewed. One that was to end lasts as long as it is
// not known that somebody could have renewed it since.
func (k *ledger) live(l *lease) bool {
	return l.seq > 0 && !l.ended && (l.end.IsZero() || time.Now().Before(l.end) || k.beats.newest.at < k.spared(l, l.endAt) || k.named(l))
}

// patience is how long a session of a lease may take to show itself after an outage.
func (k *ledger) patience(seconds int) events.Time {
	return events.Time(max(k.grace, time.Duration(seconds)*time.Second/3) / time.Millisecond)
}

// spared returns until when a lease lasts that was to end at a moment.
func (k *ledger) spared(l *lease, at events.Time) events.Time {
	return k.beats.spare(l.stored, at, k.patience(l.seconds))
}

// outlived reports whether a lease that was found to have run out has really ended, by the
// newest beat, which came after that. If it has not, it is put off.
func (k *ledger) outlived(e Ending) bool {
	l := k.leases[e.Session]
	if l == nil || l.seq != e.Seq || l.ended {
		return false
	}
	until := k.spared(l, e.due)
	left := min(until-k.beats.newest.at, k.patience(l.seconds)) // more only if the server's clock was set back
	if until == e.due || left <= 0 {                            // in the first case it has ended by this machine's clock
		return true
	}
	k.due.Set(e.Session, time.Now().Add(time.Duration(left)*time.Millisecond), l)
	return false
}

// named reports whether a lease's session has named a connection that may be open. Such a lease
// lasts until it is ended.
func (k *ledger) named(l *lease) bool {
	return k.asks && l.conn != (room.Connection{}) && l.early.IsZero()
}

// forgotten reports whether the bucket no longer has anything of the lease, or not yet.
func (l *lease) forgotten() bool {
	return l.seq == 0 || l.ended && time.Since(l.heard) > endedTTL
}

// start begins to count from a moment. What was read before it was already in the bucket when
// this instance started; what is left of those leases is counted by the server's clock.
func (k *ledger) start(m moment) {
	k.clock = m
	for _, l := range k.leases {
		l.heard = m.local.Add(-time.Duration(m.at-l.stored) * time.Millisecond) // as if this instance had been there
		// It lasts no longer than it was given for, even if the server's clock was set back since.
		k.lasts(l, min(time.Duration(l.endAt-m.at)*time.Millisecond, time.Duration(l.seconds)*time.Second))
	}
}

// entry returns what is known of a session, and creates it if nothing is.
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

// learn records what a message under the session's key says.
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
		l.seconds, l.own = r.Seconds, r.Own
	}
}

// lasts makes the lease end after the time that is left, or sooner if its connection has
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

// takeLease takes a message under a session's key.
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

// close records that a connection has ended. If it is seen to end now, it was a sign of life
// until now, so what is left of a lease is not less than the grace time. That does not bring
// back a lease that has run out, as during a standstill.
func (k *ledger) close(c room.Connection, seen bool) {
	now := time.Now()
	k.closed[c] = now
	for l := range k.conns[c] {
		if !l.end.IsZero() {
			if late := now.Add(min(k.grace, time.Duration(l.seconds)*time.Second)).Sub(l.end); seen && late > 0 && now.Before(l.end) && k.named(l) {
				l.end, l.endAt = l.end.Add(late), l.endAt+events.Time(late/time.Millisecond)
			}
			l.early = now.Add(k.grace)
			k.place(l)
		}
	}
}

// left closes the connections to all servers except one.
func (k *ledger) left(serverID string) {
	for c := range k.conns {
		if c.ServerID != serverID && c != (room.Connection{}) {
			k.close(c, false)
		}
	}
}

// place makes the lease due when it ends, or not due at all if it never ends.
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

// over returns the leases that have run out by now; they come again after standby.
func (k *ledger) over() (list []Ending) {
	now := time.Now()
	for _, l := range k.due.Take(now, now.Add(standby)) {
		early := events.Time(l.end.Sub(l.dueAt()) / time.Millisecond)
		list = append(list, Ending{Session: l.Session, At: k.ended(l, l.dueAt()), Seq: l.seq, due: l.endAt - early})
	}
	return list
}

// forget drops what is no longer of use.
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

// closedKept is how long after its grace time a closed connection is remembered: a command
// that it sent at the last moment may still be on its way.
const closedKept = time.Minute

// bearer is what every instance knows of what a user's tokens say.
type bearer struct {
	called []called // the newest first
	hosts  []tokenGrant
}

// takeGrants takes a message under the key of a user's grants, which was stored then.
func (k *ledger) takeGrants(u subjects.User, data []byte, gone bool, at events.Time) {
	var held grants
	if !gone {
		if err := json.Unmarshal(data, &held); err != nil {
			k.log.Warn("what a user's tokens say can't be read", "user", u, "error", err)
			return
		}
	}
	held.stored(at)
	known := bearer{called: held.names()}
	for _, t := range held.Tokens {
		if len(t.Hosts) > 0 {
			known.hosts = append(known.hosts, tokenGrant{TokenMark: t.TokenMark, Hosts: t.Hosts, Until: t.Until})
		}
	}
	if known.called == nil && known.hosts == nil {
		delete(k.bearers, u)
		return
	}
	k.bearers[u] = known
}
