package replica

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Room is what an instance knows about the rooms of one ID: about the one that exists now, and
// about the newest fact if that ended the room.
type Room struct {
	ID   subjects.Room
	head atomic.Pointer[room.Head] // the head of state, to be read without the lock

	mu        sync.Mutex    // guards everything below
	state     *room.State   // nil: there is no such room
	revision  uint64        // of the newest fact, even after the room has ended
	factAt    events.Time   // its time
	foreign   uint64        // sequence of the newest fact of state's instance that another instance appended; 0: none is known
	ahead     []room.Change // applied, but not yet passed by the follower
	appending *Append       // an append of this instance; nil: none
	held      int           // by those who commit for it
	dropped   bool          // it is no longer in the replica
}

// View is a room under its lock.
type View struct {
	ID       subjects.Room
	State    *room.State // nil: there is no such room
	Revision uint64      // of the newest fact, even of a room that has ended; 0: none is known
	FactAt   events.Time // its time
}

// Position is the position that the room has reached; it is zero if there is no room.
func (v *View) Position() room.Position {
	if v.State == nil {
		return room.Position{}
	}
	return v.State.Position()
}

// Append is a fact of one room that this instance is appending. Whoever passes the room's next
// fact tells whether it is this one.
type Append struct {
	Fact    *events.Fact
	Data    []byte                           // as it is stored
	Decided func(revision uint64, ours bool) // must not wait
}

// Head is what the room was last seen to be; it is nil if there is none. It takes no lock.
func (r *Room) Head() *room.Head { return r.head.Load() }

// View calls f with the room's state, which is nil if there is no such room.
func (r *Room) View(f func(*room.State)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.state)
}

// Revision is the revision of the newest fact; it is 0 if none is known.
func (r *Room) Revision() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.revision
}

// Skip accepts that the newest fact of a room is the one at revision, whatever was known about
// it, unless the newest known is no longer expect.
func (r *Room) Skip(expect, revision uint64, at events.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.revision == expect {
		r.revision, r.factAt = revision, max(r.factAt, at)
	}
}

// Spoken is a room when something is said in it.
type Spoken struct {
	State   *room.State                // nil: there is no such room
	Foreign uint64                     // the sequence of the newest fact that another instance appended; 0: none is known
	Leaving func(u subjects.User) bool // whether a user may be about to leave, by a fact of this instance that is on its way
}

// leaving says, under the room's lock, whether the fact on its way takes the user out, or ends
// the room.
func (r *Room) leaving(u subjects.User) bool {
	if r.appending == nil {
		return false
	}
	f := r.appending.Fact
	return f.Type == events.RoomDestroyed || slices.ContainsFunc(f.Left, func(l events.Left) bool { return l.UserID == string(u) })
}

func (r *Room) view() View { return View{r.ID, r.state, r.revision, r.factAt} }

// unused says that there is no room, and that nobody commits for it.
func (r *Room) unused() bool { return r.state == nil && r.held == 0 && len(r.ahead) == 0 }

// Decide calls f with rooms as they are, and keeps them so until it returns. The appends that
// f returns, either nil or one or nil for each of the rooms, are on their way from then on:
// see [Replica.Stored] and [Failed]. The rooms must be in the order of their IDs.
func Decide(rooms []*Room, f func([]View) []*Append) {
	defer lock(rooms)()
	for i, a := range f(views(rooms)) {
		rooms[i].appending = a
	}
}

// Failed notes that appends of the rooms are no longer on their way, and were not stored.
func Failed(rooms []*Room) {
	defer lock(rooms)()
	for _, r := range rooms {
		r.appending = nil
	}
}

// lock locks rooms, which must be in the order of their IDs.
func lock(rooms []*Room) (unlock func()) {
	for _, r := range rooms {
		r.mu.Lock()
	}
	return func() {
		for _, r := range rooms {
			r.mu.Unlock()
		}
	}
}

func views(rooms []*Room) []View {
	list := make([]View, len(rooms))
	for i, r := range rooms {
		list[i] = r.view()
	}
	return list
}

// meet looks at a stored fact of the room; known says that it is applied already. If the fact
// decides an append, the append is told. The room's lock is held.
func (r *Room) meet(m journal.Message) (a applied, known bool, err error) {
	if m.Seq <= r.revision {
		return a, true, nil
	}
	if own := r.appending; own != nil {
		ours := string(own.Data) == string(m.Data)
		own.Decided(m.Seq, ours)
		if ours {
			return applied{room: r, fact: own.Fact, seq: m.Seq, at: time.Now()}, false, nil
		}
	}
	f, err := Decode(m)
	return applied{r, f, m.Seq, time.Now(), true}, false, err
}

// applied is a stored fact on its way into its room.
type applied struct {
	room *Room
	fact *events.Fact
	seq  uint64
	at   time.Time // by this machine's clock, which may differ from the server's

	foreign bool // another instance appended it
}

// Decode reads a stored fact.
func Decode(m journal.Message) (*events.Fact, error) {
	f, err := events.DecodeFact(m.Data)
	if err == nil && m.Digests != "" {
		f.Digests = strings.Split(m.Digests, ",")
	}
	return f, err
}

// sortRooms sorts rooms by ID.
func sortRooms(rooms []*Room) {
	slices.SortFunc(rooms, func(a, b *Room) int { return strings.Compare(string(a.ID), string(b.ID)) })
}
