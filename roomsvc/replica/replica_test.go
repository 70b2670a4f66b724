package replica

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// remember is how long the tests' replicas know outcomes.
const remember = 3 * time.Minute

// A switch comes to a follower as two messages. A look between them at the user's rooms, at a
// room or for the outcome of the request shows nothing of it.
func TestBatchIsOneChange(t *testing.T) {
	const alice = "alice"
	seq := uint64(0)
	message := func(f *events.Fact, batch string, more bool) journal.Message {
		data, err := f.Encode("")
		if err != nil {
			t.Fatal(err)
		}
		seq++
		return journal.Message{Seq: seq, Subject: subjects.Facts(f.Room), Data: data, Time: time.Now(), Batch: batch, More: more}
	}
	created := func(r subjects.Room, joined ...events.Joined) *events.Fact {
		return &events.Fact{
			ID: "created-" + string(r), Type: events.RoomCreated, Room: r, InstanceID: string(r) + "-1", Sequence: 1, Joined: joined,
			Info: &events.Room{RoomID: string(r), MemberCount: len(joined), Config: events.Config{RoomDestroyDelayTime: 60}},
		}
	}
	left := &events.Fact{
		ID: "left", Type: events.MemberLeft, Room: "from", InstanceID: "from-1", Sequence: 2,
		Left: []events.Left{{UserID: alice, SessionID: "default", Reason: events.ReasonSwitched, ToRoomID: "to", RequestID: "r"}},
	}
	joined := &events.Fact{
		ID: "joined", Type: events.MemberJoined, Room: "to", InstanceID: "to-1", Sequence: 2, MemberCount: 1,
		Joined: []events.Joined{{UserID: alice, SessionID: "default", Via: events.ViaSwitch, FromRoomID: "from", RequestID: "r"}},
	}
	for _, c := range []struct {
		last      journal.Message
		rooms     string
		left, has int
	}{
		{message(joined, "b", false), "to", 1, 1},
		{journal.Message{Subject: subjects.Sync}, "", 1, 0}, // a batch that lost its end
	} {
		seq = 0
		r := New(remember)
		var handed []uint64
		r.Changed = func(c room.Change) { handed = append(handed, c.Revision) }
		pass := func(m journal.Message) {
			t.Helper()
			if err := r.Pass(m); err != nil {
				t.Fatal(err)
			}
		}
		rooms := func() string {
			var ids []string
			for _, known := range r.Users.Of(alice) {
				ids = append(ids, string(known.ID))
			}
			return strings.Join(ids, " ")
		}
		request := &room.Command{Verb: room.Switch, User: alice, RequestID: "r"}
		pass(message(created("from", events.Joined{UserID: alice, SessionID: "default"}), "", false))
		pass(message(created("to"), "", false))
		pass(message(left, "b", true))
		if o, _ := r.Outcomes.Look(request); o != nil || rooms() != "from" || r.Head("from").Sequence != 1 || r.Passed.Seq() != 2 || len(handed) != 2 {
			t.Errorf("the batch's first fact is seen alone: outcome %+v, rooms %q, %+v", o, rooms(), r.Head("from"))
		}
		seq++
		c.last.Seq = seq
		pass(c.last)
		o, _ := r.Outcomes.Look(request)
		if o == nil || len(o.Left) != c.left || (o.Joined != nil) != (c.has == 1) || rooms() != c.rooms || r.Passed.Seq() != seq {
			t.Errorf("after %s: outcome %+v, rooms %q, passed %d", c.last.Subject, o, rooms(), r.Passed.Seq())
		}
		if want := []uint64{1, 2, 3, 4}[:3+c.has]; !slices.Equal(handed, want) {
			t.Errorf("after %s: %v were handed on, want %v", c.last.Subject, handed, want)
		}
	}
}

// What other instances carried out is known as long as it should be, however far apart the
// clocks of the server and of this machine are.
func TestOutcomesOnOddClocks(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, 0, time.Hour} {
		r := New(remember)
		r.Changed = func(room.Change) {}
		for i := range 2 {
			id := fmt.Sprint(i + 1)
			f := &events.Fact{
				ID: id, Type: events.RoomCreated, Room: subjects.Room(id), InstanceID: id, Sequence: 1, Info: &events.Room{RoomID: id, MemberCount: 1},
				Joined: []events.Joined{{UserID: "alice", SessionID: "default", Via: events.ViaEnter, RequestID: id}},
			}
			data, err := f.Encode("")
			if err != nil {
				t.Fatal(err)
			}
			m := journal.Message{Seq: uint64(i) + 1, Subject: subjects.Facts(f.Room), Data: data, Time: time.Now().Add(off)}
			if i == 0 { // from before the start
				_, _, _, err = r.Replay(m, m.Time.Add(-off))
			} else {
				err = r.Pass(m)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range []string{"1", "2"} {
			if o, _ := r.Outcomes.Look(&room.Command{Verb: room.Enter, User: "alice", RequestID: id}); o == nil || o.Joined == nil {
				t.Errorf("the server's clock is off by %v: the outcome of request %s is %+v", off, id, o)
			}
		}
	}
}
