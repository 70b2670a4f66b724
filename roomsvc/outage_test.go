package roomsvc_test

import (
	"path/filepath"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
)

// The service is there but can store nothing, so nobody can renew. That counts against nobody.
func TestStreamsAway(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	elsewhere := clockWorld(t)
	heard := w.outs()
	lease := 5
	stays := client.New(roomtest.Conn(t, w.Node.Server), client.Config{UserID: "stays", UserForm: true, LeaseSeconds: &lease})
	defer stays.Close()
	if _, err := stays.Enter(w.Ctx, room.CreateRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	ok[leased](w, "enter.goes", `{"roomID":"lobby","leaseSeconds":5}`)
	end := ok[leased](w, "renew.goes", `{}`).ExpiresAt
	store := w.Node.JetStreamConfig()
	store.StoreDir = filepath.Dir(store.StoreDir) // the server adds a directory to it
	if err := w.Node.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	elsewhere.clock(9)
	back := time.Now()
	if err := w.Node.EnableJetStream(store); err != nil {
		t.Fatal(err)
	}
	x := heard.next()
	roomtest.Figure(t, "out %v after the return", x.heard.Sub(back))
	if x.UserID != "goes" || !x.left.Equal(end) || x.heard.Sub(back) < grace || !heard.late.Within(x.heard.Sub(back), 2*grace, back) {
		t.Errorf("%s is out %v after the return, left at %v; the lease ended at %v", x.UserID, x.heard.Sub(back), x.left, end)
	}
	heard.none()
	if r, err := stays.Renew(w.Ctx, room.RenewRequest{}); err != nil || len(r.Rooms) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	w.check()
}

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
