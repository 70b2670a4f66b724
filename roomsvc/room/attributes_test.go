package room_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

func TestSetAttributes(t *testing.T) {
	const lobby = "create alice lobby delay=9 +topic=tea\njoin bob lobby\n" // revisions 1 and 2
	const seat = lobby + "setAttributes bob lobby +seat=bob go\n"           // revision 3
	runCases(t, []runCase{
		{
			"a new one", lobby, "setAttributes bob lobby +seat=bob req=1", "changed",
			"lobby.1 room.attributes.changed.v1 3 at 100: [bob set=seat req=1 digest=d1] {seat=bob(bob)}",
			"lobby.1 at 3, 2 members: alice/default bob/default {seat=bob(bob) topic=tea(alice)}",
		},
		{"no room", "", "setAttributes bob lobby +seat=bob", "ROOM_NOT_EXIST", "", ""},
		{"not a member", lobby, "setAttributes eve lobby +seat=eve", "USER_NOT_IN_ROOM", "", ""},
		{"a session that is not in", lobby, "setAttributes bob/tab lobby +seat=bob", "USER_NOT_IN_ROOM", "", ""},
		{"one's own", seat, "setAttributes bob lobby +seat=2", "changed", "*", "lobby.1 at 4, 2 members: alice/default bob/default {seat=2(bob~) topic=tea(alice)}"},
		{"the creator's, by the creator", lobby, "setAttributes alice lobby +topic=2", "changed", "*", "lobby.1 at 3, 2 members: alice/default bob/default {topic=2(alice)}"},
		{"somebody else's", lobby, "setAttributes bob lobby +topic=2", "nothing errors=topic", "", ""},
		{
			"somebody else's beside one's own", seat, "setAttributes bob lobby +seat=2 +topic=2 -nothing req=7", "changed errors=topic",
			"lobby.1 room.attributes.changed.v1 4 at 100: [bob set=seat errors=topic req=7 digest=d7] {seat=2(bob~)}", "",
		},
		{
			"somebody else's by force", lobby, "setAttributes bob lobby +topic=2 force", "changed",
			"lobby.1 room.attributes.changed.v1 3 at 100: [bob set=topic] {topic=2(alice)}", "lobby.1 at 3, 2 members: alice/default bob/default {topic=2(alice)}",
		},
		{"somebody else's by force, and taken", lobby, "setAttributes bob lobby +topic=2 force own", "changed", "*", "lobby.1 at 3, 2 members: alice/default bob/default {topic=2(bob)}"},
		{"taking needs force", lobby, "setAttributes bob lobby +topic=tea own", "nothing errors=topic", "", ""},
		{"only ownership changes", lobby, "setAttributes bob lobby +topic=tea force own", "changed", "*", "lobby.1 at 3, 2 members: alice/default bob/default {topic=tea(bob)}"},
		{"as it is already", lobby, "setAttributes alice lobby +topic=tea -none", "nothing", "", ""},
		{"somebody else's, as it is already", lobby, "setAttributes bob lobby +topic=tea", "nothing", "", ""},
		{"delete one's own", seat, "setAttributes bob lobby -seat", "changed", "lobby.1 room.attributes.changed.v1 4 at 100: [bob delete=seat] {} gone=seat", "lobby.1 at 4, 2 members: alice/default bob/default {topic=tea(alice)}"},
		{"delete somebody else's", seat, "setAttributes alice lobby -seat", "nothing errors=seat", "", ""},
		{"delete somebody else's by force", seat, "setAttributes alice lobby -seat force", "changed", "*", "lobby.1 at 4, 2 members: alice/default bob/default {topic=tea(alice)}"},
		{"delete what is not there", lobby, "setAttributes alice lobby -none", "nothing", "", ""},
		{"delete twice", seat, "setAttributes bob lobby -seat -seat", "changed", "lobby.1 room.attributes.changed.v1 4 at 100: [bob delete=seat] {} gone=seat", ""},

		{"nobody's, by any member", "create - lobby +topic=tea\njoin bob lobby", "setAttributes bob lobby +topic=2", "changed", "*", "lobby.1 at 3, 1 members: bob/default {topic=2(nobody)}"},
		{"nobody's, taken", "create - lobby +topic=tea\njoin bob lobby", "setAttributes bob lobby +topic=2 own go", "changed", "*", "lobby.1 at 3, 1 members: bob/default {topic=2(bob~)}"},
		{"nobody's, deleted", "create - lobby +topic=tea\njoin bob lobby", "setAttributes bob lobby -topic", "changed", "*", "lobby.1 at 3, 1 members: bob/default"},

		{"deleteAfterOwnerLeft not given", seat, "setAttributes bob lobby +seat=2", "changed", "*", "lobby.1 at 4, 2 members: alice/default bob/default {seat=2(bob~) topic=tea(alice)}"},
		{"deleteAfterOwnerLeft now false", seat, "setAttributes bob lobby +seat=bob stay", "changed", "*", "lobby.1 at 4, 2 members: alice/default bob/default {seat=bob(bob) topic=tea(alice)}"},
		{"deleteAfterOwnerLeft unchanged", seat, "setAttributes bob lobby +seat=bob go", "nothing", "", ""},
		{"deleteAfterOwnerLeft of somebody else's", seat, "setAttributes alice lobby +seat=bob stay", "nothing errors=seat", "", ""},

		{"if unchanged since the creation", lobby, "setAttributes alice lobby +topic=2 if=1", "changed", "*", ""},
		{"if unchanged since joining", lobby, "setAttributes alice lobby +topic=2 if=2", "changed", "*", ""},
		{"if unchanged since the last change", seat, "setAttributes alice lobby +topic=2 if=3", "changed", "*", ""},
		{"if unchanged, but it was", seat, "setAttributes alice lobby +topic=2 if=2", "REVISION_MISMATCH", "", ""},
		{"if unchanged is checked before already so", seat, "setAttributes bob lobby +seat=bob if=2", "REVISION_MISMATCH", "", ""},
		{"if unchanged is checked after membership", seat, "setAttributes eve lobby +seat=bob if=2", "USER_NOT_IN_ROOM", "", ""},
		{"if unchanged, and already so", seat, "setAttributes bob lobby +seat=bob if=3", "nothing", "", ""},
		{"if unchanged, but a key went with its owner", seat + "leave bob lobby", "setAttributes alice lobby +topic=2 if=3", "REVISION_MISMATCH", "", ""},
		{"joining changes no attributes", seat + "join eve lobby", "setAttributes alice lobby +topic=2 if=3", "changed", "*", ""},
		{"nor does leaving with none", lobby + "leave bob lobby", "setAttributes alice lobby +topic=2 if=1", "changed", "*", ""},

		{
			"two at once", lobby, "setAttributes bob lobby +seat=bob +x=1 req=1; setAttributes alice lobby +topic=2 +x=2 req=2", "changed; changed errors=x",
			"lobby.1 room.attributes.changed.v1 3 at 100: [bob set=seat,x req=1 digest=d1] [alice set=topic errors=x req=2 digest=d2] {seat=bob(bob) topic=2(alice) x=1(bob)}", "",
		},
		{
			"one deletes what the other sets", lobby, "setAttributes bob lobby +seat=bob; setAttributes alice lobby -seat force", "changed; changed",
			"lobby.1 room.attributes.changed.v1 3 at 100: [bob set=seat] [alice delete=seat] {} gone=seat", "lobby.1 at 3, 2 members: alice/default bob/default {topic=tea(alice)}",
		},
		{
			"one sets what the other deletes", seat, "setAttributes bob lobby -seat; setAttributes alice lobby +seat=alice", "changed; changed",
			"lobby.1 room.attributes.changed.v1 4 at 100: [bob delete=seat] [alice set=seat] {seat=alice(alice)}", "lobby.1 at 4, 2 members: alice/default bob/default {seat=alice(alice) topic=tea(alice)}",
		},
		{"two that count up", lobby, "setAttributes bob lobby +n=1 if=2; setAttributes alice lobby +n=1 if=2", "changed; REVISION_MISMATCH", "*", ""},
		{"after one that changed nothing", lobby, "setAttributes bob lobby +topic=tea if=2; setAttributes alice lobby +topic=2 if=2", "nothing; changed", "*", ""},
		{"twice by one user", lobby, "setAttributes bob lobby +n=1; setAttributes bob lobby +n=2", "changed; later", "*", ""},
		{"one type a run", lobby, "setAttributes bob lobby +n=1; join eve lobby; leave alice lobby; kick ops lobby alice; destroy ops lobby; setMemberAttributes alice lobby alice +a=1", "changed; later; later; later; later; later", "*", ""},
		{"beside a member who may take keys along", seat, "leave bob lobby; setAttributes alice lobby +seat=bob; setAttributes eve lobby +n=1", "changed; later; later", "*", ""},
		{"while it is created", "", "create alice lobby +seat=alice; setAttributes bob lobby +seat=bob", "created; later", "*", ""},
		{"a room that is ending waits", "create alice lobby\nleave alice lobby", "setAttributes alice lobby +n=1", "later", "", ""},
	})
}

func TestSetMemberAttributes(t *testing.T) {
	const lobby = "create alice lobby delay=9\njoin bob lobby\n"
	const hand = lobby + "setMemberAttributes alice lobby bob +hand=up\n"
	runCases(t, []runCase{
		{
			"of another", lobby, "setMemberAttributes alice lobby bob +hand=up req=1", "changed",
			"lobby.1 member.attributes.changed.v1 3 at 100: [alice req=1 digest=d1] bob{hand=up~}", "lobby.1 at 3, 2 members: alice/default bob/default{hand=up~}",
		},
		{"of several, some not in", lobby, "setMemberAttributes alice lobby eve,bob,alice +hand=up", "changed", "lobby.1 member.attributes.changed.v1 3 at 100: [alice] bob{hand=up~} alice{hand=up~}", ""},
		{"of nobody in the room", lobby, "setMemberAttributes alice lobby eve +hand=up", "nothing", "", ""},
		{"no room", "", "setMemberAttributes alice lobby alice +hand=up", "ROOM_NOT_EXIST", "", ""},
		{"not a member", lobby, "setMemberAttributes eve lobby bob +hand=up", "USER_NOT_IN_ROOM", "", ""},
		{"a session that is not in", lobby, "setMemberAttributes alice/tab lobby bob +hand=up", "USER_NOT_IN_ROOM", "", ""},
		{"another one beside it", hand, "setMemberAttributes bob lobby bob +mic=on stay", "changed", "*", "lobby.1 at 4, 2 members: alice/default bob/default{hand=up~,mic=on}"},
		{"as it is already", hand, "setMemberAttributes bob lobby bob +hand=up", "nothing", "", ""},
		{"to stay from now on", hand, "setMemberAttributes bob lobby bob +hand=up stay", "changed", "*", "lobby.1 at 4, 2 members: alice/default bob/default{hand=up}"},
		{"to go again", hand + "setMemberAttributes bob lobby bob +hand=up stay", "setMemberAttributes bob lobby bob +hand=up", "changed", "*", "lobby.1 at 5, 2 members: alice/default bob/default{hand=up~}"},
		{"changed for one of two", hand, "setMemberAttributes alice lobby bob,alice +hand=up", "changed", "*", "lobby.1 at 4, 2 members: alice/default{hand=up~} bob/default{hand=up~}"},
		{"one command a fact", lobby, "setMemberAttributes alice lobby bob +hand=up; setMemberAttributes bob lobby alice +hand=up; join eve lobby; setAttributes bob lobby +n=1", "changed; later; later; later", "*", ""},
		{"they don't change the room's", lobby + "setAttributes alice lobby +n=1\nsetMemberAttributes alice lobby bob +hand=up", "setAttributes alice lobby +n=2 if=3", "changed", "*", ""},
		{"gone with the membership", hand + "leave bob lobby", "join bob lobby", "changed", "lobby.1 member.joined.v1 5 at 100: [bob/default join] count=2", "lobby.1 at 5, 2 members: alice/default bob/default"},
		{
			"back after it", hand + "setMemberAttributes alice lobby bob +badge=1 stay\nleave bob lobby", "join bob lobby", "changed",
			"lobby.1 member.joined.v1 6 at 100: [bob/default join {badge=1}] count=2", "lobby.1 at 6, 2 members: alice/default bob/default{badge=1}",
		},
		{"not with a further session", hand, "join bob/tab lobby", "changed", "lobby.1 session.joined.v1 4 at 100: [bob/tab join] count=2", "lobby.1 at 4, 2 members: alice/default bob/default/tab{hand=up~}"},
		{"not gone with one of two sessions", hand + "join bob/tab lobby", "leave bob lobby", "changed", "*", "lobby.1 at 5, 2 members: alice/default bob/tab{hand=up~}"},
		{"left behind by switching, too", hand + "setMemberAttributes alice lobby bob +badge=1 stay\ncreate eve games", "switch bob lobby games", "changed", "*", "lobby.1 at 5, 1 members: alice/default, bob left behind {badge=1}\ngames.1 at 2, 2 members: eve/default bob/default"},
		{"a room that is ending waits", "create alice lobby\nleave alice lobby", "setMemberAttributes alice lobby alice +n=1", "later", "", ""},
	})
}

// A room keeps what a limited number of users left behind; beyond it, users gone longest lose theirs.
func TestKept(t *testing.T) {
	w := newWorld(t)
	w.run("create keeper lobby")
	w.fill("lobby", room.MaxKept+3)
	var all []string
	for i, m := range membersOf(w.rooms["lobby"]) {
		if i > 0 {
			all = append(all, string(m.User))
		}
	}
	for _, u := range all {
		w.run("setMemberAttributes " + u + " lobby " + u + " +badge=" + u + " stay")
	}
	kept := func() (list []string) {
		for _, k := range keptOf(w.rooms["lobby"]) {
			list = append(list, string(k.User))
		}
		slices.Sort(list)
		return list
	}
	leave := func(users ...string) {
		var lines []string
		for _, u := range users {
			lines = append(lines, "leave "+u+" lobby")
		}
		w.run(lines...)
	}
	for i := 0; i < room.MaxKept-1; i += 100 {
		leave(all[i:min(i+100, room.MaxKept-1)]...)
	}
	if got := kept(); !slices.Equal(got, all[:room.MaxKept-1]) {
		t.Fatalf("one below: %d left behind", len(got))
	}
	before := len(w.journal)
	for _, line := range []string{
		"join guest lobby", "setMemberAttributes guest lobby guest +badge=1 stay", "leave guest lobby",
		"join guest lobby", "setMemberAttributes guest lobby guest +badge=1 go", "leave guest lobby",
	} {
		w.run(line)
	}
	leave(all[room.MaxKept-1])
	if got := kept(); !slices.Equal(got, all[:room.MaxKept]) {
		t.Fatalf("at the limit: %d left behind", len(got))
	}
	if got := keptOf(w.again("lobby", before)); !slices.EqualFunc(got, keptOf(w.rooms["lobby"]), func(a, b room.Kept) bool { return a.User == b.User }) {
		t.Fatalf("the guest's past, read again, took a place: %d left behind, from %s", len(got), got[0].User)
	}
	var changes room.Changes
	w.changed = func(ch room.Changes, _ *events.Fact) { changes = ch }
	leave(all[room.MaxKept:]...) // three more: the first three of the oldest fact go
	if got := kept(); !slices.Equal(got, all[3:]) {
		t.Fatalf("past it: %d left behind, from %s", len(got), got[0])
	}
	gone := 0
	for _, k := range changes.Keep {
		if k.Attributes == nil {
			gone++
		}
	}
	if len(changes.Keep) != 6 || gone != 3 {
		t.Errorf("changes: %d records, %d of them gone", len(changes.Keep), gone)
	}
	// A user who comes back frees a place, and reading the past again takes nobody's.
	w.run("join "+all[100]+" lobby", "join "+all[0]+" lobby")
	if m := w.rooms["lobby"].Member("u0100"); m == nil || m.Attributes["badge"] != "u0100" || w.rooms["lobby"].Member("u0000").Attributes != nil {
		t.Errorf("came back with %v", m)
	}
	// (Some of those that were dropped may be back where there is a free place now.)
	lobby := w.rooms["lobby"]
	for _, last := range []int{1, 2, 3, 5, 100, len(w.journal) - 1} {
		again := w.again("lobby", len(w.journal)-last)
		if all := keptOf(again); len(all) > room.MaxKept || last <= 3 && len(all) != len(keptOf(lobby)) {
			t.Errorf("the last %d facts, read again: %d left behind", last, len(all))
		}
		still := map[subjects.User]uint64{}
		again.Kept(func(k room.Kept) { still[k.User] = k.Revision })
		lobby.Kept(func(k room.Kept) {
			if still[k.User] != k.Revision {
				t.Fatalf("the last %d facts, read again: what %s left behind is gone", last, k.User)
			}
		})
	}
}

// again reads the room's journal from some fact on over the room as it is stored now.
func (w *world) again(r subjects.Room, from int) *room.State {
	w.Helper()
	w.reload(r)
	s := w.rooms[r]
	w.reload(r)
	for _, f := range w.journal[from:] {
		var err error
		if s, _, _, err = room.Merge(s, f.Fact, f.revision); err != nil {
			w.Fatalf("%v", err)
		}
	}
	return s
}

// However many users count up by compare-and-set, together or one after another, and
// whichever of their facts are not stored: the counter equals the number of successes.
func TestCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.run("create w00 lobby +n=0")
		w.fill("lobby", 20)
		users := membersOf(w.rooms["lobby"])
		read := map[subjects.User]string{}
		successes := 0
		for range rapid.IntRange(1, 20).Draw(t, "runs") {
			var commands []*room.Command
			for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(users)-1), 1, 12).Draw(t, "writers") {
				u := users[i].User
				if line, ok := read[u]; ok {
					delete(read, u)
					commands = append(commands, w.command(line))
				} else { // it writes later what follows from what it sees now
					s := w.rooms["lobby"]
					n, _ := strconv.Atoi(s.Attributes["n"])
					read[u] = fmt.Sprintf("setAttributes %s lobby +n=%d force if=%d", u, n+1, s.Revision)
				}
			}
			verdicts, facts := w.decide(commands...)
			if len(facts) == 0 || rapid.IntRange(0, 3).Draw(t, "lost") == 0 {
				continue
			}
			w.store(facts[0])
			for _, v := range verdicts {
				if v.Changed {
					successes++
				}
			}
		}
		if got := w.rooms["lobby"].Attributes["n"]; got != strconv.Itoa(successes) {
			t.Fatalf("%s after %d successes", got, successes)
		}
	})
}
