package room

import (
	"natsrooms/events"
	"natsrooms/subjects"
)

// Replaced lists the sessions that those of a session.joined fact take the place of, where
// a member may have one session only. The state is the one after the fact.
func Replaced(s *State, f *events.Fact) (outs []Out) {
	if f.Type != events.SessionJoined {
		return nil
	}
	for i := range f.Joined {
		outs = append(outs, s.Member(subjects.User(f.Joined[i].UserID)).Older()...)
	}
	return outs
}

// Older lists a member's sessions except the newest, to be replaced by it.
func (m *Member) Older() (outs []Out) {
	if m == nil {
		return nil
	}
	for _, x := range m.Sessions[:len(m.Sessions)-1] {
		outs = append(outs, Out{User: m.User, Session: x.SessionID, JoinedAt: x.JoinedAt, Reason: events.ReasonReplaced})
	}
	return outs
}
