package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/auth"
)

// Whoever goes on far beyond its limits is cut off: all its connections end, it does not come
// back for a while, the log has one line, and nobody else notices.
func TestCutOff(t *testing.T) {
	g := newGuarded(t, "--limit", "user-commands=100") // so few that any machine takes more
	ended := make(chan struct{}, 2)
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	as := append(bearing(t, auth.Claims{User: "mallory"}), patientDial, quiet, nats.NoReconnect())
	var mallory []*nats.Conn
	for range 2 {
		nc, err := nats.Connect(g.roomd.url, append(as, nats.ClosedHandler(func(*nats.Conn) { ended <- struct{}{} }))...)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		mallory = append(mallory, nc)
	}
	for until := time.Now().Add(within); time.Now().Before(until); {
		if err := mallory[0].Publish("room.cmd.get.mallory", nil); err != nil {
			break // it is over
		}
	}
	for range mallory {
		select {
		case <-ended:
		case <-time.After(within):
			t.Fatalf("its connections stay open: %s", g.roomd.stderr)
		}
	}
	if nc, err := nats.Connect(g.roomd.url, as...); err == nil {
		nc.Close()
		t.Error("it is back at once")
	}
	g.command("leave", `{"roomID":"lobby"}`)
	g.hears("member.left", 2)
	g.roomd.end(t)
	if n := strings.Count(g.roomd.stderr.String(), "is cut off:"); n != 1 {
		t.Errorf("%d lines say so: %s", n, g.roomd.stderr)
	}
}

// A user has so many connections and no more, and those that have closed do not count.
func TestConnectionsOfAUser(t *testing.T) {
	g := newGuarded(t, "--limit", "user-connections=3,user-subscriptions=5")
	as := append(bearing(t, auth.Claims{User: "bob"}), patientDial, nats.NoReconnect())
	var open []*nats.Conn
	for range 3 {
		nc, err := nats.Connect(g.roomd.url, as...)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		open = append(open, nc)
	}
	if nc, err := nats.Connect(g.roomd.url, as...); !errors.Is(err, nats.ErrAuthorization) {
		nc.Close()
		t.Errorf("a fourth: %v", err)
	}
	g.command("get", `{"roomID":"lobby"}`) // nobody else is concerned
	ended := make(chan struct{})
	open[0].SetClosedHandler(func(*nats.Conn) { close(ended) })
	for range 6 {
		if _, err := open[0].SubscribeSync("_INBOX_bob.>"); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-ended:
	case <-time.After(within):
		t.Error("it has six subscriptions")
	}
	open[1].Close()
	for end := time.Now().Add(within); ; { // its server says soon that it has closed
		nc, err := nats.Connect(g.roomd.url, as...)
		if err == nil {
			defer nc.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("in the place of one that has closed: %v", err)
		}
	}
}
