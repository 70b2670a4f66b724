package leases

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// nobody refuses no token.
func nobody(room.TokenMark) bool { return false }

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
		if g.add(&c.grant, room.TokenMark{}, nobody) != c.stored || g.Called.Name != c.name {
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

// Each token gives what it gives by itself: when one is refused, what others give is left. What gives
// way when there are too many is refused, or gives nothing that another one does not.
func TestGrantsOfSeveralTokens(t *testing.T) {
	now := time.Now()
	hour := func(n int) events.Time { return events.TimeOf(now.Add(time.Duration(n) * time.Hour)) }
	bad := map[uint64]bool{}
	refused := func(m room.TokenMark) bool { return bad[m.ID] }
	g := &grants{}
	add := func(id uint64, until events.Time, rooms ...subjects.Room) bool {
		grant := room.Grant{Named: true, Name: fmt.Sprint("name ", id), Rooms: rooms, Until: until}
		return g.add(&grant, room.TokenMark{ID: id, Key: 7, IssuedAt: 1}, refused)
	}
	for id := range uint64(3) {
		if !add(id+1, hour(3), "a") || add(id+1, hour(3), "a") {
			t.Errorf("token %d is not stored, or twice", id+1)
		}
	}
	if len(g.Tokens) != 3 || len(g.names()) != 3 || g.names()[0].Name != "name 3" || g.names()[2].Name != "name 1" {
		t.Errorf("%+v", g)
	}
	add(4, hour(1), "b")
	for id := uint64(5); id < 4+mostTokens; id++ {
		add(id, hour(5), "a")
	}
	if last := g.Tokens[len(g.Tokens)-1]; len(g.Tokens) != mostTokens || last.ID != 4 || len(g.names()) != mostNames {
		t.Errorf("%d tokens, %d names, the last is %+v", len(g.Tokens), len(g.names()), last)
	}
	bad[10] = true
	add(100, hour(1), "c")
	ids := map[uint64]bool{}
	for _, t := range g.Tokens {
		ids[t.ID] = true
	}
	if len(g.Tokens) != mostTokens || ids[10] || !ids[4] || !ids[100] {
		t.Errorf("the wrong one gives way: %v", ids)
	}
}

// Grants that an earlier version stored say nothing of their tokens: they count as of tokens from
// when they were stored, with any key.
func TestGrantsFromBefore(t *testing.T) {
	until := events.TimeOf(time.Now().Add(time.Hour))
	k := newLedger(0, nil, slog.New(slog.DiscardHandler))
	k.takeGrants("alice", fmt.Appendf(nil, `{"tokens":[{"rooms":[],"hosts":["exam"],"until":%q}],"called":{"name":"Alice","until":%[1]q}}`, until), false, 5000)
	known := k.bearers["alice"]
	want := room.TokenMark{IssuedAt: 5000}
	if len(known.hosts) != 1 || known.hosts[0].TokenMark != want || len(known.called) != 1 || known.called[0].TokenMark != want || known.called[0].Name != "Alice" {
		t.Fatalf("%+v", known)
	}
	var before events.Time
	b := &Book{known: k, Refuses: func(m room.TokenMark) bool { return m.User == "alice" && m.IssuedAt < before }}
	for _, before = range []events.Time{0, 5000, 5001} {
		name, _ := b.Called("alice")
		if good := before <= 5000; b.HostOf("alice", "exam") != good || (name == "Alice") != good {
			t.Errorf("when tokens from before %d are refused: %v, %q", before, b.HostOf("alice", "exam"), name)
		}
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
		if !g.add(&token, room.TokenMark{}, nobody) {
			t.Errorf("%v is not stored", token)
		}
	}
	if len(g.Tokens) != 2 || g.Tokens[0].Rooms[0] != "a" || g.Tokens[1].Rooms[0] != "b" {
		t.Errorf("the grants are %+v", g.Tokens)
	}
}
