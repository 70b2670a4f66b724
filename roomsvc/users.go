package roomsvc

import (
	"slices"
	"strings"
	"sync"

	"natsrooms/subjects"
)

// users says which rooms a user is in.
type users struct{ shards [64]userShard }

type userShard struct {
	sync.Mutex
	rooms   map[subjects.User][]*mailbox
	pending map[subjects.User]int // comings in that are decided and not yet stored
}

func (u *users) init() {
	for i := range u.shards {
		u.shards[i].rooms = map[subjects.User][]*mailbox{}
		u.shards[i].pending = map[subjects.User]int{}
	}
}

func (u *users) shard(id subjects.User) *userShard {
	h := uint32(2166136261)
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return &u.shards[h%uint32(len(u.shards))]
}

// move is a user's coming into a room, or going out of it.
type move struct {
	user subjects.User
	mb   *mailbox
	in   bool
}

// move makes the moves of one append, all those of a user at once.
func (u *users) move(moves []move) {
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
	at := slices.Index(rooms, m.mb)
	switch {
	case m.in && at < 0:
		s.rooms[m.user] = append(rooms, m.mb)
	case !m.in && at >= 0 && len(rooms) == 1:
		delete(s.rooms, m.user)
	case !m.in && at >= 0:
		s.rooms[m.user] = slices.Delete(rooms, at, at+1)
	}
}

// of is the rooms the user is in, by room ID.
func (u *users) of(id subjects.User) []*mailbox {
	s := u.shard(id)
	s.Lock()
	rooms := slices.Clone(s.rooms[id])
	s.Unlock()
	slices.SortFunc(rooms, func(a, b *mailbox) int { return strings.Compare(string(a.room), string(b.room)) })
	return rooms
}

// reserve takes a place among the rooms that the user may be in, if one is left. full says
// that it is in all of them.
func (u *users) reserve(id subjects.User, limit int) (ok, full bool) {
	s := u.shard(id)
	s.Lock()
	defer s.Unlock()
	if n := len(s.rooms[id]); n+s.pending[id] >= limit {
		return false, n >= limit
	}
	s.pending[id]++
	return true, false
}

// release gives a reserved place back.
func (u *users) release(id subjects.User) {
	s := u.shard(id)
	s.Lock()
	defer s.Unlock()
	if s.pending[id]--; s.pending[id] == 0 {
		delete(s.pending, id)
	}
}
