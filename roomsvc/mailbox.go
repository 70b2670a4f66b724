package roomsvc

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/projection"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// mailbox is one room at work. Whoever holds busy commits for the room, one append at
// a time; what arrives meanwhile waits in queue and becomes the next run. The lock is
// held for moments only, never while an append is on its way.
type mailbox struct {
	room subjects.Room

	mu       sync.Mutex
	state    *room.State // nil: no such room
	revision uint64      // of the room's newest fact, also after the room has ended
	factAt   events.Time // its time
	ahead    []projection.Change
	queue    []*call
	tasks    []task
	busy     bool
	waiting  []chan struct{} // who wants busy next, ahead of the queue
	flight   *flight
	doubt    doubt
	refusal  error // why the journal does not take the service's own work; nothing is tried until it is nil
	dropped  bool  // no longer in the replica

	head atomic.Pointer[room.Head] // of state, to be read without the lock
}

// task is work of the service's own. It is asked for the next fact to append until it
// gives nil.
type task func(*room.State, room.Input) *events.Fact

// States of a call.
const (
	waiting int32 = iota
	deciding
	answered
)

// Timing of appends.
const (
	firstResend    = time.Second
	nextResend     = 2 * time.Second
	patientTries   = 5
	mostDoubts     = 8
	firstDoubt     = 20 * time.Millisecond // each further one twice as long, five seconds in all
	refusalRest    = time.Second           // before the service's own work is tried again that the journal refused
	jitterLow      = 2 * time.Millisecond
	jitterHigh     = 20 * time.Millisecond
	commandTimeout = 9 * time.Second // answered within the contract's ten
)

// enqueue hands a call about one room to that room's mailbox.
func (s *Service) enqueue(c *call) {
	mb := s.rep.locked(c.cmd.Room)
	mb.queue = append(mb.queue, c)
	s.begin(mb)
}

// assign hands work of the service's own to a room's mailbox.
func (s *Service) assign(id subjects.Room, t task) {
	mb := s.rep.locked(id)
	mb.tasks = append(mb.tasks, t)
	s.begin(mb)
}

// begin starts a worker on a locked mailbox, unless one is there, and unlocks it.
func (s *Service) begin(mb *mailbox) {
	start := !mb.busy && mb.refusal == nil && !s.ended() // what is left at the end is answered there
	mb.busy = mb.busy || start
	if start {
		s.workers.Add(1)
	}
	mb.mu.Unlock()
	if start {
		go s.work(mb)
	}
}

// acquire waits until the caller holds busy.
func (s *Service) acquire(id subjects.Room) *mailbox {
	mb := s.rep.locked(id)
	if !mb.busy {
		mb.busy = true
		mb.mu.Unlock()
		return mb
	}
	turn := make(chan struct{})
	mb.waiting = append(mb.waiting, turn)
	mb.mu.Unlock()
	<-turn
	return mb
}

// release passes busy on to who waits, or to a worker, or gives it up.
func (s *Service) release(mb *mailbox) {
	mb.mu.Lock()
	if len(mb.waiting) > 0 {
		turn := mb.waiting[0]
		mb.waiting = mb.waiting[1:]
		mb.mu.Unlock()
		close(turn)
		return
	}
	mb.busy = false
	if mb.idle() {
		if mb.nobody() && mb.revision == 0 { // who asks for rooms that never were leaves nothing behind
			s.rep.drop(mb)
		}
		mb.mu.Unlock()
		return
	}
	s.begin(mb)
}

// nobody says that there is no room, and nobody at work with it. The mailbox is locked.
func (mb *mailbox) nobody() bool {
	return mb.state == nil && !mb.busy && mb.refusal == nil && len(mb.ahead) == 0
}

// idle says that there is nothing to commit, or no use in trying. The mailbox is locked.
func (mb *mailbox) idle() bool {
	return mb.refusal != nil || len(mb.queue) == 0 && len(mb.tasks) == 0 && (mb.state == nil || !mb.state.Ending())
}

func (s *Service) work(mb *mailbox) {
	defer s.workers.Done()
	for conflicts := 0; ; {
		if s.step(mb) {
			conflicts = 0
		} else if conflicts++; conflicts >= patientTries {
			s.pause(jitterLow + rand.N(jitterHigh-jitterLow))
		}
		mb.mu.Lock()
		done := mb.idle() || len(mb.waiting) > 0 || s.ended()
		mb.mu.Unlock()
		if done {
			s.release(mb)
			return
		}
	}
}

func (s *Service) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.life.Done():
	}
}

// step decides one run and commits it. It is false if another instance was faster.
func (s *Service) step(mb *mailbox) bool {
	mb.mu.Lock()
	fact, run := s.decide(mb)
	if fact == nil {
		proved, open := split(run, func(verdict) bool { return false })
		s.settle(mb, proved, nil, 0)
		mb.queue = append(open, mb.queue...)
		mb.mu.Unlock()
		if len(open) > 0 {
			s.prove(open)
		}
		return true
	}
	fl, err := s.launch([]*mailbox{mb}, []*events.Fact{fact})
	out := s.outcasts(mb, fact)
	mb.mu.Unlock()
	var last uint64
	if err == nil {
		last, err = s.commit(fl)
	}
	mb.mu.Lock()
	mb.flight = nil
	if err == nil {
		if err = s.applyOwn([]*mailbox{mb}, []*events.Fact{fact}, last); err != nil {
			mb.mu.Unlock()
			s.fail(err)
			return true
		}
		for _, n := range out {
			s.publishNotice(n)
		}
		s.replaceDevices(mb, fact)
		proved, open := split(run, proves)
		s.settle(mb, proved, fact, last)
		mb.queue = append(open, mb.queue...)
		mb.mu.Unlock()
		if len(open) > 0 {
			s.prove(open)
		}
		return true
	}
	return s.unstored(mb, run, err)
}

// unstored puts a run back that another fact was ahead of, and refuses one that the
// journal would not take. Without a run it was the service's own work that was refused:
// what waits behind that is refused too, and the room rests. The mailbox is locked; it
// is unlocked on return.
func (s *Service) unstored(mb *mailbox, run []verdict, err error) bool {
	s.unreserve(run)
	if errors.Is(err, journal.ErrConflict) {
		expect := mb.revision
		mb.queue = append(reopen(run), mb.queue...)
		mb.mu.Unlock()
		s.catchUp(mb, expect)
		return false
	}
	var behind []*call
	if len(run) == 0 && errors.Is(err, journal.ErrRefused) {
		behind, mb.queue = mb.queue, nil
		s.rest(mb, err)
	}
	mb.mu.Unlock()
	for _, v := range run {
		s.refuse(v.call, notStored(err))
	}
	for _, c := range behind {
		s.refuse(c, notStored(err))
	}
	return true
}

// rest lets a while go by before anything is tried in the room again. The mailbox is locked.
func (s *Service) rest(mb *mailbox, why error) {
	s.log.Warn("the journal does not take what is due in a room", "room", mb.room, "error", why)
	mb.refusal = why
	time.AfterFunc(refusalRest, func() {
		mb.mu.Lock()
		mb.refusal = nil
		if mb.idle() {
			mb.mu.Unlock()
			return
		}
		s.begin(mb)
	})
}

func notStored(err error) *room.Error {
	if errors.Is(err, journal.ErrUnknown) {
		e := room.Refuse(room.ErrUnavailable, "the service ends before it could learn whether this was stored; send it again with the same requestID")
		e.Outcome = room.Unknown
		return e
	}
	e := room.Refuse(room.ErrBusy, "nothing happened: %v; try again later", err)
	e.RetryAfterMs = 1000
	return e
}

// decide takes the longest prefix of what waits that one fact can carry. The mailbox
// is locked. A nil fact leaves every call of the run refused, or content as it is.
func (s *Service) decide(mb *mailbox) (*events.Fact, []verdict) {
	in := s.inputFor(mb)
	for len(mb.tasks) > 0 {
		if fact := mb.tasks[0](mb.state, in); fact != nil {
			return fact, nil
		}
		mb.tasks = mb.tasks[1:]
	}
	if mb.state != nil && mb.state.Ending() {
		return room.EndNext(mb.state, in), nil
	}
	r := room.NewRun(mb.room, mb.state, in)
	var run []verdict
	locked := map[subjects.Room]*mailbox{mb.room: mb}
	for len(mb.queue) > 0 {
		c := mb.queue[0]
		if c.state.CompareAndSwap(waiting, deciding) && !s.repeated(c, locked) {
			s.reserve(mb, c)
			v := r.Add(c.cmd)
			s.spare(c, v)
			if v.Later {
				c.state.CompareAndSwap(deciding, waiting)
				break
			}
			run = append(run, verdict{call: c, Verdict: v})
		}
		mb.queue = mb.queue[1:]
	}
	return r.Fact(), run
}

func (s *Service) input() room.Input {
	return room.Input{Now: events.TimeOf(time.Now()), FactID: nuid.Next(), InstanceID: nuid.Next(), Limits: s.limits.Load()}
}

// inputFor is the input to a decision on the locked mailbox. Time never goes back in a
// room, not even from one instance of it to the next.
func (s *Service) inputFor(mb *mailbox) room.Input {
	in := s.input()
	in.Now = max(in.Now, mb.factAt)
	return in
}
