package load

import (
	"context"
	"hash/maphash"
	"maps"

	"natsrooms/roomsvc/projection"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Lacks says whether the bucket, which is not read at a start over an image, lacks something that it says
// it has, or still has what is gone. That can only be after a crash of a server's machine.
// written returns when the bucket has what there is now; rest is called now and then, so that
// others can work.
func Lacks(ctx context.Context, b *projection.Bucket, rep *replica.Replica, written, rest func()) (bool, error) {
	seed := maphash.MakeSeed()
	var before map[uint64]uint64
	for range 2 { // what is gone may be on its way out of the bucket, but not for as long as that
		written()
		p, _, err := b.Mark(ctx)
		if err != nil {
			return false, err
		}
		held, err := b.Revisions(ctx, seed, rest)
		if err != nil {
			return false, err
		}
		if !strike(held, rep, seed, p.Revision) {
			return true, nil
		}
		maps.DeleteFunc(held, func(number, _ uint64) bool {
			_, gone := before[number]
			return before != nil && !gone
		})
		if before = held; len(held) == 0 {
			return false, nil
		}
	}
	return true, nil
}

// strike takes what the replica has out of held. It is false if held lacks something that is
// not newer than the mark.
func strike(held map[uint64]uint64, rep *replica.Replica, seed maphash.Seed, mark uint64) bool {
	whole := true
	has := func(key string, revision uint64) {
		number := maphash.String(seed, key)
		whole = whole && (revision > mark || held[number] >= revision)
		delete(held, number)
	}
	for _, known := range rep.All() {
		known.View(func(st *room.State) {
			if st == nil {
				return
			}
			has(subjects.RoomKey(st.Room), st.Revision)
			st.After(0, func(m *room.Member) bool { has(subjects.MemberKey(st.Room, m.User), m.Revision); return true })
			st.Kept(func(k room.Kept) { has(subjects.KeptKey(st.Room, k.User), k.Revision) })
		})
	}
	return whole
}
