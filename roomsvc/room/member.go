package room

import (
	"reflect"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/subjects"
)

// Member is one user in a room. It is a value: a change makes a new one.
type Member struct {
	User     subjects.User
	Name     string
	Info     jsontext.Value
	Since    events.Time     // when the user became a member, with its first session
	Sessions []MemberSession // in order of joining, never empty
	Order    uint64          // grows with every join; the order of pages
	Revision uint64          // stream sequence of the fact that made this value
	Role     events.Role     // empty: [events.RoleMember]

	Attributes map[string]string
	staying    map[string]struct{} // those of Attributes that outlive the membership
}

// Kept is what a room keeps about a user, whether it is in or not: what was decided about it,
// and what it left behind and gets back on returning.
type Kept struct {
	User       subjects.User
	Attributes map[string]string // that it left behind; nil: none
	Role       events.Role       // that it has whenever it is in; empty: nobody said so
	Ban, Mute  *Restriction      // nil: none
	Revision   uint64
}

// Restriction is a ban or a mute. It is a value: a change makes a new one.
type Restriction struct {
	Until  events.Time // 0: as long as the room's instance lives
	Reason string
}

// Nothing says that nothing is kept.
func (k *Kept) Nothing() bool {
	return k.Attributes == nil && k.Role == "" && k.Ban == nil && k.Mute == nil
}

// MaxKept is for how many absent users a room keeps attributes; beyond that it drops
// those of the users who have been gone longest.
const MaxKept = 500

// order is the place of a fact's i-th entry among all that ever joined the instance.
func order(sequence uint64, i int) uint64 { return sequence<<16 | uint64(i) }

// JoinedIn is the room's sequence of the fact by which the user became a member.
func (m *Member) JoinedIn() uint64 { return m.Order >> 16 }

// Session is the member's session of that ID, or nil.
func (m *Member) Session(id string) *MemberSession {
	for i := range m.Sessions {
		if m.Sessions[i].SessionID == id {
			return &m.Sessions[i]
		}
	}
	return nil
}

// Has says whether a command's session is in the room.
func (s *State) Has(c *Command) bool {
	m := s.Member(c.User)
	return m != nil && m.Session(c.Session) != nil
}

// Wire is the member as replies show it.
func (m *Member) Wire() MemberInfo {
	info := MemberInfo{string(m.User), m.Name, m.Info, m.Role, m.Since, m.Attributes, m.Sessions}
	if info.Attributes == nil {
		info.Attributes = map[string]string{}
	}
	return info
}

// keptBy is the attributes that the user left behind; nil if there are none.
func (s *State) keptBy(u subjects.User) map[string]string {
	if s == nil {
		return nil
	}
	return s.kept[u].Attributes
}

// Kept calls f for everything that is kept about users, in no particular order.
func (s *State) Kept(f func(Kept)) {
	for _, k := range s.kept {
		f(k)
	}
}

// keep changes what is kept about a user by a fact, unless the state has it from that fact or
// a later one already.
func (s *State) keep(u subjects.User, revision uint64, ch *Changes, change func(*Kept)) {
	if k := s.kept[u]; k.Revision < revision {
		s.alter(u, revision, ch, change)
	}
}

func (s *State) alter(u subjects.User, revision uint64, ch *Changes, change func(*Kept)) {
	was := s.kept[u]
	k := was
	change(&k)
	if reflect.DeepEqual(k, was) {
		return
	}
	if k.User, k.Revision = u, revision; k.Nothing() {
		delete(s.kept, u)
		k = Kept{User: u}
	} else {
		s.keepFor(k)
	}
	ch.Keep = append(ch.Keep, k)
}

// leaveBehind keeps the attributes of a user who leaves, and drops the oldest if that is too
// much. When the past is read again it drops nobody's: the user may have come back since.
func (s *State) leaveBehind(u subjects.User, attributes map[string]string, revision uint64, past bool, ch *Changes) {
	left := 0
	if len(s.kept) >= MaxKept {
		for _, k := range s.kept {
			if k.Attributes != nil {
				left++
			}
		}
	}
	if past && left >= MaxKept {
		return
	}
	s.keep(u, revision, ch, func(k *Kept) { k.Attributes = attributes })
	if left < MaxKept {
		return
	}
	oldest := s.kept[u]
	for _, o := range s.kept {
		if o.Attributes != nil && (o.Revision < oldest.Revision || o.Revision == oldest.Revision && o.User < oldest.User) {
			oldest = o
		}
	}
	s.alter(oldest.User, revision, ch, func(k *Kept) { k.Attributes = nil })
}

func (s *State) keepFor(k Kept) {
	if s.kept == nil {
		s.kept = map[subjects.User]Kept{}
	}
	s.kept[k.User] = k
}

// stayingOf is those attributes of a joining member that outlive its membership.
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
