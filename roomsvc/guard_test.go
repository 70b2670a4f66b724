package roomsvc_test

import (
	"bytes"
	"fmt"
	"testing"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// atOnce sends a request many times at once, and returns the refusals that answer it.
func atOnce(w *world, subject, body string, n int) (refused []*room.Error) {
	w.T.Helper()
	inbox := w.NC.NewInbox()
	answers := hear(w.T, w.NC, inbox)
	for range n {
		if err := w.NC.PublishRequest("room.cmd."+subject, inbox, []byte(body)); err != nil {
			w.T.Fatal(err)
		}
	}
	for range n {
		m, err := answers.NextMsg(patience)
		if err != nil {
			w.T.Fatal(err)
		}
		if e := refusal(m); e != nil {
			refused = append(refused, e)
		}
	}
	return refused
}

// tooFast checks refusals of what comes too fast, where one a second is allowed, and two at once.
func tooFast(t *testing.T, refused []*room.Error, most int) {
	t.Helper()
	if len(refused) == 0 || len(refused) > most {
		t.Errorf("%d are refused, want up to %d", len(refused), most)
	}
	for _, e := range refused {
		if e.Code.Name != room.ErrRateLimited.Name || e.RetryAfterMs < 1 || e.RetryAfterMs > 1000 || e.Limit != 1 {
			t.Errorf("%+v", e)
		}
	}
}

// A user is told when to go on, is not kept from its renewals, and is nobody else's concern.
func TestCommandsOfAUserAreLimited(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true, Limits: room.Limits{UserCommands: 1}})
	ok[position](w, "enter.alice", `{"roomID":"lobby"}`)
	tooFast(t, atOnce(w, "get.alice", `{"roomID":"lobby"}`, 10), 9)
	ok[position](w, "renew.alice", `{}`)
	ok[position](w, "enter.bob", `{"roomID":"lobby"}`)
	if refused := atOnce(w, "get", `{"roomID":"lobby","userID":"alice"}`, 100); len(refused) > 0 {
		t.Errorf("a back end is limited: %v", refused[0])
	}
}

func TestChangesOfAUserAreLimited(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true, Limits: room.Limits{UserChanges: 1}})
	ok[position](w, "enter.alice", `{"roomID":"lobby"}`)
	tooFast(t, atOnce(w, "setAttributes.alice", `{"roomID":"lobby","set":{"a":"1"}}`, 8), 7)
	ok[position](w, "enter.alice", `{"roomID":"garden"}`) // another room
	if refused := atOnce(w, "get.alice", `{"roomID":"lobby"}`, 8); len(refused) > 0 {
		t.Errorf("a read is limited: %v", refused[0])
	}
	ok[position](w, "setAttributes.alice", `{"roomID":"garden","requestID":"r","set":{"a":"1"}}`)
	if refused := atOnce(w, "setAttributes.alice", `{"roomID":"garden","requestID":"r","set":{"a":"1"}}`, 8); len(refused) > 0 {
		t.Errorf("repeats are limited, which change nothing: %v", refused[0])
	}
	if refused := atOnce(w, "setAttributes", `{"roomID":"lobby","userID":"alice","set":{"a":"3"}}`, 10); len(refused) > 0 {
		t.Errorf("a back end is limited: %v", refused[0])
	}
	ok[position](w, "leave.alice", `{"roomID":"lobby"}`) // nobody is kept in
}

// Rooms that a user made and that stand empty are its own, until somebody comes or they end.
func TestEmptyRoomsOfAUser(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{Feeds: true, Limits: room.Limits{UserEmptyRooms: 2, MaxRoomsPerUser: 3}})
	enter := func(id string) string { return fmt.Sprintf(`{"roomID":%q,"config":{"roomDestroyDelayTime":600}}`, id) }
	for _, id := range []string{"a", "b"} {
		ok[position](w, "enter.alice", enter(id))
		ok[position](w, "leave.alice", fmt.Sprintf(`{"roomID":%q}`, id))
	}
	for _, verb := range []string{"enter", "create"} {
		if e := w.Refused(room.ErrUserRoomLimit, verb+".alice", enter("c")); e.Limit != 2 || e.Actual != 2 {
			t.Errorf("%+v", e)
		}
	}
	ok[position](w, "create", `{"roomID":"d"}`)
	ok[position](w, "create", `{"roomID":"e"}`)
	ok[position](w, "enter.alice", enter("d")) // with two empty ones, it may be in one room
	w.Refused(room.ErrUserRoomLimit, "enter.alice", enter("e"))
	w.Refused(room.ErrRoomLimit, "switch.alice", `{"fromRoomID":"d","toRoomInfo":{"roomID":"c"},"isCreateWhenRoomNotExisted":true}`)
	ok[position](w, "enter.bob", enter("c"))
	ok[position](w, "enter.alice", enter("a")) // its own does not count twice
	ok[position](w, "leave.alice", `{"roomID":"a"}`)
	ok[position](w, "enter.bob", enter("a")) // and does not count any more
	ok[position](w, "enter.alice", enter("e"))
	ok[position](w, "enter", `{"userID":"alice","roomID":"f"}`) // as for a back end, which is limited as ever
}

// What is not known is ignored, but not without end.
func TestUnknownFieldsAreLimited(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	ok[position](w, "create", `{"roomID":"lobby"}`)
	body := func(n int) string {
		b := `{"roomID":"lobby"`
		for i := range n {
			b += fmt.Sprintf(`,"f%d":0`, i)
		}
		return b + "}"
	}
	ok[position](w, "get", body(64))
	for _, n := range []int{65, 5000} {
		if e := w.Refused(room.ErrParamInvalid, "get", body(n)); e.Limit != 64 {
			t.Errorf("%+v", e)
		}
	}
}

// Whoever one instance cuts off is cut off everywhere: it tells the others, and they keep to it.
func TestCutOffEverywhere(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{Feeds: true, Limits: room.Limits{UserCommands: 1}})
	told := hear(t, w.NC, subjects.CutOff)
	for range 400 { // each instance gets about half of them, and refuses a hundred before it cuts mallory off
		if err := w.NC.Publish("room.cmd.get.mallory", nil); err != nil {
			t.Fatal(err)
		}
	}
	m, err := told.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	if e := decode[struct{ UserID string }](t, bytes.ReplaceAll(m.Data, []byte("userID"), []byte("UserID"))); e.UserID != "mallory" {
		t.Fatalf("%s", m.Data)
	}
	if err := w.NC.Publish(subjects.CutOff, bytes.ReplaceAll(m.Data, []byte("mallory"), []byte("bob"))); err != nil {
		t.Fatal(err)
	}
	for _, i := range instances {
		w.Until(patience, "bob is kept out", func() bool {
			return i.Admit(w.Ctx, room.Bearer{User: "bob", Connection: room.Connection{ServerID: "S", ClientID: 1}}) != nil
		})
		if err := i.Admit(w.Ctx, room.Bearer{User: "alice", Connection: room.Connection{ServerID: "S", ClientID: 2}}); err != nil {
			t.Fatal(err)
		}
	}
	ok[position](w, "enter.alice", `{"roomID":"lobby"}`)
}
