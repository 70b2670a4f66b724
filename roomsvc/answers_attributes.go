package roomsvc

import (
	"slices"
	"time"

	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// sendAttributes answers a setAttributes. The replies of a run are the same unless
// somebody's keys were not all its own.
func (s *Service) sendAttributes(c *call, cache *replyCache, state *room.State, p place, errorKeys []string) {
	reply := &room.SetAttributesReply{Attributes: map[string]string{}, ErrorKeys: slices.Clone(errorKeys), Position: p.Position}
	if state != nil {
		reply.Attributes = state.Attributes
	}
	if len(errorKeys) > 0 || state == nil {
		s.reply(c, reply)
		return
	}
	known := &cache[3]
	if known.data == nil || known.position != p.Position {
		known.position, known.data = p.Position, s.encode(reply)
	}
	s.send(c, known.data, nil)
}

// sendMemberAttributes answers a setMemberAttributes: what its members among users have
// now, or, where that is too much for a reply, what was set.
func (s *Service) sendMemberAttributes(c *call, state *room.State, p place, users []subjects.User) {
	reply := &room.SetMemberAttributesReply{Infos: []events.MemberAttributes{}, Position: p.Position}
	for _, u := range users {
		if m := state.Member(u); m != nil {
			reply.Infos = append(reply.Infos, events.MemberAttributes{UserID: string(u), Attributes: m.Wire().Attributes})
		}
	}
	reply.ErrorUserList = notIn(c.cmd.Users, func(u subjects.User) bool {
		return slices.ContainsFunc(reply.Infos, func(i events.MemberAttributes) bool { return i.UserID == string(u) })
	})
	data := s.encode(reply)
	if len(data) > maxReply {
		for i := range reply.Infos {
			reply.Infos[i].Attributes = c.cmd.Set
		}
		data = s.encode(reply)
	}
	s.send(c, data, nil)
}

func (s *Service) sendKicked(c *call, kicked []subjects.User) {
	reply := &room.KickReply{Kicked: []string{}}
	for _, u := range kicked {
		reply.Kicked = append(reply.Kicked, string(u))
	}
	reply.ErrorUserList = notIn(c.cmd.Users, func(u subjects.User) bool { return slices.Contains(kicked, u) })
	s.reply(c, reply)
}

// notIn lists those whom a command could not serve because they were not in the room.
func notIn(users []subjects.User, served func(subjects.User) bool) []room.ErrorUser {
	list := []room.ErrorUser{}
	for _, u := range users {
		if !served(u) {
			list = append(list, room.ErrorUser{UserID: string(u), Code: room.ErrUserNotInRoom.Name, Number: room.ErrUserNotInRoom.Number})
		}
	}
	return list
}

// repeatAttributes says the outcome of a change of attributes again, with those that
// are there now.
func (s *Service) repeatAttributes(c *call, o *outcome, locked map[subjects.Room]*mailbox) {
	s.now(c, locked, func(state *room.State) {
		if c.cmd.Verb == room.SetAttributes {
			s.sendAttributes(c, &replyCache{}, state, o.at, o.keys)
			return
		}
		users := o.users
		if users == nil {
			users = c.cmd.Users // it found everything as it wanted it
		}
		s.sendMemberAttributes(c, state, o.at, users)
	})
}

// outcasts makes the notices for the sessions that a fact puts out of the room. The
// mailbox is locked, and its state is the one that the fact was decided on.
func (s *Service) outcasts(mb *mailbox, f *events.Fact) (notices []*events.Notice) {
	for i := range f.Left {
		l := &f.Left[i]
		event := events.KickedOut
		sessions := mb.state.Member(subjects.User(l.UserID)).Sessions
		switch l.Reason {
		case events.ReasonKicked:
		case events.ReasonExpired, events.ReasonReplaced:
			event = events.ConnectTimeout
			if l.Reason == events.ReasonReplaced {
				event = events.KickedOutByOtherDevice
			}
			sessions = []room.MemberSession{{SessionID: l.SessionID}}
		case events.ReasonDestroyed:
			event = events.RoomNotExist
		default:
			continue
		}
		for _, session := range sessions {
			notices = append(notices, &events.Notice{
				ID: nuid.Next(), Time: events.TimeOf(time.Now()), Room: f.Room, InstanceID: f.InstanceID, Sequence: f.Sequence,
				User: subjects.User(l.UserID), SessionID: session.SessionID, State: events.Disconnected, Event: event, ReasonText: l.ReasonText, RequestID: l.RequestID,
			})
		}
	}
	return notices
}
