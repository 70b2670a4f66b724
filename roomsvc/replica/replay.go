package replica

import (
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Fill puts a room, as a snapshot has it, into a replica that nobody reads yet.
func (r *Replica) Fill(id subjects.Room, h room.Head, members []*room.Member, kept []room.Kept) {
	r.fill(room.NewState(id, h, members, kept))
}

func (r *Replica) fill(st *room.State) {
	known := r.open(st.Room)
	defer known.mu.Unlock()
	moves := make([]move, 0, st.Members)
	st.Users(func(u subjects.User) { moves = append(moves, move{u, known, true}) })
	known.state, known.revision = st, st.Revision
	known.head.Store(st.Head)
	r.living.Add(1)
	r.Users.stands(nil, st.Head)
	r.Users.move(moves)
}

// Replay applies a stored fact to what a snapshot had; what is already as new as the fact
// stays as it is. at is when the fact was stored, by this machine's clock. known is false if
// the beginning of its room is missing.
func (r *Replica) Replay(m journal.Message, at time.Time) (f *events.Fact, ch room.Changes, known bool, err error) {
	if f, err = Decode(m); err != nil {
		return nil, ch, false, err
	}
	in := r.open(f.Room)
	defer in.mu.Unlock()
	state, ch, known, err := room.Merge(in.state, f, m.Seq)
	if err != nil {
		return nil, ch, false, err
	}
	r.settle([]applied{{in, f, m.Seq, at, true}}, []*room.State{state}, []room.Changes{ch}, false)
	return f, ch, known, nil
}

// Everything is the whole state for the bucket, and a fact that it certainly includes.
func (r *Replica) Everything() (room.Mark, []room.Change) {
	mark := r.Mark()
	var changes []room.Change
	for _, known := range r.All() {
		known.View(func(st *room.State) {
			if st == nil {
				return
			}
			c := room.Change{Mark: room.Mark{Revision: st.Revision}, Room: known.ID, InstanceID: st.InstanceID, Changes: room.Changes{Head: st.Head}}
			st.After(0, func(m *room.Member) bool { c.Put = append(c.Put, m); return true })
			st.Kept(func(k room.Kept) { c.Keep = append(c.Keep, k) })
			changes = append(changes, c)
		})
	}
	return mark, changes
}
