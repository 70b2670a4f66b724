package replica

import (
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Stored applies facts that this instance has appended, at most one for each of the rooms, as
// one append; last is the revision of the last fact. It does nothing if the follower was
// faster. settle is called with the rooms as they are then. The error says that the journal is
// not what it was.
func (r *Replica) Stored(rooms []*Room, facts []*events.Fact, last uint64, settle func([]View)) error {
	defer lock(rooms)()
	var stored []applied
	for i, f := range facts {
		rooms[i].appending = nil
		if f != nil {
			stored = append(stored, applied{room: rooms[i], fact: f})
		}
	}
	if err := r.own(stored, last); err != nil {
		return err
	}
	settle(views(rooms))
	return nil
}

// own applies what this instance has appended.
func (r *Replica) own(stored []applied, last uint64) error {
	n := len(stored)
	if last <= stored[n-1].room.revision {
		return nil
	}
	if passed := r.Passed.Seq(); last <= passed { // the follower has seen other content there
		return journal.TailLost(passed, journal.Extent{Last: last})
	}
	now := time.Now()
	for i := range stored {
		stored[i].seq, stored[i].at = last-uint64(n-1-i), now
	}
	changes, err := r.apply(stored, true)
	if err != nil {
		return err
	}
	for i, a := range stored {
		a.room.ahead = append(a.room.ahead, room.ChangeOf(a.fact, changes[i], a.seq))
	}
	return nil
}

// apply folds the facts of one append into their rooms and keeps the indexes. A reader that
// asks for the outcome of a request, or for a user's rooms, finds all of the append or none of
// it. The rooms' locks are held, as they are for everything that apply calls.
func (r *Replica) apply(facts []applied, own bool) ([]room.Changes, error) {
	changes := make([]room.Changes, len(facts))
	states := make([]*room.State, len(facts))
	for i, a := range facts {
		if r.Leaving != nil {
			r.Leaving(a.room.state, a.fact)
		}
		var err error
		if states[i], changes[i], err = room.Apply(a.room.state, a.fact, a.seq); err != nil {
			return nil, err
		}
	}
	r.settle(facts, states, changes, own)
	return changes, nil
}

// settle makes the states the rooms' own. Outcomes are learnt before users move: a repeated
// request that finds its user moved must find its outcome too.
func (r *Replica) settle(facts []applied, states []*room.State, changes []room.Changes, own bool) {
	for _, a := range facts {
		for was := r.newest.Load(); was < a.seq && !r.newest.CompareAndSwap(was, a.seq); was = r.newest.Load() {
		}
	}
	r.Outcomes.learn(facts)
	var moves []move
	for i, a := range facts {
		moves = r.settleRoom(moves, a, states[i], changes[i], own || a.room.appending != nil)
	}
	r.Users.move(moves)
}

func (r *Replica) settleRoom(moves []move, a applied, state *room.State, ch room.Changes, own bool) []move {
	known := a.room
	before := known.head.Load()
	switch {
	case known.state == nil && state != nil:
		r.living.Add(1)
	case known.state != nil && state == nil:
		r.living.Add(-1)
		known.state.After(0, func(m *room.Member) bool { moves = append(moves, move{m.User, known, false}); return true })
	}
	known.state = state
	if a.fact.Sequence == 1 {
		known.foreign = 0
	}
	if a.foreign {
		known.foreign = a.fact.Sequence
	}
	known.revision = max(known.revision, a.seq)
	known.factAt = max(known.factAt, a.fact.Time)
	if state == nil {
		known.head.Store(nil)
	} else if ch.Head != nil {
		known.head.Store(ch.Head)
	}
	r.Users.stands(before, known.head.Load())
	for _, m := range ch.Put {
		moves = append(moves, move{m.User, known, true})
	}
	for _, u := range ch.Del {
		moves = append(moves, move{u, known, false})
	}
	if r.Due != nil && (before != nil && before.Due() || state != nil && state.Due()) {
		r.Due(known.ID, known.head.Load(), own)
	}
	return moves
}

// Pass takes the next stored message in the journal's order. The facts of a batch wait for its
// last one; those of a batch that lost its end are passed when something else arrives.
func (r *Replica) Pass(m journal.Message) error {
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
	r.Passed.Reach(m.Seq)
	return nil
}

// passFacts takes the facts of one append, whose rooms are in the order of their IDs.
func (r *Replica) passFacts() error {
	batch := r.batch
	r.batch = nil
	rooms := make([]*Room, len(batch))
	for i, m := range batch {
		id, _ := subjects.RoomOfFacts(m.Subject)
		rooms[i] = r.open(id)
		defer rooms[i].mu.Unlock()
	}
	var fresh []applied
	for i, m := range batch {
		a, known, err := rooms[i].meet(m)
		if err != nil {
			return err
		}
		if !known {
			fresh = append(fresh, a)
		}
	}
	changes, err := r.apply(fresh, false)
	if err != nil {
		return err
	}
	for i, known := range rooms {
		if len(fresh) > 0 && fresh[0].room == known {
			r.hand(room.ChangeOf(fresh[0].fact, changes[0], batch[i].Seq), &batch[i])
			fresh, changes = fresh[1:], changes[1:]
		} else if len(known.ahead) > 0 && known.ahead[0].Revision == batch[i].Seq {
			r.hand(known.ahead[0], &batch[i])
			known.ahead = known.ahead[1:]
		}
	}
	return nil
}

// hand passes a change on, in the journal's order.
func (r *Replica) hand(c room.Change, m *journal.Message) {
	r.Recent.take(c, m.Data)
	r.Reached(c.Mark)
	r.Changed(c)
	if r.Heard != nil {
		r.Heard(c, m)
	}
}
