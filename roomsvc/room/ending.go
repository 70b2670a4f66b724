package room

import (
	"slices"

	"natsrooms/events"
	"natsrooms/subjects"
)

// End is who asked for the end of a room that has, or had, members, and why.
type End struct {
	Operator   string `json:"operator,omitzero"`
	ReasonText string `json:"reasonText,omitzero"`
	RequestID  string `json:"requestID,omitzero"`
}

// kick decides a kick: those of its users who are in the room leave it, with all their sessions.
func (r *Run) kick(c *Command) Verdict {
	if r.ending() || r.creating() || slices.ContainsFunc(c.Users, r.busy) || c.UserForm && r.busy(c.User) {
		return later
	}
	if e := r.mayRun(c); e != nil {
		return Verdict{Refused: e}
	}
	var in []*Member
	size := 0
	for _, u := range c.Users {
		if m := r.state.Member(u); m != nil {
			in = append(in, m)
			size += removedSize(m, c) + r.goingSize(u)
		}
	}
	if len(in) == 0 {
		return Verdict{}
	}
	if size > events.MaxFactBytes-factRoom {
		return Verdict{Refused: wouldNotFit("userIDs", size)}
	}
	if !r.takes(events.MemberLeft, size) {
		return later
	}
	r.start(events.MemberLeft)
	v := Verdict{Changed: true}
	for _, m := range in {
		r.remove(m, events.ReasonKicked, c)
		r.users[m.User] = struct{}{}
		r.fact.Digests = append(r.fact.Digests, c.Digest)
		v.Users = append(v.Users, m.User)
	}
	r.size += size
	r.fact.TraceParent = c.TraceParent
	r.traces++
	return v
}

// remove makes a member's entry that ends all its sessions.
func (r *Run) remove(m *Member, reason events.LeftReason, c *Command) {
	r.count--
	r.fact.Deleted = append(r.fact.Deleted, r.goesWith(m.User)...)
	r.fact.Left = append(r.fact.Left, events.Left{
		UserID: string(m.User), UserName: m.Name, SessionID: m.Sessions[0].SessionID, JoinedAt: m.Since, LeftAt: r.in.Now,
		Reason: reason, ReasonText: c.ReasonText, Operator: string(c.User), RequestID: c.RequestID,
	})
}

// goingSize bounds what the keys that go with a user take.
func (r *Run) goingSize(u subjects.User) int {
	size := 0
	for _, k := range r.goesWith(u) {
		size += jsonSize(k) + 1
	}
	return size
}

// destroy decides a destroy, that is, its first fact. From then on the room is ending,
// and [EndNext] makes the other facts.
func (r *Run) destroy(c *Command) Verdict {
	if r.fact != nil || r.ending() {
		return later
	}
	if e := r.mayRun(c); e != nil {
		return Verdict{Refused: e}
	}
	if r.state.Members == 0 {
		r.fact = r.state.destroyed(events.DestroyedRequested, r.in)
		r.fact.Operator, r.fact.RequestID = string(c.User), c.RequestID
	} else {
		r.start(events.MemberLeft)
		r.clear(c)
	}
	r.fact.Digests = slices.Repeat([]string{c.Digest}, max(len(r.fact.Left), 1))
	r.fact.TraceParent = c.TraceParent
	r.traces++
	r.over = true
	return Verdict{Changed: true}
}

// clear makes as many members leave as fit into the fact.
func (r *Run) clear(c *Command) {
	r.state.After(0, func(m *Member) bool {
		r.size += removedSize(m, c)
		if len(r.fact.Left) > 0 && r.size > events.MaxFactBytes {
			return false
		}
		r.remove(m, events.ReasonDestroyed, c)
		r.users[m.User] = struct{}{}
		return true
	})
	r.fact.Deleted = nil // attributes end with the room
}

// EndNext is the next fact of a room that is ending, see [Head.Ending]: members that
// leave, as many as fit, and finally the room's destruction.
func EndNext(s *State, in Input) *events.Fact {
	reason, end := events.DestroyedEmpty, End{}
	if s.End != nil {
		reason, end = events.DestroyedRequested, *s.End
	}
	if s.Members == 0 {
		f := s.destroyed(reason, in)
		f.Operator, f.RequestID = end.Operator, end.RequestID
		return f
	}
	r := NewRun(s.Room, s, in)
	r.start(events.MemberLeft)
	r.clear(&Command{User: subjects.User(end.Operator), ReasonText: end.ReasonText, RequestID: end.RequestID})
	return r.Fact()
}

// Destroy makes the fact that ends an empty room. It is nil if the room is no longer the
// one that sequence emptyBy emptied.
func Destroy(s *State, emptyBy uint64, instanceID string, in Input) *events.Fact {
	if s == nil || s.InstanceID != instanceID || s.EmptySince == 0 || s.EmptyBy != emptyBy {
		return nil
	}
	return EndNext(s, in)
}

func (s *State) destroyed(reason events.DestroyReason, in Input) *events.Fact {
	f := s.next(events.RoomDestroyed, in)
	info := s.Info(s.Room)
	info.Sequence, info.Revision = f.Sequence, 0
	f.Info, f.Reason = &info, reason
	return f
}
