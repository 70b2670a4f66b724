package upkeep

import (
	"fmt"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// emptied is a replica whose empty rooms are watched while facts arrive.
type emptied struct {
	*testing.T
	*replica.Replica
	empty *EmptyRooms
	seq   uint64
}

func newEmptied(t *testing.T) *emptied {
	e := &emptied{T: t, Replica: replica.New(3 * time.Minute)}
	e.anew()
	e.Changed = func(room.Change) {}
	e.Due = func(id subjects.Room, h *room.Head, own bool) { e.empty.Changed(id, h, own) }
	return e
}

// anew forgets every room that waits.
func (e *emptied) anew() {
	e.empty = NewEmptyRooms(func(id subjects.Room, _ commit.Task) { e.Errorf("%s was ended", id) })
}

// take takes in a fact of a room whose delay is a minute; only alice comes and goes there.
func (e *emptied) take(id subjects.Room, typ string, at events.Time) {
	e.Helper()
	f := &events.Fact{ID: fmt.Sprint(e.seq), Type: typ, Room: id, InstanceID: "1", Sequence: 1, Time: at}
	if h := e.Head(id); h != nil {
		f.Sequence = h.Sequence + 1
	}
	switch typ {
	case events.RoomCreated, events.MemberJoined:
		f.Joined, f.MemberCount = []events.Joined{{UserID: "alice", SessionID: "default"}}, 1
		f.Info = &events.Room{RoomID: string(id), MemberCount: 1, Config: events.Config{RoomDestroyDelayTime: 60}}
	case events.MemberLeft:
		f.Left = []events.Left{{UserID: "alice", SessionID: "default", Reason: events.ReasonLeft}}
	case events.RoomDestroyed:
		f.Info, f.Reason = &events.Room{RoomID: string(id)}, events.DestroyedEmpty
	}
	data, err := f.Encode("")
	if err != nil {
		e.Fatal(err)
	}
	e.seq++
	if err := e.Pass(journal.Message{Seq: e.seq, Subject: subjects.Facts(id), Data: data, Time: time.Now()}); err != nil {
		e.Fatal(err)
	}
}

// waits checks that one room waits, this one, for that long from now on.
func (e *emptied) waits(what string, id subjects.Room, left time.Duration) (d dueRoom) {
	e.Helper()
	d, ok := e.empty.queue.Get(id)
	if n := e.empty.queue.Len(); n != 1 || !ok || d.room != id {
		e.Fatalf("%s: %d rooms wait, %s among them: %v", what, n, id, ok)
	}
	at, _ := e.empty.queue.Next()
	if d := time.Until(at) - left; d > time.Second || d < -30*time.Second {
		e.Errorf("%s: it waits for %v, want %v", what, left+d, left)
	}
	return d
}

func TestEmptyRoomsOnOddClocks(t *testing.T) {
	for what, at := range map[string]time.Time{"a fact of the past": time.Now().Add(-time.Hour), "a fact of the future": time.Now().Add(time.Hour)} {
		e := newEmptied(t)
		e.take("lobby", events.RoomCreated, events.TimeOf(at))
		e.take("lobby", events.MemberLeft, events.TimeOf(at))
		e.waits(what, "lobby", time.Minute)
		e.empty.Resume("lobby", e.Head("lobby"))
		e.waits(what+", looked at again", "lobby", time.Minute)
		e.anew()
		e.empty.Resume("lobby", e.Head("lobby"))
		e.waits(what+", before this instance's time", "lobby", min(time.Minute, max(0, time.Until(at.Add(time.Minute)))))
	}
}

func TestEmptyRoomWaitsOnce(t *testing.T) {
	e := newEmptied(t)
	now := events.TimeOf(time.Now())
	e.take("lobby", events.RoomCreated, now)
	for n := range 100 {
		e.take("lobby", events.MemberLeft, now)
		if d := e.waits(fmt.Sprint("emptied ", n), "lobby", time.Minute); d.emptyBy != e.Head("lobby").Sequence {
			t.Fatalf("the room waits since %d, is empty since %d", d.emptyBy, e.Head("lobby").Sequence)
		}
		e.take("lobby", events.RoomKept, now)
		e.waits(fmt.Sprint("kept ", n), "lobby", time.Minute)
		e.take("lobby", events.MemberJoined, now)
		if n := e.empty.queue.Len(); n != 0 {
			t.Fatalf("a room with a member waits: %d", n)
		}
	}
	for n := range 100 {
		id := subjects.Room(fmt.Sprint("r", n*37%100))
		e.take(id, events.RoomCreated, now)
		e.take(id, events.MemberLeft, now)
	}
	if n := e.empty.queue.Len(); n != 100 {
		t.Errorf("%d of 100 rooms wait", n)
	}
	for n := range 99 {
		e.take(subjects.Room(fmt.Sprint("r", n)), events.RoomDestroyed, now)
	}
	e.waits("the last one", "r99", time.Minute)
}
