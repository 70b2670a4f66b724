package guard

import (
	"testing"
	"time"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

func TestConnections(t *testing.T) {
	var c Connections
	now := time.Unix(1_700_000_000, 0)
	id := func(n int) room.Connection { return room.Connection{ServerID: "S", ClientID: uint64(n)} }
	ask := func(u subjects.User, n int, ok, full bool) {
		t.Helper()
		if gotOK, gotFull := c.Ask(now, u, id(n), 20); gotOK != ok || gotFull != full {
			t.Errorf("connection %d of %s: %v, %v; want %v, %v", n, u, gotOK, gotFull, ok, full)
		}
	}
	for n := range 20 {
		ask("alice", n, true, false)
	}
	ask("alice", 20, false, true)
	ask("alice", 20, false, false) // that was just found out
	ask("bob", 21, true, false)
	c.Opened("alice", id(0))
	c.Closed(id(1))
	c.Closed(id(99))
	ask("alice", 22, false, false) // there is space, but it is too early
	now = now.Add(500 * time.Millisecond)
	ask("alice", 22, true, false)
	now = now.Add(10 * time.Second) // those that were let in and never came do not count any more
	for n := range 18 {
		ask("alice", 30+n, true, false)
	}
	ask("alice", 50, false, true)
	c.Are("alice", []room.Connection{id(0), id(30)})
	ask("alice", 50, true, false)
	if n := len(c.of["alice"].open); n != 3 || len(c.who) != 4 {
		t.Errorf("%d connections, %d in all", n, len(c.who))
	}
	c.Closed(id(21))
	if c.Forget(now.Add(time.Hour)); len(c.of) != 1 {
		t.Errorf("%d users", len(c.of))
	}
}
