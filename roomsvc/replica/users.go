package replica

import (
	"slices"
	"strings"
	"sync"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Users says which rooms a user is in.
type Users struct{ shards [64]userShard }

type userShard struct {
	sync.Mutex // guards the maps
	rooms      map[subjects.User][]*Room
	pending    map[subjects.User]int // joins that are decided and not yet stored
	empty      map[subjects.User]int // rooms that the user made and that stand empty
}

// init makes space for about n users.
func (u *Users) init(n int) {
	for i := range u.shards {
		u.shards[i].rooms = make(map[subjects.User][]*Room, n/len(u.shards))
		u.shards[i].pending = map[subjects.User]int{}
		u.shards[i].empty = map[subjects.User]int{}
	}
}

// len is how many users are in rooms.
func (u *Users) len() (n int) {
	for i := range u.shards {
		s := &u.shards[i]
		s.Lock()
		n += len(s.rooms)
		s.Unlock()
	}
	return n
}

func (u *Users) shard(id subjects.User) *userShard {
	h := uint32(2166136261)
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return &u.shards[h%uint32(len(u.shards))]
}

// move is a user that has joined a room, or left it.
type move struct {
	user subjects.User
	room *Room
	in   bool
}

// move makes the moves of one append, all those of a user at once.
func (u *Users) move(moves []move) {
	slices.SortStableFunc(moves, func(a, b move) int { return strings.Compare(string(a.user), string(b.user)) })
	for len(moves) > 0 {
		n := 1
		for n < len(moves) && moves[n].user == moves[0].user {
			n++
		}
		s := u.shard(moves[0].user)
		s.Lock()
		for _, m := range moves[:n] {
			s.move(m)
		}
		s.Unlock()
		moves = moves[n:]
	}
}

func (s *userShard) move(m move) {
	rooms := s.rooms[m.user]
	at := slices.Index(rooms, m.room)
	switch {
	case m.in && at < 0:
		s.rooms[m.user] = append(rooms, m.room)
	case !m.in && at >= 0 && len(rooms) == 1:
		delete(s.rooms, m.user)
	case !m.in && at >= 0:
		s.rooms[m.user] = slices.Delete(rooms, at, at+1)
	}
}

// Of is the rooms that a user is in, by ID.
func (u *Users) Of(id subjects.User) []*Room {
	s := u.shard(id)
	s.Lock()
	rooms := slices.Clone(s.rooms[id])
	s.Unlock()
	sortRooms(rooms)
	return rooms
}

// In says whether a user is in a room. It does not take the room's lock.
func (u *Users) In(id subjects.User, r subjects.Room) bool {
	s := u.shard(id)
	s.Lock()
	defer s.Unlock()
	return slices.ContainsFunc(s.rooms[id], func(known *Room) bool { return known.ID == r })
}

// stands keeps count of the rooms that stand empty, when one of them was before and is after.
func (u *Users) stands(before, after *room.Head) {
	for _, change := range []struct {
		head *room.Head
		by   int
	}{{before, -1}, {after, 1}} {
		if h := change.head; h != nil && h.EmptySince != 0 && h.CreatedBy != "" && !h.Ending() {
			s := u.shard(subjects.User(h.CreatedBy))
			s.Lock()
			if s.empty[subjects.User(h.CreatedBy)] += change.by; s.empty[subjects.User(h.CreatedBy)] == 0 {
				delete(s.empty, subjects.User(h.CreatedBy))
			}
			s.Unlock()
		}
	}
}

// Empty is how many rooms stand empty that a user made.
func (u *Users) Empty(id subjects.User) int {
	s := u.shard(id)
	s.Lock()
	defer s.Unlock()
	return s.empty[id]
}

// Reserve takes a place among the rooms that a user may be in, if one is left; others is how
// many rooms count besides those. full says that the user already has as many as allowed.
func (u *Users) Reserve(id subjects.User, limit, others int) (ok, full bool) {
	s := u.shard(id)
	s.Lock()
	defer s.Unlock()
	if n := len(s.rooms[id]) + others; n+s.pending[id] >= limit {
		return false, n >= limit
	}
	s.pending[id]++
	return true, false
}

// Release gives back a reserved place.
func (u *Users) Release(id subjects.User) {
	s := u.shard(id)
	s.Lock()
	defer s.Unlock()
	if s.pending[id]--; s.pending[id] == 0 {
		delete(s.pending, id)
	}
}
