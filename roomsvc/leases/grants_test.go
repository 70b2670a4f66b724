package leases

import (
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// How a user is called is what its newest token says, until that one ends; a token that says nothing
// changes nothing.
func TestCalled(t *testing.T) {
	hour := events.TimeOf(time.Now().Add(time.Hour))
	g := &grants{}
	for _, c := range []struct {
		grant  room.Grant
		stored bool
		name   string
	}{
		{room.Grant{Named: true, Name: "Alice", Until: hour}, true, "Alice"},
		{room.Grant{Named: true, Name: "Alice", Until: hour}, false, "Alice"},
		{room.Grant{Rooms: []subjects.Room{"a"}, Until: hour + 1}, true, "Alice"},
		{room.Grant{Named: true, Name: "Al", Info: []byte(`{}`)}, true, "Al"},
		{room.Grant{Named: true, Until: hour}, true, ""},
	} {
		if g.add(&c.grant) != c.stored || g.Called.Name != c.name {
			t.Errorf("%+v: called %+v", c.grant, g.Called)
		}
		if c.grant.Until == 0 && g.ends() != mostHeld {
			t.Errorf("a name for ever is held for %v", g.ends())
		}
	}
	if len(g.Tokens) != 1 || g.ends() < 59*time.Minute || g.ends() > 61*time.Minute {
		t.Errorf("%+v, for %v", g, g.ends())
	}
}

// Grants stand in the bucket as long as the token that lasts longest, also when one that did
// not is extended.
func TestGrantThatIsExtended(t *testing.T) {
	now := time.Now()
	g := &grants{}
	for _, token := range []room.Grant{
		{Rooms: []subjects.Room{"b"}, Until: events.TimeOf(now.Add(3 * time.Hour))},
		{Rooms: []subjects.Room{"a"}, Until: events.TimeOf(now.Add(2 * time.Hour))},
		{Rooms: []subjects.Room{"a"}, Until: events.TimeOf(now.Add(4 * time.Hour))},
	} {
		if !g.add(&token) {
			t.Errorf("%v is not stored", token)
		}
	}
	if len(g.Tokens) != 2 || g.Tokens[0].Rooms[0] != "a" || g.Tokens[1].Rooms[0] != "b" {
		t.Errorf("the grants are %+v", g.Tokens)
	}
}
