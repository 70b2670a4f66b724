package roomsvc_test

import (
	"testing"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// One end user, however much it asks for, leaves places for the others.
func TestOneUserLeavesRoomForOthers(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true, MaxInFlight: 256})
	ok[position](w, "enter.alice", `{"roomID":"lobby"}`)
	ok[position](w, "join.mallory", `{"roomID":"lobby"}`)
	const questions = 1000
	inbox := w.nc.NewInbox()
	answers := hear(t, w.nc, inbox)
	for range questions { // for what will not be stored
		if err := w.nc.PublishRequest("room.cmd.get.mallory", inbox, []byte(`{"roomID":"lobby","minRevision":1000000000}`)); err != nil {
			t.Fatal(err)
		}
	}
	w.refused(room.ErrBusy, "get.mallory", `{"roomID":"lobby"}`) // behind them all
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
