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
	b.touch(touch{s, a, deadline, mostBeat, then})
}

// touch is a call of [Book.Touch] that is to be answered.
type touch struct {
	Session
	Ask
	deadline time.Time
	tries    int // that it has left
	then     func(Grant, error)
}

func (b *Book) touch(t touch) {
	b.mu.Lock()
	l := b.known.leases[t.Session]
	if l != nil && l.writing {
		l.waiting = append(l.waiting, t)
		b.mu.Unlock()
		return
	}
	grant, r := b.known.judge(l, &t.Ask)
	ask := r == nil && t.Renewal && !t.asked // what is promised of it must not be from the past
	if r == nil && !ask {
		b.mu.Unlock()
		t.then(grant, nil)
		return
	}
	if l == nil && t.Most > 0 && b.known.users[t.User] >= t.Most {
		b.mu.Unlock()
		t.then(Grant{}, ErrTooMany)
		return
	}
	l = b.known.entry(t.Session)
	l.writing = true
	judged := l.seq // what is heard from here on, an end too, is not what was judged
	b.mu.Unlock()
	started := b.life.Go(func() {
		if ask { // another instance may have stored what this one has not heard of
			t.asked = true
			b.settle(l, t, grant, b.look(t.Session, t.deadline))
			return
		}
		grant, err := b.write(l, r, judged, t.deadline)
		b.settle(l, t, grant, err)
	})
	if !started {
		b.settle(l, t, Grant{}, b.life.Err())
	}
}

// settle answers a touch, or begins it once more, and lets those go on that came after it.
func (b *Book) settle(l *lease, t touch, grant Grant, err error) {
	b.mu.Lock()
	waiting := l.waiting
	l.writing, l.waiting = false, nil
	b.mu.Unlock()
	if errors.Is(err, errChanged) && t.tries > 0 {
		t.tries--
		b.touch(t)
	} else {
		t.then(grant, err)
	}
	for _, next := range waiting {
		b.touch(next)
	}
}

// write stores a lease behind a message of its key, if that is still the newest.
func (b *Book) write(l *lease, r *record, behind uint64, deadline time.Time) (Grant, error) {
	r.Nonce = nuid.Next()
	header := nats.Header{}
	if r.Seconds > 0 {
		header[jetstream.MsgTTLHeader] = []string{(time.Duration(r.Seconds)*time.Second + keep).String()}
	}
	b.mu.Lock()
	endAt := b.known.clock.now() + events.Time(r.Seconds)*1000
	b.mu.Unlock()
	seq, err := b.put(l.Session, r, header, behind, deadline)
	if err != nil {
		return Grant{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq > l.seq { // else it was heard already
		b.known.learn(l, r, false, seq)
		if l.endAt = endAt; r.Seconds == 0 {
			l.endAt = 0
		}
		b.known.lasts(l, time.Duration(r.Seconds)*time.Second)
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
	if l := b.known.leases[s]; l != nil {
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
		b.life.Go(b.prove)
		return 0, errUnclear
	default: // the marker that was known has gone
		l := b.known.entry(s)
		b.known.learn(l, &record{}, true, 0)
		b.known.lasts(l, 0)
		return 0, errChanged
	}
	var r record
	_ = json.Unmarshal(m.Data, &r)
	if r.Nonce == nonce {
		return m.Sequence, nil
	}
	if m.Sequence < known {
		b.life.Go(b.prove)
		return 0, errUnclear
	}
	b.known.takeLease(s, m.Data, journal.IsMarker(m.Header), m.Sequence, events.TimeOf(m.Time))
	return 0, errChanged
}

// look makes known what a session's key says now. It always gives an error: [errChanged].
func (b *Book) look(s Session, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(b.life, deadline)
	defer cancel()
	_, err := b.beaten(ctx, s, "none")
	return err
}
