package roomsvc

import (
	"fmt"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/projection"
	"natsrooms/subjects"
)

// emptied is a replica whose timers are looked at while facts come to it.
type emptied struct {
	*testing.T
	*replica
	timers timers
	seq    uint64
}

func newEmptied(t *testing.T) *emptied {
	e := &emptied{T: t, replica: newReplica()}
	e.timers.init()
	e.changed = func(projection.Change) {}
	e.replica.timers = e.timers.changed
	return e
}

// take takes a fact of a room whose delay is a minute, in which alice alone comes and goes.
func (e *emptied) take(id subjects.Room, typ string, at events.Time) {
	e.Helper()
	f := &events.Fact{ID: fmt.Sprint(e.seq), Type: typ, Room: id, InstanceID: "1", Sequence: 1, Time: at}
	if h := e.head(id); h != nil {
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
	if err := e.pass(journal.Message{Seq: e.seq, Subject: subjects.Facts(id), Data: data, Time: time.Now()}); err != nil {
		e.Fatal(err)
	}
}

// waits checks that one room waits, for so long from now on.
func (e *emptied) waits(what string, left time.Duration) {
	e.Helper()
	if len(e.timers.due) != 1 || len(e.timers.of) != 1 {
		e.Fatalf("%s: %d rooms wait", what, len(e.timers.due))
	}
	if d := time.Until(e.timers.due[0].at) - left; d > time.Second || d < -30*time.Second {
		e.Errorf("%s: it waits for %v, want %v", what, left+d, left)
	}
}

func TestTimersOnOddClocks(t *testing.T) {
	for what, at := range map[string]time.Time{"a fact of the past": time.Now().Add(-time.Hour), "a fact of the future": time.Now().Add(time.Hour)} {
		e := newEmptied(t)
		e.take("lobby", events.RoomCreated, events.TimeOf(at))
		e.take("lobby", events.MemberLeft, events.TimeOf(at))
		e.waits(what, time.Minute)
		mb := e.find("lobby")
		e.timers.resume(mb)
		e.waits(what+", looked at again", time.Minute)
		e.timers.due = nil
		e.timers.init()
		e.timers.resume(mb)
		e.waits(what+", before this instance's time", max(0, time.Until(at.Add(time.Minute))))
	}
}

func TestTimersKeepOneEntryOfARoom(t *testing.T) {
	e := newEmptied(t)
	now := events.TimeOf(time.Now())
	e.take("lobby", events.RoomCreated, now)
	for n := range 100 {
		e.take("lobby", events.MemberLeft, now)
		e.waits(fmt.Sprint("emptied ", n), time.Minute)
		if by := e.timers.due[0].emptyBy; by != e.head("lobby").Sequence {
			t.Fatalf("the room waits since %d, is empty since %d", by, e.head("lobby").Sequence)
		}
		e.take("lobby", events.RoomKept, now)
		e.waits(fmt.Sprint("kept ", n), time.Minute)
		e.take("lobby", events.MemberJoined, now)
		if len(e.timers.due) != 0 || len(e.timers.of) != 0 {
			t.Fatalf("a room with a member waits: %d", len(e.timers.due))
		}
	}
	for n := range 100 {
		id := subjects.Room(fmt.Sprint("r", n*37%100))
		e.take(id, events.RoomCreated, now)
		e.take(id, events.MemberLeft, now)
	}
	for n := range 99 {
		e.take(subjects.Room(fmt.Sprint("r", n)), events.RoomDestroyed, now)
	}
	e.waits("the last one", time.Minute)
	if e.timers.due[0].room != "r99" {
		t.Errorf("%s waits", e.timers.due[0].room)
	}
}
