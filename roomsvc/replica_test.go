package roomsvc

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/projection"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// A switch comes to a follower as two messages. Whoever looks between them, at the user's
// rooms, at a room or for the outcome of the request, sees nothing of it.
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
		r := newReplica(defaultRemember)
		var handed []uint64
		r.changed = func(c projection.Change) { handed = append(handed, c.Revision) }
		pass := func(m journal.Message) {
			t.Helper()
			if err := r.pass(m); err != nil {
				t.Fatal(err)
			}
		}
		rooms := func() string {
			var ids []string
			for _, mb := range r.users.of(alice) {
				ids = append(ids, string(mb.room))
			}
			return strings.Join(ids, " ")
		}
		request := &room.Command{User: alice, RequestID: "r"}
		pass(message(created("from", events.Joined{UserID: alice, SessionID: "default"}), "", false))
		pass(message(created("to"), "", false))
		pass(message(left, "b", true))
		if o, _ := r.requests.look(request); o != nil || rooms() != "from" || r.head("from").Sequence != 1 || r.passed.Seq() != 2 || len(handed) != 2 {
			t.Errorf("of the batch's first fact is seen: outcome %+v, rooms %q, %+v", o, rooms(), r.head("from"))
		}
		seq++
		c.last.Seq = seq
		pass(c.last)
		o, _ := r.requests.look(request)
		if o == nil || len(o.left) != c.left || (o.joined != nil) != (c.has == 1) || rooms() != c.rooms || r.passed.Seq() != seq {
			t.Errorf("after %s: outcome %+v, rooms %q, passed %d", c.last.Subject, o, rooms(), r.passed.Seq())
		}
		if want := []uint64{1, 2, 3, 4}[:3+c.has]; !slices.Equal(handed, want) {
			t.Errorf("after %s: handed on are %v, want %v", c.last.Subject, handed, want)
		}
	}
}

// What other instances carried out is known as long as it is to be, however far the clocks
// of the server and of this machine are apart.
func TestOutcomesOnOddClocks(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, 0, time.Hour} {
		r := newReplica(defaultRemember)
		r.changed = func(projection.Change) {}
		for i := range 2 {
			id := fmt.Sprint(i + 1)
			f := &events.Fact{
				ID: id, Type: events.RoomCreated, Room: subjects.Room(id), InstanceID: id, Sequence: 1, Info: &events.Room{RoomID: id, MemberCount: 1},
				Joined: []events.Joined{{UserID: "alice", SessionID: "default", RequestID: id}},
			}
			data, err := f.Encode("")
			if err != nil {
				t.Fatal(err)
			}
			m := journal.Message{Seq: uint64(i) + 1, Subject: subjects.Facts(f.Room), Data: data, Time: time.Now().Add(off)}
			if i == 0 { // from before the start
				r.ahead = -off
				err = r.replay(m, nothing, map[subjects.Room]string{})
			} else {
				err = r.pass(m)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range []string{"1", "2"} {
			if o, _ := r.requests.look(&room.Command{User: "alice", RequestID: id}); o == nil || o.joined == nil {
				t.Errorf("the server's clock is off by %v: the outcome of request %s is %+v", off, id, o)
			}
		}
	}
}
