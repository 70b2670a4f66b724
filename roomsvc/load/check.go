package load

import (
	"fmt"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// whole checks what a start has put together: every room must have as many members as it
// counts, and there must be no facts of a living room that is missing.
func (l *loading) whole(orphans map[subjects.Room]string) error {
	for id, instance := range orphans {
		return fmt.Errorf("%w: facts of %q, instance %s, but not its beginning", errIncomplete, id, instance)
	}
	for _, known := range l.rep.All() {
		ok := true
		known.View(func(st *room.State) { ok = st == nil || st.Whole() })
		if !ok {
			return fmt.Errorf("%w: %q does not have the members that it counts", errIncomplete, known.ID)
		}
	}
	return nil
}

// mirrors says whether the bucket held, as far as its mark goes, what the rooms are made of.
// If reading the journal again mended the rooms, the bucket still has to be mended.
func (l *loading) mirrors() bool {
	for _, known := range l.rep.All() {
		ok := true
		known.View(func(st *room.State) { ok = l.mirrored(known.ID, st) })
		if !ok && (known.Head() != nil || known.Revision() <= l.snap.Projected.Revision) {
			return false
		}
	}
	return true
}

// mirrored says so for one room; a room that has ended may have ended after the mark.
func (l *loading) mirrored(id subjects.Room, st *room.State) bool {
	mark, head := l.snap.Projected.Revision, l.snap.Heads[id]
	if st == nil {
		return head.Revision == 0
	}
	ok := st.Revision > mark || st.Revision == head.Revision
	st.After(0, func(m *room.Member) bool {
		if held := l.snap.Members[id][m.User]; m.Revision <= mark && (held.Member == nil || held.Revision != m.Revision) {
			ok = false
		}
		return ok
	})
	return ok
}

// lost is the rooms that lost facts.
func (l *loading) lost(sought map[subjects.Room]*sought) (ids []subjects.Room) {
	for _, known := range l.rep.All() {
		if h := known.Head(); h != nil && sought[known.ID].lost(h.InstanceID, l.extent) {
			ids = append(ids, known.ID)
		}
	}
	return ids
}

// sought is a room as the bucket knew it, to be found again in the journal; it is nil for a
// room that the bucket did not know.
type sought struct {
	room.Head
	seen  bool // facts of that instance were seen
	found bool // its newest fact was found
}

func seek(heads map[subjects.Room]room.Head) map[subjects.Room]*sought {
	rooms := make(map[subjects.Room]*sought, len(heads))
	for id, h := range heads {
		rooms[id] = &sought{Head: h}
	}
	return rooms
}

func (k *sought) take(f *events.Fact, seq uint64) {
	if k != nil && k.InstanceID == f.InstanceID {
		k.seen, k.found = true, k.found || k.Sequence == f.Sequence && k.Revision == seq
	}
}

// lost says whether a room, now at instance, lost facts: the newest fact that the bucket knew
// of that instance, or its end. The room has been renewed already if another instance follows
// the one that the bucket knew.
func (k *sought) lost(instance string, extent journal.Extent) bool {
	return k == nil || !k.found && k.Revision >= extent.First && (k.InstanceID == instance || !k.seen)
}
