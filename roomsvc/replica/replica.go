package replica

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Replica is every room in memory.
type Replica struct {
	Users    Users
	Outcomes Outcomes
	Recent   Recent
	Passed   journal.Passed // how far the follower has got

	// The functions that are told; they are set before the follower begins. Each is called
	// with the locks of rooms held, and must not wait.
	Leaving func(*room.State, *events.Fact)                // a fact, before the room is changed by it; nil: nobody is told
	Changed func(room.Change)                              // every change, in the journal's order
	Heard   func(room.Change, *journal.Message)            // the same, with the fact as it is stored; nil: nobody is told
	Due     func(id subjects.Room, h *room.Head, own bool) // that a room is due to end, or no longer is; own: by this instance's own fact; nil: nobody is told

	living atomic.Int64  // rooms that exist
	newest atomic.Uint64 // revision of the newest fact applied

	mu    sync.RWMutex // guards rooms
	rooms map[subjects.Room]*Room

	markMu sync.Mutex // guards mark
	mark   room.Mark  // of the last fact passed on

	batch []journal.Message // used by the follower alone: facts of an append that is not complete
}

// New is a replica without rooms that knows the outcomes of requests for that long.
func New(remember time.Duration) *Replica {
	r := &Replica{rooms: map[subjects.Room]*Room{}}
	r.Users.init(0)
	r.Outcomes.init(remember)
	return r
}

// Find is what is known about rooms of an ID, or nil.
func (r *Replica) Find(id subjects.Room) *Room {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.rooms[id]
}

// Head is what a room was last seen to be; it is nil if there is none. It takes no room's
// lock.
func (r *Replica) Head(id subjects.Room) *room.Head {
	if known := r.Find(id); known != nil {
		return known.Head()
	}
	return nil
}

// View calls f with a room's state, which is nil if there is no such room.
func (r *Replica) View(id subjects.Room, f func(*room.State)) {
	if known := r.Find(id); known != nil {
		known.View(f)
		return
	}
	f(nil)
}

// Speak calls f with a room, under its lock.
func (r *Replica) Speak(id subjects.Room, f func(Spoken)) {
	if known := r.Find(id); known != nil {
		known.mu.Lock()
		defer known.mu.Unlock()
		f(Spoken{known.state, known.foreign, known.leaving})
		return
	}
	f(Spoken{})
}

// In says whether a command's session is in a room.
func (r *Replica) In(id subjects.Room, c *room.Command) (in bool) {
	r.View(id, func(st *room.State) { in = st.Has(c) })
	return in
}

// All is every room, including those that ended a short while ago, by ID.
func (r *Replica) All() []*Room {
	rooms := r.unsorted()
	sortRooms(rooms)
	return rooms
}

// unsorted is what All is, in no order.
func (r *Replica) unsorted() []*Room {
	r.mu.RLock()
	defer r.mu.RUnlock()
	rooms := make([]*Room, 0, len(r.rooms))
	for _, known := range r.rooms {
		rooms = append(rooms, known)
	}
	return rooms
}

// Heads calls f with every room that exists, as it was last seen, in no order. Nothing that f is given ever
// changes; f is called under no lock.
func (r *Replica) Heads(f func(subjects.Room, *room.Head)) {
	for _, known := range r.unsorted() {
		if h := known.Head(); h != nil && !h.Ending() {
			f(known.ID, h)
		}
	}
}

// From is the rooms after one whose IDs start with a prefix, by ID.
func (r *Replica) From(prefix, after string) (rooms []*Room) {
	r.mu.RLock()
	for id, known := range r.rooms {
		if strings.HasPrefix(string(id), prefix) && string(id) > after {
			rooms = append(rooms, known)
		}
	}
	r.mu.RUnlock()
	sortRooms(rooms)
	return rooms
}

// Living is how many rooms exist.
func (r *Replica) Living() int64 { return r.living.Load() }

// Mark is the newest fact up to which every fact has been applied.
func (r *Replica) Mark() room.Mark {
	r.markMu.Lock()
	defer r.markMu.Unlock()
	return r.mark
}

// Reached sets what [Replica.Mark] returns.
func (r *Replica) Reached(m room.Mark) {
	r.markMu.Lock()
	defer r.markMu.Unlock()
	r.mark = m
}

// Hold returns a room, which stays known until [Replica.Release], however little there is to
// know about it.
func (r *Replica) Hold(id subjects.Room) *Room {
	held := r.open(id)
	defer held.mu.Unlock()
	held.held++
	return held
}

// Release takes back one [Replica.Hold]. Asking for rooms that never existed leaves nothing in
// memory.
func (r *Replica) Release(held *Room) {
	held.mu.Lock()
	defer held.mu.Unlock()
	if held.held--; held.unused() && held.revision == 0 {
		r.mu.Lock()
		defer r.mu.Unlock()
		held.dropped = true
		delete(r.rooms, held.ID)
	}
}

// Forget drops outcomes that are too old, and rooms that ended and that nobody commits for.
// What is still known about those, the revision and the time of their last fact, the journal
// knows too.
func (r *Replica) Forget() {
	r.Outcomes.forget()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, known := range r.rooms {
		if !known.mu.TryLock() { // the holder of the lock may wait for r.mu, and is at work with the room
			continue
		}
		if known.unused() {
			known.dropped = true
			delete(r.rooms, id)
		}
		known.mu.Unlock()
	}
}

// open is a room with its lock taken; it is made if nothing is known about it.
func (r *Replica) open(id subjects.Room) *Room {
	for {
		known := r.Find(id)
		if known == nil {
			known = r.add(id)
		}
		known.mu.Lock()
		if !known.dropped {
			return known
		}
		known.mu.Unlock()
	}
}

func (r *Replica) add(id subjects.Room) *Room {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.rooms[id]
	if known == nil {
		known = &Room{ID: id}
		r.rooms[id] = known
	}
	return known
}
