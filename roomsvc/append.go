package roomsvc

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
)

// doubt counts how often in a row the room's newest fact was read as one older than
// expect, which this instance has seen. Each was a read, and had a sync point before it.
type doubt struct {
	expect uint64
	times  int
}

// flight is an append on its way: one fact each of one or more rooms.
type flight struct {
	boxes   []*mailbox
	facts   []*events.Fact
	entries []journal.Entry
	done    chan journal.Fate
}

// resolve settles the flight's fate; the first call counts.
func (f *flight) resolve(last uint64, err error) {
	select {
	case f.done <- journal.Fate{Last: last, Err: err}:
	default:
	}
}

// launch makes the flight of one fact for each locked mailbox.
func (s *Service) launch(boxes []*mailbox, facts []*events.Fact) (*flight, error) {
	fl := &flight{boxes: boxes, facts: facts, entries: make([]journal.Entry, len(facts)), done: make(chan journal.Fate, 1)}
	for i, f := range facts {
		var err error
		if fl.entries[i], err = journal.Fact(f, s.cfg.SourcePrefix, boxes[i].revision); err != nil {
			return nil, errors.Join(journal.ErrRefused, err)
		}
	}
	for _, mb := range boxes {
		mb.flight = fl
	}
	return fl, nil
}

// commit sends the flight until its fate is known: by an acknowledgement, or because
// the follower saw the rooms' next facts. "Not stored so far" proves nothing, so the
// same bytes go out again under the same condition, which lets only one of them in.
func (s *Service) commit(fl *flight) (last uint64, err error) {
	return s.journal.Commit(s.life, fl.entries, journal.Resend{
		First: firstResend, Next: nextResend, Known: fl.done,
		Conflict: func() (uint64, error) {
			// This may be our own fact in the way: by an earlier try, or because a
			// deposed leader of the stream refused what the new one has stored.
			if s.sync.pass(s.life) == nil {
				fl.resolve(0, journal.ErrConflict)
			}
			return 0, journal.ErrUnknown // what the flight was resolved with first is its fate
		},
	})
}

// applyOwn folds the stored facts of an append of this instance, of which last is the
// sequence of the last one, unless the follower was faster. The mailboxes are locked.
func (s *Service) applyOwn(boxes []*mailbox, facts []*events.Fact, last uint64) error {
	first := last - uint64(len(facts)) + 1
	if last <= boxes[len(boxes)-1].revision {
		return nil
	}
	if passed := s.rep.passed.Seq(); last <= passed {
		return errTailLostAt(passed, last) // the follower has seen other content there
	}
	now := time.Now()
	stored := make([]applied, len(facts))
	for i, f := range facts {
		stored[i] = applied{boxes[i], f, first + uint64(i), now}
	}
	changes, err := s.rep.apply(stored)
	if err != nil {
		return err
	}
	for i, mb := range boxes {
		mb.ahead = append(mb.ahead, change(facts[i], changes[i], first+uint64(i)))
	}
	return nil
}

// moved says that the room has a fact newer than expect.
func (mb *mailbox) moved(expect uint64) bool {
	mb.mu.Lock()
	defer mb.mu.Unlock()
	return mb.revision != expect
}

// catchUp makes sure that the room is as new as what was in its fact's way.
func (s *Service) catchUp(mb *mailbox, expect uint64) {
	ctx, cancel := context.WithTimeout(s.life, commandTimeout)
	defer cancel()
	if mb.moved(expect) || s.sync.pass(ctx) != nil || mb.moved(expect) {
		return
	}
	// Nothing new, and yet a conflict: the room's newest fact is one from before this
	// instance's time, or has left the journal by age, or by damage.
	last, err := s.journal.LastOf(ctx, mb.room)
	if err != nil || last.Seq == expect {
		return
	}
	extent, err := s.journal.Extent(ctx)
	if err != nil {
		s.log.Warn("reading the journal's extent", "error", err)
		return
	}
	mb.mu.Lock()
	wait := time.Duration(0)
	switch {
	case mb.revision != expect:
	case last.Seq > expect && mb.state == nil && last.Seq <= s.rep.passed.Seq(), last.Seq == 0 && extent.First > expect:
		mb.revision = last.Seq
		if f, err := decode(last); err == nil {
			mb.factAt = max(mb.factAt, f.Time)
		}
	case last.Seq < expect:
		// The journal lost that fact, or a deposed leader refuses and answers from a past
		// that it takes for the present. The latter ends with the first word from its
		// successor; the former stays, or shows itself by a marker.
		if mb.doubt.expect != expect {
			mb.doubt = doubt{expect: expect}
		}
		if mb.doubt.times++; mb.doubt.times > mostDoubts {
			s.fail(errTailLost(expect, extent))
			break
		}
		wait = firstDoubt << (mb.doubt.times - 1)
	}
	mb.mu.Unlock()
	if wait > 0 {
		s.pause(wait + rand.N(jitterHigh))
	}
}
