package roomsvc

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// call is one command on its way through the service.
type call struct {
	cmd      *room.Command
	reply    string
	userForm bool
	ignored  string // names of unknown fields
	deadline time.Time
	state    atomic.Int32
	told     bool // the user's devices have heard that it came
	synced   bool // a sync point was passed since it came: refusing it is proved
	reserved bool // holds a place among the user's rooms
	creating bool // holds a place among all rooms

	sharer subjects.User // whose share of the commands in flight it is of; empty: of nobody's

	ask   leases.Ask // what it says of its session's life
	lease room.Lease // its session's, if it has one
	over  bool       // its session's lease is over
}

// session is whose command it is.
func (c *call) session() leases.Session { return leases.Session{User: c.cmd.User, ID: c.cmd.Session} }

// verdict is a call and what was decided.
type verdict struct {
	*call
	room.Verdict
	was place // of a switch: where its to-room was when it was decided
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
// the room's newest one, but knows nothing of other rooms, nor of its users' tokens, which
// [Service.prove] looks for.
func proves(v verdict) bool {
	return v.Refused == nil || !errors.Is(v.Refused, room.ErrUserRoomLimit) && !errors.Is(v.Refused, room.ErrRoomLimit) && !errors.Is(v.Refused, room.ErrNotAllowed)
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

// prove passes a sync point, so that the calls can be refused for good. The first of them
// may have run out of time already.
func (s *Service) prove(calls []*call) {
	last := slices.MaxFunc(calls, func(a, b *call) int { return a.deadline.Compare(b.deadline) })
	ctx, cancel := context.WithDeadline(s.life, last.deadline)
	defer cancel()
	if s.sync.pass(ctx) != nil {
		return // they are decided again, or run out of time
	}
	for _, c := range calls {
		granted, err := s.granted(ctx, c)
		if err != nil {
			s.log.Warn("reading the rooms that a user's tokens name", "user", c.cmd.User, "error", err)
			s.pause(grantAgain)
			return // likewise
		}
		c.cmd.Granted, c.synced = granted, true
	}
}

// brings says that the command may bring its user into a room.
func brings(v room.Verb) bool { _, ok := startEvents[v]; return ok }

// reserve counts a coming in against the limits on rooms, if there are any. A limit that
// is met only with what is on its way is no reason to refuse: that may be in a room that
// is counted already, or come to nothing. Then the call is to be decided once more.
func (s *Service) reserve(mb *mailbox, c *call) {
	l := s.limits.Load()
	c.cmd.UserRoomsFull, c.cmd.RoomsFull = false, false
	if !brings(c.cmd.Verb) {
		return
	}
	if l.MaxRoomsPerUser > 0 && c.cmd.User != "" && mb.state.Member(c.cmd.User) == nil && c.cmd.Verb != room.Switch {
		var full bool
		c.reserved, full = s.rep.users.reserve(c.cmd.User, l.MaxRoomsPerUser)
		c.cmd.UserRoomsFull = !c.reserved
		c.synced = c.synced && (c.reserved || full)
	}
	if l.MaxRooms > 0 && mb.state == nil {
		living := s.rep.living.Load()
		c.creating = living+s.making.Add(1) <= int64(l.MaxRooms)
		c.cmd.RoomsFull = !c.creating
		c.synced = c.synced && (c.creating || living >= int64(l.MaxRooms))
		if !c.creating {
			s.making.Add(-1)
		}
	}
}

// spare gives back what a decided call holds and does not need.
func (s *Service) spare(c *call, v room.Verdict) {
	if !v.Changed {
		s.freePlace(c)
	}
	if !v.Created { // it may be another command of the run that makes the room
		s.freeRoom(c)
	}
}

// unreserve gives back what the calls hold: their facts are stored, or will not be.
func (s *Service) unreserve(run []verdict) {
	for _, v := range run {
		s.freePlace(v.call)
		s.freeRoom(v.call)
	}
}

// freePlace gives back a place among the user's rooms.
func (s *Service) freePlace(c *call) {
	if c.reserved {
		s.rep.users.release(c.cmd.User)
		c.reserved = false
	}
}

// freeRoom gives back a place among all rooms.
func (s *Service) freeRoom(c *call) {
	if c.creating {
		s.making.Add(-1)
		c.creating = false
	}
}
