package faults_test

import (
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// A renewal says why its session is out as long as the journal has the fact, and that it
// does not know once it has aged out.
func TestDepartureThatAgedOut(t *testing.T) {
	w := newWorld(t)
	var lobby *room.JoinedReply
	why := func() (left []room.Departure, unknown []room.Stay) {
		t.Helper()
		r, err := w.Client.Renew(w.Ctx, room.RenewRequest{Caller: as("alice", ""), Rooms: []room.Stay{{RoomID: "lobby", InstanceID: lobby.InstanceID}}})
		if err != nil {
			t.Fatal(err)
		}
		return r.Left, r.Unknown
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
		if left, unknown := why(); len(unknown) > 0 || len(left) != 1 || left[0].Reason != events.ReasonKicked || left[0].ReasonText != "enough" {
			t.Errorf("as long as the fact is kept: %+v", left)
		}
	})
	facts := w.Facts()
	w.age(facts[len(facts)-1].Revision)
	w.Start(roomsvc.Config{})
	if left, unknown := why(); len(left) != 0 || len(unknown) != 1 {
		t.Errorf("the fact is gone: %+v, unknown are %+v", left, unknown)
	}
}
