package messages

import (
	"errors"
	"slices"
	"sync"
	"time"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
)

// Timing of tries.
const (
	firstResend = time.Second
	nextResend  = 2 * time.Second
	sweepEvery  = 250 * time.Millisecond
)

// Outbox stores messages: each goes out again, under the same message ID, until the stream
// has answered or nobody waits any more. So many are on their way at once that none has a
// goroutine of its own, as [journal.Journal.Commit] would need.
type Outbox struct {
	journal *journal.Journal

	mu      sync.Mutex // guards open, and what is in it
	open    []*sending // oldest first
	senders            // has a lock of its own
}

// sending is a message on its way into the stream.
type sending struct {
	place    *Place
	entry    []journal.Entry
	over     func() bool
	answered func(seq uint64, err error)

	next   time.Time
	tries  int
	forget func() // stops waiting for the answer to the last try
}

// NewOutbox makes an outbox that works as long as the life lasts.
func NewOutbox(l *life.Life, j *journal.Journal) *Outbox {
	o := &Outbox{journal: j}
	l.Go(func() { o.resending(l) })
	return o
}

// Send stores a message. answered is told what became of it, perhaps more than once:
// with its sequence; with [journal.ErrRepeated] and the sequence of what is stored under its
// message ID; or with [journal.ErrRefused]. It may not be called at all; over says that
// nobody waits for it any more. The place is closed when it is known what became of the message,
// or nobody waits.
func (o *Outbox) Send(p *Place, e journal.Entry, over func() bool, answered func(seq uint64, err error)) {
	s := &sending{place: p, entry: []journal.Entry{e}, over: over, answered: answered}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = append(o.open, s)
	o.try(s, firstResend)
}

// try sends a message once more, under the lock.
func (o *Outbox) try(s *sending, patience time.Duration) {
	s.tries++
	s.next = time.Now().Add(patience)
	s.forget, _ = o.journal.Append(s.entry, func(seq uint64, err error) { o.take(s, seq, err) })
}

// take takes the stream's answer. One that proves nothing is waited out, and so is a refusal
// of what an earlier try may have stored.
func (o *Outbox) take(s *sending, seq uint64, err error) {
	switch {
	case err == nil, errors.Is(err, journal.ErrRepeated):
		s.place.Close()
		s.answered(seq, err)
	case errors.Is(err, journal.ErrRefused) && o.first(s):
		s.place.Close()
		s.answered(0, err)
	}
}

func (o *Outbox) first(s *sending) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return s.tries == 1
}

// resending sends again what was not answered in time.
func (o *Outbox) resending(l *life.Life) {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case now := <-sweep.C:
			o.resend(now)
		case <-l.Done():
			return
		}
	}
}

func (o *Outbox) resend(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = slices.DeleteFunc(o.open, func(s *sending) bool {
		over := s.over()
		if over || now.After(s.next) {
			s.forget()
		}
		if over {
			s.place.Close()
		}
		return over
	})
	for _, s := range o.open {
		if now.After(s.next) {
			o.try(s, nextResend)
		}
	}
}
