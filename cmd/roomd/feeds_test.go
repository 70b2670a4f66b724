package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/auth"
	"natsrooms/subjects"
)

// With --auth an end user hears its rooms on its feed, and rooms that require a token are
// open to users whose token names them.
func TestAuthFeedsAndGrants(t *testing.T) {
	g := newGuarded(t)
	if m, err := g.backend.Request("room.cmd.create", []byte(`{"roomID":"cellar","config":{"access":"token"}}`), within); err != nil || m.Header.Get("Nats-Service-Error") != "" {
		t.Fatalf("%v, %+v", err, m)
	}
	bob := connected(t, g.roomd.url, bearing(t, auth.Claims{User: "bob", Rooms: []subjects.Room{"cellar"}, Expires: time.Now().Add(time.Hour)})...)
	feed := make(chan *nats.Msg, 16)
	if _, err := bob.ChanSubscribe("room.feed.bob.*", feed); err != nil || bob.FlushTimeout(within) != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who     *person
		subject string
		refused string
	}{
		{g.alice, "room.cmd.enter.alice", "NOT_ALLOWED"},
		{bob, "room.cmd.enter.bob", ""},
	} {
		m, err := c.who.Request(c.subject, []byte(`{"roomID":"cellar"}`), within)
		if err != nil || m.Header.Get("Nats-Service-Error") != c.refused {
			t.Errorf("%s: %v, %+v", c.subject, err, m)
		}
	}
	select {
	case m := <-feed:
		var e struct{ Type string }
		if err := json.Unmarshal(m.Data, &e); err != nil || m.Subject != "room.feed.bob.cellar" || e.Type != "io.natsrooms.member.joined.v1" {
			t.Errorf("on %s: %s", m.Subject, m.Data)
		}
	case <-time.After(within):
		t.Error("bob hears nothing of the room that he is in")
	}
}
