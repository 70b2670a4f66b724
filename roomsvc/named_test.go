package roomsvc_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
)

// named enters the lobby with the shortest lease, and names a connection.
func (d *device) named(c *room.Connection) map[string]any {
	d.w.T.Helper()
	me := map[string]any{"sessionID": "tab", "leaseSeconds": room.MinLease, "connection": c}
	d.ask("enter", map[string]any{"roomID": "lobby", "sessionID": "tab", "leaseSeconds": room.MinLease, "connection": c, "config": map[string]any{"roomDestroyDelayTime": 60}})
	return me
}

// A browser lets a hidden page run only now and then, later than its lease lasts. A session
// whose connection is open stays, whether it renews too late or not at all, until the
// connection closes.
func TestOpenConnectionKeepsItsSession(t *testing.T) {
	const grace = 2 * time.Second
	w := graceWorld(t, grace)
	heard := w.outs()
	facts := hear(t, w.NC, "room.evt.lobby")
	late, silent, unnamed := w.device("late", nats.NoReconnect()), w.device("silent", nats.NoReconnect()), w.device("unnamed")
	me := late.named(late.connection())
	silent.named(silent.connection())
	unnamed.ask("enter", map[string]any{"roomID": "lobby", "leaseSeconds": room.MinLease})
	const rounds = 5
	timer := time.NewTicker(room.MinLease * time.Second * 105 / 100) // the browser's
	defer timer.Stop()
	for n := range rounds {
		<-timer.C
		if r := late.ask("renew", me); len(r.Rooms) != 1 || time.Until(r.ExpiresAt) < room.MinLease*time.Second/2 {
			t.Errorf("renewal %d: %+v", n, r)
		}
	}
	if x := heard.next(); x.UserID != "unnamed" {
		t.Errorf("%s is out", x.UserID)
	}
	for _, d := range []*device{silent, late} {
		at := d.cut()
		x := heard.next()
		if x.UserID != d.user || x.heard.Sub(at) < grace-100*time.Millisecond || !heard.late.Within(x.heard.Sub(at), grace+noticed, at) {
			t.Errorf("%s is out %v after %s was cut off", x.UserID, x.heard.Sub(at), d.user)
		}
	}
	heard.none()
	if n, _, _ := facts.Pending(); n != 6 {
		t.Errorf("%d facts, want three joins and three leaves", n)
	}
	w.check()
}

// A client that is closed lets its lease run out, although its connection stays open.
func TestClosedClientLeavesItsSession(t *testing.T) {
	w := graceWorld(t, time.Second)
	heard := w.outs()
	seconds := room.MinLease
	c := client.New(w.NC, client.Config{UserID: "alice", UserForm: true, LeaseSeconds: &seconds})
	if _, err := c.Enter(w.Ctx, client.CreateRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	closed := time.Now()
	c.Close()
	if x := heard.next(); x.UserID != "alice" || !heard.late.Within(x.heard.Sub(closed), room.MinLease*time.Second+noticed, closed) {
		t.Errorf("%s is out %v after the client was closed", x.UserID, x.heard.Sub(closed))
	}
	heard.none()
}

// Where end users connect as themselves, only its user's own connection keeps a session.
func TestOthersConnectionKeepsNobody(t *testing.T) {
	t.Parallel()
	node := roomtest.Start(t, roomtest.System, func(o *server.Options) {
		for _, user := range []string{"user:alice", "user:bob", "bob", "user:carol"} {
			o.Users = append(o.Users, &server.User{Username: user, Password: "p"})
		}
	})
	w, _ := newWorldAt(t, node, 2, roomsvc.Config{Feeds: true, System: roomtest.SystemConn(t, node.Server)})
	heard := w.outs()
	alice, bob := w.device("alice", nats.UserInfo("user:alice", "p")), w.device("bob", nats.UserInfo("user:bob", "p"))
	backend, carol := w.device("bob", nats.UserInfo("bob", "p")), w.device("carol", nats.UserInfo("user:carol", "p"))
	alice.named(alice.connection())
	carol.named(alice.connection())
	bob.named(backend.connection())
	out := map[string]bool{}
	for range 2 {
		x := heard.next()
		out[x.UserID] = true
	}
	if !out["bob"] || !out["carol"] {
		t.Errorf("%v are out", out)
	}
	heard.none()
	if r := alice.ask("renew", map[string]any{"sessionID": "tab", "connection": alice.connection()}); len(r.Rooms) != 1 {
		t.Errorf("%+v", r)
	}
	w.check()
}

// A crowd of silent sessions with open connections, more than are asked about one by one.
func TestManyOpenConnections(t *testing.T) {
	w := graceWorld(t, time.Second)
	heard := w.outs()
	const crowd = 40
	together(crowd, func(i int) {
		d := w.device("u"+string(rune('A'+i)), nats.NoReconnect())
		d.named(d.connection())
	})
	heard.clock(12)
	heard.none()
	if in := ok[room.MembersReply](w, "members", `{"roomID":"lobby","sync":true}`).MemberCount; in != crowd {
		t.Errorf("%d of %d are in the room", in, crowd)
	}
}
