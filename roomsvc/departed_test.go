package roomsvc_test

import (
	"fmt"
	"strings"
	"testing"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// A user who has left and repeats an earlier request gets its first outcome, and no more of
// the room than its name: neither its present state, nor a room made under its ID since.
func TestRepeatsTellLeaversNothing(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true})
	ok[position](w, "enter", `{"roomID":"lobby","userID":"host","config":{"roomAttributes":{"topic":"tea"}}}`)
	ok[position](w, "enter.bob", `{"roomID":"hall"}`)
	requests := [][2]string{
		{"switch.bob", `{"fromRoomID":"hall","toRoomInfo":{"roomID":"lobby"},"requestID":"R1"}`},
		{"enter.bob", `{"roomID":"lobby","requestID":"R2"}`},
		{"setAttributes.bob", `{"roomID":"lobby","set":{"color":"red"},"requestID":"R3"}`},
		{"setAttributes.bob", `{"roomID":"lobby","set":{"topic":"mine"},"requestID":"R4"}`},
		{"setMemberAttributes.bob", `{"roomID":"lobby","userIDs":["host"],"attributes":{"hat":"green"},"requestID":"R5"}`},
		{"leave.bob", `{"roomID":"lobby","requestID":"R6"}`},
		{"join.bob", `{"roomID":"lobby","requestID":"R7"}`},
	}
	for i, q := range requests {
		if m := w.Ask(q[0], q[1]); refusal(m) != nil || i != 5 && !strings.Contains(string(m.Data), "tea") && !strings.Contains(string(m.Data), "green") {
			t.Fatalf("%s %s: %s", q[0], q[1], m.Data)
		}
	}
	ok[room.KickReply](w, "kick", `{"roomID":"lobby","userIDs":["bob"]}`)
	again := func(when string) {
		t.Helper()
		for _, q := range requests {
			m := w.Ask(q[0], q[1])
			if refusal(m) != nil {
				t.Errorf("%s, %s %s: %s", when, q[0], q[1], m.Data)
			}
			for _, secret := range []string{"tea", "secret", "green", "red", `"new"`, `"memberCount":1`} {
				if strings.Contains(string(m.Data), secret) {
					t.Errorf("%s, %s %s tells %s: %s", when, q[0], q[1], secret, m.Data)
				}
			}
		}
	}
	ok[room.SetAttributesReply](w, "setAttributes", `{"roomID":"lobby","userID":"host","set":{"word":"secret"}}`)
	again("after a kick")
	ok[room.DestroyReply](w, "destroy", `{"roomID":"lobby"}`)
	ok[position](w, "enter", `{"roomID":"lobby","roomName":"new","userID":"host","config":{"roomAttributes":{"topic":"secret"}}}`)
	again("after the room was made again")
	ok[position](w, "join.bob", `{"roomID":"lobby"}`)
	if m := w.Ask(requests[0][0], requests[0][1]); refusal(m) != nil || !strings.Contains(string(m.Data), "secret") {
		t.Errorf("in the room again: %s", m.Data)
	}
}

// What is said after a kick was acknowledged is in no answer to the user who was kicked,
// however many of its requests were on their way.
func TestHistoryEndsWithMembership(t *testing.T) {
	w, _ := newWorld(t, 3, roomsvc.Config{Feeds: true})
	r := ok[room.JoinedReply](w, "enter", `{"roomID":"lobby","userID":"host"}`)
	const questions = 60
	question := fmt.Sprintf(`{"roomID":"lobby","instanceID":%q,"beforeMessageSeq":0}`, r.InstanceID)
	for round := range 5 {
		ok[room.JoinedReply](w, "join.bob", `{"roomID":"lobby"}`)
		ok[room.SendReply](w, "send", `{"roomID":"lobby","userID":"host","type":"text","data":"before"}`)
		if m := w.Ask("history.bob", question); !strings.Contains(string(m.Data), "before") {
			t.Fatalf("bob, who is in, reads %s", m.Data)
		}
		inbox := w.NC.NewInbox()
		answers := hear(t, w.NC, inbox)
		for range questions {
			if err := w.NC.PublishRequest("room.cmd.history.bob", inbox, []byte(question)); err != nil {
				t.Fatal(err)
			}
		}
		ok[room.KickReply](w, "kick", `{"roomID":"lobby","userIDs":["bob"]}`)
		secret := fmt.Sprintf("behind kick %d", round)
		ok[room.SendReply](w, "send", fmt.Sprintf(`{"roomID":"lobby","userID":"host","type":"text","data":%q}`, secret))
		for range questions {
			m, err := answers.NextMsg(patience)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(m.Data), secret) {
				t.Fatalf("bob, who was kicked, reads %s", m.Data)
			}
		}
	}
}
