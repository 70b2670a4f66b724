package roomsvc

import (
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
	recent   recent
	requests requests
	living   atomic.Int64   // rooms that exist
	passed   journal.Passed // how far the follower has got
	lastMu   sync.Mutex
	last     projection.Mark // of the fact last handed on

	ahead  time.Duration             // at a start: of this machine's clock before the server's
	sought map[subjects.Room]*sought // at a start without the bucket: what it knew

	batch   []journal.Message               // facts of an atomic append that goes on
	changed func(projection.Change)         // in the journal's order
	heard   func(projection.Change, []byte) // the same with the fact as it is stored; nil: nobody listens
	timers  func(*mailbox)                  // a room has become empty, or was empty before this
}

// newReplica is one without rooms, that knows the outcomes of requests for so long.
func newReplica(remember time.Duration) *replica {
	r := &replica{boxes: map[subjects.Room]*mailbox{}}
	r.users.init()
	r.requests.init(remember)
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
// still knew, the sequence and the time of the room's last fact, can be asked for.
func (r *replica) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, mb := range r.boxes {
		if !mb.mu.TryLock() { // whoever holds it may wait for r.mu, and is at work with the room
			continue
		}
		if mb.nobody() {
			mb.dropped = true
			delete(r.boxes, id)
		}
		mb.mu.Unlock()
	}
}

// drop forgets a locked mailbox.
func (r *replica) drop(mb *mailbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	mb.dropped = true
	delete(r.boxes, mb.room)
}

// applied is a stored fact on its way into its room.
type applied struct {
	mb   *mailbox
	fact *events.Fact
	seq  uint64
	at   time.Time
}

// apply folds the facts of one append into their rooms, whose mailboxes are locked, and
// keeps the indexes. Who asks for the outcome of a request, or for a user's rooms, finds
// all of the append or nothing of it.
func (r *replica) apply(facts []applied) ([]room.Changes, error) {
	changes := make([]room.Changes, len(facts))
	states := make([]*room.State, len(facts))
	for i, a := range facts {
		var err error
		if states[i], changes[i], err = room.Apply(a.mb.state, a.fact, a.seq); err != nil {
			return nil, err
		}
	}
	r.settle(facts, states, changes)
	return changes, nil
}

// settle makes the states the rooms' own. Outcomes are learnt before users move: a
// repeated request that finds its user moved must find its outcome too.
func (r *replica) settle(facts []applied, states []*room.State, changes []room.Changes) {
	r.requests.learn(facts)
	var moves []move
	for i, a := range facts {
		moves = r.settleRoom(moves, a, states[i], changes[i])
	}
	r.users.move(moves)
}

func (r *replica) settleRoom(moves []move, a applied, state *room.State, ch room.Changes) []move {
	mb := a.mb
	before := mb.head.Load()
	switch {
	case mb.state == nil && state != nil:
		r.living.Add(1)
	case mb.state != nil && state == nil:
		r.living.Add(-1)
		mb.state.After(0, func(m *room.Member) bool { moves = append(moves, move{m.User, mb, false}); return true })
	}
	mb.state = state
	mb.revision = max(mb.revision, a.seq)
	mb.factAt = max(mb.factAt, a.fact.Time)
	if state == nil {
		mb.head.Store(nil)
	} else if ch.Head != nil {
		mb.head.Store(ch.Head)
	}
	for _, m := range ch.Put {
		moves = append(moves, move{m.User, mb, true})
	}
	for _, u := range ch.Del {
		moves = append(moves, move{u, mb, false})
	}
	if r.timers != nil && (before != nil && before.Due() || state != nil && state.Due()) {
		r.timers(mb)
	}
	return moves
}

func change(f *events.Fact, ch room.Changes, seq uint64) projection.Change {
	return projection.Change{Mark: projection.Mark{Revision: seq, FactID: f.ID}, Room: f.Room, Changes: ch, InstanceID: f.InstanceID}
}

// pass takes the next stored message in the journal's order. The facts of a batch wait
// for its last one; those of a batch that lost its end go on when something else comes.
func (r *replica) pass(m journal.Message) error {
	if len(r.batch) > 0 && r.batch[0].Batch != m.Batch {
		if err := r.passFacts(); err != nil {
			return err
		}
	}
	if _, ok := subjects.RoomOfFacts(m.Subject); ok {
		r.batch = append(r.batch, m)
		if m.More {
			return nil
		}
		if err := r.passFacts(); err != nil {
			return err
		}
	}
	r.passed.Reach(m.Seq)
	return nil
}

// passFacts takes the facts of one append.
func (r *replica) passFacts() error {
	batch := r.batch
	r.batch = nil
	boxes := make([]*mailbox, len(batch))
	for i, m := range batch { // in the order of their IDs, as everybody takes several
		id, _ := subjects.RoomOfFacts(m.Subject)
		boxes[i] = r.locked(id)
		defer boxes[i].mu.Unlock()
	}
	var fresh []applied
	for i, m := range batch {
		a, known, err := boxes[i].meet(m)
		if err != nil {
			return err
		}
		if !known {
			fresh = append(fresh, a)
		}
	}
	changes, err := r.apply(fresh)
	if err != nil {
		return err
	}
	for i, mb := range boxes {
		if len(fresh) > 0 && fresh[0].mb == mb {
			c := change(fresh[0].fact, changes[0], batch[i].Seq)
			r.recent.take(c, batch[i].Data)
			r.hand(c, batch[i].Data)
			fresh, changes = fresh[1:], changes[1:]
		} else if len(mb.ahead) > 0 && mb.ahead[0].Revision == batch[i].Seq {
			r.recent.take(mb.ahead[0], batch[i].Data)
			r.hand(mb.ahead[0], batch[i].Data)
			mb.ahead = mb.ahead[1:]
		}
	}
	return nil
}

// meet looks at a stored fact from the locked mailbox of its room: known says that it
// is applied already. A flight that it decides is told.
func (mb *mailbox) meet(m journal.Message) (a applied, known bool, err error) {
	if m.Seq <= mb.revision {
		return a, true, nil
	}
	if fl := mb.flight; fl != nil {
		i := slices.Index(fl.boxes, mb)
		if string(fl.entries[i].Data) == string(m.Data) {
			fl.resolve(m.Seq+uint64(len(fl.entries)-1-i), nil)
			return applied{mb, fl.facts[i], m.Seq, time.Now()}, false, nil
		}
		fl.resolve(0, journal.ErrConflict)
	}
	f, err := decode(m)
	return applied{mb, f, m.Seq, time.Now()}, false, err // by this clock: the server's may be another
}

func (r *replica) hand(c projection.Change, data []byte) {
	r.lastMu.Lock()
	r.last = c.Mark
	r.lastMu.Unlock()
	r.changed(c)
	if r.heard != nil {
		r.heard(c, data)
	}
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
	r.settle([]applied{{mb, f, m.Seq, m.Time.Add(r.ahead)}}, []*room.State{state}, []room.Changes{ch})
	if m.Seq > bucket {
		r.hand(change(f, ch, m.Seq), m.Data)
	} else if bucket == nothing {
		r.last = projection.Mark{Revision: m.Seq, FactID: f.ID}
	}
	return nil
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
