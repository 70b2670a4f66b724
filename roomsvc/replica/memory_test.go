package replica

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// What a membership takes in memory is bounded, in rooms of ten whose members are in no other
// room: each carries a tenth of its room, and its own entry among the users.
func TestMemoryOfAMembership(t *testing.T) {
	const rooms, per, most = 20_000, 10, 250 // bytes
	before := inUse()
	r := New(time.Minute)
	for i := range rooms {
		members := make([]*room.Member, per)
		for k := range members {
			n := i*per + k
			members[k] = &room.Member{
				User: subjects.User(fmt.Sprint("user-", 1_000_000+n)), Name: fmt.Sprint("Name of user-", 1_000_000+n), Since: events.TimeOf(time.Now()), Order: uint64(k) << 16, Revision: uint64(n),
				Sessions: []room.MemberSession{{SessionID: fmt.Sprint("web-", n), JoinedAt: events.TimeOf(time.Now()), LeaseSeconds: 60}},
			}
		}
		id := subjects.Room(fmt.Sprint("room-", i))
		r.Fill(id, room.Head{Name: string(id), InstanceID: fmt.Sprintf("0lm5rjq8x%013d", i), CreatedBy: string(members[0].User), Members: per, Sequence: per, Revision: uint64(i*per + per)}, members, nil)
	}
	each := (inUse() - before) / (rooms * per)
	t.Logf("%d bytes a membership", each)
	if each > most {
		t.Errorf("a membership takes %d bytes of memory, want at most %d", each, most)
	}
	runtime.KeepAlive(r)
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
