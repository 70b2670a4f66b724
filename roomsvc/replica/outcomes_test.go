package replica

import (
	"reflect"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Requests of several users and verbs may have one ID, and one request may have entries in
// several facts. Each outcome is known for its time, and after that nothing is kept.
func TestOutcomes(t *testing.T) {
	const keep = time.Minute
	var q Outcomes
	q.init(keep)
	now := time.Now()
	fact := func(seq uint64, f events.Fact, ago time.Duration) {
		f.Room, f.InstanceID, f.Sequence = "lobby", "1", seq
		q.learn([]applied{{fact: &f, seq: seq, at: now.Add(-ago)}})
	}
	joined := func(u, id string, via events.Via) []events.Joined {
		return []events.Joined{{UserID: u, RequestID: id, Via: via}}
	}
	left := func(u, id string, reason events.LeftReason) []events.Left {
		return []events.Left{{UserID: u, RequestID: id, Reason: reason, Operator: "boss"}}
	}
	fact(1, events.Fact{Type: events.RoomCreated, Joined: joined("alice", "old", events.ViaEnter)}, keep)
	fact(2, events.Fact{Type: events.MemberJoined, Joined: joined("alice", "r", events.ViaEnter), Digests: []string{"d"}}, keep/2)
	fact(3, events.Fact{Type: events.MemberJoined, Joined: joined("bob", "r", events.ViaEnter)}, keep/2)
	fact(4, events.Fact{Type: events.MemberLeft, Left: left("bob", "r", events.ReasonLeft)}, keep/2)
	fact(5, events.Fact{Type: events.MemberLeft, Left: left("bob", "s", events.ReasonSwitched)}, keep/2)
	fact(6, events.Fact{Type: events.MemberJoined, Joined: joined("bob", "s", events.ViaSwitch)}, keep/2)
	fact(7, events.Fact{Type: events.MemberLeft, Left: append(left("alice", "k", events.ReasonKicked), left("bob", "k", events.ReasonKicked)...)}, keep/2)

	place := func(seq uint64) *Place {
		return &Place{"lobby", room.Position{InstanceID: "1", Sequence: seq, Revision: seq}}
	}
	for _, c := range []struct {
		user subjects.User
		verb room.Verb
		id   string
		want *Outcome
	}{
		{"alice", room.Enter, "old", nil},
		{"alice", room.Enter, "r", &Outcome{Joined: place(2)}},
		{"bob", room.Enter, "r", &Outcome{Joined: place(3)}},
		{"bob", room.Leave, "r", &Outcome{Left: []Place{*place(4)}, Users: []subjects.User{"bob"}, At: *place(4)}},
		{"bob", room.Switch, "s", &Outcome{Joined: place(6), Left: []Place{*place(5)}, Users: []subjects.User{"bob"}, At: *place(5)}},
		{"boss", room.Kick, "k", &Outcome{Left: []Place{*place(7), *place(7)}, Users: []subjects.User{"alice", "bob"}, At: *place(7)}},
		{"alice", room.Leave, "r", nil},
	} {
		got, refused := q.Look(&room.Command{User: c.user, Verb: c.verb, RequestID: c.id, Digest: "d"})
		if !reflect.DeepEqual(got, c.want) || refused != nil {
			t.Errorf("%s %s %s: %+v, %v; want %+v", c.user, c.verb, c.id, got, refused, c.want)
		}
	}
	if _, refused := q.Look(&room.Command{User: "alice", Verb: room.Enter, RequestID: "r", Digest: "another"}); refused == nil || refused.Code != room.ErrParamInvalid {
		t.Errorf("another request under the same ID: %v", refused)
	}
	q.expire(now.Add(keep / 4))
	if len(q.known) != 3 || q.oldest.id != "r" {
		t.Errorf("%d IDs are known, the oldest is %+v", len(q.known), q.oldest)
	}
	q.expire(now.Add(keep))
	if len(q.known) != 0 || q.oldest != nil || q.newest != nil {
		t.Errorf("in the end %d IDs are known, %+v", len(q.known), q.oldest)
	}
}

// Outcomes go when their time is over, also when nothing is asked any more.
func TestForgetOutcomes(t *testing.T) {
	r := New(time.Minute)
	for seq := range uint64(3 * mostExpire) {
		f := &events.Fact{Type: events.MemberJoined, Sequence: seq, Joined: []events.Joined{{UserID: "alice", RequestID: "r" + string(rune('a'+seq)), Via: events.ViaEnter}}}
		r.Outcomes.learn([]applied{{fact: f, seq: seq, at: time.Now()}})
	}
	r.Outcomes.keep = 0
	r.Forget()
	if n := len(r.Outcomes.known); n != 0 {
		t.Errorf("%d outcomes are left", n)
	}
}
