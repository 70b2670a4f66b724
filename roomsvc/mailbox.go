package roomsvc

import (
	"context"
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
	done    chan result
}

type result struct {
	last uint64 // sequence of the last entry
	err  error
}

// resolve settles the flight's fate; the first call counts.
func (f *flight) resolve(last uint64, err error) {
	select {
	case f.done <- result{last, err}:
	default:
	}
}

// States of a call.
const (
	waiting int32 = iota
	deciding
	answered
)

// call is one command on its way through the service.
type call struct {
	cmd      *room.Command
	reply    string
	userForm bool
	ignored  string // names of unknown fields
	deadline time.Time
	state    atomic.Int32
	synced   bool // a sync point was passed since it came: refusing it is proved
	reserved bool // holds a place among the user's rooms
	creating bool // holds a place among all rooms
}

// verdict is a call and what was decided.
type verdict struct {
	*call
	room.Verdict
}

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
		mb.mu.Unlock()
		return
	}
	s.begin(mb)
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

// reopen makes the calls of a run wait again.
func reopen(run []verdict) []*call {
	calls := make([]*call, 0, len(run)+8)
	for _, v := range run {
		if v.state.CompareAndSwap(deciding, waiting) {
			calls = append(calls, v.call)
		}
	}
	return calls
}

// proves says whether the run's fact, which is stored, proves the verdict: it followed
// the room's newest one, but knows nothing of other rooms.
func proves(v verdict) bool {
	return v.Refused == nil || !errors.Is(v.Refused, room.ErrUserRoomLimit) && !errors.Is(v.Refused, room.ErrRoomLimit)
}

// split tells calls whose answer is proved from those that need a sync point first.
func split(run []verdict, proves func(verdict) bool) (proved []verdict, open []*call) {
	for _, v := range run {
		if v.synced || proves(v) {
			proved = append(proved, v)
		} else if v.state.CompareAndSwap(deciding, waiting) {
			open = append(open, v.call)
		}
	}
	return proved, open
}

// prove passes a sync point, so that the calls can be refused for good.
func (s *Service) prove(calls []*call) {
	ctx, cancel := context.WithDeadline(s.life, calls[0].deadline)
	defer cancel()
	if s.sync.pass(ctx) != nil {
		return // they are decided again, or run out of time
	}
	for _, c := range calls {
		c.synced = true
	}
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
	for len(mb.queue) > 0 {
		c := mb.queue[0]
		if c.state.CompareAndSwap(waiting, deciding) && !s.repeated(c) {
			s.reserve(mb, c)
			v := r.Add(c.cmd)
			if v.Later {
				s.unreserve([]verdict{{c, v}})
				c.state.CompareAndSwap(deciding, waiting)
				break
			}
			if !v.Changed {
				s.unreserve([]verdict{{c, v}})
			}
			run = append(run, verdict{c, v})
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

// brings says that the command may bring its user into a room.
func brings(v room.Verb) bool { _, ok := startEvents[v]; return ok }

// reserve counts a coming in against the limits on rooms, if there are any.
func (s *Service) reserve(mb *mailbox, c *call) {
	l := s.limits.Load()
	c.cmd.UserRoomsFull, c.cmd.RoomsFull = false, false
	if !brings(c.cmd.Verb) {
		return
	}
	if l.MaxRoomsPerUser > 0 && c.cmd.User != "" && mb.state.Member(c.cmd.User) == nil && c.cmd.Verb != room.Switch {
		c.reserved = s.rep.users.reserve(c.cmd.User, l.MaxRoomsPerUser)
		c.cmd.UserRoomsFull = !c.reserved
	}
	if l.MaxRooms > 0 && mb.state == nil {
		c.creating = s.rep.living.Load()+s.making.Add(1) <= int64(l.MaxRooms)
		c.cmd.RoomsFull = !c.creating
		if !c.creating {
			s.making.Add(-1)
		}
	}
}

// unreserve gives back what the calls hold: their facts are stored, or will not be.
func (s *Service) unreserve(run []verdict) {
	for _, v := range run {
		if v.reserved {
			s.rep.users.release(v.cmd.User)
			v.reserved = false
		}
		if v.creating {
			s.making.Add(-1)
			v.creating = false
		}
	}
}

// launch makes the flight of one fact for each locked mailbox.
func (s *Service) launch(boxes []*mailbox, facts []*events.Fact) (*flight, error) {
	fl := &flight{boxes: boxes, facts: facts, entries: make([]journal.Entry, len(facts)), done: make(chan result, 1)}
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
	timer := time.NewTimer(firstResend)
	defer timer.Stop()
	for try := 0; ; try++ {
		acks := make(chan result, 1)
		forget, err := s.journal.Append(fl.entries, func(last uint64, err error) { acks <- result{last, err} })
		if err != nil {
			acks <- result{0, err}
		}
		again := false
		for !again {
			select {
			case r := <-fl.done:
				forget()
				return r.last, r.err
			case a := <-acks:
				switch {
				case a.err == nil:
					return a.last, nil
				case errors.Is(a.err, journal.ErrConflict):
					// This may be our own fact in the way: by an earlier try, or because a
					// deposed leader of the stream refused what the new one has stored.
					if s.sync.pass(s.life) == nil {
						fl.resolve(0, journal.ErrConflict)
					}
				case try == 0 && !errors.Is(a.err, journal.ErrUnknown):
					return 0, a.err
				}
			case <-timer.C:
				forget()
				timer.Reset(nextResend)
				again = true
			case <-s.life.Done():
				forget()
				return 0, journal.ErrUnknown
			}
		}
	}
}

// applyOwn folds the stored facts of an append of this instance, of which last is the
// sequence of the last one, unless the follower was faster. The mailboxes are locked.
func (s *Service) applyOwn(boxes []*mailbox, facts []*events.Fact, last uint64) error {
	first := last - uint64(len(facts)) + 1
	if last <= boxes[len(boxes)-1].revision {
		return nil
	}
	if passed := s.rep.passed.seq.Load(); last <= passed {
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
	case last.Seq > expect && mb.state == nil && last.Seq <= s.rep.passed.seq.Load(), last.Seq == 0 && extent.First > expect:
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
