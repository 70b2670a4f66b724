package roomsvc

import (
	"sync"
	"time"

	"natsrooms/roomsvc/room"
)

// tracked is every changing call that may be unanswered, oldest first.
type tracked struct {
	mu    sync.Mutex
	calls []*call
}

func (s *Service) track(c *call) {
	s.tracked.mu.Lock()
	s.tracked.calls = append(s.tracked.calls, c)
	s.tracked.mu.Unlock()
}

// sweep answers calls that have run out of time, and forgets those that are answered.
func (s *Service) sweep(now time.Time) {
	s.tracked.mu.Lock()
	calls := s.tracked.calls
	var expired []*call
	for len(calls) > 0 && (calls[0].state.Load() == answered || now.After(calls[0].deadline)) {
		expired = append(expired, calls[0])
		calls = calls[1:]
	}
	if open := int(s.inFlight.Load()); len(calls) > 2*open+1024 {
		kept := make([]*call, 0, open)
		for _, c := range calls {
			if c.state.Load() != answered {
				kept = append(kept, c)
			}
		}
		calls = kept
	}
	s.tracked.calls = calls
	s.tracked.mu.Unlock()
	for _, c := range expired {
		s.timeOut(c)
	}
}

// timeOut answers a call that has run out of time. One that waits in line, in no
// append, has surely had no effect and will have none.
func (s *Service) timeOut(c *call) {
	was := c.state.Load()
	if was == answered {
		return
	}
	if was == waiting && !s.flying(c) && c.state.CompareAndSwap(waiting, answered) {
		e := room.Refuse(room.ErrBusy, "nothing happened: its turn did not come in %v; try again", commandTimeout)
		e.RetryAfterMs = 1000
		s.sendRefusal(c, e, s.connected(c))
		return
	}
	e := room.Refuse(room.ErrUnavailable, "it is not known whether this was stored; send it again with the same requestID to learn it")
	e.Outcome = room.Unknown
	s.refuse(c, e)
}

// flying says whether the fate of an append that the call waits for is open.
func (s *Service) flying(c *call) bool {
	if c.cmd.Verb == room.LeaveAll || c.cmd.Verb == room.Switch {
		return s.multi.working.Load()
	}
	mb := s.rep.find(c.cmd.Room)
	if mb == nil {
		return false
	}
	mb.mu.Lock()
	defer mb.mu.Unlock()
	return mb.flight != nil
}

// refuseAll answers what is left when the service ends.
func (s *Service) refuseAll() {
	s.tracked.mu.Lock()
	calls := s.tracked.calls
	s.tracked.calls = nil
	s.tracked.mu.Unlock()
	for _, c := range calls {
		s.timeOut(c)
	}
}
