package faults_test

import (
	"errors"
	"testing"
	"time"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// roomFor leaves space for n more messages in the journal; 0: for any number.
func (w *world) roomFor(n int64) {
	w.T.Helper()
	stream, err := w.JS.Stream(w.Ctx, subjects.StreamRooms)
	if err != nil {
		w.T.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	if cfg.MaxMsgs = -1; n > 0 {
		cfg.MaxMsgs = int64(stream.CachedInfo().State.Msgs) + n
	}
	if _, err := w.JS.UpdateStream(w.Ctx, cfg); err != nil {
		w.T.Fatal(err)
	}
}

// The journal is full when a room is due to end. The end is retried without haste, commands
// that would have to wait are refused at once, and the room ends when the journal has space again.
func TestFullJournal(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{})
	w.Create("stays", 3600)
	w.Join("stays", "bob")
	w.Create("ends", 0)
	w.Join("ends", "alice")
	w.Check()
	tries, err := w.NC.SubscribeSync(subjects.Journal("ends"))
	if err != nil {
		t.Fatal(err)
	}
	next := func() time.Time {
		t.Helper()
		if _, err := tries.NextMsg(patience); err != nil {
			t.Fatalf("no append to the room: %v", err)
		}
		return time.Now()
	}
	w.roomFor(1)
	w.Leave("ends", "alice") // takes the last place
	next()
	first := next()
	const most = 5
	for range most {
		next()
	}
	if d := time.Since(first); !w.late.Within((most-1)*time.Second-d, 0, first) {
		t.Errorf("its end was tried %d times in %v", most+1, d)
	}
	busy := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, room.ErrBusy) {
			t.Errorf("%s: %v", what, err)
		}
	}
	began := time.Now()
	_, err = w.Client.Enter(w.Ctx, room.CreateRequest{Caller: as("carol", ""), RoomID: "ends"})
	busy("entering it", err)
	_, err = w.Client.Switch(w.Ctx, room.SwitchRequest{Caller: as("bob", ""), FromRoomID: "stays", ToRoomInfo: room.RoomInfo{RoomID: "ends"}, IsCreateWhenRoomNotExisted: true})
	busy("switching to it", err)
	_, err = w.Client.Leave(w.Ctx, room.RoomRequest{Caller: as("bob", ""), RoomID: "stays"})
	busy("leaving another one", err)
	if took := time.Since(began); !w.late.Within(took, 5*time.Second, began) { // far less than a command is allowed to wait
		t.Errorf("that took %v", took)
	}

	w.roomFor(0)
	w.Until(patience, "the room to end", func() bool { return w.Fold(w.Facts())["ends"] == nil })
	if _, err = w.Client.Switch(w.Ctx, room.SwitchRequest{Caller: as("bob", ""), FromRoomID: "stays", ToRoomInfo: room.RoomInfo{RoomID: "ends"}, IsCreateWhenRoomNotExisted: true}); err != nil {
		t.Errorf("switching: %v", err)
	}
	w.Check()
}
