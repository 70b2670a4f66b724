package faults_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
)

// append appends a fact as another instance of the service does.
func (w *world) append(f *events.Fact, expect uint64) {
	w.T.Helper()
	j, err := journal.Open(w.Ctx, roomtest.Conn(w.T, w.Node.Server), journal.Settings{Keep: 168 * time.Hour})
	if err != nil {
		w.T.Fatal(err)
	}
	defer j.Close()
	entry, err := journal.Fact(f, "", expect)
	if err != nil {
		w.T.Fatal(err)
	}
	acked := make(chan error, 1)
	if _, err := j.Append([]journal.Entry{entry}, func(_ uint64, err error) { acked <- err }); err != nil {
		w.T.Fatal(err)
	}
	if err := <-acked; err != nil {
		w.T.Fatal(err)
	}
}

// An instance has not heard yet that a user left a room. It must not count that room against
// the user, not even in a run whose fact is stored: the fact proves something about its own
// room only.
func TestLimitFromThePast(t *testing.T) {
	w := newWorld(t)
	bad := newProxy(t, w.Node.ClientURL())
	w.StartAt(bad.url, roomsvc.Config{Limits: room.Limits{MaxRoomsPerUser: 1}})
	w.Create("a", 3600)
	w.Create("b", 3600)
	in := w.Join("a", "alice")
	w.Get("a")

	var deaf, slow atomic.Bool
	rules := rule(func(f *frame) fate {
		switch {
		case strings.HasPrefix(f.subject, "room.evt.") || f.subject == "room.sync":
			return fate{lose: deaf.Load()}
		case strings.HasPrefix(f.subject, "_INBOX.") && bytes.Contains(f.body, []byte(`"stream":"ROOMS"`)) && slow.CompareAndSwap(true, false):
			return fate{hold: 500 * time.Millisecond}
		}
		return fate{}
	})
	bad.toClient.Store(&rules)
	// On a slow machine an append may be sent again, and find itself in the way: only who
	// hears of facts learns that. Then the instance has not heard for long enough.
	hears := func() {
		deaf.Store(false)
		if err := w.NC.Publish("room.sync", nil); err != nil { // shows the follower that it missed something
			t.Error(err)
		}
	}
	appends := map[string]bool{}
	again := rule(func(f *frame) fate {
		if f.subject == "room.journal.b" {
			if appends[string(f.body)] {
				hears()
			}
			appends[string(f.body)] = true
		}
		return fate{}
	})
	bad.toServer.Store(&again)
	deaf.Store(true)
	w.append(&events.Fact{
		ID: "elsewhere", Type: events.MemberLeft, Room: "a", InstanceID: in.InstanceID, Sequence: in.Sequence + 1, Time: events.TimeOf(time.Now()),
		Left: []events.Left{{UserID: "alice", SessionID: "default", JoinedAt: in.Room.CreatedAt, LeftAt: events.TimeOf(time.Now()), Reason: events.ReasonLeft}},
	}, in.Revision)

	// While carol's answer is on its way the other two wait, and become one run.
	slow.Store(true)
	answers := map[string]*nats.Subscription{}
	for _, user := range []string{"carol", "bob", "alice"} {
		inbox := w.NC.NewInbox()
		sub, err := w.NC.SubscribeSync(inbox)
		if err == nil {
			err = w.NC.PublishRequest("room.cmd.join", inbox, []byte(`{"roomID":"b","userID":"`+user+`"}`))
		}
		if err != nil {
			t.Fatal(err)
		}
		answers[user] = sub
	}
	answer := func(user string) {
		t.Helper()
		m, err := answers[user].NextMsg(patience)
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		if code := m.Header.Get("Nats-Service-Error"); code != "" {
			t.Errorf("%s gets %s: %s", user, code, m.Data)
		}
	}
	answer("carol")
	answer("bob")
	hears()
	answer("alice")
	w.Check()
	if _, err := w.Client.Join(w.Ctx, room.RoomRequest{Caller: as("alice", ""), RoomID: "a"}); err == nil {
		t.Error("alice is in two rooms")
	}
}

// The same goes for the to-room of a switch: a user who has left it joins it, instead of
// ending up in neither room.
func TestSwitchFromThePast(t *testing.T) {
	w := newWorld(t)
	bad := newProxy(t, w.Node.ClientURL())
	w.StartAt(bad.url, roomsvc.Config{})
	w.Create("from", 3600)
	w.Create("to", 3600)
	w.Join("from", "alice")
	in := w.Join("to", "alice")
	w.Get("to")

	var deaf atomic.Bool
	rules := rule(func(f *frame) fate {
		return fate{lose: deaf.Load() && (strings.HasPrefix(f.subject, "room.evt.") || f.subject == "room.sync")}
	})
	bad.toClient.Store(&rules)
	deaf.Store(true)
	w.append(&events.Fact{
		ID: "elsewhere", Type: events.MemberLeft, Room: "to", InstanceID: in.InstanceID, Sequence: in.Sequence + 1, Time: events.TimeOf(time.Now()),
		Left: []events.Left{{UserID: "alice", SessionID: "default", JoinedAt: in.Room.CreatedAt, LeftAt: events.TimeOf(time.Now()), Reason: events.ReasonLeft}},
	}, in.Revision)
	answers := make(chan error, 1)
	go func() {
		_, err := w.Client.Switch(w.Ctx, room.SwitchRequest{Caller: as("alice", ""), FromRoomID: "from", ToRoomInfo: room.RoomInfo{RoomID: "to"}})
		answers <- err
	}()
	w.Until(patience, "the switch to be decided, or a sync point to be looked for", func() bool { return bad.lost.Load() > 1 || len(answers) > 0 })
	deaf.Store(false)
	if err := w.NC.Publish("room.sync", nil); err != nil { // shows the follower that it missed something
		t.Fatal(err)
	}
	if err := <-answers; err != nil {
		t.Fatal(err)
	}
	if users, _, _ := w.Members("to"); len(users) != 1 {
		t.Errorf("the room to has %v", users)
	}
	w.Check()
}
