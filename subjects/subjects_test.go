package subjects_test

import (
	"testing"

	"natsrooms/subjects"
)

func TestSubjects(t *testing.T) {
	const (
		r = subjects.Room("a.b>c")
		u = subjects.User("al ice")
	)
	for _, c := range []struct{ what, got, want string }{
		{"Command", subjects.Command("join"), "room.cmd.join"},
		{"UserCommand", subjects.UserCommand("join", u), "room.cmd.join.al=20ice"},
		{"UserCommandPattern", subjects.UserCommandPattern("join"), "room.cmd.join.*"},
		{"UserToken", subjects.UserToken("room.cmd.join.al=20ice"), "al=20ice"},
		{"Facts", subjects.Facts(r), "room.evt.a=2Eb=3Ec"},
		{"Journal", subjects.Journal(r), "room.journal.a=2Eb=3Ec"},
		{"Messages", subjects.Messages(r), "room.msg.a=2Eb=3Ec"},
		{"UserState", subjects.UserState(u, r), "room.state.al=20ice.a=2Eb=3Ec"},
		{"UserStates", subjects.UserStates(u), "room.state.al=20ice.*"},
		{"Feed", subjects.Feed(u, r), "room.feed.al=20ice.a=2Eb=3Ec"},
		{"Open", subjects.Open(r), "room.open.a=2Eb=3Ec"},
		{"RoomKey", subjects.RoomKey(r), "a=2Eb=3Ec"},
		{"MemberKey", subjects.MemberKey(r, u), "a=2Eb=3Ec.al=20ice"},
		{"KV", subjects.KV(subjects.BucketState, "lobby.alice"), "$KV.rooms.lobby.alice"},
		{"KVPattern", subjects.KVPattern(subjects.BucketState), "$KV.rooms.>"},
		{"KeyOfKV", subjects.KeyOfKV(subjects.BucketState, "$KV.rooms.lobby.alice"), "lobby.alice"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
}

func TestRoomOfFacts(t *testing.T) {
	for _, c := range []struct {
		subject string
		room    subjects.Room
		ok      bool
	}{
		{"room.evt.lobby", "lobby", true},
		{"room.evt.a=2Eb=3Ec", "a.b>c", true},
		{"room.evt.", "", false},
		{"room.evt.a.b", "", false},
		{"room.evt.=41", "", false},
		{"room.evt.*", "", false},
		{"room.journal.lobby", "", false},
		{"lobby", "", false},
	} {
		if r, ok := subjects.RoomOfFacts(c.subject); r != c.room || ok != c.ok {
			t.Errorf("%q: %q, %v; want %q, %v", c.subject, r, ok, c.room, c.ok)
		}
	}
}

func TestParseKey(t *testing.T) {
	for _, c := range []struct {
		key        string
		room       subjects.Room
		user       subjects.User
		member, ok bool
	}{
		{subjects.RoomKey("a.b>c"), "a.b>c", "", false, true},
		{subjects.MemberKey("a.b>c", "al ice"), "a.b>c", "al ice", true, true},
		{subjects.KeyProjected, "", "", false, false},
		{subjects.KeyLeader, "", "", false, false},
		{"", "", "", false, false},
		{"=41", "", "", false, false},
		{"lobby.", "lobby", "", true, false},
		{".alice", "", "", true, false},
		{"lobby.=41", "lobby", "", true, false},
		{"lobby.alice.tab", "lobby", "", true, false},
	} {
		r, u, member, ok := subjects.ParseKey(c.key)
		if r != c.room || u != c.user || member != c.member || ok != c.ok {
			t.Errorf("%q: %q, %q, %v, %v; want %q, %q, %v, %v", c.key, r, u, member, ok, c.room, c.user, c.member, c.ok)
		}
	}
}
