package embedded

import (
	"context"
	"testing"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/roomtest"
)

func TestAliceHearsBob(t *testing.T) {
	nc := roomtest.Conn(t, roomtest.Server(t)) // a NATS server of its own, gone when the test ends
	rooms, err := roomsvc.New(t.Context(), nc, roomsvc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer rooms.Stop(context.Background())
	alice, bob := client.New(nc, client.Config{UserID: "alice"}), client.New(nc, client.Config{UserID: "bob"})
	for _, user := range []*client.Client{alice, bob} {
		if _, err := user.Enter(t.Context(), client.CreateRequest{RoomID: "lobby"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := bob.Send(t.Context(), client.SendRequest{RoomID: "lobby", Type: "text", Data: "hello"}); err != nil {
		t.Fatal(err)
	}
	for heard, err := range alice.Messages(t.Context(), client.MessagesRequest{RoomID: "lobby", AfterMessageSeq: new(uint64)}) {
		if err != nil || heard.Message.Data != "hello" {
			t.Fatalf("alice hears %q: %v", heard.Message.Data, err)
		}
		return // a break would do, too; the loop goes on with what is said next
	}
}
