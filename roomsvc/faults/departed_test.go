package faults_test

import (
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// A renewal says why its session is out as long as the journal has the fact, and says nothing
// once it has aged out.
func TestDepartureThatAgedOut(t *testing.T) {
	w := newWorld(t)
	var lobby *room.JoinedReply
	why := func() []room.Departure {
		t.Helper()
		r, err := w.Client.Renew(w.Ctx, room.RenewRequest{Caller: as("alice", ""), Rooms: []room.Stay{{RoomID: "lobby", InstanceID: lobby.InstanceID}}})
		if err != nil {
			t.Fatal(err)
		}
		return r.Left
	}
	w.Start(roomsvc.Config{}).EndAfter(func() {
		w.Create("lobby", 3600, "bob")
		lobby = w.Join("lobby", "alice")
		if _, err := w.Client.Kick(w.Ctx, room.KickRequest{RoomID: "lobby", UserIDs: []string{"alice"}, Reason: "enough"}); err != nil {
			t.Fatal(err)
		}
		w.Join("lobby", "carol")
		w.Join("lobby", "dave")
	})
	w.Start(roomsvc.Config{}).EndAfter(func() {
		if left := why(); len(left) != 1 || left[0].Reason != events.ReasonKicked || left[0].ReasonText != "enough" {
			t.Errorf("as long as the fact is kept: %+v", left)
		}
	})
	facts := w.Facts()
	w.age(facts[len(facts)-1].Revision)
	w.Start(roomsvc.Config{})
	if left := why(); len(left) != 0 {
		t.Errorf("the fact is gone: %+v", left)
	}
}
