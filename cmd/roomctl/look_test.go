package main

import (
	"bytes"
	"strings"
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

func TestTables(t *testing.T) {
	t.Parallel()
	lobby := events.Room{RoomID: "lobby", RoomName: "The lobby", CreatedAt: noon, CreatedBy: "alice", MemberCount: 3, Sequence: 7}
	odd := events.Room{RoomID: "a b", RoomName: "日本\x1b[31m", CreatedAt: noon, MemberCount: 12, Sequence: 1234}
	full := lobby
	full.Config = events.Config{MaxMembers: 10, RoomDestroyDelayTime: 90, Delivery: "open", Access: "listed", AllowedUsers: []string{"bob", "al ice"}}
	full.Attributes = map[string]string{"topic": "tea", "colour": "blue"}
	full.DestroyAt = noon
	described := room.GetReply{Room: full, Owners: map[string]string{"topic": "bob"}}
	ruled := room.GetReply{
		Room: events.Room{RoomID: "lobby", CreatedAt: noon, CreatedBy: "alice", MemberCount: 2, Sequence: 7, Config: events.Config{
			Access: "token", HistoryForJoiners: new(bool), Attributes: "owned", Speakers: "hosts", Hosts: "creator",
		}},
		Bans: []events.Restriction{{UserID: "eve"}, {UserID: "mal lory", Until: noon, Reason: "spam\x1b"}}, Mutes: []events.Restriction{{UserID: "bob", Reason: "loud"}}, More: true,
	}
	in := []room.MemberInfo{{UserID: "alice", Role: events.RoleHost, JoinedAt: noon}, {UserID: "bob", JoinedAt: noon, Attributes: map[string]string{"mood": "so so"}}}
	sessions := []room.MemberSession{{SessionID: "tab-1"}, {SessionID: "the phone"}}
	for name, c := range map[string]struct{ got, want string }{
		"rooms": {plain.rooms("", []events.Room{lobby, odd}), `
ROOM   NAME       MEMBERS  SEQUENCE  CREATED
lobby  The lobby        3         7  2026-05-04 12:00:00
"a b"  日本�[31m       12      1234  2026-05-04 12:00:00`},
		"no rooms":      {plain.rooms("", nil), "\nthere is no room"},
		"no such rooms": {plain.rooms("x", nil), "\nthere is no room whose ID starts with x"},
		"heads":         {plain.heads("bob", []room.RoomHead{{RoomID: "lobby", Sequence: 7}, {RoomID: "garden", Sequence: 12}}), "\nROOM    SEQUENCE\nlobby          7\ngarden        12"},
		"no heads":      {plain.heads("bob", nil), "\nbob is in no room"},
		"nobody":        {plain.members("lobby", nil), "\nnobody is in lobby"},
		"members": {plain.members("lobby", []room.MemberInfo{{UserID: "alice", UserName: "Alice L.", JoinedAt: noon, Sessions: sessions}, {UserID: "bob", JoinedAt: noon}}), `
USER   NAME      JOINED               SESSIONS
alice  Alice L.  2026-05-04 12:00:00  tab-1, "the phone"
bob              2026-05-04 12:00:00`},
		"attributes": {plain.members("lobby", []room.MemberInfo{{UserID: "alice", JoinedAt: noon, Sessions: sessions[:1], Attributes: map[string]string{"role": "host", "mood": "so so"}}, {UserID: "bob", JoinedAt: noon}}), `
USER   JOINED               SESSIONS  ATTRIBUTES
alice  2026-05-04 12:00:00  tab-1     mood="so so", role=host
bob    2026-05-04 12:00:00`},
		"instances": {plain.instances([]room.Instance{{InstanceID: "i2", CreatedAt: noon, Sequence: 7}, {InstanceID: "i1", RoomName: "Tea", CreatedAt: noon, EndedAt: noon, Reason: events.DestroyedEmpty, Sequence: 12}}), `
INSTANCE  NAME  CREATED              ENDED                WHY    SEQUENCE
i2              2026-05-04 12:00:00                                     7
i1        Tea   2026-05-04 12:00:00  2026-05-04 12:00:00  empty        12`},
		"roles": {plain.members("lobby", in), `
USER   JOINED               ROLE  ATTRIBUTES
alice  2026-05-04 12:00:00  host
bob    2026-05-04 12:00:00        mood="so so"`},
		"rules": {plain.room(&ruled), `
room                    lobby
members                 2
sequence                7
created                 2026-05-04 12:00:00 by alice
messages of before      not for those who join
end users who may join  users with a token that names it
end users who may send  hosts
always a host           its creator
attributes of others    only hosts may change them
banned eve              as long as the room exists
banned "mal lory"       until 2026-05-04 12:00:00: spam�
muted bob               as long as the room exists: loud
banned or muted         more users than are listed here`},
		"standing": {plain.standing(&ruled, in), `
room                    lobby
end users who may join  users with a token that names it
end users who may send  hosts
hosts who are in        alice
always a host           its creator, alice
banned eve              as long as the room exists
banned "mal lory"       until 2026-05-04 12:00:00: spam�
muted bob               as long as the room exists: loud
banned or muted         more users than are listed here`},
		"standing as usual": {plain.standing(&room.GetReply{Room: events.Room{RoomID: "lobby"}}, nil), `
room                    lobby
end users who may join  everybody
end users who may send  everybody`},
		"room": {plain.room(&described), `
room                          lobby
name                          The lobby
members                       3 of 10
sequence                      7
created                       2026-05-04 12:00:00 by alice
outlives its last member by   1m30s
destroyed if nobody joins by  2026-05-04 12:00:00
heard by                      everybody who is connected
end users who may join        users on its list: bob, "al ice"
attribute colour              blue
attribute topic               tea (owner bob)`},
	} {
		if want := c.want[1:]; c.got != want && "\n"+c.got != c.want {
			t.Errorf("%s\n got\n%s\nwant\n%s", name, c.got, want)
		}
	}
}

func TestSuccessLines(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	reply := func(created *bool, left string) *room.JoinedReply {
		r := &room.JoinedReply{Room: events.Room{RoomID: "lobby", MemberCount: 3}, Created: created, Position: room.Position{Sequence: 7}}
		if left != "" {
			r.Left = &room.LeftRoom{RoomID: left}
		}
		return r
	}
	for want, got := range map[string]string{
		"alice created lobby and is in it (3 members, sequence 7)":               plain.created("alice", reply(nil, "")),
		"created lobby, with nobody in it (sequence 7)":                          plain.created("", reply(nil, "")),
		"alice is in lobby (3 members, sequence 7)":                              plain.joined("alice", reply(&no, "")),
		"bob created lobby and is in it (3 members, sequence 7)":                 plain.joined("bob", reply(&yes, "")),
		"alice left garden and is in lobby (3 members, sequence 7)":              plain.switched("alice", reply(&no, "garden")),
		"alice left garden and is in the new room lobby (3 members, sequence 7)": plain.switched("alice", reply(&yes, "garden")),
		"alice left lobby (sequence 8)":                                          plain.left("alice", &room.LeftReply{RoomID: "lobby", Position: room.Position{Sequence: 8}}),
		"alice left a, b":                                                        plain.leftAll("alice", []string{"a", "b"}),
		"alice was in no room":                                                   plain.leftAll("alice", nil),
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestColoursOnlyOnATerminal(t *testing.T) {
	t.Parallel()
	if lookOf(&bytes.Buffer{}).colours {
		t.Error("colours in a buffer")
	}
	if got := (look{colours: true, zone: plain.zone}).user("alice\x1b"); strings.Contains(got, "alice\x1b") {
		t.Errorf("an escape came through: %q", got)
	}
}

func TestShellWord(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"lobby": "lobby", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "a.b>c": "'a.b>c'", "--as": "--as", "nats://h:1": "nats://h:1", "日本": "'日本'",
	} {
		if got := shellWord(in); got != want {
			t.Errorf("%q is typed as %s, want %s", in, got, want)
		}
	}
}
