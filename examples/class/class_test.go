package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/roomtest/worlds"
)

// in lists a room's members: hosts in capitals, and those with several devices with their number.
func in(t *testing.T, c *client.Client, roomID string) string {
	t.Helper()
	q := client.MembersRequest{RoomID: roomID}
	q.Sync = true
	r, err := c.Members(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, m := range r.MemberList {
		name := m.UserID
		if m.Role == client.RoleHost {
			name = strings.ToUpper(name)
		}
		if n := len(m.Sessions); n > 1 {
			name += fmt.Sprint(n)
		}
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// Pupils are split among break-out rooms with all their devices and come back, and hear of it; a
// pupil who leaves meanwhile does not come back.
func TestClass(t *testing.T) {
	w := worlds.New(t)
	w.Start(roomsvc.Config{})
	class, err := Open(t.Context(), w.NC, "math", "smith")
	if err != nil {
		t.Fatal(err)
	}
	pupils := map[string]*client.Client{}
	var notices func() (*client.Notice, bool)
	for _, device := range []string{"ann", "ben", "cleo", "dan", "cleo's phone"} {
		name, _, _ := strings.Cut(device, "'")
		pupil := client.New(w.NC, client.Config{UserID: name, UserForm: true})
		t.Cleanup(pupil.Close)
		pupils[device] = pupil
		if device == "ben" {
			states, err := pupil.States(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			notices = next(t, states)
		}
		if _, err := pupil.Join(t.Context(), client.RoomRequest{RoomID: "math"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := in(t, w.Client, "math"); got != "SMITH ann ben cleo2 dan" {
		t.Fatalf("in class: %s", got)
	}
	if err := class.Split(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	for roomID, want := range map[string]string{"math": "SMITH", "math-1": "SMITH ann cleo2", "math-2": "SMITH ben dan"} {
		if got := in(t, w.Client, roomID); got != want {
			t.Errorf("in %s: %s; want %s", roomID, got, want)
		}
	}
	for {
		n, ok := notices()
		if !ok {
			t.Fatal("ben does not hear where he is")
		}
		if string(n.Room) == "math-2" && n.State == client.Connected {
			break
		}
	}
	if _, err := pupils["dan"].Leave(t.Context(), client.RoomRequest{RoomID: "math-2"}); err != nil {
		t.Fatal(err)
	}
	if err := class.Gather(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := in(t, w.Client, "math"); got != "SMITH ann ben cleo2" {
		t.Errorf("back in class: %s", got)
	}
	for _, roomID := range []string{"math-1", "math-2"} {
		if _, err := w.Client.Count(t.Context(), client.ReadRequest{RoomID: roomID}); !errors.Is(err, client.ErrRoomNotExist) {
			t.Errorf("%s is still there: %v", roomID, err)
		}
	}
	// As often as the teacher likes.
	if err := class.Split(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if got := in(t, w.Client, "math-3"); got != "SMITH cleo2" {
		t.Errorf("in the third room: %s", got)
	}
}

// next gives the elements of an iteration one by one, for as long as the test is patient.
func next(t *testing.T, states func(func(*client.Notice, error) bool)) func() (*client.Notice, bool) {
	all := make(chan *client.Notice)
	ctx, cancel := context.WithTimeout(t.Context(), worlds.Patience)
	t.Cleanup(cancel)
	go func() {
		for n, err := range states {
			if err != nil {
				return
			}
			select {
			case all <- n:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() (*client.Notice, bool) {
		select {
		case n := <-all:
			return n, true
		case <-ctx.Done():
			return nil, false
		}
	}
}
