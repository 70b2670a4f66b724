package roomsvc_test

import (
	"fmt"
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

// renewals hears every renewal of a user in the user form.
func (w *world) renewals(user string) <-chan room.RenewRequest {
	w.T.Helper()
	heard := make(chan room.RenewRequest, 64)
	nc := roomtest.Conn(w.T, w.Node.Server)
	_, err := nc.Subscribe("room.cmd.renew."+user, func(m *nats.Msg) {
		var q room.RenewRequest
		if err := json.Unmarshal(m.Data, &q); err != nil {
			w.T.Errorf("a renewal: %v", err)
		}
		heard <- q
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		w.T.Fatal(err)
	}
	return heard
}

// A session with a lease stays where it is as long as its client lives, and no longer.
func TestClientRenewsItsLease(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	heard, late := w.renewals("alice"), w.Measure()
	seconds := room.MinLease
	c := client.New(w.NC, client.Config{UserID: "alice", SessionID: "tab", UserForm: true, LeaseSeconds: &seconds})
	last := time.Now()
	if _, err := c.Enter(w.Ctx, room.CreateRequest{RoomID: "lobby", Config: &room.RoomConfig{RoomDestroyDelayTime: 3600}}); err != nil {
		t.Fatal(err)
	}
	watching := stepping(t, client.New(w.NC, client.Config{}).Watch(w.Ctx, client.WatchRequest{RoomID: "lobby"}))
	watching.step()
	third := time.Duration(seconds) * time.Second / 3
	for range 2 {
		q := <-heard
		if pause := time.Since(last); !late.Within(third/2-pause, 0, last) || !late.Within(pause, 2*third, last) {
			t.Errorf("a renewal after %v, want about %v", pause, third)
		}
		last = time.Now()
		if q.SessionID != "tab" || q.LeaseSeconds == nil || *q.LeaseSeconds != seconds || q.Connection == nil || q.Connection.ServerID != w.Node.ID() {
			t.Errorf("it says %+v", q)
		}
		if id, err := w.NC.GetClientID(); err != nil || q.Connection.ClientID != id {
			t.Errorf("its connection is %+v, not %d", q.Connection, id)
		}
	}
	c.Close()
	closed := time.Now()
	u := watching.step()
	if u.Fact == nil || u.Fact.Type != events.MemberLeft || u.Fact.Left[0].Reason != events.ReasonExpired {
		t.Fatalf("after the client was closed there is %+v", u)
	}
	if took := time.Since(closed); !late.Within(took, time.Duration(seconds)*time.Second+10*time.Second, closed) {
		t.Errorf("it is out %v after the client was closed", took)
	}
	if q := <-heard; q.Connection != nil {
		t.Errorf("its last renewal names the connection %+v", q.Connection)
	}
	if n := len(heard); n > 0 {
		t.Errorf("%d renewals after that", n)
	}
}

// A client that leaves the length of its lease to others renews as often as the replies
// require, even when that becomes more often than before.
func TestClientRenewsAsOftenAsTold(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	heard, late := w.renewals("alice"), w.Measure()
	c := client.New(w.NC, client.Config{UserID: "alice", UserForm: true})
	t.Cleanup(c.Close)
	hour := 3600
	r, err := c.Enter(w.Ctx, room.CreateRequest{Caller: room.Caller{LeaseSeconds: &hour}, RoomID: "lobby"})
	if err != nil || r.LeaseSeconds != hour {
		t.Fatalf("%+v, %v", r, err)
	}
	seconds := room.MinLease
	begun := time.Now()
	if r, err := c.Get(w.Ctx, room.ReadRequest{Caller: room.Caller{LeaseSeconds: &seconds}, RoomID: "lobby"}); err != nil || r.LeaseSeconds != seconds {
		t.Fatalf("%+v, %v", r, err)
	}
	for range 3 {
		select {
		case q := <-heard:
			if q.LeaseSeconds != nil {
				t.Errorf("it asks for %d", *q.LeaseSeconds)
			}
		case <-w.Ctx.Done():
			t.Fatal("nothing is renewed")
		}
	}
	if took := time.Since(begun); !late.Within(took, time.Duration(seconds)*time.Second, begun) {
		t.Errorf("three renewals in %v", took)
	}
}

// A session renews at once when its connection is back, whether it is in a room or has
// just left its last one.
func TestClientRenewsWhenItIsBack(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	heard := w.renewals("alice")
	seconds := 3600
	var wire worlds.Wire
	nc := roomtest.Conn(t, w.Node.Server, nats.SetCustomDialer(&wire))
	c := client.New(nc, client.Config{UserID: "alice", UserForm: true, LeaseSeconds: &seconds})
	t.Cleanup(c.Close)
	for n := range 2 {
		id := fmt.Sprint("room", n)
		if _, err := c.Enter(w.Ctx, room.CreateRequest{RoomID: id}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // once while it is in a room, once when it has left
			wire.Cut()
			select {
			case <-heard:
			case <-w.Ctx.Done():
				t.Fatal("nothing is renewed")
			}
			if rooms, err := c.Rooms(w.Ctx, room.RoomsRequest{}); err != nil || len(rooms.Rooms) > 1 {
				t.Fatalf("it is in %+v, %v", rooms, err)
			}
			if _, err := c.LeaveAll(w.Ctx, room.LeaveAllRequest{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A request makes the session's lease shorter than the client took it to be.
func TestClientRenewsAShorterLease(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	heard, late := w.renewals("alice"), w.Measure()
	hour, short := 3600, room.MinLease
	for _, usual := range []*int{nil, &hour} {
		c := client.New(w.NC, client.Config{UserID: "alice", UserForm: true, LeaseSeconds: usual})
		t.Cleanup(c.Close)
		if _, err := c.Enter(w.Ctx, room.CreateRequest{RoomID: "lobby"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Enter(w.Ctx, room.CreateRequest{Caller: room.Caller{LeaseSeconds: &short}, RoomID: "lobby"}); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		select {
		case <-heard:
		case <-w.Ctx.Done():
			t.Fatal("nothing is renewed")
		}
		if took := time.Since(begun); !late.Within(took, time.Duration(short)*time.Second, begun) {
			t.Errorf("it renews after %v, when its lease has ended", took)
		}
		c.Close()
	}
}

// A tool that ends before its session never names its connection, not even in a watch:
// otherwise the session would end with the tool.
func TestOnceNamesNoConnection(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	asked := hear(t, w.NC, "room.cmd.*.alice")
	c := client.New(w.NC, client.Config{UserID: "alice", UserForm: true, Once: true})
	t.Cleanup(c.Close)
	if _, err := c.Enter(w.Ctx, room.CreateRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	stepping(t, c.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby"})).step()
	for {
		m, err := asked.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if q := decode[room.Caller](t, m.Data); q.Connection != nil {
			t.Errorf("%s names %+v", m.Subject, q.Connection)
		}
		if m.Subject == "room.cmd.members.alice" {
			return
		}
	}
}

// Two programs of a user that name no session are two sessions: the death of one does not put
// the other out. Where nothing ends a session but a command, or a tool comes and goes, the
// session is always the same.
func TestEachClientIsASession(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	heard := w.outs()
	lease, none := room.MinLease, 0
	enter := func(cfg client.Config) *client.Client {
		t.Helper()
		cfg.UserID = "alice"
		c := client.New(roomtest.Conn(t, w.Node.Server), cfg)
		t.Cleanup(c.Close)
		r, err := c.Enter(w.Ctx, room.CreateRequest{RoomID: "lobby", Config: &room.RoomConfig{RoomDestroyDelayTime: 60}})
		if err != nil {
			t.Fatalf("%+v: %+v, %v", cfg, r, err)
		}
		return c
	}
	phone, web := enter(client.Config{UserForm: true, LeaseSeconds: &lease}), enter(client.Config{LeaseSeconds: &lease})
	if phone.SessionID() == web.SessionID() || phone.SessionID() == client.DefaultSession || web.SessionID() == client.DefaultSession {
		t.Errorf("the sessions are %q and %q", phone.SessionID(), web.SessionID())
	}
	phone.Close()
	if x := heard.next(); x.SessionID != phone.SessionID() || x.typ != "session.left.v1" {
		t.Errorf("%s is out, %s", x.SessionID, x.typ)
	}
	heard.none()
	if r, err := web.Renew(w.Ctx, room.RenewRequest{}); err != nil || len(r.Rooms) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, cfg := range []client.Config{{}, {LeaseSeconds: &none}, {UserForm: true, Once: true}, {LeaseSeconds: &lease, Once: true}} {
		if c := enter(cfg); c.SessionID() != client.DefaultSession {
			t.Errorf("%+v: the session is %q", cfg, c.SessionID())
		}
	}
	if c := enter(client.Config{SessionID: "mine", UserForm: true}); c.SessionID() != "mine" {
		t.Errorf("the session is %q", c.SessionID())
	}
	other := ok[room.MembersReply](w, "members", `{"roomID":"lobby","sync":true}`).MemberList[0].Sessions
	if len(other) != 3 {
		t.Errorf("she is in with %+v", other)
	}
}
