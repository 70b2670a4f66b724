package roomsvc

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// multi commits what changes several rooms at once: switch and leaveAll. Everything
// that waits shares one atomic batch, with one fact a room, so that a class moving to
// its break-out rooms costs one append. One batch is on its way at a time.
type multi struct {
	mu    sync.Mutex
	queue []*call
	wake  chan struct{}

	working atomic.Bool // a batch is being decided or is on its way
}

func (s *Service) enqueueMulti(c *call) {
	s.multi.mu.Lock()
	s.multi.queue = append(s.multi.queue, c)
	s.multi.mu.Unlock()
	select {
	case s.multi.wake <- struct{}{}:
	default:
	}
}

func (s *Service) runMulti() {
	defer s.workers.Done()
	for conflicts := 0; ; {
		s.multi.mu.Lock()
		calls := s.multi.queue
		s.multi.queue = nil
		s.multi.mu.Unlock()
		if len(calls) == 0 {
			select {
			case <-s.multi.wake:
				continue
			case <-s.life.Done():
				return
			}
		}
		most := journal.MaxBatch
		if conflicts >= patientTries {
			most = 2 // alone it gets through sooner
			s.pause(jitterLow + rand.N(jitterHigh-jitterLow))
		}
		s.multi.working.Store(true)
		again, ok := s.multiStep(calls, most)
		s.multi.working.Store(false)
		if conflicts++; ok {
			conflicts = 0
		}
		s.multi.mu.Lock()
		s.multi.queue = append(again, s.multi.queue...)
		s.multi.mu.Unlock()
		if s.ended() {
			return
		}
	}
}

// multiStep decides what one batch can carry and commits it. It gives back the calls
// that are still to be decided; ok is false if another instance was faster.
func (s *Service) multiStep(calls []*call, most int) (again []*call, ok bool) {
	if open := slices.DeleteFunc(slices.Clone(calls), func(c *call) bool { return c.synced || c.cmd.Verb != room.LeaveAll }); len(open) > 0 {
		s.prove(open) // which rooms a session is in must not come from the past
	}
	calls, ids, rest := s.choose(calls, most)
	boxes := make(map[subjects.Room]*mailbox, len(ids))
	for _, id := range ids {
		mb := s.acquire(id)
		boxes[id] = mb
		for beaten := 0; beaten < patientTries && mb.ending() && !s.ended(); {
			if !s.step(mb) {
				beaten++
			}
		}
	}
	defer func() {
		for _, mb := range boxes {
			s.release(mb)
		}
	}()
	for _, id := range ids {
		boxes[id].mu.Lock()
	}
	unlock := func() {
		for _, id := range ids {
			boxes[id].mu.Unlock()
		}
	}
	runs := make(map[subjects.Room]*room.Run, len(ids))
	for _, id := range ids {
		runs[id] = room.NewRun(id, boxes[id].state, s.inputFor(boxes[id]))
	}
	var taken []verdict
	var open []*call
	refused := map[*call]*room.Error{}
	for _, c := range calls {
		if !c.state.CompareAndSwap(waiting, deciding) || s.repeated(c, boxes) {
			continue
		}
		if c.cmd.Verb == room.Switch && !c.synced && in(boxes[c.cmd.Room].state, c.cmd) {
			// It would only leave; but the batch has no fact in the room that it is in already,
			// which would prove that it still is.
			c.state.CompareAndSwap(deciding, waiting)
			open = append(open, c)
			continue
		}
		if c.cmd.Verb == room.LeaveAll && !c.synced {
			c.state.CompareAndSwap(deciding, waiting)
			rest = append(rest, c)
			continue
		}
		var v room.Verdict
		if c.cmd.Verb == room.Switch {
			s.reserve(boxes[c.cmd.Room], c)
			v = room.AddSwitch(runs[c.cmd.From], runs[c.cmd.Room], c.cmd)
		} else {
			v = s.addLeaveAll(boxes, runs, c.cmd)
		}
		s.spare(c, v)
		switch {
		case v.Later && c.cmd.Verb == room.Switch && boxes[c.cmd.Room].refusal != nil:
			refused[c] = notStored(boxes[c.cmd.Room].refusal) // its end comes first, and can't be stored
		case v.Later:
			c.state.CompareAndSwap(deciding, waiting)
			rest = append(rest, c)
		case v.Changed || c.synced:
			t := verdict{call: c, Verdict: v}
			if to := boxes[c.cmd.Room]; to != nil {
				t.was = place{to.room, position(to)}
			}
			taken = append(taken, t)
		default:
			c.state.CompareAndSwap(deciding, waiting)
			open = append(open, c)
		}
	}
	var at []*mailbox
	var facts []*events.Fact
	for _, id := range ids {
		if f := runs[id].Fact(); f != nil {
			at, facts = append(at, boxes[id]), append(facts, f)
		}
	}
	ok = true
	if len(facts) == 0 {
		s.settleMulti(taken, boxes, nil, 0)
		unlock()
	} else {
		fl, err := s.launch(at, facts)
		unlock()
		var last uint64
		if err == nil {
			last, err = s.commit(fl)
		}
		for _, id := range ids {
			boxes[id].mu.Lock()
		}
		for _, mb := range at {
			mb.flight = nil
		}
		if err == nil {
			if err = s.applyOwn(at, facts, last); err != nil {
				unlock()
				s.fail(err)
				return append(open, rest...), true // it is stored: the end leaves its calls UNAVAILABLE
			}
			s.settleMulti(taken, boxes, facts, last)
			for i, mb := range at {
				s.replaceDevices(mb, facts[i])
			}
			unlock()
		} else {
			unlock()
			rest = append(s.unstoredMulti(taken, fl, err), rest...)
			ok = false
		}
	}
	for c, e := range refused {
		s.refuse(c, e)
	}
	if len(open) > 0 {
		s.prove(open)
	}
	return append(open, rest...), ok
}

// ending says that the room is to end before anything else, and that this can be tried.
func (mb *mailbox) ending() bool {
	mb.mu.Lock()
	defer mb.mu.Unlock()
	return mb.refusal == nil && mb.state != nil && mb.state.Ending()
}

// choose takes calls from the front whose rooms are at most most, and gives those
// rooms in the order in which everybody takes mailboxes.
func (s *Service) choose(calls []*call, most int) (chosen []*call, ids []subjects.Room, rest []*call) {
	set := map[subjects.Room]struct{}{}
	for i, c := range calls {
		need := []subjects.Room{c.cmd.From, c.cmd.Room}
		if c.cmd.Verb == room.LeaveAll {
			need = s.roomsOf(c.cmd)
		}
		if len(set)+len(need) > most && i > 0 {
			rest = slices.Clone(calls[i:])
			calls = calls[:i]
			break
		}
		for _, id := range need {
			set[id] = struct{}{}
		}
	}
	for id := range set {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return calls, ids, rest
}

// roomsOf is the rooms that the command's session is in, as many as one batch takes.
func (s *Service) roomsOf(c *room.Command) (ids []subjects.Room) {
	for _, mb := range s.rep.users.of(c.User) {
		if len(ids) == journal.MaxBatch {
			break
		}
		mb.mu.Lock()
		if leaves(mb.state, c) {
			ids = append(ids, mb.room)
		}
		mb.mu.Unlock()
	}
	return ids
}

// leaves says whether the command's session can leave the room: it is in, and the room
// is not going to end anyway.
func leaves(state *room.State, c *room.Command) bool {
	return in(state, c) && !state.Ending()
}

// addLeaveAll decides a leaveAll on the runs of all rooms that its session is in: all
// of them, or later.
func (s *Service) addLeaveAll(boxes map[subjects.Room]*mailbox, runs map[subjects.Room]*room.Run, c *room.Command) room.Verdict {
	var in []*room.Run
	for _, mb := range s.rep.users.of(c.User) {
		r, ok := runs[mb.room]
		if !ok {
			continue // came in after the call
		}
		if !leaves(boxes[mb.room].state, c) {
			continue
		}
		if !r.TakesLeave(c) {
			return room.Verdict{Later: true}
		}
		in = append(in, r)
	}
	for _, r := range in {
		r.AddLeave(c, events.ReasonLeft, "")
	}
	return room.Verdict{Changed: len(in) > 0}
}

func (s *Service) unstoredMulti(taken []verdict, fl *flight, err error) (again []*call) {
	s.unreserve(taken)
	if errors.Is(err, journal.ErrConflict) {
		if !s.moved(fl) {
			for i, mb := range fl.boxes {
				s.catchUp(mb, fl.entries[i].Expect)
			}
		}
		return reopen(taken)
	}
	for _, v := range taken {
		s.refuse(v.call, notStored(err))
	}
	return nil
}

// moved says whether a room of the flight is newer, if need be after a sync point.
func (s *Service) moved(fl *flight) bool {
	ctx, cancel := context.WithTimeout(s.life, commandTimeout)
	defer cancel()
	return fl.moved() || s.sync.pass(ctx) == nil && fl.moved()
}

func (fl *flight) moved() bool {
	for i, mb := range fl.boxes {
		if mb.moved(fl.entries[i].Expect) {
			return true
		}
	}
	return false
}
