package main

import (
	"errors"
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest/worlds"
)

// In a public room, which everybody hears, rude words are replaced and links refused, and who
// tries again and again is muted, as everybody hears.
func TestModerated(t *testing.T) {
	w := worlds.New(t)
	w.Start(roomsvc.Config{Feeds: true, Hooks: hooks.Settings{Subjects: map[room.Verb]string{room.Send: "room.hook.send"}}})
	moderating := worlds.Connect(t, w.NC.ConnectedUrl())
	if _, err := Moderate(moderating, "room.hook.send"); err != nil {
		t.Fatal(err)
	}
	if err := moderating.FlushWithContext(w.Ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Client.Create(w.Ctx, client.CreateRequest{RoomID: "square", Config: &client.RoomConfig{Delivery: "open", RoomDestroyDelayTime: 600}}); err != nil {
		t.Fatal(err)
	}
	public, err := w.NC.SubscribeSync("room.open.square") // by somebody who is not even in
	if err != nil {
		t.Fatal(err)
	}
	ann := client.New(w.NC, client.Config{UserID: "ann", UserForm: true, Once: true})
	t.Cleanup(ann.Close)
	if _, err := ann.Join(w.Ctx, client.RoomRequest{RoomID: "square"}); err != nil {
		t.Fatal(err)
	}
	says := func(text string) error {
		_, err := ann.Send(w.Ctx, client.SendRequest{RoomID: "square", Type: string(client.Text), Data: text})
		return err
	}
	for range strikes - 1 {
		var e *client.Error
		if err := says("look at https://example.com"); !errors.As(err, &e) || !errors.Is(err, client.ErrNotAllowed) || e.AppCode != "LINK" || e.Message != "no links here, please" {
			t.Fatalf("a link: %v", err)
		}
	}
	if err := says("Darn, no links"); err != nil {
		t.Fatal(err)
	}
	if err := says("http://example.com"); !errors.Is(err, client.ErrNotAllowed) {
		t.Fatalf("the third link: %v", err)
	}
	heard := ""
	for muted := false; !muted; {
		m, err := public.NextMsgWithContext(w.Ctx)
		if err != nil {
			t.Fatal(err)
		}
		if said, err := events.DecodeMessage(m.Data); err == nil {
			heard += said.Data
		} else if fact, err := events.DecodeFact(m.Data); err == nil && fact.Type == events.RoomAccessChanged {
			muted = len(fact.Mutes) == 1 && fact.Mutes[0].UserID == "ann" && fact.Mutes[0].Reason == "too many links"
		}
	}
	if heard != "****, no links" {
		t.Errorf("%q was said", heard)
	}
	if err := says("sorry"); !errors.Is(err, client.ErrMuted) {
		t.Errorf("after three links: %v", err)
	}
}
