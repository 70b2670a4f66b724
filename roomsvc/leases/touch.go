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

// Ask is what a session's command says of its life.
type Ask struct {
	Seconds    *int // what it asks for; nil: nothing. 0: to last
	Default    int  // what it gets where it asks for nothing and has none, or one that lasts; 0: none
	Connection *room.Connection
	Renewal    bool // it is a renewal: where it names no connection there is none
	Afresh     bool // begin anew where the one before has ended: nothing of that is left
	Most       int  // sessions that its user may have; 0: any number

	asked bool // the bucket was
}

// Grant is what a session has.
type Grant struct {
	Seconds int         // 0: it lasts, or there is none
	EndAt   events.Time // when the lease ends unless it is renewed; 0: never
	Ended   bool        // it is over; nothing was renewed
}

// Timing of writes.
const (
	resend   = 2 * time.Second
	onItsWay = time.Second // what a connection sent last is here by then
	mostBeat = 5           // other writes that one may meet, one after the other

	// keep is how long a lease stays in the bucket behind its end. The leader ends it
	// long before, by a marker that stays for endedTTL.
	keep     = 30 * 24 * time.Hour
	endedTTL = 10 * time.Minute
)

// ErrTooMany says that the session's user has as many as it may have, those that ended
// minutes ago among them.
var ErrTooMany = errors.New("the user has too many sessions")

// What is found in the way of a write.
var (
	errChanged = errors.New("somebody else wrote the lease")
	errUnclear = errors.New("what the lease is now could not be read")
)

// Touch renews a session's lease if it is due to be, which is after a third of it, or
// begins one, and calls then with what it has, once: at once where nothing had to be
// stored, or from another goroutine. An error says that it was not stored, or is not
// known to be, before the deadline.
func (b *Book) Touch(s Session, a Ask, deadline time.Time, then func(Grant, error)) {
	b.touch(s, a, deadline, mostBeat, then)
}

func (b *Book) touch(s Session, a Ask, deadline time.Time, tries int, then func(Grant, error)) {
	b.mu.Lock()
	l := b.leases[s]
	if l != nil && l.writing {
		l.waiting = append(l.waiting, func() { b.touch(s, a, deadline, tries, then) })
		b.mu.Unlock()
		return
	}
	grant, r := b.judge(l, &a)
	ask := r == nil && a.Renewal && !a.asked // what is promised of it must not be from the past
	if r == nil && !ask {
		b.mu.Unlock()
		then(grant, nil)
		return
	}
	if l == nil && a.Most > 0 && b.users[s.User] >= a.Most {
		b.mu.Unlock()
		then(Grant{}, ErrTooMany)
		return
	}
	l = b.entry(s)
	l.writing = true
	judged := l.seq // what is heard from here on, an end too, is not what was judged
	b.mu.Unlock()
	go func() {
		var err error
		if ask { // another instance may have stored what this one has not heard of
			a.asked = true
			err = b.look(s, deadline)
		} else {
			grant, err = b.write(l, r, judged, deadline)
		}
		b.mu.Lock()
		waiting := l.waiting
		l.writing, l.waiting = false, nil
		b.mu.Unlock()
		if errors.Is(err, errChanged) && tries > 0 {
			b.touch(s, a, deadline, tries-1, then)
		} else {
			then(grant, err)
		}
		for _, next := range waiting {
			next()
		}
	}()
}

// judge says what a session has, and what is to be stored so that it has what it asks for.
// The lock is held.
func (b *Book) judge(l *lease, a *Ask) (Grant, *record) {
	if l == nil || !l.live() {
		seconds := a.Default
		if a.Seconds != nil {
			seconds = *a.Seconds
		}
		over := l != nil && l.seq > 0
		if over && !a.Afresh || !over && seconds == 0 {
			return Grant{Ended: over}, nil
		}
		return Grant{}, &record{Seconds: seconds, Connection: a.Connection} // also one that lasts, over what says that it has ended
	}
	seconds, conn := l.seconds, l.conn
	switch {
	case a.Seconds != nil:
		seconds = *a.Seconds
	case seconds == 0 && !a.Renewal: // that it was to last does not bind who comes in now
		seconds = a.Default
	}
	switch {
	case a.Connection != nil && b.late(l, *a.Connection):
	case a.Connection != nil:
		conn = *a.Connection
	case a.Renewal || b.otherwise(l):
		conn = room.Connection{}
	}
	if seconds == l.seconds && conn == l.conn && l.early.IsZero() && (seconds == 0 || time.Until(l.end) > time.Duration(seconds)*time.Second*2/3) {
		return Grant{Seconds: seconds, EndAt: l.endAt}, nil
	}
	r := &record{Seconds: seconds}
	if conn != (room.Connection{}) {
		r.Connection = &conn
	}
	return Grant{}, r
}

// otherwise says that a session whose connection has closed so long ago that nothing of
// it is on its way any more speaks by another one. The lock is held.
func (b *Book) otherwise(l *lease) bool {
	return !l.early.IsZero() && time.Since(l.early.Add(-b.grace)) > min(onItsWay, b.grace/2)
}

// late says that a command names a connection that has ended, and its session has gone on
// by another one since. The lock is held.
func (b *Book) late(l *lease, c room.Connection) bool {
	_, closed := b.closed[c]
	return closed && l.conn != c && l.conn != (room.Connection{}) && l.early.IsZero()
}

// write stores a lease behind a message of its key, if that is still the newest.
func (b *Book) write(l *lease, r *record, behind uint64, deadline time.Time) (Grant, error) {
	r.Nonce = nuid.Next()
	header := nats.Header{}
	if r.Seconds > 0 {
		header[jetstream.MsgTTLHeader] = []string{(time.Duration(r.Seconds)*time.Second + keep).String()}
	}
	b.mu.Lock()
	endAt := b.clock.now() + events.Time(r.Seconds)*1000
	b.mu.Unlock()
	seq, err := b.put(l.Session, r, header, behind, deadline)
	if err != nil {
		return Grant{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq > l.seq { // else it was heard already
		b.learn(l, r, false, seq)
		if l.endAt = endAt; r.Seconds == 0 {
			l.endAt = 0
		}
		b.lasts(l, time.Duration(r.Seconds)*time.Second)
	}
	return Grant{Seconds: l.seconds, EndAt: l.endAt, Ended: l.ended}, nil
}

// put stores a record behind the key's message at expect, and sends the same until it
// is known what became of it.
func (b *Book) put(s Session, r *record, h nats.Header, expect uint64, deadline time.Time) (uint64, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithDeadline(b.life, deadline)
	defer cancel()
	entry := []journal.Entry{{Subject: subjects.KV(subjects.BucketSessions, subjects.SessionKey(s.User, s.ID)), Guarded: true, Expect: expect, Header: h, Data: data}}
	return b.journal.Commit(ctx, entry, journal.Resend{
		First: resend, Next: resend, Pause: askAgain,
		Conflict: func() (uint64, error) { return b.beaten(ctx, s, r.Nonce) },
	})
}

// beaten learns what is in the way of a write: itself, by an earlier try, or another.
func (b *Book) beaten(ctx context.Context, s Session, nonce string) (uint64, error) {
	b.mu.Lock()
	known, live := uint64(0), false
	if l := b.leases[s]; l != nil {
		known, live = l.seq, l.seq > 0 && !l.ended
	}
	b.mu.Unlock()
	m, err := b.stream.GetLastMsgForSubject(ctx, subjects.KV(subjects.BucketSessions, subjects.SessionKey(s.User, s.ID)))
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, errors.Join(errUnclear, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
	case live: // a lease does not go without a marker: that was the word of a deposed leader
		go b.prove()
		return 0, errUnclear
	default: // the marker that was known has gone
		l := b.entry(s)
		b.learn(l, &record{}, true, 0)
		b.lasts(l, 0)
		return 0, errChanged
	}
	var r record
	_ = json.Unmarshal(m.Data, &r)
	if r.Nonce == nonce {
		return m.Sequence, nil
	}
	if m.Sequence < known {
		go b.prove()
		return 0, errUnclear
	}
	b.takeLease(s, m.Data, journal.IsMarker(m.Header), m.Sequence, events.TimeOf(m.Time))
	return 0, errChanged
}

// look makes known what a session's key says now. It always gives an error: [errChanged].
func (b *Book) look(s Session, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(b.life, deadline)
	defer cancel()
	_, err := b.beaten(ctx, s, "none")
	return err
}
