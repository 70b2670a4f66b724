package subjects_test

import (
	"strings"
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
		{"MessageJournal", subjects.MessageJournal(r), "room.msgjournal.a=2Eb=3Ec"},
		{"UserState", subjects.UserState(u, r), "room.state.al=20ice.a=2Eb=3Ec"},
		{"UserStates", subjects.UserStates(u), "room.state.al=20ice.*"},
		{"Feed", subjects.Feed(u, r), "room.feed.al=20ice.a=2Eb=3Ec"},
		{"Open", subjects.Open(r), "room.open.a=2Eb=3Ec"},
		{"RoomKey", subjects.RoomKey(r), "a=2Eb=3Ec"},
		{"MemberKey", subjects.MemberKey(r, u), "a=2Eb=3Ec.al=20ice"},
		{"KeptKey", subjects.KeptKey(r, u), "=kept.a=2Eb=3Ec.al=20ice"},
		{"SessionKey", subjects.SessionKey(u, "tab.1 *"), "al=20ice.tab=2E1=20=2A"},
		{"KV", subjects.KV(subjects.BucketState, "lobby.alice"), "$KV.rooms.lobby.alice"},
		{"KVPattern", subjects.KVPattern(subjects.BucketState), "$KV.rooms.>"},
		{"KeyOfKV", subjects.KeyOfKV(subjects.BucketState, "$KV.rooms.lobby.alice"), "lobby.alice"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
}

// Both streams know the same rooms, each by subjects of its own.
func TestRoomOf(t *testing.T) {
	for what, of := range map[string]struct {
		prefix, other string
		room          func(string) (subjects.Room, bool)
	}{
		"RoomOfFacts":    {"room.evt.", "room.msg.", subjects.RoomOfFacts},
		"RoomOfMessages": {"room.msg.", "room.evt.", subjects.RoomOfMessages},
	} {
		for _, c := range []struct {
			subject string
			room    subjects.Room
			ok      bool
		}{
			{of.prefix + "lobby", "lobby", true},
			{of.prefix + "a=2Eb=3Ec", "a.b>c", true},
			{of.prefix, "", false},
			{of.prefix + "a.b", "", false},
			{of.prefix + "=41", "", false},
			{of.prefix + "*", "", false},
			{of.prefix + "=kept", "", false},
			{of.other + "lobby", "", false},
			{"room.journal.lobby", "", false},
			{"room.msgjournal.lobby", "", false},
			{"lobby", "", false},
		} {
			if r, ok := of.room(c.subject); r != c.room || ok != c.ok {
				t.Errorf("%s of %q: %q, %v; want %q, %v", what, c.subject, r, ok, c.room, c.ok)
			}
		}
	}
	if got := subjects.Messages("a.b"); got == subjects.MessageJournal("a.b") || !strings.HasPrefix(subjects.MessageJournal("a.b"), strings.TrimSuffix(subjects.MessagesTaken, ">")) {
		t.Errorf("messages are heard at %q and appended at %q", got, subjects.MessageJournal("a.b"))
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
		{subjects.KeptKey("lobby", "alice"), "", "", true, false},
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

func TestParseKeptKey(t *testing.T) {
	for key, ok := range map[string]bool{
		subjects.KeptKey("a.b>c", "al ice"):       true,
		subjects.KeptKey("=kept", "=kept"):        true,
		subjects.MemberKey("a.b>c", "al ice"):     false,
		subjects.MemberKey("=kept", "a.b"):        false,
		subjects.RoomKey("kept"):                  false,
		subjects.KeyProjected:                     false,
		"":                                        false,
		"=kept":                                   false,
		"=kept.":                                  false,
		"=kept.lobby":                             false,
		"=kept.lobby.":                            false,
		"=kept..alice":                            false,
		"=kept.lobby.=41":                         false,
		"=kept.=41.alice":                         false,
		"=kept.lobby.alice.tab":                   false,
		"=kept." + subjects.KeptKey("a", "b"):     false,
		"x" + subjects.KeptKey("a.b>c", "al ice"): false,
	} {
		r, u, got := subjects.ParseKeptKey(key)
		if got != ok {
			t.Errorf("%q: %q, %q, %v", key, r, u, got)
		}
		if ok && subjects.KeptKey(r, u) != key {
			t.Errorf("%q is of %q and %q, whose key is %q", key, r, u, subjects.KeptKey(r, u))
		}
	}
}

func TestParseSessionKey(t *testing.T) {
	long := strings.Repeat("é", 32)
	for key, ok := range map[string]bool{
		subjects.SessionKey("al ice", "default"): true,
		subjects.SessionKey("a.b>c", "tab.*.>"):  true,
		subjects.SessionKey("alice", "=leader"):  true,
		subjects.SessionKey("alice", long):       true,
		subjects.SessionKey("alice", "\uFFFE"):   true, // not a valid ID, but a session may be called anything
		subjects.SessionKey("alice", ""):         false,
		subjects.SessionKey("alice", "\xff"):     false,
		subjects.KeyLeader:                       false,
		subjects.KeyAlive:                        false,
		subjects.KeyClock:                        false,
		"":                                       false,
		"alice":                                  false,
		"alice.":                                 false,
		".tab":                                   false,
		"alice.tab.1":                            false,
		"alice.=74ab":                            false,
		"alice.=7":                               false,
		"=61lice.tab":                            false,
		"=leader.tab":                            false,
		"alice.ta b":                             false,
		"alice.*":                                false,
		"x" + subjects.SessionKey("a.b", "tab"):  true, // somebody else's
		subjects.SessionKey("alice", "tab") + "=": false,
	} {
		u, session, got := subjects.ParseSessionKey(key)
		if got != ok {
			t.Errorf("%q: %q, %q, %v", key, u, session, got)
		}
		if ok && subjects.SessionKey(u, session) != key {
			t.Errorf("%q is of %q and %q, whose key is %q", key, u, session, subjects.SessionKey(u, session))
		}
	}
}
