package roomsvc_test

import (
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// A room whose delay ends while nobody could come waits for a while after that.
func TestOutageOfAnEmptyRoom(t *testing.T) {
	w, instances := newWorld(t, 1, roomsvc.Config{})
	elsewhere := clockWorld(t)
	for _, id := range []string{"visited", "left"} {
		ok[leased](w, "create", `{"roomID":"`+id+`","userID":"alice","config":{"roomDestroyDelayTime":6}}`)
		ok[leased](w, "leave", `{"roomID":"`+id+`","userID":"alice"}`)
	}
	due := ok[room.GetReply](w, "get", `{"roomID":"visited"}`).Room.DestroyAt.Time()
	instances[0].End()
	elsewhere.clock(9)
	back := time.Now()
	w.Start(roomsvc.Config{Instance: "i1"})
	if r := ok[leased](w, "join", `{"roomID":"visited","userID":"alice"}`); r.Sequence != 3 {
		t.Errorf("she comes back to %+v", r.Position)
	}
	w.Until(patience, "the other room to end", func() bool { return w.Get("left") == nil })
	for _, f := range w.Facts() {
		if f.Type == events.RoomDestroyed && (f.Room != "left" || f.Time.Time().Sub(back) < 5500*time.Millisecond || f.Time.Time().Before(due)) {
			t.Errorf("%s ended %v after the return", f.Room, f.Time.Time().Sub(back))
		}
	}
	w.check()
}
