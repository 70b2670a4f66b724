package room

import (
	"natsrooms/events"
	"natsrooms/subjects"
)

// FirstMemberSeconds is how long a room created without a user waits for its first
// member, unless its destroy delay is longer.
const FirstMemberSeconds = 300

// Head is everything about a room except its members. It is a value: nothing
// it points to is ever changed.
type Head struct {
	Name       string
	InstanceID string
	CreatedAt  events.Time
	CreatedBy  string
	Config     events.Config
	Attributes map[string]string
	Owners     map[string]Owner // of Attributes
	Members    int
	Sequence   uint64
	Revision   uint64      // stream sequence of the newest fact
	FactAt     events.Time // its time
	EmptySince events.Time // when the last member left; 0 while there are members
	EmptyBy    uint64      // the sequence that emptied it
	Unborn     bool        // created without a user and never had a member
	End        *End        // its end was requested, and has begun

	AttributesAt uint64 // stream sequence of the newest change of Attributes
}

// DestroyAt is when the empty room is due to end; 0 while it has members.
func (h *Head) DestroyAt() events.Time {
	if h.EmptySince == 0 {
		return 0
	}
	delay := h.Config.RoomDestroyDelayTime
	if h.Unborn {
		delay = max(delay, FirstMemberSeconds)
	}
	return h.EmptySince + events.Time(delay)*1000
}

// Due reports that the room is waiting to end, or has begun to.
func (h *Head) Due() bool { return h.EmptySince != 0 || h.End != nil }

// Ending reports that the room has nothing left to wait for: to every command and every
// reader it is gone, and its next facts end it, see [EndNext].
func (h *Head) Ending() bool {
	return h.End != nil || h.EmptySince != 0 && h.DestroyAt() == h.EmptySince
}

// Info is the head as replies show it.
func (h *Head) Info(r subjects.Room) events.Room {
	return events.Room{
		RoomID: string(r), RoomName: h.Name, InstanceID: h.InstanceID, CreatedAt: h.CreatedAt, CreatedBy: h.CreatedBy,
		Config: h.Config, Attributes: h.Attributes, MemberCount: h.Members, Sequence: h.Sequence, Revision: h.Revision, DestroyAt: h.DestroyAt(),
	}
}

// Position is how far the room has got.
func (h *Head) Position() Position { return Position{h.InstanceID, h.Sequence, h.Revision} }

// State is one live instance of a room. The nil State is a room that does not exist.
type State struct {
	Room subjects.Room
	*Head
	members roster
	kept    map[subjects.User]Kept // nil: nothing
}

// NewState makes a state from stored parts. It does not check that they belong together; see [State.Whole].
func NewState(r subjects.Room, h Head, members []*Member, kept []Kept) *State {
	s := &State{Room: r, Head: &h, members: rosterOf(members)}
	for _, k := range kept {
		s.keepFor(k)
	}
	return s
}

// Whole reports whether there are as many members as the head says.
func (s *State) Whole() bool { return s.Members == s.members.in }

// Member is the user's membership, or nil.
func (s *State) Member(u subjects.User) *Member {
	if s == nil {
		return nil
	}
	i, ok := s.members.find(u)
	if !ok {
		return nil
	}
	return s.members.list[i].member()
}

// Sessions is how many sessions all members have together.
func (s *State) Sessions() (n int) {
	for _, p := range s.members.list {
		if !p.gone() {
			n += p.sessions()
		}
	}
	return n
}

// After calls f for the members that joined after order, oldest first, until it returns false.
func (s *State) After(order uint64, f func(*Member) bool) {
	for _, p := range s.members.list[s.members.from(order+1):] {
		if !p.gone() && !f(p.member()) {
			return
		}
	}
}
