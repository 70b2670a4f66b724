package attendance

import (
	"reflect"
	"testing"

	"natsrooms/events"
)

const second = events.Time(1000)

// story is what happens in two instances of a room.
var story = []*events.Fact{
	{Type: events.RoomCreated, InstanceID: "i1", Time: 1 * second, Joined: []events.Joined{{UserID: "alice", UserName: "Al", JoinedAt: 1 * second}, {UserID: "alice", SessionID: "b", JoinedAt: 1 * second}}},
	{Type: events.MemberJoined, InstanceID: "i1", Time: 2 * second, Joined: []events.Joined{{UserID: "bob", JoinedAt: 2 * second}, {UserID: "carol", JoinedAt: 2 * second}}},
	{Type: events.SessionJoined, InstanceID: "i1", Time: 3 * second, Joined: []events.Joined{{UserID: "bob", SessionID: "phone", JoinedAt: 3 * second}}},
	{Type: events.SessionLeft, InstanceID: "i1", Time: 4 * second, Left: []events.Left{{UserID: "bob", JoinedAt: 2 * second, LeftAt: 4 * second}}},
	{Type: events.MemberUpdated, InstanceID: "i1", Time: 4 * second, Updates: []events.MemberUpdate{{UserID: "bob", UserName: "Bob"}, {UserID: "dave", UserName: "Dave"}}},
	{Type: events.MemberLeft, InstanceID: "i1", Time: 5 * second, Left: []events.Left{{UserID: "bob", JoinedAt: 2 * second, LeftAt: 5 * second, Reason: events.ReasonKicked}}},
	{Type: events.MemberJoined, InstanceID: "i1", Time: 6 * second, Joined: []events.Joined{{UserID: "bob", JoinedAt: 6 * second}}},
	{Type: events.MemberLeft, InstanceID: "i1", Time: 8 * second, Left: []events.Left{
		{UserID: "alice", UserName: "Alice", JoinedAt: 1 * second, LeftAt: 8 * second, Reason: events.ReasonLeft}, {UserID: "bob", JoinedAt: 6 * second, LeftAt: 8 * second, Reason: events.ReasonLeft}}},
	{Type: events.RoomDestroyed, InstanceID: "i1", Time: 9 * second},
	{Type: events.RoomCreated, InstanceID: "i2", Time: 20 * second, Joined: []events.Joined{{UserID: "bob", JoinedAt: 20 * second}}},
}

var stays = []Stay{
	{"alice", "Alice", "i1", 1 * second, 8 * second, events.ReasonLeft},
	{"bob", "Bob", "i1", 2 * second, 5 * second, events.ReasonKicked},
	{"carol", "", "i1", 2 * second, 9 * second, events.ReasonDestroyed},
	{"bob", "", "i1", 6 * second, 8 * second, events.ReasonLeft},
	{"bob", "", "i2", 20 * second, 0, ""},
}

func TestBook(t *testing.T) {
	var b Book
	for _, f := range story {
		b.Add(f)
	}
	if got := b.Stays(); !reflect.DeepEqual(got, stays) {
		t.Errorf("%+v", got)
	}
	totals := Totals{}
	for _, s := range b.Stays() {
		totals.Add(s, 30*second)
	}
	if want := (Totals{"alice": {7000, 1}, "bob": {3000 + 2000 + 10000, 3}, "carol": {7000, 1}}); !reflect.DeepEqual(totals, want) {
		t.Errorf("%v", totals)
	}
	if in := stays[4]; in.Spent(19*second) != 0 {
		t.Errorf("a clock that is behind makes it %d ms", in.Spent(19*second))
	}
}

// What one fact says is enough for those who leave.
func TestEnded(t *testing.T) {
	var all []Stay
	for _, f := range story {
		all = append(all, Ended(f)...)
	}
	want := []Stay{
		{"bob", "", "i1", 2 * second, 5 * second, events.ReasonKicked}, {"alice", "Alice", "i1", 1 * second, 8 * second, events.ReasonLeft}, {"bob", "", "i1", 6 * second, 8 * second, events.ReasonLeft},
	}
	if !reflect.DeepEqual(all, want) {
		t.Errorf("%+v", all)
	}
}

func TestBetween(t *testing.T) {
	for _, c := range []struct {
		from, to events.Time
		want     []Stay
	}{
		{0, 0, stays},
		{5 * second, 7 * second, []Stay{{"alice", "Alice", "i1", 5 * second, 7 * second, ""}, {"carol", "", "i1", 5 * second, 7 * second, ""}, {"bob", "", "i1", 6 * second, 7 * second, ""}}},
		{8500, 0, []Stay{{"carol", "", "i1", 8500, 9 * second, events.ReasonDestroyed}, stays[4]}},
		{30 * second, 40 * second, []Stay{{"bob", "", "i2", 30 * second, 40 * second, ""}}},
		{0, 1 * second, nil},
	} {
		if got := Between(stays, c.from, c.to); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v to %v: %+v", c.from, c.to, got)
		}
	}
}
