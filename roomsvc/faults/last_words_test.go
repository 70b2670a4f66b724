package faults_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest/worlds"
)

// aliceSays lets alice say something in the lobby.
func (w *world) aliceSays(text string) {
	w.T.Helper()
	if _, err := w.Client.Send(w.Ctx, room.SendRequest{Caller: as("alice", ""), RoomID: "lobby", Type: "text", Data: text}); err != nil {
		w.T.Fatal(err)
	}
}

// A client that hears nothing while something is said and the room ends gets the last words
// and the last facts, and then the end; if the name is used again, the new room comes after
// that. Nothing is said to be lost.
func TestLastWords(t *testing.T) {
	for _, form := range []string{"trusted", "user"} {
		for _, again := range []string{"gone", "made again", "heard made again", "made again twice", "heard made again twice", "gone twice"} {
			t.Run(form+", "+again, func(t *testing.T) {
				w := newWorld(t)
				w.Start(roomsvc.Config{Instance: "only", Feeds: form == "user"})
				w.Create("lobby", 3600, "bob")
				w.Join("lobby", "alice")
				cfg := client.Config{}
				if form == "user" {
					cfg = client.Config{UserID: "bob", UserForm: true}
				}
				l := w.listener(cfg)
				const every = 200 * time.Millisecond
				hear := worlds.Hear(t, w.Ctx, l.Client, client.MessagesRequest{RoomID: "lobby", Every: every})
				see := stepping(t, l.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby", Every: every}))
				begun := see()
				w.aliceSays("one")
				if h := hear(); h.Message == nil || h.Message.Data != "one" {
					t.Fatalf("the first message is %+v", h)
				}

				l.loses("room.")
				w.aliceSays("two")
				if _, err := w.Client.SetAttributes(w.Ctx, room.SetAttributesRequest{Caller: as("alice", ""), RoomID: "lobby", Set: map[string]string{"a": "b"}}); err != nil {
					t.Fatal(err)
				}
				if _, err := w.Client.Destroy(w.Ctx, room.DestroyRequest{RoomID: "lobby"}); err != nil {
					t.Fatal(err)
				}
				over := func() {
					t.Helper()
					w.Until(patience, "the room to end", func() bool { return w.Fold(w.Facts())["lobby"] == nil })
				}
				over()
				twice := strings.HasSuffix(again, "twice")
				if twice {
					w.Create("lobby", 3600, "bob")
					w.Join("lobby", "alice")
					w.aliceSays("middle")
					if _, err := w.Client.Destroy(w.Ctx, room.DestroyRequest{RoomID: "lobby"}); err != nil {
						t.Fatal(err)
					}
					over()
				}
				if strings.HasPrefix(again, "heard") {
					l.loses("")
				}
				last := !strings.HasPrefix(again, "gone")
				if last {
					w.Create("lobby", 3600, "bob")
					w.Join("lobby", "alice")
					w.aliceSays("three")
				}
				l.loses("")

				want := []string{"two", "ended"}
				if twice {
					want = append(want, "middle", "ended")
				}
				if last {
					want = append(want, "three")
				}
				var got []string
				for range want {
					h := hear()
					if h.Message != nil {
						got = append(got, h.Message.Data)
					} else {
						got = append(got, string(h.Note))
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("it hears %q, want %q", got, want)
				}

				for _, want := range []string{events.RoomAttributesChanged, events.MemberLeft, events.RoomDestroyed} {
					u := see()
					if u.Fact == nil || u.Fact.Type != want || u.Fact.InstanceID != begun.Roster.InstanceID() || u.Fresh != "" || (u.Roster == nil) != (want == events.RoomDestroyed) {
						t.Fatalf("it sees %+v, want %s", u, want)
					}
				}
				for _, want := range []string{events.RoomCreated, events.MemberJoined, events.MemberLeft, events.RoomDestroyed} {
					if !twice {
						break
					}
					u := see()
					if u.Fact == nil || u.Fact.Type != want || u.Fact.InstanceID == begun.Roster.InstanceID() || (u.Fresh == client.FreshInstance) != (want == events.RoomCreated) || (u.Roster == nil) != (want == events.RoomDestroyed) {
						t.Fatalf("of the room between it sees %+v, want %s", u, want)
					}
				}
				if !last {
					return
				}
				if u := see(); u.Fresh != client.FreshInstance || u.Roster == nil || u.Roster.Len() == 0 {
					t.Errorf("of the new room it sees %+v", u)
				}
			})
		}
	}
}

// A client that heard a room end, and then nothing of the next one of that name, gets that one too,
// whether or not there is another one after it.
func TestRoomThatWasMissed(t *testing.T) {
	for _, form := range []string{"trusted", "user"} {
		for _, again := range []string{"gone", "made again", "heard made again"} {
			t.Run(form+", "+again, func(t *testing.T) {
				w := newWorld(t)
				w.Start(roomsvc.Config{Instance: "only", Feeds: form == "user"})
				cfg := client.Config{}
				if form == "user" {
					cfg = client.Config{UserID: "bob", UserForm: true}
				}
				l := w.listener(cfg)
				const every = 200 * time.Millisecond
				room := func(text string) {
					t.Helper()
					w.Create("lobby", 3600, "bob")
					w.Join("lobby", "alice")
					w.aliceSays(text)
				}
				end := func() {
					t.Helper()
					if _, err := w.Client.Destroy(w.Ctx, client.DestroyRequest{RoomID: "lobby"}); err != nil {
						t.Fatal(err)
					}
					w.Until(patience, "the room to end", func() bool { return w.Fold(w.Facts())["lobby"] == nil })
				}
				room("one")
				hear := worlds.Hear(t, w.Ctx, l.Client, client.MessagesRequest{RoomID: "lobby", Every: every, AfterMessageSeq: new(uint64)})
				see := stepping(t, l.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby", Every: every}))
				said := func(want ...string) {
					t.Helper()
					for _, text := range want {
						h := hear()
						if h.Lost || string(h.Note) != text && (h.Message == nil || h.Message.Data != text) {
							t.Fatalf("it hears %+v, want %q", h, text)
						}
					}
				}
				seen := func(want ...string) {
					t.Helper()
					for _, what := range want {
						u := see()
						if got := string(u.Fresh); u.Fact != nil && got+u.Fact.Type != what || u.Fact == nil && got != what {
							t.Fatalf("it sees %+v, want %s", u, what)
						}
					}
				}
				seen("start")
				end()
				said("one", "ended")
				seen(events.MemberLeft, events.RoomDestroyed)

				l.loses("room.")
				room("middle")
				end()
				if again == "heard made again" {
					l.loses("")
				}
				if again != "gone" {
					room("three")
				}
				l.loses("")
				said("middle", "ended")
				seen("instance"+events.RoomCreated, events.MemberJoined, events.MemberLeft, events.RoomDestroyed)
				if again != "gone" {
					said("three")
					if u := see(); u.Fresh != client.FreshInstance || u.Roster == nil {
						t.Errorf("of the new room it sees %+v", u)
					}
				}
			})
		}
	}
}

// A client that starts again tells where it was, and gets what was said after that in a room
// that has ended since.
func TestLastWordsAfterARestart(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{Instance: "only"})
	w.Create("lobby", 3600, "alice")
	var seq []uint64
	for _, text := range []string{"one", "two"} {
		r, err := w.Client.Send(w.Ctx, room.SendRequest{Caller: as("alice", ""), RoomID: "lobby", Type: "text", Data: text})
		if err != nil {
			t.Fatal(err)
		}
		seq = append(seq, r.MessageSeq)
	}
	instance := w.Fold(w.Facts())["lobby"].Instance
	if _, err := w.Client.Destroy(w.Ctx, room.DestroyRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	hear := worlds.Hear(t, w.Ctx, client.New(w.NC, client.Config{}), client.MessagesRequest{RoomID: "lobby", InstanceID: instance, AfterMessageSeq: &seq[0]})
	if h := hear(); h.Message == nil || h.Message.Data != "two" || h.Lost {
		t.Errorf("it hears %+v", h)
	}
	if h := hear(); h.Note != client.NoteEnded {
		t.Errorf("the end is %+v", h)
	}
}
