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
	servers := New(roomtest.SystemConn(t, s), roomtest.Conn(t, s))
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
		open := servers.Open(t.Context(), all)
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

// Without an answer, nothing is open.
func TestServersThatDoNotAnswer(t *testing.T) {
	s := roomtest.Server(t)
	nc := roomtest.Conn(t, s) // no system account
	id, err := nc.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	n := Named{room.Connection{ServerID: nc.ConnectedServerId(), ClientID: id}, ""}
	if open := New(nc, nc).Open(t.Context(), map[Named]bool{n: true}); len(open) != 0 {
		t.Errorf("%v is open", open)
	}
}
