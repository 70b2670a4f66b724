package subjects_test

import (
	"testing"

	"natsrooms/subjects"
)

func TestAccess(t *testing.T) {
	const u = subjects.User("al.ice")
	for _, c := range []struct{ what, got, want string }{
		{"UserCommands", subjects.UserCommands(u), "room.cmd.*.al=2Eice"},
		{"UserFeeds", subjects.UserFeeds(u), "room.feed.al=2Eice.*"},
		{"UserInbox", subjects.UserInbox(u), "_INBOX_al=2Eice"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
}

func TestOneUsers(t *testing.T) {
	for permission, want := range map[string]bool{
		"room.cmd.*.al=2Eice": true, "room.cmd.get.alice": true,
		"room.cmd.*": false, "room.cmd.get": false, "room.cmd.*.*": false, "room.cmd.>": false, "room.cmd.get.alice.x": false,
		"room.>": false, "room.evt.get.alice": false, ">": false, "": false,
	} {
		if got := subjects.OneUsers(permission); got != want {
			t.Errorf("%q: %v", permission, got)
		}
	}
}

func TestReplyAllowed(t *testing.T) {
	for _, c := range []struct {
		subject, reply string
		want           bool
	}{
		{"room.cmd.get", "", true},
		{"room.cmd.get", "_INBOX.x.1", true},
		{"room.cmd.get", "my.own.replies", true},
		{"room.cmd.get", "_INBOX_bob.x", true},
		{"room.cmd.get", "room.journal.lobby", false},
		{"room.cmd.get", "room.cmd.destroy", false},
		{"room.cmd.get", "$JS.API.STREAM.PURGE.KV_rooms", false},
		{"room.cmd.get", "$KV.rooms.lobby", false},
		{"room.cmd.get.alice", "", true},
		{"room.cmd.get.alice", "_INBOX.x.1", true},
		{"room.cmd.get.alice", "_INBOX_alice.x.1", true},
		{"room.cmd.get.alice", "_INBOX_alice", false},
		{"room.cmd.get.alice", "_INBOX_alice2.x", false},
		{"room.cmd.get.alice", "_INBOX_bob.x", false},
		{"room.cmd.get.alice", "room.evt.lobby", false},
		{"room.cmd.get.alice", "$JS.API.STREAM.DELETE.ROOMS", false},
		{"room.cmd.get.alice", "orders.new", false},
		{"room.cmd.get", "_R_.x.1", true},
		{"room.cmd.get.alice", "_R_.x.1", true},
		{"room.cmd.get", "_GR_.abcdef.ghijkl._INBOX.x.1", true},
		{"room.cmd.get", "_GR_.abcdef.ghijkl.room.journal.lobby", false},
		{"room.cmd.get", "_GR_.abcdef.ghijkl.$KV.rooms.lobby", false},
		{"room.cmd.get.alice", "_GR_.abcdef.ghijkl._INBOX_alice.x.1", true},
		{"room.cmd.get.alice", "_GR_.abcdef.ghijkl._INBOX_bob.x.1", false},
		{"room.cmd.get.alice", "_GR_.abcdef.ghijkl.room.evt.lobby", false},
		{"room.cmd.get.alice", "_GR_._INBOX_alice.x", false},
	} {
		if got := subjects.ReplyAllowed(c.subject, c.reply); got != c.want {
			t.Errorf("%s with its answer on %q: %v", c.subject, c.reply, got)
		}
	}
}

func TestInDomain(t *testing.T) {
	for _, c := range []struct{ domain, subject, want string }{
		{"", "$JS.API.INFO", "$JS.API.INFO"},
		{"", "$KV.rooms.lobby", "$KV.rooms.lobby"},
		{"hub", "$JS.API.INFO", "$JS.hub.API.INFO"},
		{"hub", "$JS.API.STREAM.INFO.ROOMS", "$JS.hub.API.STREAM.INFO.ROOMS"},
		{"hub", "$KV.rooms.lobby", "$JS.hub.API.$KV.rooms.lobby"},
		{"hub", "$KV.rooms.>", "$JS.hub.API.$KV.rooms.>"},
		{"hub", "room.journal.lobby", "room.journal.lobby"},
		{"hub", "$JS.ACK.ROOMS.>", "$JS.ACK.ROOMS.>"},
	} {
		if got := subjects.InDomain(c.domain, c.subject); got != c.want {
			t.Errorf("%s in %q is %s, want %s", c.subject, c.domain, got, c.want)
		}
	}
}
