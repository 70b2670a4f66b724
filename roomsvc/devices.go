package roomsvc

import (
	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// replaceDevices takes out, where a member may have one session only, those that the
// fact's sessions take the place of. The mailbox is locked, and the fact applied.
func (s *Service) replaceDevices(mb *mailbox, f *events.Fact) {
	if f.Type != events.SessionJoined || s.limits.Load().ReplaceDevices == 0 {
		return
	}
	var outs []room.Out
	for i := range f.Joined {
		outs = append(outs, older(mb.state.Member(subjects.User(f.Joined[i].UserID)))...)
	}
	if len(outs) > 0 {
		mb.tasks = append(mb.tasks, func(st *room.State, in room.Input) *events.Fact { return room.Expel(st, outs, in) })
	}
}

// older is a member's sessions but the newest.
func older(m *room.Member) (outs []room.Out) {
	if m == nil {
		return nil
	}
	for _, x := range m.Sessions[:len(m.Sessions)-1] {
		outs = append(outs, room.Out{User: m.User, Session: x.SessionID, JoinedAt: x.JoinedAt, Reason: events.ReasonReplaced})
	}
	return outs
}

// compareDevices does what an instance that died left undone of that.
func (s *Service) compareDevices() {
	if s.limits.Load().ReplaceDevices == 0 {
		return
	}
	for _, mb := range s.rep.all() {
		var outs []room.Out
		mb.mu.Lock()
		if mb.state != nil {
			mb.state.After(0, func(m *room.Member) bool { outs = append(outs, older(m)...); return true })
		}
		mb.mu.Unlock()
		if len(outs) > 0 {
			s.putOut(mb.room, outs)
		}
	}
}
