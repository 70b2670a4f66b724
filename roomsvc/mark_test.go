package roomsvc_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/streams"
	"natsrooms/subjects"
)

// rooms are the settings and the state of the stream of facts.
func (w *world) rooms() *jetstream.StreamInfo {
	w.T.Helper()
	s, err := w.JS.Stream(w.Ctx, subjects.StreamRooms)
	if err != nil {
		w.T.Fatal(err)
	}
	return s.CachedInfo()
}

// mark changes the metadata of the stream of facts.
func (w *world) mark(change func(map[string]string)) {
	w.T.Helper()
	cfg := w.rooms().Config
	cfg.Metadata = maps.Clone(cfg.Metadata)
	change(cfg.Metadata)
	if _, err := w.JS.UpdateStream(w.Ctx, cfg); err != nil {
		w.T.Fatal(err)
	}
}

// marked checks whose mark there is.
func (w *world) marked(store, by string) {
	w.T.Helper()
	if m := w.rooms().Config.Metadata; m["natsrooms.store"] != store || m["natsrooms.store-by"] != by {
		w.T.Errorf("the store is marked with %v; want %s by %s", m, store, by)
	}
}

// A later version marks the store, because it stores what this one does not understand. This one
// ends if it runs, and does not start; both times it names both versions, and it changes nothing.
func TestStoreIsMarkedByALaterVersion(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t, roomtest.Start(t))
	i := w.Start(roomsvc.Config{Build: "1.2.3"})
	ok[room.JoinedReply](w, "create", `{"roomID":"lobby","userID":"alice"}`)
	w.marked("1", "1.2.3")
	w.mark(func(m map[string]string) { m["natsrooms.store"], m["natsrooms.store-by"] = "2", "9.8.7" })
	select {
	case <-i.Done():
	case <-time.After(patience):
		t.Fatalf("it goes on\n%s", i.Log)
	}
	for _, says := range []string{"natsrooms 9.8.7", "form 2", "natsrooms 1.2.3", "restore a backup"} {
		if err := i.Err(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("it ended with %v; want %q in it", err, says)
		}
	}
	before := w.rooms()
	w.Refuses(roomsvc.Config{Build: "1.2.4", MessagesKeep: time.Hour, Limits: room.Limits{MaxRooms: 5}}, "natsrooms 9.8.7", "form 2", "this is natsrooms 1.2.4", "form 1", "restore a backup")
	if now := w.rooms(); now.State.LastSeq != before.State.LastSeq || !maps.Equal(now.Config.Metadata, before.Config.Metadata) {
		t.Errorf("it changed %+v\nto %+v", before, now)
	}
}

// A store without a mark gets one with the next start; a mark of this form stays, and is put back
// if it is taken away.
func TestStoreIsMarked(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t, roomtest.Start(t))
	w.Start(roomsvc.Config{Build: "1.2.3"}).End()
	take := func(m map[string]string) {
		maps.DeleteFunc(m, func(k, _ string) bool { return strings.HasPrefix(k, "natsrooms.store") })
	}
	w.mark(take)
	i := w.Start(roomsvc.Config{Build: "1.2.4"})
	w.marked("1", "1.2.4")
	w.Start(roomsvc.Config{Build: "1.2.5"})
	w.marked("1", "1.2.4")
	for what, change := range map[string]func(map[string]string){
		"taken away": take, "lowered": func(m map[string]string) { m["natsrooms.store"] = "0" }, "of somebody else": func(m map[string]string) { m["natsrooms.store-by"] = "0.0.1" },
	} {
		w.mark(change)
		w.Until(patience, "the mark to be put back, which was "+what, func() bool {
			m := w.rooms().Config.Metadata
			return m["natsrooms.store"] == "1" && m["natsrooms.store-by"] == "1.2.4"
		})
	}
	i.Said("natsrooms.store")
}

// formOf is the form of the store with which each type of event came.
var formOf = map[string]int{
	events.RoomCreated: 1, events.MemberJoined: 1, events.MemberLeft: 1, events.SessionJoined: 1, events.SessionLeft: 1, events.RoomAttributesChanged: 1,
	events.MemberAttributesChanged: 1, events.RoomAccessChanged: 1, events.RoomUpdated: 1, events.MemberUpdated: 1, events.RoomKept: 1, events.RoomDestroyed: 1,
	events.MessageSent: 1, events.MessageDeleted: 1, events.UserStateChanged: 1,
}

// An older version would end at a fact of a type that it does not know. So a new type comes with a
// new form of the store, which keeps older versions out.
func TestFormKnowsItsFacts(t *testing.T) {
	t.Parallel()
	for _, e := range events.Types {
		if formOf[e.Type] == 0 {
			t.Errorf("%s is new: raise streams.Store, and put it here with that number", e.Type)
		}
	}
	if newest := slices.Max(slices.Collect(maps.Values(formOf))); newest > streams.Store {
		t.Errorf("the newest type came with form %d, and streams.Store is %d", newest, streams.Store)
	}
}
