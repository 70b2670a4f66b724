package room

import (
	"cmp"
	"slices"

	"natsrooms/events"
	"natsrooms/subjects"
)

// Renewal ends an instance of a room and begins another one with the same members. It
// is for a room that lost facts which somebody may have seen: their sequences must not
// be used again for other content. Bans and mutes go on, and the roles that members were given. A member's further sessions must join
// again, what absent users left behind is gone, and a room that everybody has left just ends.
//
// Other instances of the service may change the room meanwhile, or renew it too, so
// each fact is made from the room as it is at that moment.
type Renewal struct {
	room    subjects.Room
	old     string // the instance that ends
	info    events.Room
	owners  map[string]Owner
	unborn  bool                 // it is still waiting for its first member
	bans    []events.Restriction // to say again
	mutes   []events.Restriction
	roles   []events.MemberUpdate // that members were given, to say again
	members []*Member             // to carry over
	carried int                   // how many of them are done
	fresh   string                // the instance that begins
	last    []events.Joined
	lastAt  uint64 // the sequence of last's fact
}

// NewRenewal plans the renewal of a room as it is now.
func NewRenewal(s *State) *Renewal {
	r := &Renewal{room: s.Room, old: s.InstanceID}
	r.plan(s)
	return r
}

// plan notes what is to be carried over.
func (r *Renewal) plan(s *State) {
	r.info, r.owners, r.unborn, r.members, r.roles = s.Info(s.Room), s.Owners, s.Unborn, nil, nil
	r.bans, r.mutes = s.Restrictions(0)
	s.After(0, func(m *Member) bool {
		r.members = append(r.members, m)
		if role := s.kept[m.User].Role; role != "" {
			r.roles = append(r.roles, events.MemberUpdate{UserID: string(m.User), Role: role})
		}
		return true
	})
}

// Next is the renewal's next fact, given the room's present state; nil when the renewal
// is complete, or when the room has become another one meanwhile. A fact that was not
// stored is made again.
func (r *Renewal) Next(s *State, in Input) *events.Fact {
	switch {
	case s == nil && r.carried == 0 && (r.unborn || len(r.members) > 0):
		return r.begin(in)
	case s == nil:
		return nil
	case s.InstanceID == r.old:
		if s.End == nil { // until the first of them leaves, it is a room like any other
			r.plan(s)
		}
		return EndNext(s, in)
	case s.InstanceID == r.fresh:
		return r.carry(s, in)
	}
	return nil
}

func (r *Renewal) begin(in Input) *events.Fact {
	r.fresh = in.InstanceID
	info := r.info
	info.InstanceID, info.Sequence, info.Revision, info.DestroyAt = in.InstanceID, 1, 0, 0
	f := &events.Fact{ID: in.FactID, Type: events.RoomCreated, Room: r.room, InstanceID: in.InstanceID, Sequence: 1, Time: in.Now, Info: &info, Ownership: ownership(info.Attributes, r.owners)}
	f.Joined = r.entries(nil, jsonSize(info.RoomName)+ownedSize(info.Attributes, r.owners), in.Now)
	info.MemberCount = len(f.Joined)
	r.last, r.lastAt = f.Joined, 1
	return f
}

// carry says bans and mutes again, makes the next members join the new instance, and says again
// which roles they were given: the role with which they join could be by a token.
func (r *Renewal) carry(s *State, in Input) *events.Fact {
	for i := range r.last {
		m := s.Member(subjects.User(r.last[i].UserID))
		if m != nil && m.Order == order(r.lastAt, i) { // it was stored
			r.carried += len(r.last)
			break
		}
	}
	r.last = nil
	if f := r.restrict(s, in); f != nil {
		return f
	}
	f := s.next(events.MemberJoined, in)
	f.Joined = r.entries(s, 0, f.Time)
	if len(f.Joined) == 0 {
		return r.appoint(s, in)
	}
	f.MemberCount = s.Members + len(f.Joined)
	r.last, r.lastAt = f.Joined, f.Sequence
	return f
}

// restrict says bans or mutes again that the new instance lacks; nil if it has them all.
func (r *Renewal) restrict(s *State, in Input) *events.Fact {
	f := s.next(events.RoomAccessChanged, in)
	f.Access, f.Allowed = cmp.Or(s.Config.Access, AccessOpen), s.Config.AllowedUsers
	if f.Bans = lacking(r.bans, allowedSize(f.Allowed), f.Time, s.Banned); len(f.Bans) > 0 {
		return f
	}
	if f.Mutes = lacking(r.mutes, allowedSize(f.Allowed), f.Time, s.Muted); len(f.Mutes) > 0 {
		return f
	}
	return nil
}

// appoint says roles again that members were given and have not got in the new instance; nil if
// none is left. Who was given another one meanwhile keeps that.
func (r *Renewal) appoint(s *State, in Input) *events.Fact {
	f, size := s.next(events.MemberUpdated, in), factOverhead
	for _, n := range r.roles {
		if u := subjects.User(n.UserID); s.Member(u) == nil || s.kept[u].Role != "" {
			continue
		}
		if size += updateSize(&n); size > events.MaxFactBytes {
			break
		}
		f.Updates = append(f.Updates, n)
	}
	if len(f.Updates) == 0 {
		return nil
	}
	return f
}

// lacking lists restrictions that hold and are not there, as many as fit into a fact beside size.
func lacking(all []events.Restriction, size int, now events.Time, there func(subjects.User, events.Time) *Restriction) (list []events.Restriction) {
	size += factOverhead
	for _, x := range all {
		if restriction(x).at(now) == nil || there(subjects.User(x.UserID), now) != nil {
			continue
		}
		if size += RestrictionSize(&x); size > events.MaxFactBytes {
			break
		}
		list = append(list, x)
	}
	return list
}

// entries makes entries for members still to be carried over, as many as fit into a fact
// beside size; at least one if size is 0. It drops members that are already in s.
func (r *Renewal) entries(s *State, size int, now events.Time) []events.Joined {
	var list []events.Joined
	size += factOverhead
	for i := r.carried; i < len(r.members); i++ {
		m := r.members[i]
		if s.Member(m.User) != nil {
			r.members = slices.Delete(r.members, i, i+1)
			i--
			continue
		}
		session, lease := m.Sessions[0].SessionID, m.Sessions[0].LeaseSeconds
		if size += joinedSize(&Command{User: m.User, Name: m.Name, Info: m.Info, Session: session}) + roleSize(m.Role) + carriedSize(m.Attributes); size > events.MaxFactBytes {
			break
		}
		list = append(list, events.Joined{
			UserID: string(m.User), UserName: m.Name, UserInfo: m.Info, SessionID: session, JoinedAt: now, Via: events.ViaEnter, LeaseSeconds: lease,
			Attributes: m.Attributes, DeleteAfterOwnerLeft: m.leaving(), Role: m.Role,
		})
	}
	return list
}
