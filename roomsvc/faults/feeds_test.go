package faults_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// The leader hears messages at once and facts late: another instance removes a member and
// acknowledges it, and what is said after that reaches the leader before the fact does.
func TestFeedsOfALeaderThatLags(t *testing.T) {
	w := newWorld(t)
	slow := newProxy(t, w.Node.ClientURL())
	leader := w.StartAt(slow.url, roomsvc.Config{Instance: "slow", Feeds: true})
	w.Until(patience, "the lead", func() bool { return strings.Contains(leader.Log.String(), "this instance leads") })
	w.Start(roomsvc.Config{Instance: "quick", Feeds: true})
	w.Create("lobby", 60, "alice")
	feeds := map[string]*nats.Subscription{}
	for _, user := range []string{"alice", "bob"} {
		sub, err := w.NC.SubscribeSync("room.*." + user + ".>")
		if err != nil || w.NC.Flush() != nil {
			t.Fatal(err)
		}
		feeds[user] = sub
	}
	// say sends a message once and waits until it is heard: what is answered while somebody is in
	// is not lost, however late the leader hears of what happens.
	say := func(user, text string) {
		t.Helper()
		if _, err := w.Client.Send(w.Ctx, room.SendRequest{Caller: as("alice", ""), RoomID: "lobby", Type: "text", Data: text}); err != nil {
			t.Fatal(err)
		}
		for {
			m, err := feeds[user].NextMsg(patience)
			if err != nil {
				t.Fatalf("%s does not hear %q: %v", user, text, err)
			}
			if said, err := events.DecodeMessage(m.Data); err == nil && said.Data == text {
				return
			}
		}
	}
	rules := rule(func(f *frame) fate {
		if strings.HasPrefix(f.subject, "room.evt.") || f.subject == "room.sync" {
			return fate{hold: 300 * time.Millisecond}
		}
		return fate{}
	})
	slow.toClient.Store(&rules)
	for round := range 6 {
		w.Join("lobby", "bob")
		before, after := fmt.Sprint("before ", round), fmt.Sprint("after ", round)
		say("bob", before)
		if round%2 == 0 {
			w.Leave("lobby", "bob")
		} else if _, err := w.Client.Kick(w.Ctx, room.KickRequest{RoomID: "lobby", UserIDs: []string{"bob"}}); err != nil {
			t.Fatal(err)
		}
		say("alice", after)
		if err := w.NC.Flush(); err != nil {
			t.Fatal(err)
		}
		for {
			if n, _, err := feeds["bob"].Pending(); err != nil || n == 0 {
				break
			}
			m, err := feeds["bob"].NextMsg(patience)
			if err != nil {
				t.Fatal(err)
			}
			if said, err := events.DecodeMessage(m.Data); err == nil {
				t.Fatalf("bob, who is out, hears %q", said.Data)
			}
		}
	}
	if slow.held.Load() == 0 {
		t.Error("nothing was held up")
	}
}
