package conns

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// A connection counts while it is open, in the service's account, and if it is the user's
// that it must be; one by one, and in a server's list.
func TestOpen(t *testing.T) {
	s := roomtest.Server(t, roomtest.System, func(o *server.Options) {
		other := server.NewAccount("OTHER")
		o.Accounts = append(o.Accounts, other)
		o.Users = append(o.Users, &server.User{Username: "user:alice", Password: "p"}, &server.User{Username: "other", Password: "p", Account: other})
	})
	servers := New(roomtest.SystemConn(t, s), roomtest.Conn(t, s), "")
	named := func(nc *nats.Conn, user subjects.User) Named {
		t.Helper()
		id, err := nc.GetClientID()
		if err != nil {
			t.Fatal(err)
		}
		return Named{room.Connection{ServerID: nc.ConnectedServerId(), ClientID: id}, user}
	}
	own := roomtest.Conn(t, s, nats.UserInfo("user:alice", "p"))
	closed := roomtest.Conn(t, s)
	gone := named(closed, "")
	closed.Close()
	want := map[Named]bool{
		named(own, "alice"): true, named(own, ""): true, named(own, "bob"): false, named(roomtest.Conn(t, s), "alice"): false,
		named(roomtest.Conn(t, s), ""): true, gone: false, named(roomtest.Conn(t, s, nats.UserInfo("other", "p")), ""): false,
		{room.Connection{ServerID: "ELSEWHERE", ClientID: 1}, ""}: false, {room.Connection{ServerID: "PING.>", ClientID: 1}, ""}: false,
	}
	check := func() {
		t.Helper()
		all := map[Named]bool{}
		for n := range want {
			all[n] = true
		}
		open, unknown := servers.Open(t.Context(), all)
		if len(unknown) > 0 {
			t.Errorf("nothing is known of %v", unknown)
		}
		for n, yes := range want {
			if open[n] != yes {
				t.Errorf("%+v is open: %v", n, open[n])
			}
		}
	}
	check()
	for range 2 * single {
		want[named(roomtest.Conn(t, s), "")] = true
	}
	check()
}

// Where there is no such server, nothing is open.
func TestServersThatAreNotThere(t *testing.T) {
	s := roomtest.Server(t)
	nc := roomtest.Conn(t, s) // no system account
	id, err := nc.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	n := Named{room.Connection{ServerID: nc.ConnectedServerId(), ClientID: id}, ""}
	if open, unknown := New(nc, nc, "").Open(t.Context(), map[Named]bool{n: true}); len(open)+len(unknown) != 0 {
		t.Errorf("%v is open, and %v perhaps", open, unknown)
	}
}

// Of a server that is there and does not answer nothing is known, for a while. One that answers
// late is believed.
func TestServerThatOwesAnAnswer(t *testing.T) {
	s := roomtest.Server(t)
	nc := roomtest.Conn(t, s) // no system account, so that the test can answer
	n := Named{room.Connection{ServerID: "SLOW", ClientID: 7}, ""}
	sub, err := nc.SubscribeSync(subjects.ServerConnections("SLOW"))
	if err != nil || nc.Flush() != nil {
		t.Fatal(err)
	}
	servers, all := New(nc, nc, ""), map[Named]bool{n: true}
	look := func() (open, unknown bool) {
		t.Helper()
		o, u := servers.Open(t.Context(), all)
		return o[n], u[n]
	}
	for range 2 { // the second time it is not even asked
		if open, unknown := look(); open || !unknown {
			t.Errorf("open: %v, unknown: %v", open, unknown)
		}
	}
	if asked, _, err := sub.Pending(); asked != 1 || err != nil {
		t.Errorf("it was asked %d times", asked)
	}
	q := servers.quiet["SLOW"]
	q.since = q.since.Add(-quietFor)
	servers.quiet["SLOW"] = q
	if open, unknown := look(); open || unknown {
		t.Errorf("after %v, open: %v, unknown: %v", quietFor, open, unknown)
	}
	q.asked = q.asked.Add(-againAfter)
	servers.quiet["SLOW"] = q
	if _, err := nc.Subscribe(subjects.ServerConnections("SLOW"), func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"data":{"connections":[{"cid":7}]}}`))
	}); err != nil || nc.Flush() != nil {
		t.Fatal(err)
	}
	if open, unknown := look(); !open || unknown {
		t.Errorf("once it answers, open: %v, unknown: %v", open, unknown)
	}
}
