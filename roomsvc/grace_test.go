package roomsvc_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
)

// device is a user's own connection, which can be cut.
type device struct {
	w    *world
	nc   *nats.Conn
	wire worlds.Wire
	user string
	back chan struct{} // it has reconnected
}

func (w *world) device(user string, opts ...nats.Option) *device {
	w.T.Helper()
	d := &device{w: w, user: user, back: make(chan struct{}, 1)}
	d.nc = roomtest.Conn(w.T, w.Node.Server, append(opts, nats.SetCustomDialer(&d.wire), nats.ReconnectHandler(func(*nats.Conn) { d.back <- struct{}{} }))...)
	return d
}

// connection is the device's own, as its server told it.
func (d *device) connection() *room.Connection {
	d.w.T.Helper()
	id, err := d.nc.GetClientID()
	if err != nil {
		d.w.T.Fatal(err)
	}
	return &room.Connection{ServerID: d.nc.ConnectedServerId(), ClientID: id}
}

// ask sends a command over the device's own connection.
func (d *device) ask(verb string, body map[string]any) *leased {
	d.w.T.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		d.w.T.Fatal(err)
	}
	m, err := d.nc.Request("room.cmd."+verb+"."+token(d.user), data, patience)
	if err != nil {
		d.w.T.Fatalf("%s %s: %v", verb, data, err)
	}
	d.w.Agreed(verb, data, m)
	if e := refusal(m); e != nil {
		d.w.T.Fatalf("%s %s: %v", verb, data, e)
	}
	return decode[leased](d.w.T, m.Data)
}

// enter enters the lobby with an hour's lease, and names its connection.
func (d *device) enter(session string) *leased {
	d.w.T.Helper()
	return d.ask("enter", map[string]any{"roomID": "lobby", "sessionID": session, "leaseSeconds": 3600, "connection": d.connection(), "config": map[string]any{"roomDestroyDelayTime": 60}})
}

// cut ends the device's TCP connection, as a network does. It returns a moment just before.
func (d *device) cut() time.Time {
	at := time.Now()
	d.wire.Cut()
	return at
}

// graceWorld has two instances that are told when connections end.
func graceWorld(t *testing.T, grace time.Duration) *world {
	t.Helper()
	t.Parallel()
	node := roomtest.Start(t, roomtest.System)
	w, _ := newWorldAt(t, node, 2, roomsvc.Config{Grace: grace, System: roomtest.SystemConn(t, node.Server)})
	return w
}

func TestConnectionCut(t *testing.T) {
	for name, c := range map[string]struct{ set, is time.Duration }{"a second": {time.Second, time.Second}, "at once": {-1, 0}} {
		t.Run(name, func(t *testing.T) {
			w := graceWorld(t, c.set)
			heard := w.outs()
			notices := map[string]*nats.Subscription{"alice": hear(t, w.NC, "room.state.alice.*"), "bob": hear(t, w.NC, "room.state.bob.*")}
			alice, bob := w.device("alice", nats.NoReconnect()), w.device("bob", nats.NoReconnect())
			alice.enter("cut")
			alice.ask("enter", map[string]any{"roomID": "lobby", "sessionID": "beside", "leaseSeconds": 3600}) // does not name its connection
			bob.enter("closed")
			ok[leased](w, "enter", fmt.Sprintf(`{"roomID":"lobby","userID":"carol","connection":{"serverID":%q,"clientID":%d}}`, alice.connection().ServerID, alice.connection().ClientID))
			at := alice.cut()
			x := heard.next()
			after := x.heard.Sub(at)
			roomtest.Figure(t, "out %v after the cut, left %v after it", after, x.left.Sub(at))
			if x.UserID != "alice" || x.SessionID != "cut" || x.typ != "session.left.v1" || !heard.late.Within(after, c.is+noticed, at) || after < c.is-100*time.Millisecond {
				t.Errorf("%s of %s/%s %v after the cut", x.typ, x.UserID, x.SessionID, after)
			}
			if d := x.left.Sub(at) - c.is; d < -300*time.Millisecond || !heard.late.Within(d, time.Second, at) {
				t.Errorf("she left %v after the cut", x.left.Sub(at))
			}
			bob.nc.Close()
			if x := heard.next(); x.UserID != "bob" || x.typ != "member.left.v1" {
				t.Errorf("%s of %s", x.typ, x.UserID)
			}
			heard.none() // neither the session that named no connection, nor the one without a lease
			for user, want := range map[string]string{"alice": "lobby/cut", "bob": "lobby/closed"} {
				got := ""
				for got == "" || strings.HasSuffix(got, "activeEnter") || strings.HasSuffix(got, "success") {
					m, err := notices[user].NextMsg(patience)
					if err != nil {
						t.Fatal(err)
					}
					got = readNotice(t, m).line(t, m)
				}
				if n, _, _ := notices[user].Pending(); n > 0 || got != want+" disconnected connectTimeout" {
					t.Errorf("%s is told %q, and %d more", user, got, n)
				}
			}
			w.check()
		})
	}
}

// A session that is back and renews within the grace time was never away as far as others can
// tell. Neither was one that goes on with commands. One that stays silent is out.
func TestConnectionBackInTime(t *testing.T) {
	const grace = 6 * time.Second // so that a slow machine is back in time
	w := graceWorld(t, grace)
	heard := w.outs()
	facts := hear(t, w.NC, "room.evt.lobby")
	renews, goesOn, silent := w.device("renews"), w.device("goes-on"), w.device("silent")
	for _, d := range []*device{renews, goesOn, silent} {
		d.enter("s")
		d.cut()
	}
	for _, d := range []*device{renews, goesOn, silent} {
		select {
		case <-d.back:
		case <-time.After(patience):
			t.Fatalf("%s is not back", d.user)
		}
	}
	if r := renews.ask("renew", map[string]any{"sessionID": "s", "connection": renews.connection()}); len(r.Rooms) != 1 {
		t.Errorf("%+v", r)
	}
	// Its first commands may be taken for the old connection's last; later ones are not.
	for begun := time.Now(); time.Since(begun) < 1500*time.Millisecond; {
		goesOn.ask("get", map[string]any{"sessionID": "s", "roomID": "lobby", "sync": true})
	}
	if x := heard.next(); x.UserID != "silent" {
		t.Errorf("%s is out", x.UserID)
	}
	heard.none()
	n, _, err := facts.Pending()
	if err != nil || n != 4 {
		t.Errorf("%d facts, want three joins and one leave; %v", n, err)
	}
	// The new connection counts now.
	at := renews.cut()
	if x := heard.next(); x.UserID != "renews" || !heard.late.Within(x.heard.Sub(at), grace+noticed, at) {
		t.Errorf("%s is out %v after the cut", x.UserID, x.heard.Sub(at))
	}
	if r := goesOn.ask("renew", map[string]any{"sessionID": "s"}); len(r.Rooms) != 1 || time.Until(r.ExpiresAt) < time.Hour-time.Minute {
		t.Errorf("%+v", r)
	}
	w.check()
}

// Clients whose connections break again and again are never removed, and are in the room at
// the end.
func TestReconnectsRemoveNobody(t *testing.T) {
	const clients = 50
	each := renewals() / clients
	w := graceWorld(t, 10*time.Second) // so that a slow machine is back in time
	heard := w.outs()
	var group sync.WaitGroup
	for n := range clients {
		group.Go(func() {
			d := w.device(fmt.Sprint("u", n), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
			lease := 600
			c := client.New(d.nc, client.Config{UserID: d.user, UserForm: true, LeaseSeconds: &lease})
			defer c.Close()
			states, err := c.States(w.Ctx)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := c.Enter(w.Ctx, room.CreateRequest{RoomID: "lobby"}); err != nil {
				t.Error(err)
				return
			}
			cuts := 0
			for s, err := range states {
				if err != nil || s.State == events.Disconnected {
					t.Errorf("%s after %d cuts: %+v, %v", d.user, cuts, s, err)
					return
				}
				if s.State != events.Connected {
					continue
				}
				if cuts++; cuts > each {
					return
				}
				d.cut()
				<-d.back
			}
		})
	}
	group.Wait()
	last := w.device("last", nats.NoReconnect())
	last.enter("s")
	last.cut()
	if x := heard.next(); x.UserID != "last" { // by now all that were cut before are out, or never will be
		t.Errorf("%s is out", x.UserID)
	}
	heard.none()
	if in := ok[room.MembersReply](w, "members", `{"roomID":"lobby","sync":true}`).MemberList; len(in) != clients {
		t.Errorf("%d of %d are in the room", len(in), clients)
	}
	roomtest.Figure(t, "%d clients, %d reconnects", clients, clients*each)
	w.check()
}

// Where nobody reports ended connections, a lease runs its full time.
func TestConnectionCutUnheard(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Grace: -1})
	heard := w.outs()
	d := w.device("alice", nats.NoReconnect())
	begun := time.Now()
	r := d.ask("enter", map[string]any{"roomID": "lobby", "leaseSeconds": 5, "connection": d.connection()})
	d.cut()
	x := heard.next()
	if after := x.left.Sub(r.ExpiresAt); x.UserID != "alice" || after < 0 || !heard.late.Within(after, 500*time.Millisecond, begun) {
		t.Errorf("%s left %v after the end", x.UserID, after)
	}
}

// A server that died took its connections with it: a session that does not come back to the
// next server is out after the grace time, not after its whole lease.
func TestConnectionsOfAPreviousServer(t *testing.T) {
	node := roomtest.Start(t)
	w, instances := newWorldAt(t, node, 1, roomsvc.Config{System: roomtest.SystemConn(t, node.Server)})
	heard := w.outs()
	for i, user := range []string{"alice", "bob", "carol"} {
		conn := map[string]any{"serverID": []string{"BEFORE", "BEFORE", "NOW"}[i], "clientID": 7 + i}
		ok[leased](w, "enter."+user, string(text(t, map[string]any{"roomID": "lobby", "leaseSeconds": 3600, "connection": conn})))
	}
	instances[0].End()
	began := time.Now()
	const grace = 5 * time.Second // so that a slow machine is back in time
	w.Start(roomsvc.Config{System: roomtest.SystemConn(t, node.Server), Server: "NOW", Grace: grace})
	ok[leased](w, "renew.bob", `{"connection":{"serverID":"NOW","clientID":1}}`)
	if x := heard.next(); x.UserID != "alice" || x.heard.Sub(began) < grace {
		t.Errorf("%s is out %v after the start", x.UserID, x.heard.Sub(began))
	}
	heard.none()
}

// An unusable connection to the system account is reported at the start.
func TestSystemConnectionClosed(t *testing.T) {
	w, _ := newWorld(t, 0, roomsvc.Config{})
	nc := roomtest.Conn(t, w.Node.Server)
	nc.Close()
	if _, err := w.Open(roomsvc.Config{System: nc}); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("it starts with %v", err)
	}
}
