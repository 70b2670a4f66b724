package roomsvc

import (
	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// repeated answers a call whose request was carried out before, with the first outcome.
// locked is the mailboxes whose locks the caller holds.
func (s *Service) repeated(c *call, locked map[subjects.Room]*mailbox) bool {
	o, refused := s.rep.requests.look(c.cmd)
	if o == nil && refused == nil {
		return false
	}
	if !c.state.CompareAndSwap(deciding, answered) {
		return true
	}
	if c.told {
		s.conclude(c, refused, locked)
	}
	if refused != nil {
		s.sendError(c, refused)
		return true
	}
	switch {
	case o.said != nil:
		s.reply(c, o.said)
	case c.cmd.Verb == room.Kick:
		s.sendKicked(c, o.users)
	case c.cmd.Verb == room.DestroyRoom:
		s.reply(c, &room.DestroyReply{RoomID: string(c.cmd.Room)})
	case c.cmd.Verb == room.SetAccess:
		reply := &room.SetAccessReply{Position: o.at.Position}
		if head := s.rep.head(c.cmd.Room); head != nil {
			reply.Config = head.Config
		}
		s.reply(c, reply)
	case c.cmd.Verb == room.SetAttributes || c.cmd.Verb == room.SetMemberAttributes:
		s.repeatAttributes(c, o, locked)
	case c.cmd.Verb == room.LeaveAll:
		s.sendLeftAll(c, o.left)
	case c.cmd.Verb == room.Leave && len(o.left) > 0:
		s.reply(c, &room.LeftReply{RoomID: string(o.left[0].room), Position: o.left[0].Position})
	default:
		s.repeatJoined(c, o, locked)
	}
	return true
}

// conclude tells the user's devices where the session of a repeated command stands. They
// heard it come, for its first try was not known yet, and may have come to an instance
// that died.
func (s *Service) conclude(c *call, refused *room.Error, locked map[subjects.Room]*mailbox) {
	n := s.notice(c.cmd, place{room: c.cmd.Room}, events.Disconnected, events.Success)
	if mb := s.rep.find(c.cmd.Room); mb != nil {
		if locked[mb.room] != mb {
			mb.mu.Lock()
			defer mb.mu.Unlock()
		}
		if p := position(mb); in(mb.state, c.cmd) {
			n.State, n.InstanceID, n.Sequence = events.Connected, p.InstanceID, p.Sequence
		}
	}
	if refused != nil {
		n.Event, n.Error = startEvents[c.cmd.Verb][1], &events.NoticeError{Code: refused.Code.Name, Number: refused.Code.Number}
	}
	s.publishNotice(n)
}

func (s *Service) repeatJoined(c *call, o *outcome, locked map[subjects.Room]*mailbox) {
	reply := &room.JoinedReply{}
	if len(o.left) > 0 {
		reply.Left = &room.LeftRoom{RoomID: string(o.left[0].room), InstanceID: o.left[0].InstanceID, Sequence: o.left[0].Sequence}
	}
	if c.cmd.Verb == room.Enter || c.cmd.Verb == room.Switch {
		reply.Created = &o.created
	}
	p := place{room: c.cmd.Room}
	if o.joined != nil {
		p = *o.joined
	}
	s.now(c, locked, func(state *room.State) {
		if state != nil && o.joined == nil { // it was in already: no fact says where the room was then
			p.Position = state.Position()
		}
		reply.Room = info(state, p)
	})
	reply.Position = p.Position
	reply.Subscribe = s.subscribe(c, c.cmd.Room, reply.Room.Config)
	s.reply(c, reply)
}
