package main

import (
	"strings"
	"testing"
	"time"

	"natsrooms/events"
)

var plain = look{zone: time.UTC}

// noon is when everything in these tests happens.
var noon = events.TimeOf(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))

func encoded(t *testing.T, f events.Fact) []byte {
	t.Helper()
	f.ID, f.Room, f.InstanceID, f.Time = "id", "lobby", "i1", noon
	raw, err := f.Encode("")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func entry(user string, via events.Via) events.Joined {
	return events.Joined{UserID: user, SessionID: "default", JoinedAt: noon, Via: via}
}

func gone(user string, reason events.LeftReason) events.Left {
	return events.Left{UserID: user, SessionID: "default", JoinedAt: noon, LeftAt: noon, Reason: reason}
}

func TestFactLines(t *testing.T) {
	t.Parallel()
	fromA, toB, kicked, tab, named := entry("carol", events.ViaSwitch), gone("bob", events.ReasonSwitched), gone("bob", "kicked"), entry("alice", events.ViaJoin), entry("u1", events.ViaJoin)
	fromA.FromRoomID, toB.ToRoomID, kicked.ReasonText, tab.SessionID, named.UserName = "a", "b", "spam", "tab-2", "Uma O."
	byRoot, closed := kicked, gone("bob", events.ReasonDestroyed)
	byRoot.Operator, closed.Operator, closed.ReasonText = "root", "root", "closing"
	host := entry("alice", events.ViaCreate)
	host.Role = events.RoleHost
	alice, long := "alice", strings.Repeat("é", 100)
	owned := events.Ownership{Owners: map[string]*string{"topic": &alice, "note": &alice}}
	out := gone("alice", events.ReasonLeft)
	out.SessionID = "tab-2"
	for want, f := range map[string]events.Fact{
		"12:00:00.000    1  room created (The lobby), alice joined (create), 1 member": {
			Type: events.RoomCreated, Sequence: 1, Info: &events.Room{RoomID: "lobby", RoomName: "The lobby", MemberCount: 1}, Joined: []events.Joined{entry("alice", events.ViaCreate)},
		},
		"12:00:00.000    1  room created, with nobody in it": {Type: events.RoomCreated, Sequence: 1, Info: &events.Room{RoomID: "lobby"}},
		"12:00:00.000    7  alice joined (join), 3 members": {
			Type: events.MemberJoined, Sequence: 7, Joined: []events.Joined{entry("alice", events.ViaJoin)}, MemberCount: 3,
		},
		"12:00:00.000    7  carol joined (switch from a), u1 \"Uma O.\" joined (join), 2 members": {
			Type: events.MemberJoined, Sequence: 7, Joined: []events.Joined{fromA, named}, MemberCount: 2,
		},
		"12:00:00.000   12  a joined (join), b joined (join), c joined (enter) and 2 more, 5 members": {
			Type: events.MemberJoined, Sequence: 12, MemberCount: 5,
			Joined: []events.Joined{entry("a", "join"), entry("b", "join"), entry("c", "enter"), entry("d", "join"), entry("e", "join")},
		},
		"12:00:00.000    8  bob left, 1 member":                 {Type: events.MemberLeft, Sequence: 8, Left: []events.Left{gone("bob", events.ReasonLeft)}, MemberCount: 1},
		"12:00:00.000    8  bob left (switched to b), 1 member": {Type: events.MemberLeft, Sequence: 8, Left: []events.Left{toB}, MemberCount: 1},
		"12:00:00.000    8  bob left (room destroyed), 0 members": {
			Type: events.MemberLeft, Sequence: 8, Left: []events.Left{gone("bob", events.ReasonDestroyed)},
		},
		"12:00:00.000    8  bob left (kicked: spam), 1 member":                {Type: events.MemberLeft, Sequence: 8, Left: []events.Left{kicked}, MemberCount: 1},
		"12:00:00.000    3  alice joined with one more session, tab-2 (join)": {Type: events.SessionJoined, Sequence: 3, Joined: []events.Joined{tab}, MemberCount: 1},
		"12:00:00.000    4  alice left with one session, tab-2":               {Type: events.SessionLeft, Sequence: 4, Left: []events.Left{out}, MemberCount: 1},
		"12:00:00.000    5  alice left as tab-2, 0 members":                   {Type: events.MemberLeft, Sequence: 5, Left: []events.Left{out}},
		"12:00:00.000    9  room destroyed (empty)":                           {Type: events.RoomDestroyed, Sequence: 9, Info: &events.Room{RoomID: "lobby"}, Reason: events.DestroyedEmpty},
		"12:00:00.000    8  bob left (kicked by root: spam), 1 member":        {Type: events.MemberLeft, Sequence: 8, Left: []events.Left{byRoot}, MemberCount: 1},
		"12:00:00.000    8  bob left (room destroyed by root: closing), 0 members": {
			Type: events.MemberLeft, Sequence: 8, Left: []events.Left{closed},
		},
		"12:00:00.000    8  bob left, 1 member; deleted \"my note\", topic": {
			Type: events.MemberLeft, Sequence: 8, Left: []events.Left{gone("bob", events.ReasonLeft)}, MemberCount: 1, Deleted: []string{"my note", "topic"},
		},
		"12:00:00.000    9  room destroyed (requested by root)": {Type: events.RoomDestroyed, Sequence: 9, Info: &events.Room{RoomID: "lobby"}, Reason: events.DestroyedRequested, Operator: "root"},
		"12:00:00.000    5  alice, bob set note=" + long[:120] + "…, topic=\"green tea\" and deleted old": {
			Type: events.RoomAttributesChanged, Sequence: 5, Set: map[string]string{"topic": "green tea", "note": long}, Delete: []string{"old"}, Ownership: owned, User: "bob",
			Changes: []events.AttributesChange{{UserID: "alice", Set: []string{"topic"}}, {UserID: "bob", Set: []string{"note"}}, {UserID: "alice", Delete: []string{"old"}}},
		},
		"12:00:00.000    6  the server set topic=tea": {
			Type: events.RoomAttributesChanged, Sequence: 6, Set: map[string]string{"topic": "tea"}, Delete: []string{}, Ownership: events.Ownership{Owners: map[string]*string{"topic": nil}},
			Changes: []events.AttributesChange{{Set: []string{"topic"}}},
		},
		"12:00:00.000    6  alice deleted old, older": {
			Type: events.RoomAttributesChanged, Sequence: 6, Set: map[string]string{}, Delete: []string{"old", "older"}, Ownership: events.Ownership{Owners: map[string]*string{}}, User: "alice",
			Changes: []events.AttributesChange{{UserID: "alice", Delete: []string{"old", "older"}}},
		},
		"12:00:00.000    7  alice set attributes of bob: hand=up, mood=, carol: hand=up, mood=": {
			Type: events.MemberAttributesChanged, Sequence: 7, User: "alice",
			Infos: []events.MemberAttributes{{UserID: "bob", Attributes: map[string]string{"hand": "up", "mood": ""}}, {UserID: "carol", Attributes: map[string]string{"hand": "up", "mood": ""}}},
		},
		"12:00:00.000    8  who may join: listed, 2 listed by ops": {Type: events.RoomAccessChanged, Sequence: 8, Access: "listed", Allowed: []string{"a", "b"}, User: "ops"},
		"12:00:00.000    8  eve is banned until 2026-05-04 12:01:00: spam, mallory may come in again (by ops)": {
			Type: events.RoomAccessChanged, Sequence: 8, Access: "open", User: "ops", Bans: []events.Restriction{{UserID: "eve", Until: noon + 60_000, Reason: "spam"}, {UserID: "mallory", Lifted: true}},
		},
		"12:00:00.000    8  bob is muted as long as the room exists, carol may send again": {
			Type: events.RoomAccessChanged, Sequence: 8, Access: "open", Mutes: []events.Restriction{{UserID: "bob"}, {UserID: "carol", Lifted: true}},
		},
		"12:00:00.000    8  room updated by alice: its name is \"Hall\", at most 9 members, only hosts send": {
			Type: events.RoomUpdated, Sequence: 8, Name: "Hall", Config: &events.Config{MaxMembers: 9, Speakers: "hosts", Hosts: "none"}, User: "alice",
		},
		"12:00:00.000    9  room updated: no name, and all rules as usual": {Type: events.RoomUpdated, Sequence: 9, Config: &events.Config{}},
		"12:00:00.000    9  bob is a host now, carol is a member like others now (by alice)": {
			Type: events.MemberUpdated, Sequence: 9, User: "alice", Updates: []events.MemberUpdate{{UserID: "bob", Role: "host"}, {UserID: "carol", Role: "member"}},
		},
		"12:00:00.000    9  bob is called \"Bob B.\" now, bob has a new info": {
			Type: events.MemberUpdated, Sequence: 9, Updates: []events.MemberUpdate{{UserID: "bob", UserName: "Bob B.", UserInfo: []byte(`{"n":1}`)}},
		},
		"12:00:00.000    2  alice joined (create, a host), 1 member":  {Type: events.MemberJoined, Sequence: 2, Joined: []events.Joined{host}, MemberCount: 1},
		"12:00:00.000   10  nothing changed; the room is still there": {Type: events.RoomKept, Sequence: 10},
	} {
		if got, err := plain.fact(encoded(t, f)); err != nil || got != want {
			t.Errorf("%v\n got %s\nwant %s", err, got, want)
		}
	}
}

func TestFactOfALaterVersion(t *testing.T) {
	t.Parallel()
	raw := strings.ReplaceAll(string(encoded(t, events.Fact{Type: events.RoomKept, Sequence: 4})), events.RoomKept, events.TypePrefix+"room.painted.v1")
	got, err := plain.fact([]byte(raw))
	if want := "12:00:00.000    4  io.natsrooms.room.painted.v1, which this roomctl does not know"; err != nil || got != want {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
}

func TestWhatIsNotAFact(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"", "{}", "[1]", `{"type":"` + events.RoomKept + `"}`, "\xff"} {
		if line, err := plain.fact([]byte(raw)); err == nil {
			t.Errorf("%q is a fact: %s", raw, line)
		}
	}
}
