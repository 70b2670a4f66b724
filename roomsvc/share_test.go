package roomsvc_test

import (
	"fmt"
	"testing"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// One end user, however much it asks for, leaves capacity for the others.
func TestOneUserDoesNotCrowdOutOthers(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true, MaxInFlight: 256})
	ok[position](w, "enter.alice", `{"roomID":"lobby"}`)
	ok[position](w, "join.mallory", `{"roomID":"lobby"}`)
	const questions = 1000
	inbox := w.NC.NewInbox()
	answers := hear(t, w.NC, inbox)
	for range questions { // about a revision that will never be stored
		if err := w.NC.PublishRequest("room.cmd.get.mallory", inbox, []byte(`{"roomID":"lobby","minRevision":1000000000}`)); err != nil {
			t.Fatal(err)
		}
	}
	w.Refused(room.ErrBusy, "get.mallory", `{"roomID":"lobby"}`) // after them all
	ok[position](w, "get.alice", `{"roomID":"lobby"}`)
	ok[room.SendReply](w, "send.alice", `{"roomID":"lobby","type":"text","data":"hello"}`)
	for range questions {
		m, err := answers.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if e := refusal(m); e == nil || e.Code.Name != room.ErrBusy.Name {
			t.Fatalf("an answer about what was not stored: %s", m.Data)
		}
	}
	ok[position](w, "get.mallory", `{"roomID":"lobby"}`)
}

// Nor can it fill the bucket of leases with sessions that it makes up.
func TestSessionsOfOneUserAreLimited(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true})
	const most = 1000
	together(most, func(i int) {
		m, err := w.NC.Request("room.cmd.join.mallory", fmt.Appendf(nil, `{"roomID":"none","sessionID":"s%d"}`, i), patience)
		if err != nil {
			t.Error(err)
		} else if e := refusal(m); e == nil || e.Code.Name != room.ErrRoomNotExist.Name {
			t.Errorf("session %d: %s", i, m.Data)
		}
	})
	for _, verb := range []string{"enter", "join", "renew"} {
		if e := w.Refused(room.ErrParamInvalid, verb+".mallory", `{"roomID":"lobby","sessionID":"one-more"}`); e.Field != "sessionID" || e.Limit != most {
			t.Errorf("%+v", e)
		}
	}
	ok[position](w, "enter.mallory", `{"roomID":"lobby","sessionID":"s7"}`)
	ok[position](w, "enter.alice", `{"roomID":"lobby"}`)
}
