package room

import (
	"encoding/binary"
	"maps"
	"slices"
	"sort"
	"strings"

	"natsrooms/events"
	"natsrooms/roomsvc/pack"
	"natsrooms/subjects"
)

// roster is a room's members. There may be a million memberships in memory, nearly all of them
// at rest, so each is kept packed and is unpacked when somebody asks for it.
type roster struct {
	list []packed                 // by order; of a member that has left, its order may remain
	in   int                      // how many members there are
	at   map[subjects.User]uint64 // their orders; nil: there are few, and the list is searched
}

// few is how many members are found faster, and take less memory, without a map.
const few = 32

// packed is a member as bytes: its order, with the highest byte first, its user, and the rest.
// It never changes, so that what is unpacked shares its text.
type packed string

// orderBytes is how many bytes the order takes, which is all that remains of a member that has
// left.
const orderBytes = 8

func (p packed) order() uint64 { return binary.BigEndian.Uint64([]byte(p[:orderBytes])) }

func (p packed) gone() bool { return len(p) == orderBytes }

// user is the member's user; of one that has left there is none.
func (p packed) user() subjects.User {
	if p.gone() {
		return ""
	}
	r := pack.Reading[string]{Rest: string(p[orderBytes:])}
	return subjects.User(r.Text())
}

// packMember packs a member.
func packMember(m *Member) packed {
	var space [256]byte
	w := binary.BigEndian.AppendUint64(space[:0], m.Order)
	w = pack.Text(w, string(m.User))
	w = pack.Text(w, m.Name)
	w = pack.Text(w, string(m.Info))
	w = pack.Text(w, string(m.Role))
	w = pack.Signed(w, int64(m.Since))
	w = pack.Number(w, m.Revision)
	w = pack.Number(w, uint64(len(m.Sessions)))
	for _, s := range m.Sessions {
		w = pack.Text(w, s.SessionID)
		w = pack.Signed(w, int64(s.JoinedAt-m.Since))
		w = pack.Signed(w, int64(s.LeaseSeconds))
	}
	w = pack.Number(w, uint64(len(m.Attributes)))
	for _, k := range slices.Sorted(maps.Keys(m.Attributes)) {
		w = pack.Text(w, k)
		w = pack.Text(w, m.Attributes[k])
	}
	w = pack.Number(w, uint64(len(m.staying)))
	for _, k := range slices.Sorted(maps.Keys(m.staying)) {
		w = pack.Text(w, k)
	}
	return packed(w)
}

// member unpacks a member.
func (p packed) member() *Member {
	r := pack.Reading[string]{Rest: string(p[orderBytes:])}
	m := &Member{Order: p.order(), User: subjects.User(r.Text()), Name: r.Text()}
	if info := r.Text(); info != "" {
		m.Info = []byte(info)
	}
	m.Role = events.Role(r.Text())
	m.Since = events.Time(r.Signed())
	m.Revision = r.Number()
	m.Sessions = make([]MemberSession, r.Number())
	for i := range m.Sessions {
		m.Sessions[i] = MemberSession{SessionID: r.Text(), JoinedAt: m.Since + events.Time(r.Signed()), LeaseSeconds: int(r.Signed())}
	}
	if n := r.Number(); n > 0 {
		m.Attributes = make(map[string]string, n)
		for range n {
			k := r.Text()
			m.Attributes[k] = r.Text()
		}
	}
	if n := r.Number(); n > 0 {
		m.staying = make(map[string]struct{}, n)
		for range n {
			m.staying[r.Text()] = struct{}{}
		}
	}
	return m
}

// sessions is how many sessions the member has.
func (p packed) sessions() int {
	r := pack.Reading[string]{Rest: string(p[orderBytes:])}
	for range 4 {
		r.Text() // user, name, info, role
	}
	r.Signed() // since
	r.Number() // revision
	return int(r.Number())
}

// rosterOf is the roster of these members.
func rosterOf(members []*Member) roster {
	r := roster{list: make([]packed, 0, len(members))}
	for _, m := range members {
		r.list = append(r.list, packMember(m))
	}
	slices.SortFunc(r.list, func(a, b packed) int { return strings.Compare(string(a), string(b)) })
	r.in = len(r.list)
	r.index()
	return r
}

// index makes the map, or drops it.
func (r *roster) index() {
	r.at = nil
	if r.in <= few {
		return
	}
	r.at = make(map[subjects.User]uint64, r.in)
	for _, p := range r.list {
		if !p.gone() {
			r.at[p.user()] = p.order()
		}
	}
}

// find is where the user's member is in the list.
func (r *roster) find(u subjects.User) (i int, ok bool) {
	if u == "" { // nobody, nor a place of somebody who has left
		return 0, false
	}
	if r.at == nil {
		i = slices.IndexFunc(r.list, func(p packed) bool { return p.user() == u })
		return i, i >= 0
	}
	order, ok := r.at[u]
	if !ok {
		return 0, false
	}
	for i = r.from(order); r.list[i].user() != u; i++ { // members of one order are beside each other
	}
	return i, true
}

// from is where the list reaches an order.
func (r *roster) from(order uint64) int {
	return sort.Search(len(r.list), func(i int) bool { return r.list[i].order() >= order })
}

// place adds a member, or gives it another value.
func (r *roster) place(m *Member) {
	p := packMember(m)
	i, ok := r.find(m.User)
	switch {
	case ok && r.list[i].order() == m.Order:
		r.list[i] = p
		if r.at != nil {
			r.at[p.user()] = m.Order // the key becomes a part of the new value
		}
		return
	case ok:
		r.remove(m.User)
	}
	r.trim()
	i = len(r.list)
	if i > 0 && r.list[i-1].order() > m.Order { // only when merging, where older members may be added later
		i = r.from(m.Order + 1)
	}
	r.list = slices.Insert(r.list, i, p)
	r.in++
	if r.at != nil {
		r.at[p.user()] = m.Order
	} else if r.in > few {
		r.index()
	}
}

// remove takes a member out. Its place in the list stays, with its order, until there are
// more such places than members: so neither takes time that grows with the room.
func (r *roster) remove(u subjects.User) {
	i, ok := r.find(u)
	if !ok {
		return
	}
	r.list[i] = packed(strings.Clone(string(r.list[i][:orderBytes])))
	r.in--
	delete(r.at, u)
	r.trim()
	if len(r.list) > few && len(r.list) > 2*r.in {
		r.list = slices.DeleteFunc(r.list, packed.gone)
		r.index()
	}
}

// trim drops the places at both ends of those who have left.
func (r *roster) trim() {
	for len(r.list) > 0 && r.list[0].gone() {
		r.list[0] = ""
		r.list = r.list[1:]
	}
	for n := len(r.list); n > 0 && r.list[n-1].gone(); n-- {
		r.list[n-1] = ""
		r.list = r.list[:n-1]
	}
}
