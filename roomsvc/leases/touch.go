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
	"natsrooms/subjects"
)

// ErrTooMany says that the session's user already has as many sessions as allowed, counting
// those that ended within the last minutes.
var ErrTooMany = errors.New("the user has too many sessions")

// What a write may find in its way.
var (
	errChanged = errors.New("somebody else wrote the lease")
	errUnclear = errors.New("the lease could not be read")
)

// Touch renews a session's lease if a third of it is over, or begins one, and then calls then
// exactly once with what the session has: at once if nothing had to be stored, otherwise from
// another goroutine. An error says that before the deadline the lease was not stored, or not
// known to be stored.
func (b *Book) Touch(s Session, a Ask, deadline time.Time, then func(Grant, error)) {
	b.touch(touch{s, a, deadline, mostBeat, then})
}

func (b *Book) touch(t touch) {
	b.mu.Lock()
	if l := b.known.leases[t.Session]; l != nil && l.writing {
		l.waiting = append(l.waiting, t)
		b.mu.Unlock()
		return
	}
	j := b.judge(&t)
	b.mu.Unlock()
	b.carryOut(t, j)
}

// judgement is what a touch comes to: an answer, or work on a lease, which is being written
// from then on.
type judgement struct {
	grant Grant
	err   error

	lease *lease  // nil: this is the answer
	r     *record // to be stored; nil: the bucket is to be asked first
	after uint64  // what is heard after this, such as an end, has not been judged
}

// judge judges a touch, under the lock.
func (b *Book) judge(t *touch) (j judgement) {
	l := b.known.leases[t.Session]
	j.grant, j.r = b.known.judge(l, &t.Ask)
	ask := j.r == nil && t.Renewal && !t.asked // the answer promises something, so it must not come from an old state
	switch {
	case j.r == nil && !ask:
	case l == nil && t.Most > 0 && b.known.users[t.User] >= t.Most:
		j = judgement{err: ErrTooMany}
	default:
		j.lease = b.known.entry(t.Session)
		j.lease.writing, j.after = true, j.lease.seq
	}
	return j
}

func (b *Book) carryOut(t touch, j judgement) {
	l := j.lease
	if l == nil {
		t.then(j.grant, j.err)
		return
	}
	started := b.life.Go(func() {
		if j.r == nil { // another instance may have stored something that this one has not heard of
			t.asked = true
			b.settle(l, t, j.grant, b.look(t.Session, t.deadline))
			return
		}
		grant, err := b.write(l, j.r, j.after, t.deadline)
		b.settle(l, t, grant, err)
	})
	if !started {
		b.settle(l, t, Grant{}, b.life.Err())
	}
}

// settle answers a touch, or begins it once more, and then continues with those that came
// during it, one after the other. Until none is left the lease counts as being written, so that
// a later touch does not overtake them.
func (b *Book) settle(l *lease, t touch, grant Grant, err error) {
	again := errors.Is(err, errChanged) && t.tries > 0
	if again {
		t.tries--
	} else {
		t.then(grant, err)
	}
	for {
		b.mu.Lock()
		if !again {
			if len(l.waiting) == 0 {
				l.writing, l.waiting = false, nil
				b.mu.Unlock()
				return
			}
			t, l.waiting = l.waiting[0], l.waiting[1:]
		}
		j := b.judge(&t)
		b.mu.Unlock()
		b.carryOut(t, j)
		if again = false; j.lease != nil {
			return
		}
	}
}

// write stores a lease after a message of its key, if that is still the newest one.
func (b *Book) write(l *lease, r *record, after uint64, deadline time.Time) (Grant, error) {
	r.Nonce = nuid.Next()
	header := nats.Header{}
	if r.Seconds > 0 {
		header[jetstream.MsgTTLHeader] = []string{(time.Duration(r.Seconds)*time.Second + keep).String()}
	}
	b.mu.Lock()
	endAt := b.known.clock.now() + events.Time(r.Seconds)*1000
	b.mu.Unlock()
	seq, err := b.put(l.Session, r, header, after, deadline)
	if err != nil {
		return Grant{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq > l.seq { // otherwise it was heard already
		b.known.learn(l, r, false, seq)
		if l.endAt = endAt; r.Seconds == 0 {
			l.endAt = 0
		}
		b.known.lasts(l, time.Duration(r.Seconds)*time.Second)
	}
	return Grant{Seconds: l.seconds, EndAt: l.endAt, Ended: l.ended}, nil
}

// put stores a record after the key's message at expect, and resends it until it is known what
// became of it.
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

// beaten finds out what is in the way of a write: an earlier try of it, or another write.
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
	case live: // a lease does not go away without a marker, so a deposed leader said that
		b.life.Go(b.prove)
		return 0, errUnclear
	default: // the known marker has expired
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

// look learns what a session's key says now. It always returns an error, on success errChanged.
func (b *Book) look(s Session, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(b.life, deadline)
	defer cancel()
	_, err := b.beaten(ctx, s, "none")
	return err
}
