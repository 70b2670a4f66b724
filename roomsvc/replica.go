package roomsvc

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/projection"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// replica is every room in memory. Facts come into it twice: those that this instance
// appended when they are acknowledged, all others when the journal's follower passes
// them. The follower also hands every change on in the journal's order.
type replica struct {
	mu    sync.RWMutex
	boxes map[subjects.Room]*mailbox

	users    users
	requests requests
	living   atomic.Int64 // rooms that exist
	passed   passed       // how far the follower has got
	lastMu   sync.Mutex
	last     projection.Mark // of the fact last handed on

	sought map[subjects.Room]*sought // at a start without the bucket: what it knew

	changed func(projection.Change) // in the journal's order
	timers  func(*mailbox)          // a room has become empty
}

func newReplica() *replica {
	r := &replica{boxes: map[subjects.Room]*mailbox{}}
	r.users.init()
	r.requests.init()
	return r
}

// locked is the room's mailbox, made when missing, with its lock held.
func (r *replica) locked(id subjects.Room) *mailbox {
	for {
		mb := r.find(id)
		if mb == nil {
			r.mu.Lock()
			if mb = r.boxes[id]; mb == nil {
				mb = &mailbox{room: id}
				r.boxes[id] = mb
			}
			r.mu.Unlock()
		}
		mb.mu.Lock()
		if !mb.dropped {
			return mb
		}
		mb.mu.Unlock()
	}
}

// find is the room's mailbox, or nil.
func (r *replica) find(id subjects.Room) *mailbox {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.boxes[id]
}

// head is what the room was last seen to be; nil if there is none. It takes no room's lock.
func (r *replica) head(id subjects.Room) *room.Head {
	if mb := r.find(id); mb != nil {
		return mb.head.Load()
	}
	return nil
}

// all is every mailbox, by room ID.
func (r *replica) all() []*mailbox {
	r.mu.RLock()
	boxes := make([]*mailbox, 0, len(r.boxes))
	for _, mb := range r.boxes {
		boxes = append(boxes, mb)
	}
	r.mu.RUnlock()
	slices.SortFunc(boxes, func(a, b *mailbox) int { return strings.Compare(string(a.room), string(b.room)) })
	return boxes
}

// forget drops mailboxes of rooms that ended and that nobody works with. What they
// still knew, the sequence of the room's last fact, can be asked for.
func (r *replica) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, mb := range r.boxes {
		mb.mu.Lock()
		if mb.state == nil && !mb.busy && len(mb.ahead) == 0 {
			mb.dropped = true
			delete(r.boxes, id)
		}
		mb.mu.Unlock()
	}
}

// apply folds a fact into the room, whose mailbox is locked, and keeps the indexes.
func (r *replica) apply(mb *mailbox, f *events.Fact, seq uint64, at time.Time) (room.Changes, error) {
	state, ch, err := room.Apply(mb.state, f, seq)
	if err != nil {
		return ch, err
	}
	r.settle(mb, state, ch, f, seq, at)
	return ch, nil
}

func (r *replica) settle(mb *mailbox, state *room.State, ch room.Changes, f *events.Fact, seq uint64, at time.Time) {
	switch {
	case mb.state == nil && state != nil:
		r.living.Add(1)
	case mb.state != nil && state == nil:
		r.living.Add(-1)
	}
	if state == nil && mb.state != nil {
		mb.state.After(0, func(m *room.Member) bool { r.users.remove(m.User, mb); return true })
	}
	mb.state = state
	mb.revision = max(mb.revision, seq)
	if state == nil {
		mb.head.Store(nil)
	} else if ch.Head != nil {
		mb.head.Store(ch.Head)
	}
	for _, m := range ch.Put {
		r.users.add(m.User, mb)
	}
	for _, u := range ch.Del {
		r.users.remove(u, mb)
	}
	r.requests.learn(f, seq, at)
	if state != nil && state.EmptySince != 0 && state.EmptyBy == f.Sequence && r.timers != nil {
		r.timers(mb)
	}
}

func change(f *events.Fact, ch room.Changes, seq uint64) projection.Change {
	return projection.Change{Mark: projection.Mark{Revision: seq, FactID: f.ID}, Room: f.Room, Changes: ch, InstanceID: f.InstanceID}
}

// pass takes the next stored message in the journal's order.
func (r *replica) pass(m journal.Message) error {
	if id, ok := subjects.RoomOfFacts(m.Subject); ok {
		if err := r.passFact(id, m); err != nil {
			return err
		}
	}
	r.passed.reach(m.Seq)
	return nil
}

func (r *replica) passFact(id subjects.Room, m journal.Message) error {
	mb := r.locked(id)
	defer mb.mu.Unlock()
	if m.Seq <= mb.revision {
		if len(mb.ahead) > 0 && mb.ahead[0].Revision == m.Seq {
			r.hand(mb.ahead[0])
			mb.ahead = mb.ahead[1:]
		}
		return nil
	}
	if fl := mb.flight; fl != nil {
		i := slices.Index(fl.boxes, mb)
		if string(fl.entries[i].Data) == string(m.Data) {
			fl.resolve(m.Seq+uint64(len(fl.entries)-1-i), nil)
			ch, err := r.apply(mb, fl.facts[i], m.Seq, time.Now())
			if err == nil {
				r.hand(change(fl.facts[i], ch, m.Seq))
			}
			return err
		}
		fl.resolve(0, journal.ErrConflict)
	}
	f, err := decode(m)
	if err != nil {
		return err
	}
	ch, err := r.apply(mb, f, m.Seq, m.Time)
	if err == nil {
		r.hand(change(f, ch, m.Seq))
	}
	return err
}

func (r *replica) hand(c projection.Change) {
	r.lastMu.Lock()
	r.last = c.Mark
	r.lastMu.Unlock()
	r.changed(c)
}

// mark is the newest fact up to which every fact has been applied.
func (r *replica) mark() projection.Mark {
	r.lastMu.Lock()
	defer r.lastMu.Unlock()
	return r.last
}

func decode(m journal.Message) (*events.Fact, error) {
	f, err := events.DecodeFact(m.Data)
	if err == nil && m.Digests != "" {
		f.Digests = strings.Split(m.Digests, ",")
	}
	return f, err
}

// replay takes a stored message at the start, over what the bucket held: parts that
// are as new as the fact stay as they are.
func (r *replica) replay(m journal.Message, bucket uint64, orphans map[subjects.Room]string) error {
	id, ok := subjects.RoomOfFacts(m.Subject)
	if !ok {
		return nil
	}
	f, err := decode(m)
	if err != nil {
		return err
	}
	mb := r.locked(id)
	defer mb.mu.Unlock()
	r.sought[id].take(f, m.Seq)
	state, ch, known, err := room.Merge(mb.state, f, m.Seq)
	if err != nil {
		return err
	}
	if !known {
		orphans[id] = f.InstanceID
	}
	if f.Type == events.RoomDestroyed || f.Type == events.RoomCreated {
		delete(orphans, id)
	}
	r.settle(mb, state, ch, f, m.Seq, m.Time)
	if m.Seq > bucket {
		r.hand(change(f, ch, m.Seq))
	} else if bucket == nothing {
		r.last = projection.Mark{Revision: m.Seq, FactID: f.ID}
	}
	return nil
}

// passed is how far the follower has got, and who waits for it.
type passed struct {
	seq     atomic.Uint64
	mu      sync.Mutex
	waiting []waiter
}

type waiter struct {
	seq  uint64
	done chan struct{}
}

func (p *passed) reach(seq uint64) {
	p.seq.Store(seq)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = slices.DeleteFunc(p.waiting, func(w waiter) bool {
		if w.seq <= seq {
			close(w.done)
		}
		return w.seq <= seq
	})
}

// wait returns when the follower has passed seq.
func (p *passed) wait(ctx context.Context, seq uint64) error {
	p.mu.Lock()
	if p.seq.Load() >= seq {
		p.mu.Unlock()
		return nil
	}
	w := waiter{seq, make(chan struct{})}
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		p.mu.Lock()
		p.waiting = slices.DeleteFunc(p.waiting, func(o waiter) bool { return o.done == w.done })
		p.mu.Unlock()
		return ctx.Err()
	}
}

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

func (u *users) add(id subjects.User, mb *mailbox) {
	s := u.shard(id)
	s.Lock()
	defer s.Unlock()
	if rooms := s.rooms[id]; !slices.Contains(rooms, mb) {
		s.rooms[id] = append(rooms, mb)
	}
}

func (u *users) remove(id subjects.User, mb *mailbox) {
	s := u.shard(id)
	s.Lock()
	defer s.Unlock()
	rooms := slices.DeleteFunc(s.rooms[id], func(o *mailbox) bool { return o == mb })
	if len(rooms) == 0 {
		delete(s.rooms, id)
	} else {
		s.rooms[id] = rooms
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

// reserve takes a place among the rooms that the user may be in, if one is left.
func (u *users) reserve(id subjects.User, limit int) bool {
	s := u.shard(id)
	s.Lock()
	defer s.Unlock()
	if len(s.rooms[id])+s.pending[id] >= limit {
		return false
	}
	s.pending[id]++
	return true
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

// list is the rooms behind after whose IDs start with prefix, in the order of their
// IDs, as many as a page takes.
func (r *replica) list(prefix, after string, count int) (rooms []events.Room, next string) {
	var heads []*mailbox
	r.mu.RLock()
	for id, mb := range r.boxes {
		if strings.HasPrefix(string(id), prefix) && string(id) > after {
			heads = append(heads, mb)
		}
	}
	r.mu.RUnlock()
	slices.SortFunc(heads, func(a, b *mailbox) int { return strings.Compare(string(a.room), string(b.room)) })
	rooms = []events.Room{}
	size := 0
	for _, mb := range heads {
		h := mb.head.Load()
		if h == nil || h.Ending() {
			continue
		}
		info := h.Info(mb.room)
		data, _ := json.Marshal(&info)
		if size += len(data) + 1; len(rooms) > 0 && (len(rooms) == count || size > pageRoom) {
			return rooms, rooms[len(rooms)-1].RoomID
		}
		rooms = append(rooms, info)
	}
	return rooms, ""
}
