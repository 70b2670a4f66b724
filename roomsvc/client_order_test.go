package roomsvc_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/roomtest"
)

// A device that has left a room hears nothing more of it, although the user's other device,
// which shares the feed, does.
func TestADeviceThatLeftHearsNothing(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{Feeds: true})
	device := func(user string) *client.Client {
		c := client.New(roomtest.Conn(t, w.Node.Server), client.Config{UserID: user, UserForm: true})
		t.Cleanup(c.Close)
		if _, err := c.Enter(w.Ctx, client.CreateRequest{RoomID: "lobby"}); err != nil {
			t.Fatal(err)
		}
		return c
	}
	phone, web, bob := device("alice"), device("alice"), device("bob")
	heard := func(c *client.Client, last string) <-chan error {
		begun, over := make(chan struct{}), make(chan error, 1)
		go func() {
			var texts []string
			note := func(n client.Note) {
				if n.Kind == client.NoteListening {
					close(begun)
				}
			}
			for m, err := range c.Messages(w.Ctx, client.MessagesRequest{RoomID: "lobby", Note: note}) {
				if err == nil {
					texts = append(texts, m.Message.Data)
				}
				if err != nil || m.Message.Data == last {
					if want := []string{"to both", last}; last != "" && !slices.Equal(texts, want) || last == "" && !slices.Equal(texts, want[:1]) {
						t.Errorf("%q are heard before %v", texts, err)
					}
					over <- err
					return
				}
			}
		}()
		<-begun
		return over
	}
	say := func(text string) {
		if _, err := bob.Send(w.Ctx, client.SendRequest{RoomID: "lobby", Type: string(client.Text), Data: text}); err != nil {
			t.Fatal(err)
		}
	}
	left, stays := heard(phone, ""), heard(web, "to the other")
	say("to both")
	if _, err := phone.Leave(w.Ctx, client.RoomRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	say("to the other")
	if err := <-left; !errors.Is(err, client.ErrNotAllowed) {
		t.Errorf("the device that left: %v", err)
	}
	if err := <-stays; err != nil {
		t.Errorf("the one that stays: %v", err)
	}
}

// A client has one command of its session on its way at a time, however many are called at
// once, unless it is told otherwise; so they are in order at three instances too.
func TestAClientsCommandsInOrder(t *testing.T) {
	w, _ := newWorld(t, 3, roomsvc.Config{})
	everything := hear(t, w.NC, ">")
	for user, unordered := range map[string]bool{"alice": false, "bob": true} {
		c := client.New(roomtest.Conn(t, w.Node.Server), client.Config{UserID: user, UserForm: true, Unordered: unordered})
		defer c.Close()
		if _, err := c.Enter(w.Ctx, client.CreateRequest{RoomID: "lobby"}); err != nil {
			t.Fatal(err)
		}
		together(30, func(i int) {
			if _, err := c.Send(w.Ctx, client.SendRequest{RoomID: "lobby", Type: string(client.Text), Data: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
		open, most := 0, 0
		replies := map[string]bool{}
		for n := 0; n < 2*30; {
			m, err := everything.NextMsg(patience)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case strings.HasPrefix(m.Subject, "room.cmd.send."+user):
				open, n, replies[m.Reply] = open+1, n+1, true
			case replies[m.Subject]:
				open, n = open-1, n+1
			}
			most = max(most, open)
		}
		if (most > 1) != unordered {
			t.Errorf("%s, unordered %v: %d commands at once", user, unordered, most)
		}
	}
	c := client.New(w.NC, client.Config{UserID: "carol", UserForm: true})
	defer c.Close()
	for range rounds() {
		_, entered := c.Enter(w.Ctx, client.CreateRequest{RoomID: "hall"})
		_, sent := c.Send(w.Ctx, client.SendRequest{RoomID: "hall", Type: string(client.Text), Data: "hello"})
		_, left := c.Leave(w.Ctx, client.RoomRequest{RoomID: "hall"})
		if err := errors.Join(entered, sent, left); err != nil {
			t.Error(err)
		}
	}
}
