package faults_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// A journal elsewhere takes nothing and answers nothing, as a server does whose disk is full.
// Soon commands are refused at once and the instance is not ready; it serves again by itself.
func TestSilentJournal(t *testing.T) {
	w := newWorld(t)
	p := newProxy(t, w.Node.ClientURL())
	i := w.StartAt(p.url, roomsvc.Config{})
	w.Create("lobby", 3600, "alice")
	p.on(nil, func(*frame) fate { return fate{lose: true} })
	enter := func() error {
		_, err := w.Client.Enter(w.Ctx, room.CreateRequest{Caller: as("bob", ""), RoomID: "lobby"})
		return err
	}
	w.Until(2*patience, "commands to be refused", func() bool {
		err := enter()
		if !errors.Is(err, room.ErrUnavailable) && !errors.Is(err, room.ErrBusy) {
			t.Fatalf("a first one: %v", err)
		}
		return strings.Contains(err.Error(), "has not stored anything")
	})
	for range 5 {
		begun := time.Now()
		if err := enter(); !errors.Is(err, room.ErrBusy) || !strings.Contains(err.Error(), "has not stored anything") {
			t.Errorf("a later one: %v", err)
		}
		if took := time.Since(begun); !w.late.Within(took, time.Second, begun) {
			t.Errorf("it is refused after %v", took)
		}
	}
	if err := i.Check(w.Ctx); err == nil || !strings.Contains(err.Error(), "has not stored anything") {
		t.Errorf("ready: %v", err)
	}
	p.on(nil, nil)
	w.Until(patience, "it to serve again", func() bool { return enter() == nil })
	w.Until(patience, "it to be ready", func() bool { return i.Check(w.Ctx) == nil })
	w.Check()
}

// Commands that wait behind one whose fact the journal does not answer for are answered in time
// too, whatever others ask meanwhile.
func TestCommandsBehindASilentOne(t *testing.T) {
	w := newWorld(t)
	p := newProxy(t, w.Node.ClientURL())
	w.StartAt(p.url, roomsvc.Config{})
	w.Create("lobby", 3600, "alice")
	p.on(nil, func(f *frame) fate { return fate{lose: strings.HasPrefix(f.subject, "room.journal.")} })
	prefix := nats.NewInbox() + "."
	answers, err := w.NC.SubscribeSync(prefix + "*")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ask := func(verb, user, body string) {
		if err := w.NC.PublishRequest("room.cmd."+verb+"."+user, prefix+verb+"-"+user, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	ask("setAttributes", "alice", `{"roomID":"lobby","set":{"a":"1"}}`)
	ask("members", "alice", `{"roomID":"lobby"}`)
	ask("leave", "alice", `{"roomID":"lobby"}`)
	ask("send", "alice", `{"roomID":"lobby","type":"text","data":"hello"}`)
	for i := range 8 { // so that there are younger ones
		<-time.After(time.Second)
		ask("enter", fmt.Sprint("later-", i), `{"roomID":"other"}`)
	}
	for n := 0; n < 4; {
		m, err := answers.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(m.Subject, "-alice") {
			continue
		}
		n++
		if took := time.Since(began); !w.late.Within(took, 10*time.Second, began) {
			t.Errorf("%s is answered after %v", m.Subject, took)
		}
	}
}
