package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/auth"
	"natsrooms/subjects"
)

// device is a connection with a token that says when it has ended.
type device struct {
	*person
	ended chan struct{}
}

func (g *guarded) device(c auth.Claims) *device {
	g.t.Helper()
	d := &device{ended: make(chan struct{})}
	d.person = connected(g.t, g.roomd.url, append(bearing(g.t, c), nats.ClosedHandler(func(*nats.Conn) { close(d.ended) }))...)
	return d
}

func (d *device) ends() {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(within):
		d.t.Fatal("a connection stays open")
	}
}

// stays checks that the server still answers the connection.
func (d *device) stays() {
	d.t.Helper()
	if err := d.FlushTimeout(within); err != nil {
		d.t.Errorf("a connection that is not concerned: %v", err)
	}
}

// mayConnect reports whether a token lets anybody in.
func (g *guarded) mayConnect(c auth.Claims) bool {
	g.t.Helper()
	nc, err := nats.Connect(g.roomd.url, append(bearing(g.t, c), patientDial, nats.NoReconnect())...)
	if err == nil {
		nc.Close()
		return true
	}
	if !errors.Is(err, nats.ErrAuthorization) {
		g.t.Errorf("connecting: %v", err)
	}
	return false
}

// ask sends a back end's command, which must succeed, and returns the reply.
func (g *guarded) ask(verb, body string) jsontext.Value {
	g.t.Helper()
	m, err := g.backend.Request("room.cmd."+verb, []byte(body), within)
	if err != nil || m.Header.Get("Nats-Service-Error") != "" {
		g.t.Fatalf("%s %s: %v, %+v", verb, body, err, m)
	}
	return m.Data
}

// The connections of a user who is blocked end, after its devices have heard why; its tokens let
// nobody in until it is unblocked. Nobody else is concerned.
func TestBlockEndsConnections(t *testing.T) {
	g := newGuarded(t)
	bob := g.device(auth.Claims{User: "bob"})
	var mallory []*device
	heard := make(chan *nats.Msg, 16)
	for range 2 {
		d := g.device(auth.Claims{User: "mallory"})
		if _, err := d.ChanSubscribe("room.state.mallory.*", heard); err != nil {
			t.Fatal(err)
		}
		mallory = append(mallory, d)
	}
	ops := g.device(auth.Claims{User: "mallory", Admin: true}) // its token is for that user too
	if _, err := mallory[0].Request("room.cmd.enter.mallory", []byte(`{"roomID":"lobby"}`), within); err != nil {
		t.Fatal(err)
	}
	g.hears("member.joined", 2)
	begun := time.Now()
	g.ask("block", `{"userID":"mallory","reason":"spam"}`)
	for _, d := range append(mallory, ops) {
		d.ends()
	}
	t.Logf("all connections have ended after %v", time.Since(begun))
	told := 0
	for len(heard) > 0 {
		if m := <-heard; strings.Contains(string(m.Data), `"kickedOut"`) && strings.Contains(string(m.Data), `"reasonText":"spam"`) {
			told++
		}
	}
	if told != 2 {
		t.Errorf("%d of 2 devices have heard why", told)
	}
	g.hears("member.left", 3)
	for _, c := range []auth.Claims{{User: "mallory"}, {User: "mallory", Name: new("Another")}, {User: "mallory", Admin: true}} {
		if g.mayConnect(c) {
			t.Errorf("%+v lets somebody in", c)
		}
	}
	bob.stays()
	g.command("get", `{"roomID":"lobby"}`)
	g.ask("unblock", `{"userID":"mallory"}`)
	if !g.mayConnect(auth.Claims{User: "mallory"}) {
		t.Error("it stays out")
	}
}

// One token of a user is refused, and its connections end; the user's others go on.
func TestRevokedTokenEndsConnections(t *testing.T) {
	g := newGuarded(t)
	now := time.Now().Truncate(time.Second)
	lost, old, own := auth.Claims{User: "bob", ID: "lost"}, auth.Claims{User: "bob", ID: "old", Issued: now.Add(-time.Hour)}, auth.Claims{User: "bob", ID: "own", Issued: now}
	stolen, aged, good, other := g.device(lost), g.device(old), g.device(own), g.device(auth.Claims{User: "carol", ID: "lost"})
	g.ask("block", `{"userID":"bob","tokenID":"lost"}`)
	stolen.ends()
	aged.stays()
	if g.mayConnect(lost) || !g.mayConnect(old) || !g.mayConnect(own) {
		t.Error("the wrong tokens are refused")
	}
	g.ask("block", fmt.Sprintf(`{"userID":"bob","issuedBefore":%q}`, now.UTC().Format("2006-01-02T15:04:05.000Z")))
	aged.ends()
	if g.mayConnect(old) || !g.mayConnect(own) {
		t.Error("the wrong tokens are refused by their age")
	}
	good.stays()
	other.stays()
	if m, err := good.Request("room.cmd.enter.bob", []byte(`{"roomID":"lobby"}`), within); err != nil || m.Header.Get("Nats-Service-Error") != "" {
		t.Errorf("%v, %+v", err, m)
	}
}

// With --auth users are called what their tokens say, unless roomd is told to leave it to them.
func TestWhoNamesUsers(t *testing.T) {
	for flag, want := range map[string]string{"token": "Bob by token", "own": "Admin"} {
		t.Run(flag, func(t *testing.T) {
			g := newGuarded(t, "--auth-names", flag)
			bob := g.device(auth.Claims{User: "bob", Name: new("Bob by token"), Info: jsontext.Value(`{"a":1}`)})
			if m, err := bob.Request("room.cmd.enter.bob", []byte(`{"roomID":"lobby","userName":"Admin"}`), within); err != nil || m.Header.Get("Nats-Service-Error") != "" {
				t.Fatalf("%v, %+v", err, m)
			}
			var reply struct {
				MemberList []struct {
					UserID   string         `json:"userID"`
					UserName string         `json:"userName"`
					UserInfo jsontext.Value `json:"userInfo"`
				} `json:"memberList"`
			}
			if err := json.Unmarshal(g.ask("members", `{"roomID":"lobby","sync":true}`), &reply); err != nil || len(reply.MemberList) != 2 {
				t.Fatalf("%v, %+v", err, reply)
			}
			if m := reply.MemberList[1]; m.UserName != want || (len(m.UserInfo) > 0) != (flag == "token") {
				t.Errorf("%+v", m)
			}
		})
	}
}

// New IDs are looked at with --auth unless roomd is told not to.
func TestIDsFlag(t *testing.T) {
	for flag, refused := range map[string]string{"strict": "PARAM_INVALID", "any": ""} {
		t.Run(flag, func(t *testing.T) {
			args := []string{"--ids", flag}
			if flag == "strict" {
				args = nil // by default
			}
			g := newGuarded(t, args...)
			m, err := g.alice.Request("room.cmd.create.alice", []byte("{\"roomID\":\"lob\u200bby\"}"), within)
			if err != nil || m.Header.Get("Nats-Service-Error") != refused {
				t.Errorf("%v, %+v; want %q", err, m, refused)
			}
			evil := subjects.User("al\u202eice")
			d := g.device(auth.Claims{User: evil})
			if m, err := d.Request(subjects.UserCommand("enter", evil), []byte(`{"roomID":"lobby"}`), within); err != nil || m.Header.Get("Nats-Service-Error") != refused {
				t.Errorf("%v, %+v; want %q", err, m, refused)
			}
		})
	}
}
