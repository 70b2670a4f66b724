package room

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/subjects"
)

// FirstMemberSeconds is how long a room created without a user waits for its first
// member, unless its destroy delay is longer.
const FirstMemberSeconds = 300

// ErrDamaged says that a fact does not fit the state it was applied to: something
// between them is missing.
var ErrDamaged = errors.New("a fact does not follow from the state before it")

// Head is what there is to say of a room beside its members. It is a value: nothing
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
	End        *End        // its end was asked for, and has begun

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

// Due says that the room waits for its end, or has begun it.
func (h *Head) Due() bool { return h.EmptySince != 0 || h.End != nil }

// Ending says that the room has nothing left to wait for: to every command and every
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

// Position is where the room has got to.
func (h *Head) Position() Position { return Position{h.InstanceID, h.Sequence, h.Revision} }

// Member is one user in a room. It is a value: a change makes a new one.
type Member struct {
	User     subjects.User
	Name     string
	Info     jsontext.Value
	Since    events.Time     // when the user became a member, by its first session
	Sessions []MemberSession // in order of joining, never empty
	Order    uint64          // grows with every joining; the order of pages
	Revision uint64          // stream sequence of the fact that made this value

	Attributes map[string]string
	staying    map[string]struct{} // of them, those that outlive the membership
}

// Kept is what a user who is gone left behind in a room, to have it again.
type Kept struct {
	User       subjects.User
	Attributes map[string]string // nil: nothing any more
	Revision   uint64
}

// MaxKept is how many users' attributes a room keeps for when they come back; past it
// those go first who have been gone longest.
const MaxKept = 500

// order is the place of a fact's i-th entry among all that ever joined the instance.
func order(sequence uint64, i int) uint64 { return sequence<<16 | uint64(i) }

// Session is the member's session of that ID, or nil.
func (m *Member) Session(id string) *MemberSession {
	for i := range m.Sessions {
		if m.Sessions[i].SessionID == id {
			return &m.Sessions[i]
		}
	}
	return nil
}

// Wire is the member as replies show it.
func (m *Member) Wire() MemberInfo {
	info := MemberInfo{string(m.User), m.Name, m.Info, m.Since, m.Attributes, m.Sessions}
	if info.Attributes == nil {
		info.Attributes = map[string]string{}
	}
	return info
}

// State is one living instance of a room. The nil State is a room that does not exist.
type State struct {
	Room subjects.Room
	Head
	members map[subjects.User]*Member
	order   []*Member // by Member.Order; nil where one has gone
	kept    map[subjects.User]Kept
}

// NewState makes a state from stored parts. It does not check that they belong together; see [State.Whole].
func NewState(r subjects.Room, h Head, members []*Member, kept []Kept) *State {
	s := &State{Room: r, Head: h, members: make(map[subjects.User]*Member, len(members)), order: slices.Clone(members), kept: make(map[subjects.User]Kept, len(kept))}
	for _, k := range kept {
		s.kept[k.User] = k
	}
	for _, m := range members {
		s.members[m.User] = m
	}
	slices.SortFunc(s.order, func(a, b *Member) int {
		if a.Order < b.Order {
			return -1
		}
		return 1
	})
	return s
}

// Whole says whether the members are as many as the head says.
func (s *State) Whole() bool { return s.Members == len(s.members) }

// Member is the user's membership, or nil.
func (s *State) Member(u subjects.User) *Member {
	if s == nil {
		return nil
	}
	return s.members[u]
}

// After calls f for the members that joined after order, oldest first, until it says false.
func (s *State) After(order uint64, f func(*Member) bool) {
	i := sort.Search(len(s.order), func(i int) bool { return s.orderFrom(i) > order })
	for ; i < len(s.order); i++ {
		if m := s.order[i]; m != nil && !f(m) {
			return
		}
	}
}

// orderFrom is the order of the first member at or behind i. Holes are never more than half.
func (s *State) orderFrom(i int) uint64 {
	for ; i < len(s.order); i++ {
		if s.order[i] != nil {
			return s.order[i].Order
		}
	}
	return ^uint64(0)
}

func (s *State) place(m *Member) {
	old := s.members[m.User]
	s.members[m.User] = m
	if old == nil {
		for len(s.order) > 0 && s.order[len(s.order)-1] == nil {
			s.order = s.order[:len(s.order)-1]
		}
		i := len(s.order)
		if i > 0 && s.order[i-1].Order > m.Order { // only when merging, where the past may come after
			i = sort.Search(i, func(i int) bool { return s.orderFrom(i) > m.Order })
		}
		s.order = slices.Insert(s.order, i, m)
		return
	}
	if i, ok := s.find(old); ok {
		s.order[i] = m
	}
}

func (s *State) remove(m *Member) {
	delete(s.members, m.User)
	if i, ok := s.find(m); ok {
		s.order[i] = nil
	}
	if len(s.order) > 16 && len(s.order) > 2*len(s.members) {
		s.order = slices.DeleteFunc(s.order, func(m *Member) bool { return m == nil })
	}
}

func (s *State) find(m *Member) (int, bool) {
	i := sort.Search(len(s.order), func(i int) bool { return s.orderFrom(i) >= m.Order })
	for ; i < len(s.order); i++ {
		if s.order[i] == m {
			return i, true
		}
		if s.order[i] != nil {
			break
		}
	}
	return 0, false
}

// keptBy is the attributes that the user left behind; nil if there are none.
func (s *State) keptBy(u subjects.User) map[string]string {
	if s == nil {
		return nil
	}
	return s.kept[u].Attributes
}

// Kept calls f for everything that absent users left behind, in no order.
func (s *State) Kept(f func(Kept)) {
	for _, k := range s.kept {
		f(k)
	}
}

// keep takes what a user left behind, and drops the oldest where it is too much. Where
// the past is read again nobody's is dropped for it: the user may have come back since.
func (s *State) keep(k Kept, past bool, ch *Changes) {
	if past && len(s.kept) >= MaxKept {
		return
	}
	if s.kept == nil {
		s.kept = map[subjects.User]Kept{}
	}
	s.kept[k.User] = k
	ch.Keep = append(ch.Keep, k)
	if len(s.kept) <= MaxKept {
		return
	}
	oldest := k
	for _, o := range s.kept {
		if o.Revision < oldest.Revision || o.Revision == oldest.Revision && o.User < oldest.User {
			oldest = o
		}
	}
	s.drop(oldest.User, ch)
}

func (s *State) drop(u subjects.User, ch *Changes) {
	if _, ok := s.kept[u]; ok {
		delete(s.kept, u)
		ch.Keep = append(ch.Keep, Kept{User: u})
	}
}

// Changes is what a fact changed, as values that stay as they are. Head is nil when
// the room has ended.
type Changes struct {
	Head *Head
	Put  []*Member
	Del  []subjects.User
	Keep []Kept
}

// Apply folds one fact, stored at revision, into the room's state and gives the state
// after it: nil when the room has ended. The fact must be the room's next one, else
// [ErrDamaged]. The state it was given may be changed.
func Apply(s *State, f *events.Fact, revision uint64) (*State, Changes, error) {
	if f.Type == events.RoomCreated {
		if s != nil {
			return s, Changes{}, damaged(s, f, "the room exists already")
		}
		s = born(f)
	} else if s == nil || f.InstanceID != s.InstanceID || f.Sequence != s.Sequence+1 {
		return s, Changes{}, damaged(s, f, "it is not the next one")
	}
	ch, err := s.fold(f, revision, false)
	if err != nil {
		return s, ch, err
	}
	if !s.Whole() {
		return s, ch, damaged(s, f, fmt.Sprintf("%d members, but it counts %d", len(s.members), s.Members))
	}
	if f.Type == events.RoomDestroyed {
		return nil, s.gone(ch), nil
	}
	return s, ch, nil
}

// gone is what changes when the room ends.
func (s *State) gone(ch Changes) Changes {
	ended := Changes{Del: ch.Del}
	for u := range s.kept {
		ended.Keep = append(ended.Keep, Kept{User: u})
	}
	return ended
}

// Merge folds a fact into a state that may already hold it, or parts of it, as when
// the journal is read again over a stored state. Each part changes only if it is older
// than revision. known is false for a fact of an instance that the state knows nothing of.
func Merge(s *State, f *events.Fact, revision uint64) (after *State, ch Changes, known bool, err error) {
	switch {
	case s == nil && f.Type != events.RoomCreated:
		return nil, ch, false, nil
	case s == nil:
		s = born(f)
	case revision > s.Revision:
		if f.Type == events.RoomCreated || f.InstanceID != s.InstanceID || f.Sequence != s.Sequence+1 {
			return s, ch, true, damaged(s, f, "it is not the next one")
		}
	case f.InstanceID != s.InstanceID:
		return s, ch, true, nil // of an instance that ended before this one began
	}
	ch, err = s.fold(f, revision, true)
	if err == nil && f.Type == events.RoomDestroyed {
		return nil, s.gone(ch), true, nil
	}
	return s, ch, true, err
}

func damaged(s *State, f *events.Fact, why string) error {
	at := "no room"
	if s != nil {
		at = fmt.Sprintf("instance %s at %d", s.InstanceID, s.Sequence)
	}
	return fmt.Errorf("%w: %s %d of %q, instance %s, on %s: %s", ErrDamaged, f.Type, f.Sequence, f.Room, f.InstanceID, at, why)
}

func born(f *events.Fact) *State {
	return &State{Room: f.Room, members: make(map[subjects.User]*Member, len(f.Joined)), Head: Head{
		Name: f.Info.RoomName, InstanceID: f.InstanceID, CreatedAt: f.Info.CreatedAt, CreatedBy: f.Info.CreatedBy,
		Config: f.Info.Config, Attributes: f.Info.Attributes, Owners: bornOwners(f.Info, f.Ownership),
	}}
}

// fold applies a fact's parts. With merging, a member whose value is as new as the
// fact stays as it is, and so does the head; and one that is not there has left by a
// fact that the stored state held already, or is missing, which [State.Whole] tells in
// the end.
func (s *State) fold(f *events.Fact, revision uint64, merging bool) (ch Changes, err error) {
	newer := revision > s.Revision
	for i := range f.Joined {
		j := &f.Joined[i]
		old := s.members[subjects.User(j.UserID)]
		if u := subjects.User(j.UserID); s.kept[u].Revision < revision {
			s.drop(u, &ch)
		}
		if merging && old != nil && old.Revision >= revision {
			continue
		}
		m := &Member{User: subjects.User(j.UserID), Name: j.UserName, Info: j.UserInfo, Since: j.JoinedAt, Revision: revision, Order: order(f.Sequence, i)}
		if old != nil && f.Type != events.SessionJoined {
			return ch, damaged(s, f, fmt.Sprintf("%q is a member already", j.UserID))
		}
		if old != nil {
			m.Name, m.Info, m.Since, m.Order, m.Sessions = old.Name, old.Info, old.Since, old.Order, slices.Clone(old.Sessions)
			m.Attributes, m.staying = old.Attributes, old.staying
		} else if f.Type == events.SessionJoined {
			if merging {
				continue
			}
			return ch, damaged(s, f, fmt.Sprintf("%q is no member", j.UserID))
		}
		m.Sessions = append(m.Sessions, MemberSession{j.SessionID, j.JoinedAt})
		if old == nil {
			m.Attributes, m.staying = j.Attributes, stayingOf(j)
		}
		s.place(m)
		ch.Put = append(ch.Put, m)
	}
	for i := range f.Left {
		l := &f.Left[i]
		old := s.members[subjects.User(l.UserID)]
		if merging && (old == nil || old.Revision >= revision) {
			continue
		}
		if old == nil || old.Session(l.SessionID) == nil {
			return ch, damaged(s, f, fmt.Sprintf("%q, session %q is not in", l.UserID, l.SessionID))
		}
		if f.Type == events.MemberLeft {
			s.remove(old)
			ch.Del = append(ch.Del, old.User)
			if kept := old.leaves(); kept != nil && l.Reason != events.ReasonDestroyed && s.kept[old.User].Revision < revision {
				s.keep(Kept{old.User, kept, revision}, !newer, &ch)
			}
			continue
		}
		m := *old
		m.Revision = revision
		m.Sessions = slices.DeleteFunc(slices.Clone(old.Sessions), func(x MemberSession) bool { return x.SessionID == l.SessionID })
		s.place(&m)
		ch.Put = append(ch.Put, &m)
	}
	if f.Type == events.MemberAttributesChanged {
		for i := range f.Infos {
			old := s.members[subjects.User(f.Infos[i].UserID)]
			switch {
			case merging && (old == nil || old.Revision >= revision):
				continue
			case old == nil:
				return ch, damaged(s, f, fmt.Sprintf("%q is no member", f.Infos[i].UserID))
			}
			m := old.with(f.Infos[i].Attributes, f.Staying)
			m.Revision = revision
			s.place(m)
			ch.Put = append(ch.Put, m)
		}
	}
	if newer {
		s.advance(f, revision)
	}
	head := s.Head
	ch.Head = &head
	return ch, nil
}

// stayingOf is those of the attributes that a member comes with that outlive its membership.
func stayingOf(j *events.Joined) map[string]struct{} {
	if len(j.Attributes) == len(j.DeleteAfterOwnerLeft) {
		return nil
	}
	keys := make(map[string]struct{}, len(j.Attributes))
	for k := range j.Attributes {
		keys[k] = struct{}{}
	}
	for _, k := range j.DeleteAfterOwnerLeft {
		delete(keys, k)
	}
	return keys
}

// advance takes what a fact says of the room itself.
func (s *State) advance(f *events.Fact, revision uint64) {
	s.Sequence, s.Revision, s.FactAt = f.Sequence, revision, f.Time
	switch f.Type {
	case events.RoomCreated:
		s.Members = len(f.Joined)
		s.Unborn = s.Members == 0
		s.AttributesAt = revision
	case events.RoomAttributesChanged:
		s.change(f.Set, ownersOf(f.Ownership), f.Delete, revision)
		return
	case events.RoomDestroyed, events.RoomKept, events.MemberAttributesChanged:
		return
	default:
		s.Members = f.MemberCount
	}
	if len(f.Deleted) > 0 {
		s.change(nil, nil, f.Deleted, revision)
	}
	if f.Type == events.MemberLeft && f.Left[0].Reason == events.ReasonDestroyed {
		s.End = &End{f.Left[0].Operator, f.Left[0].ReasonText, f.Left[0].RequestID}
	}
	switch {
	case s.Members > 0:
		s.EmptySince, s.EmptyBy, s.Unborn = 0, 0, false
	case s.EmptySince == 0:
		s.EmptySince, s.EmptyBy = f.Time, f.Sequence
	}
}

// change makes the room's attributes other ones; those of a Head stay as they are.
func (s *State) change(set map[string]string, owners map[string]Owner, del []string, revision uint64) {
	values, whose := make(map[string]string, len(s.Attributes)+len(set)), make(map[string]Owner, len(s.Owners)+len(set))
	maps.Copy(values, s.Attributes)
	maps.Copy(whose, s.Owners)
	for k, v := range set {
		values[k], whose[k] = v, owners[k]
	}
	for _, k := range del {
		delete(values, k)
		delete(whose, k)
	}
	s.Attributes, s.Owners, s.AttributesAt = values, whose, revision
}
