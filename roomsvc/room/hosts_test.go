package room_test

import (
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// That nobody is a host by itself is the default: to say so once more takes nothing from the
// creator that somebody made a host.
func TestHostsAsTheyAreByDefault(t *testing.T) {
	w := newWorld(t)
	w.carry(as(room.Create, "alice"))
	w.carry(setRole("", events.RoleHost, "alice"))
	for _, hosts := range []string{room.HostsNone, "", room.HostsNone} {
		c := as(room.Update, "")
		c.Change = &room.ConfigUpdate{Hosts: &hosts}
		if v, _ := w.carry(c); !v.Changed {
			t.Fatalf("%+v", v)
		}
		if got := w.hosts(); len(got) != 1 || got[0] != subjects.User("alice") {
			t.Errorf("after %q the hosts are %v", hosts, got)
		}
	}
}
