package room

import (
	"natsrooms/events"
	"natsrooms/subjects"
)

// Out is a session to be taken out of a room without having asked for it.
type Out struct {
	User     subjects.User
	Session  string
	JoinedAt events.Time // of the session; one that has joined again since then stays
	LeftAt   events.Time // when its stay ended; 0: now
	Reason   events.LeftReason
}

// Expel makes the next fact that takes sessions out of a room: those of outs that are
// still in, as many as fit into one fact. It is nil when none is left. A member's last
// session leaves for any reason except [events.ReasonReplaced].
func Expel(s *State, outs []Out, in Input) *events.Fact {
	if s == nil || s.Ending() {
		return nil
	}
	r := NewRun(s.Room, s, in)
	for i := range outs {
		r.expel(&outs[i])
	}
	return r.Fact()
}

func (r *Run) expel(o *Out) {
	m := r.state.Member(o.User)
	if m == nil || r.busy(o.User) {
		return
	}
	session := m.Session(o.Session)
	if session == nil || session.JoinedAt != o.JoinedAt {
		return
	}
	typ, since := leaveType(m), session.JoinedAt
	size := r.leftSize(&Command{User: o.User, Session: o.Session}, m)
	if typ == events.MemberLeft && o.Reason == events.ReasonReplaced || !r.takes(typ, size) {
		return
	}
	r.start(typ)
	if typ == events.MemberLeft {
		r.count--
		since = m.Since
		r.fact.Deleted = append(r.fact.Deleted, r.goesWith(o.User)...)
	}
	at := r.in.Now
	if o.LeftAt != 0 {
		at = max(session.JoinedAt, min(o.LeftAt, at))
	}
	r.fact.Left = append(r.fact.Left, events.Left{
		UserID: string(o.User), UserName: m.Name, SessionID: o.Session, JoinedAt: since, LeftAt: at, Reason: o.Reason,
	})
	r.users[o.User] = struct{}{}
	r.size += size
}
