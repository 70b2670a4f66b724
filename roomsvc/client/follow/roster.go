package follow

import (
	"fmt"
	"iter"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Roster is one instance of a room with its members, as a [Source.Watch] knows it at one
// update. The next update changes it. What its methods return stays as it is and must not
// be changed. The roster belongs to the goroutine of the watch, so another one needs a
// copy, for example slices.Collect(r.All()).
//
// A nil Roster, as an update has it when there is no room, is one of no room and without
// members: all methods may be called.
type Roster struct {
	state    *room.State
	revision uint64
}

// Room describes the room. Its Revision is the newest that the watch has seen.
func (r *Roster) Room() events.Room {
	if r == nil {
		return events.Room{}
	}
	info := r.state.Info(r.state.Room)
	info.Revision = r.revision
	return info
}

// InstanceID tells the room from earlier and later rooms of the same name.
func (r *Roster) InstanceID() string {
	if r == nil {
		return ""
	}
	return r.state.InstanceID
}

// Sequence is the number of facts of the instance up to this roster.
func (r *Roster) Sequence() uint64 {
	if r == nil {
		return 0
	}
	return r.state.Sequence
}

// Len is the number of members.
func (r *Roster) Len() int {
	if r == nil {
		return 0
	}
	return r.state.Members
}

// Member finds a member; ok is false if the user is not a member.
func (r *Roster) Member(userID string) (m room.MemberInfo, ok bool) {
	if r == nil {
		return m, false
	}
	if found := r.state.Member(subjects.User(userID)); found != nil {
		return found.Wire(), true
	}
	return m, false
}

// All lists the members, oldest first.
func (r *Roster) All() iter.Seq[room.MemberInfo] {
	return func(yield func(room.MemberInfo) bool) {
		if r == nil {
			return
		}
		r.state.After(0, func(m *room.Member) bool { return yield(m.Wire()) })
	}
}

// A roster's state has sequences where the service's has revisions, because what a client
// reads does not always include a revision. Within an instance both grow together.

// born makes a roster from the first fact of a room.
func born(f *events.Fact, revision uint64) (*Roster, error) {
	state, _, err := room.Apply(nil, f, f.Sequence)
	return &Roster{state, revision}, err
}

// fold applies the next fact. A fact of a type that this version does not know is only
// counted.
func (r *Roster) fold(f *events.Fact, known bool, revision uint64) (err error) {
	if known {
		if after, _, err := room.Apply(r.state, f, f.Sequence); err != nil || after == nil { // nil: the room ends
			return err
		}
	} else {
		r.state.Sequence, r.state.Revision = f.Sequence, f.Sequence
	}
	r.revision = max(r.revision, revision)
	return nil
}

// pages combines pages of members. The pages may be of different moments. To bring them to
// the same moment, merge the facts after the lowest of their sequences, up to the highest.
type pages struct {
	id      subjects.Room
	head    room.Head
	members map[string]*room.Member
	order   uint64
	newest  uint64
}

func newPages(id subjects.Room, r *room.GetReply) *pages {
	return &pages{id: id, head: headOf(r), members: map[string]*room.Member{}, newest: r.Sequence}
}

// headOf turns a room's description back into a head. It computes when an empty room became
// empty from the time at which it ends.
func headOf(r *room.GetReply) room.Head {
	i := r.Room
	h := room.Head{
		Name: i.RoomName, InstanceID: r.InstanceID, CreatedAt: i.CreatedAt, CreatedBy: i.CreatedBy, Config: i.Config, Attributes: i.Attributes,
		Members: i.MemberCount, Sequence: r.Sequence, Revision: r.Sequence,
	}
	if i.DestroyAt == 0 {
		return h
	}
	first := events.Time(max(i.Config.RoomDestroyDelayTime, room.FirstMemberSeconds)) * 1000
	if h.Unborn = i.DestroyAt == i.CreatedAt+first; h.Unborn {
		h.EmptySince = i.CreatedAt
	} else {
		h.EmptySince = i.DestroyAt - events.Time(i.Config.RoomDestroyDelayTime)*1000
	}
	return h
}

// add adds a page. It returns false if the page is of another instance.
func (p *pages) add(page *room.MembersReply) bool {
	if page.InstanceID != p.head.InstanceID {
		return false
	}
	p.newest = max(p.newest, page.Sequence)
	for i := range page.MemberList {
		m := &page.MemberList[i]
		p.order++ // a member that left and joined again is on two pages, and the later one counts
		p.members[m.UserID] = &room.Member{
			User: subjects.User(m.UserID), Name: m.UserName, Info: m.UserInfo, Role: m.Role, Since: m.JoinedAt, Sessions: m.Sessions,
			Order: p.order, Revision: page.Sequence, Attributes: m.Attributes,
		}
	}
	return true
}

// state is the state that the pages make together.
func (p *pages) state() *room.State {
	members := make([]*room.Member, 0, len(p.members))
	for _, m := range p.members {
		members = append(members, m)
	}
	return room.NewState(p.id, p.head, members, nil)
}

// merge applies the next fact to a state that may already include parts of it.
func merge(s *room.State, f *events.Fact, known bool) (*room.State, error) {
	if !known {
		s.Sequence, s.Revision = f.Sequence, f.Sequence
		return s, nil
	}
	after, _, _, err := room.Merge(s, f, f.Sequence)
	if err == nil && after == nil {
		err = fmt.Errorf("the room ended at %d", f.Sequence)
	}
	return after, err
}
