package room

import (
	"slices"

	"natsrooms/events"
	"natsrooms/subjects"
)

// Renewal ends an instance of a room and begins another one with the same members. It
// is for a room that lost facts which somebody may have seen: their sequences must not
// come again with other content. A member's further sessions must join again.
type Renewal struct {
	old     *State
	members []*Member
	begun   bool
	left    int // members who have left the old instance
	joined  int // members who are in the new one
	last    *events.Fact
}

// renewalChunk is how many members one fact of a renewal names; see [events.MaxFactBytes].
const renewalChunk = 16

// NewRenewal plans the renewal of a room as it stands.
func NewRenewal(s *State) *Renewal {
	r := &Renewal{old: s}
	s.After(0, func(m *Member) bool { r.members = append(r.members, m); return true })
	return r
}

// Next is the renewal's next fact on the room's state now; nil when it is complete, or
// when the room has become another one meanwhile.
func (r *Renewal) Next(s *State, in Input) *events.Fact {
	unborn := r.last != nil && r.last.Type == events.RoomCreated && s == nil
	if unborn || r.last != nil && s != nil && s.InstanceID == r.last.InstanceID && s.Sequence+1 == r.last.Sequence {
		again := *r.last // it was not stored
		again.ID = in.FactID
		return &again
	}
	r.last = r.next(s, in)
	return r.last
}

func (r *Renewal) next(s *State, in Input) *events.Fact {
	switch {
	case !r.begun && s != nil && s.InstanceID == r.old.InstanceID && r.left < len(r.members):
		f := s.next(events.MemberLeft, in)
		for _, m := range r.chunk(&r.left) {
			f.Left = append(f.Left, events.Left{
				UserID: string(m.User), UserName: m.Name, SessionID: m.Sessions[0].SessionID, JoinedAt: m.JoinedAt(), LeftAt: f.Time, Reason: events.ReasonDestroyed,
			})
		}
		f.MemberCount = s.Members - len(f.Left)
		return f
	case !r.begun && s != nil && s.InstanceID == r.old.InstanceID:
		return Destroy(s, s.EmptyBy, s.InstanceID, in)
	case !r.begun && s == nil:
		r.begun = true
		info := r.old.Info(r.old.Room)
		info.InstanceID, info.Sequence, info.Revision, info.DestroyAt = in.InstanceID, 1, 0, 0
		f := &events.Fact{ID: in.FactID, Type: events.RoomCreated, Room: r.old.Room, InstanceID: in.InstanceID, Sequence: 1, Time: in.Now, Info: &info}
		f.Joined = r.entries(in.Now)
		info.MemberCount = len(f.Joined)
		return f
	case r.begun && s != nil && r.joined < len(r.members):
		f := s.next(events.MemberJoined, in)
		for _, j := range r.entries(f.Time) {
			if s.Member(subjects.User(j.UserID)) == nil {
				f.Joined = append(f.Joined, j)
			}
		}
		f.MemberCount = s.Members + len(f.Joined)
		if len(f.Joined) == 0 {
			return nil
		}
		return f
	}
	return nil
}

func (r *Renewal) chunk(at *int) []*Member {
	end := min(*at+renewalChunk, len(r.members))
	chunk := r.members[*at:end]
	*at = end
	return slices.Clone(chunk)
}

func (r *Renewal) entries(now events.Time) []events.Joined {
	var list []events.Joined
	for _, m := range r.chunk(&r.joined) {
		list = append(list, events.Joined{
			UserID: string(m.User), UserName: m.Name, UserInfo: m.Info, SessionID: m.Sessions[0].SessionID, JoinedAt: now, Via: events.ViaEnter,
		})
	}
	return list
}
