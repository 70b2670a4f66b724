package room

import (
	"fmt"
	"slices"

	"natsrooms/events"
	"natsrooms/roomsvc/pack"
	"natsrooms/subjects"
)

// Packing is the number of the form in which states are packed. It is raised when anything
// about that form changes: who finds another number does not unpack.
const Packing = 2

// Pack appends the whole state, for [Unpack].
func (s *State) Pack(w []byte) ([]byte, error) {
	head, err := s.Head.Record(s.Room)
	if err != nil {
		return w, err
	}
	w = pack.Text(w, string(s.Room))
	w = pack.Text(w, head)
	w = pack.Number(w, uint64(s.members.in))
	for _, p := range s.members.list {
		if !p.gone() {
			w = pack.Text(w, string(p))
		}
	}
	w = pack.Number(w, uint64(len(s.kept)))
	for u, k := range s.kept {
		record, err := k.Record(s.InstanceID)
		if err != nil {
			return w, err
		}
		w = pack.Text(w, string(u))
		w = pack.Text(w, record)
	}
	return w, nil
}

// Unpack makes the state that was packed, which must be known to be complete.
func Unpack(data []byte) (*State, error) {
	r := pack.Reading[[]byte]{Rest: data}
	s := &State{Room: subjects.Room(r.Text())}
	head, err := DecodeHead(r.Bytes())
	if err != nil {
		return nil, fmt.Errorf("the head of %q: %w", s.Room, err)
	}
	s.Head = &head
	s.members.list = make([]packed, r.Number())
	for i := range s.members.list {
		s.members.list[i] = packed(r.Text())
	}
	s.members.in = len(s.members.list)
	s.members.index()
	for range r.Number() {
		u := subjects.User(r.Text())
		k, _, err := DecodeKept(u, r.Bytes())
		if err != nil {
			return nil, fmt.Errorf("what %q left behind in %q: %w", u, s.Room, err)
		}
		s.keepFor(k)
	}
	return s, nil
}

// Touched is what a fact changed, as it is now, when the state, which may be nil, already
// includes the fact and perhaps later ones.
func (s *State) Touched(f *events.Fact) (ch Changes) {
	touch := func(id string) {
		u := subjects.User(id)
		if m := s.Member(u); m != nil {
			ch.Put = append(ch.Put, m)
		} else {
			ch.Del = append(ch.Del, u)
		}
	}
	keep := func(id string) {
		u, k := subjects.User(id), Kept{User: subjects.User(id)}
		if s != nil {
			if now, ok := s.kept[u]; ok {
				k = now
			}
		}
		ch.Keep = append(ch.Keep, k)
	}
	for i := range f.Joined {
		touch(f.Joined[i].UserID)
		if len(f.Joined[i].Attributes) > 0 {
			keep(f.Joined[i].UserID)
		}
	}
	for i := range f.Left {
		touch(f.Left[i].UserID)
		if s.keptBy(subjects.User(f.Left[i].UserID)) != nil {
			keep(f.Left[i].UserID)
		}
	}
	for i := range f.Infos {
		touch(f.Infos[i].UserID)
	}
	for i := range f.Updates {
		touch(f.Updates[i].UserID)
		keep(f.Updates[i].UserID)
	}
	for _, x := range slices.Concat(f.Bans, f.Mutes) {
		keep(x.UserID)
	}
	if s != nil {
		ch.Head = s.Head
	}
	return ch
}

// Users calls f for the user of each member, oldest first.
func (s *State) Users(f func(subjects.User)) {
	for _, p := range s.members.list {
		if !p.gone() {
			f(p.user())
		}
	}
}
