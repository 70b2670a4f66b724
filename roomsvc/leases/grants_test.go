package leases

import (
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

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
