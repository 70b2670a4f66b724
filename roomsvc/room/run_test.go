package room_test

import (
	"strings"
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

// Every line of given is stored separately; those of when, split at ";", are one batch.
type runCase struct {
	name, given, when string
	want              string // verdicts
	facts             string // of the batch, by room
	then              string // the rooms named in when, if it matters
}

func TestCreate(t *testing.T) {
	runCases(t, []runCase{
		{"a new room", "", "create alice lobby req=1", "created", "lobby.1 room.created.v1 1 at 100: [alice/default create req=1 digest=d1] count=1", "lobby.1 at 1, 1 members: alice/default"},
		{"a room that exists", "create alice lobby", "create bob lobby", "ROOM_ALREADY_EXISTS", "", ""},
		{"by a member", "create alice lobby", "create alice lobby", "ROOM_ALREADY_EXISTS", "", ""},
		{"existence is checked before limits", "create alice lobby", "create bob lobby rooms=full user=full", "ROOM_ALREADY_EXISTS", "", ""},
		{"too many rooms", "", "create alice lobby rooms=full user=full", "ROOM_LIMIT", "", ""},
		{"too many rooms of the user", "", "create alice lobby user=full", "USER_ROOM_LIMIT", "", ""},
		{"two at once", "", "create alice lobby; create bob lobby", "created; ROOM_ALREADY_EXISTS", "lobby.1 room.created.v1 1 at 100: [alice/default create] count=1", ""},
		{"twice by one user", "", "create alice lobby; create alice/tab lobby", "created; later", "lobby.1 room.created.v1 1 at 100: [alice/default create] count=1", ""},
		{
			"and others join in the same fact", "", "create alice lobby req=1; join bob lobby req=2; enter eve lobby", "created; changed; changed",
			"lobby.1 room.created.v1 1 at 100: [alice/default create req=1 digest=d1] [bob/default join req=2 digest=d2] [eve/default enter] count=3",
			"lobby.1 at 1, 3 members: alice/default bob/default eve/default",
		},
		{"full while it is created", "", "create alice lobby max=1; join bob lobby", "created; ROOM_FULL limit=1 actual=1", "lobby.1 room.created.v1 1 at 100: [alice/default create] count=1", ""},
		{"nobody leaves what is not stored", "", "create alice lobby; leave bob lobby", "created; later", "lobby.1 room.created.v1 1 at 100: [alice/default create] count=1", ""},
		{"without a user", "", "create - lobby req=1", "created", "lobby.1 room.created.v1 1 at 100: [req=1 digest=d1] count=0", "lobby.1 at 1, 0 members: empty since 100 by 1, ends at 400, unborn"},
		{"without a user, with a short delay", "", "create - lobby delay=299", "created", "*", "lobby.1 at 1, 0 members: empty since 100 by 1, ends at 400, unborn"},
		{"without a user, with a longer delay", "", "create - lobby delay=301", "created", "*", "lobby.1 at 1, 0 members: empty since 100 by 1, ends at 401, unborn"},
		{"without a user, and the fact's digest is its alone", "", "create - lobby req=1; create - lobby req=1; join bob lobby req=2", "created; later; later", "lobby.1 room.created.v1 1 at 100: [req=1 digest=d1] count=0", ""},
		{"too many rooms, without a user", "", "create - lobby rooms=full", "ROOM_LIMIT", "", ""},
		{"a room that is ending waits", "create alice lobby\nleave alice lobby", "create bob lobby", "later", "", ""},
		{"again after the end", "create alice lobby\nleave alice lobby\ndestroy lobby", "create bob lobby", "created", "lobby.2 room.created.v1 1 at 100: [bob/default create] count=1", ""},
	})
}

func TestJoin(t *testing.T) {
	const lobby = "create alice lobby\n"
	runCases(t, []runCase{
		{"a room", lobby, "join bob lobby req=1", "changed", "lobby.1 member.joined.v1 2 at 100: [bob/default join req=1 digest=d1] count=2", "lobby.1 at 2, 2 members: alice/default bob/default"},
		{"no room", "", "join bob lobby rooms=full user=full", "ROOM_NOT_EXIST", "", ""},
		{"twice", lobby, "join alice lobby", "USER_ALREADY_IN_ROOM", "", ""},
		{"membership is checked before limits", "create alice lobby max=1", "join alice lobby user=full", "USER_ALREADY_IN_ROOM", "", ""},
		{"on a second device", lobby, "join alice/tab lobby", "changed", "lobby.1 session.joined.v1 2 at 100: [alice/tab join] count=1", "lobby.1 at 2, 1 members: alice/default/tab"},
		{"on a second device, past every limit", "create alice lobby max=1", "join alice/tab lobby user=full", "changed", "lobby.1 session.joined.v1 2 at 100: [alice/tab join] count=1", ""},
		{"full by its own limit", "most 3\ncreate alice lobby max=2\njoin bob lobby", "join eve lobby", "ROOM_FULL limit=2 actual=2", "", ""},
		{"full by the service's limit", "most 1\ncreate alice lobby max=2", "join eve lobby", "ROOM_FULL limit=1 actual=1", "", ""},
		{"full by the only limit", "most 1\ncreate alice lobby", "join eve lobby", "ROOM_FULL limit=1 actual=1", "", ""},
		{"the service's limit was lowered", lobby + "join bob lobby\nmost 1", "join eve lobby", "ROOM_FULL limit=1 actual=2", "", ""},
		{"the last place", "create alice lobby max=2", "join bob lobby; join eve lobby", "changed; ROOM_FULL limit=2 actual=2", "lobby.1 member.joined.v1 2 at 100: [bob/default join] count=2", ""},
		{"too many rooms of the user", lobby, "join bob lobby user=full", "USER_ROOM_LIMIT", "", ""},
		{"many at once", lobby, "join bob lobby; join alice lobby; join eve lobby", "changed; USER_ALREADY_IN_ROOM; changed", "lobby.1 member.joined.v1 2 at 100: [bob/default join] [eve/default join] count=3", ""},
		{"one user at most once a run", lobby, "join bob lobby; join bob/tab lobby", "changed; later", "*", ""},
		{"one type a run", lobby, "join bob lobby; join alice/tab lobby; leave alice lobby", "changed; later; later", "*", ""},
		{"where nobody has ever been", "create - lobby delay=5", "join bob lobby", "changed", "lobby.1 member.joined.v1 2 at 100: [bob/default join] count=1", "lobby.1 at 2, 1 members: bob/default"},
		{"within the delay", "create alice lobby delay=5\nleave alice lobby", "join bob lobby", "changed", "*", "lobby.1 at 3, 1 members: bob/default"},
		{"a room that is ending waits", lobby + "leave alice lobby", "join bob lobby", "later", "", ""},
		{"the clock went back", lobby + "now 90", "join bob lobby", "changed", "lobby.1 member.joined.v1 2 at 100: [bob/default join] count=2", ""},
	})
}

func TestEnter(t *testing.T) {
	const lobby = "create alice lobby\n"
	runCases(t, []runCase{
		{"no room", "", "enter bob lobby", "created", "lobby.1 room.created.v1 1 at 100: [bob/default enter] count=1", ""},
		{"no room, two at once", "", "enter bob lobby; enter alice lobby", "created; changed", "lobby.1 room.created.v1 1 at 100: [bob/default enter] [alice/default enter] count=2", ""},
		{"no room, on two devices at once", "", "enter bob lobby; enter bob/tab lobby", "created; later", "*", ""},
		{"no room and too many rooms", "", "enter bob lobby rooms=full", "ROOM_LIMIT", "", ""},
		{"no room and too many of the user", "", "enter bob lobby user=full", "USER_ROOM_LIMIT", "", ""},
		{"a room", lobby, "enter bob lobby rooms=full", "changed", "lobby.1 member.joined.v1 2 at 100: [bob/default enter] count=2", ""},
		{"already in", lobby, "enter alice lobby", "nothing", "", ""},
		{"already in is checked before limits", "create alice lobby max=1", "enter alice lobby rooms=full user=full", "nothing", "", ""},
		{"on a second device", lobby, "enter alice/tab lobby user=full", "changed", "lobby.1 session.joined.v1 2 at 100: [alice/tab enter] count=1", ""},
		{"full", "create alice lobby max=1", "enter bob lobby", "ROOM_FULL limit=1 actual=1", "", ""},
		{"too many rooms of the user", lobby, "enter bob lobby user=full", "USER_ROOM_LIMIT", "", ""},
		{"a room that is ending waits", lobby + "leave alice lobby", "enter bob lobby", "later", "", ""},
	})
}

func TestSwitch(t *testing.T) {
	const both = "create alice lobby\ncreate bob games\n"
	const moved = "games.1 member.joined.v1 2 at 100: [alice/default switch from=lobby req=1 digest=d1] count=2\n" +
		"lobby.1 member.left.v1 2 at 100: [alice/default switched to=games req=1 digest=d1] count=0"
	runCases(t, []runCase{
		{"between rooms", both, "switch alice lobby games req=1", "changed", moved, "lobby.1 at 2, 0 members: empty since 100 by 2, ends at 100, ending\ngames.1 at 2, 2 members: bob/default alice/default"},
		{"the limit on the user's rooms never matters", both, "switch alice lobby games user=full rooms=full req=1", "changed", moved, ""},
		{"from no room", "create bob games", "switch alice lobby games", "ROOM_NOT_EXIST", "", ""},
		{"from no room to no room", "create bob games", "switch alice lobby nowhere", "ROOM_NOT_EXIST", "", ""},
		{"from a room that is ending", both + "leave alice lobby", "switch alice lobby games", "ROOM_NOT_EXIST", "", ""},
		{"not a member", both, "switch eve lobby games", "USER_NOT_IN_ROOM", "", ""},
		{"a session that is not in", both, "switch alice/tab lobby games", "USER_NOT_IN_ROOM", "", ""},
		{"to no room", "create alice lobby", "switch alice lobby games", "ROOM_NOT_EXIST", "", "lobby.1 at 1, 1 members: alice/default\ngames: none"},
		{"to no room, with too many rooms", "create alice lobby", "switch alice lobby games rooms=full", "ROOM_NOT_EXIST", "", ""},
		{"to no room, to be created", "create alice lobby", "switch alice lobby games create user=full", "created", "games.1 room.created.v1 1 at 100: [alice/default switch from=lobby] count=1\nlobby.1 member.left.v1 2 at 100: [alice/default switched to=games] count=0", ""},
		{"to no room, to be created, with too many", "create alice lobby", "switch alice lobby games create rooms=full", "ROOM_LIMIT", "", "lobby.1 at 1, 1 members: alice/default\ngames: none"},
		{"to a full room", "create alice lobby\ncreate bob games max=1", "switch alice lobby games create", "ROOM_FULL limit=1 actual=1", "", "lobby.1 at 1, 1 members: alice/default\ngames.1 at 1, 1 members: bob/default"},
		{"to a room that is ending waits", both + "leave bob games", "switch alice lobby games", "later", "", ""},
		{"already in the target", both + "join alice games", "switch alice lobby games create", "changed", "lobby.1 member.left.v1 2 at 100: [alice/default switched to=games] count=0", ""},
		{"already in the full target", "create alice lobby\ncreate alice games max=1", "switch alice lobby games", "changed", "lobby.1 member.left.v1 2 at 100: [alice/default switched to=games] count=0", ""},
		{
			"into the target on another device", both + "join alice/tab games", "switch alice lobby games", "changed",
			"games.1 session.joined.v1 3 at 100: [alice/default switch from=lobby] count=2\nlobby.1 member.left.v1 2 at 100: [alice/default switched to=games] count=0", "",
		},
		{
			"of one of two devices", both + "join alice/tab lobby", "switch alice lobby games", "changed",
			"games.1 member.joined.v1 2 at 100: [alice/default switch from=lobby] count=2\nlobby.1 session.left.v1 3 at 100: [alice/default switched to=games] count=1", "lobby.1 at 3, 1 members: alice/tab\ngames.1 at 2, 2 members: bob/default alice/default",
		},
		{
			"of a class", both + "join eve lobby", "switch alice lobby games; switch eve lobby games", "changed; changed",
			"games.1 member.joined.v1 2 at 100: [alice/default switch from=lobby] [eve/default switch from=lobby] count=3\nlobby.1 member.left.v1 3 at 100: [alice/default switched to=games] [eve/default switched to=games] count=0", "",
		},
		{
			"into a room that another switch creates", "create alice lobby\njoin eve lobby", "switch alice lobby games create; switch eve lobby games", "created; changed",
			"games.1 room.created.v1 1 at 100: [alice/default switch from=lobby] [eve/default switch from=lobby] count=2\nlobby.1 member.left.v1 3 at 100: [alice/default switched to=games] [eve/default switched to=games] count=0", "",
		},
		{"two ways at once", both, "switch alice lobby games; switch bob games lobby", "changed; later", "*", ""},
		{"two of one user", both, "switch alice lobby games; switch alice lobby arcade create", "changed; later", "*", ""},
		{"the last place", "create alice lobby\njoin eve lobby\ncreate bob games max=2", "switch alice lobby games; switch eve lobby games", "changed; ROOM_FULL limit=2 actual=2", "*", "lobby.1 at 3, 1 members: eve/default\ngames.1 at 2, 2 members: bob/default alice/default"},
		{"neither room changes if one can't", both + "join eve/tab games\njoin eve lobby", "switch alice lobby games; switch eve lobby games", "changed; later", "*", "lobby.1 at 3, 1 members: eve/default\ngames.1 at 3, 3 members: bob/default eve/tab alice/default"},
	})
}

func TestLeave(t *testing.T) {
	const lobby = "create alice lobby delay=7\n"
	const left = "lobby.1 member.left.v1 2 at 100: [alice/default left req=1 digest=d1] count=0"
	runCases(t, []runCase{
		{"the last one", lobby, "leave alice lobby req=1", "changed", left, "lobby.1 at 2, 0 members: empty since 100 by 2, ends at 107"},
		{"without a delay", "create alice lobby", "leave alice lobby req=1", "changed", left, "lobby.1 at 2, 0 members: empty since 100 by 2, ends at 100, ending"},
		{"no room", "", "leave alice lobby", "ROOM_NOT_EXIST", "", ""},
		{"a room that is ending", "create alice lobby\nleave alice lobby", "leave alice lobby; leave bob lobby", "ROOM_NOT_EXIST; ROOM_NOT_EXIST", "", ""},
		{"an empty room", lobby + "leave alice lobby", "leave alice lobby", "USER_NOT_IN_ROOM", "", ""},
		{"not a member", lobby, "leave bob lobby", "USER_NOT_IN_ROOM", "", ""},
		{"on another session", lobby, "leave alice/tab lobby", "USER_NOT_IN_ROOM", "", ""},
		{"twice at once", lobby, "leave alice lobby req=1; leave alice lobby req=1", "changed; later", left, ""},
		{"on one of two devices", lobby + "join alice/tab lobby", "leave alice lobby; leave alice/tab lobby", "changed; later", "lobby.1 session.left.v1 3 at 100: [alice/default left] count=1", "lobby.1 at 3, 1 members: alice/tab"},
		{"on the last device", lobby + "join alice/tab lobby\nleave alice lobby", "leave alice/tab lobby", "changed", "lobby.1 member.left.v1 4 at 100: [alice/tab left] count=0", ""},
		{"many at once", lobby + "join bob lobby", "leave alice lobby; leave eve lobby; leave bob lobby", "changed; USER_NOT_IN_ROOM; changed", "lobby.1 member.left.v1 3 at 100: [alice/default left] [bob/default left] count=0", ""},
		{"one type a run", lobby + "join bob lobby", "leave alice lobby; join eve lobby; enter bob lobby", "changed; later; nothing", "*", ""},
	})
}

func TestLeaveAll(t *testing.T) {
	const three = "create alice a\ncreate alice b\njoin bob b\ncreate alice/tab c\n"
	runCases(t, []runCase{
		{"in no room", "create alice a", "leaveAll bob req=1", "nothing", "", ""},
		{
			"rooms of one session", three, "leaveAll alice req=1", "changed",
			"a.1 member.left.v1 2 at 100: [alice/default left req=1 digest=d1] count=0\nb.1 member.left.v1 3 at 100: [alice/default left req=1 digest=d1] count=1", "",
		},
		{"a further session", three + "join alice/tab b", "leaveAll alice/tab", "changed", "b.1 session.left.v1 4 at 100: [alice/tab left] count=2\nc.1 member.left.v1 2 at 100: [alice/tab left] count=0", ""},
		{"two users", three, "leaveAll alice; leaveAll bob", "changed; changed", "a.1 member.left.v1 2 at 100: [alice/default left] count=0\nb.1 member.left.v1 3 at 100: [alice/default left] [bob/default left] count=0", ""},
		{"all or later", three + "join bob/tab b\njoin bob a", "leaveAll alice; leaveAll bob", "changed; later", "*", ""},
		{"after a switch", three, "switch alice a b; leaveAll alice", "changed; later", "*", ""},
		{"beside a switch into one of the rooms", three, "switch bob b a; leaveAll alice", "changed; later", "*", ""},
	})
	w := newWorld(t)
	w.run("create bob lobby")
	alice := w.command("leaveAll alice lobby")
	if v := verdict(room.NewRun("lobby", w.rooms["lobby"], w.input("lobby")).AddLeave(alice, events.ReasonLeft, "")); v != "USER_NOT_IN_ROOM" {
		t.Errorf("AddLeave of a user who is not in: %s", v)
	}
	if r := room.NewRun("lobby", w.rooms["lobby"], w.input("lobby")); !r.TakesLeave(alice) || r.Fact() != nil {
		t.Error("TakesLeave decided something")
	}
}

func runCases(t *testing.T, cases []runCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for line := range strings.Lines(c.given) {
				if out := w.directive(strings.TrimSpace(line), nil); strings.Contains(out, "_") {
					t.Fatalf("%s: %s", line, out)
				}
			}
			lines := strings.Split(c.when, "; ")
			before := make([]string, 0, len(w.rooms))
			for r, s := range w.rooms {
				before = append(before, dump(t, r, s))
			}
			verdicts, facts := w.run(lines...)
			if got := strings.Join(verdicts, "; "); got != c.want {
				t.Errorf("verdicts %s; want %s", got, c.want)
			}
			var list []string
			for _, f := range facts {
				list = append(list, describe(f))
			}
			if got := strings.Join(list, "\n"); got != c.facts && c.facts != "*" {
				t.Errorf("facts\n%s\nwant\n%s", got, c.facts)
			}
			if len(facts) == 0 {
				for r, s := range w.rooms {
					now := dump(t, r, s)
					if !strings.Contains(strings.Join(before, ""), now) {
						t.Errorf("deciding changed %s", now)
					}
				}
			}
			if c.then == "" {
				return
			}
			command := w.command(lines[0])
			got := w.show(command.Room)
			if command.Verb == room.Switch {
				got = w.show(command.From) + "\n" + got
			}
			if got != c.then {
				t.Errorf("state\n%s\nwant\n%s", got, c.then)
			}
		})
	}
}

// A refusal says what is true, names the room and changes nothing.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	w.run("create alice lobby max=1")
	for _, line := range []string{
		"create bob lobby", "join bob lobby", "join alice lobby", "join bob nowhere", "leave bob nowhere", "leave bob lobby", "enter bob lobby",
		"create bob nowhere rooms=full", "switch alice lobby nowhere", "switch alice nowhere lobby", "switch alice lobby nowhere create rooms=full",
	} {
		c := w.command(line)
		verdicts, _ := w.decide(c)
		e := verdicts[0].Refused
		if e == nil || e.Outcome != room.None || !strings.Contains(e.Message, `"`) || verdicts[0].Changed || verdicts[0].Created || verdicts[0].Later {
			t.Errorf("%s: %+v", line, verdicts[0])
		}
	}
}

func TestDestroy(t *testing.T) {
	w := newWorld(t)
	w.run("create alice lobby delay=5")
	s := w.rooms["lobby"]
	if f := room.Destroy(s, 0, s.InstanceID, w.input("lobby")); f != nil {
		t.Errorf("a room with members: %s", describe(f))
	}
	w.run("leave alice lobby")
	for _, c := range []struct {
		name     string
		state    *room.State
		emptyBy  uint64
		instance string
		want     bool
	}{
		{"no room", nil, 2, s.InstanceID, false},
		{"emptied by another fact", s, 1, s.InstanceID, false},
		{"another instance", s, 2, "other", false},
		{"the one", s, 2, s.InstanceID, true},
	} {
		f := room.Destroy(c.state, c.emptyBy, c.instance, w.input("lobby"))
		if (f != nil) != c.want {
			t.Errorf("%s: %v", c.name, f)
		}
		if f != nil && (f.Reason != events.DestroyedEmpty || f.Info.Sequence != 3 || f.Info.Revision != 0 || f.Sequence != 3) {
			t.Errorf("%s: %+v, %+v", c.name, f, f.Info)
		}
	}
}
