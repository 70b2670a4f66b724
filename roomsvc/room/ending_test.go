package room_test

import (
	"fmt"
	"strings"
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

func TestKick(t *testing.T) {
	const lobby = "create alice lobby delay=9\njoin bob lobby\njoin bob/tab lobby\njoin eve lobby\n"
	runCases(t, []runCase{
		{
			"some in, some not", lobby, "kick ops lobby zoe,eve,bob reason=spam req=1", "changed users=eve bob",
			"lobby.1 member.left.v1 5 at 100: [eve/default kicked by=ops text=spam req=1 digest=d1] [bob/default kicked by=ops text=spam req=1 digest=d1] count=1",
			"lobby.1 at 5, 1 members: alice/default",
		},
		{"nobody in the room", lobby, "kick ops lobby zoe", "nothing", "", ""},
		{"no room", "", "kick ops lobby bob", "ROOM_NOT_EXIST", "", ""},
		{"everybody", lobby, "kick ops lobby alice,bob,eve", "changed users=alice bob eve", "*", "lobby.1 at 5, 0 members: empty since 100 by 5, ends at 109"},
		{"without an operator", lobby, "kick - lobby eve", "changed users=eve", "lobby.1 member.left.v1 5 at 100: [eve/default kicked] count=2", ""},
		{"by a member, who then leaves", lobby, "kick alice lobby eve; leave alice lobby", "changed users=eve; changed", "lobby.1 member.left.v1 5 at 100: [eve/default kicked by=alice] [alice/default left] count=1", ""},
		{"oneself", lobby, "kick alice lobby alice; leave alice lobby", "changed users=alice; later", "*", ""},
		{"two at once", lobby, "kick ops lobby eve req=1; kick ops lobby bob req=2", "changed users=eve; changed users=bob", "lobby.1 member.left.v1 5 at 100: [eve/default kicked by=ops req=1 digest=d1] [bob/default kicked by=ops req=2 digest=d2] count=1", ""},
		{"the same one twice", lobby, "kick ops lobby eve; kick ops lobby eve", "changed users=eve; later", "*", ""},
		{"a user who is just leaving", lobby, "leave eve lobby; kick ops lobby eve", "changed; later", "*", ""},
		{"a user who is just joining", lobby, "join zoe lobby; kick ops lobby zoe", "changed; later", "*", ""},
		{"one type a run", lobby, "kick ops lobby eve; join zoe lobby; leave bob lobby; enter eve lobby", "changed users=eve; later; later; later", "*", ""},
		{"while it is created", "", "create alice lobby; kick ops lobby bob", "created; later", "*", ""},
		{"of several keeps its trace", lobby, "kick ops lobby eve,bob trace=t1", "changed users=eve bob", "lobby.1 member.left.v1 5 at 100: [eve/default kicked by=ops] [bob/default kicked by=ops] count=1 trace=t1", ""},
		{"two have none", lobby, "kick ops lobby eve trace=t1; kick ops lobby bob trace=t2", "changed users=eve; changed users=bob", "lobby.1 member.left.v1 5 at 100: [eve/default kicked by=ops] [bob/default kicked by=ops] count=1", ""},
		{
			"with what is theirs", lobby + "setAttributes bob lobby +b=1 +a=1 go\nsetAttributes eve lobby +c=1 go\nsetMemberAttributes eve lobby eve,bob +badge=1 stay", "kick ops lobby bob,eve", "changed users=bob eve",
			"lobby.1 member.left.v1 8 at 100: [bob/default kicked by=ops] [eve/default kicked by=ops] count=1 gone=a,b,c",
			"lobby.1 at 8, 1 members: alice/default, bob left behind {badge=1}, eve left behind {badge=1}",
		},
		{"back again at once", lobby + "kick ops lobby eve", "join eve lobby", "changed", "*", "lobby.1 at 6, 3 members: alice/default bob/default/tab eve/default"},
		{"a room that is ending waits", "create alice lobby\nleave alice lobby", "kick ops lobby alice", "later", "", ""},
	})
}

func TestDestroyRoom(t *testing.T) {
	const lobby = "create alice lobby delay=9 +topic=tea\njoin bob lobby\njoin bob/tab lobby\n"
	runCases(t, []runCase{
		{
			"with members", lobby, "destroy ops lobby reason=closing req=1", "changed",
			"lobby.1 member.left.v1 4 at 100: [alice/default destroyed by=ops text=closing req=1 digest=d1] [bob/default destroyed by=ops text=closing req=1 digest=d1] count=0",
			"lobby.1 at 4, 0 members: {topic=tea(alice)} empty since 100 by 4, ends at 109, ending",
		},
		{"no room", "", "destroy ops lobby", "ROOM_NOT_EXIST", "", ""},
		{"empty", lobby + "kick ops lobby alice,bob", "destroy ops lobby req=1 trace=t1", "changed", "lobby.1 room.destroyed.v1 5 at 100: [by=ops req=1 digest=d1] requested count=0 trace=t1", "lobby: none"},
		{"never entered", "create - lobby", "destroy ops lobby", "changed", "lobby.1 room.destroyed.v1 2 at 100: [by=ops] requested count=0", "lobby: none"},
		{"without an operator", "create - lobby", "destroy - lobby", "changed", "lobby.1 room.destroyed.v1 2 at 100: requested count=0 digests without entry: [\"\"]", "lobby: none"},
		{"twice", lobby, "destroy ops lobby; destroy ops lobby", "changed; later", "*", ""},
		{"in a run of its own", lobby, "join eve lobby; destroy ops lobby", "changed; later", "*", ""},
		{"attributes end with the room", lobby + "setAttributes bob lobby +seat=bob go\nsetMemberAttributes bob lobby bob +badge=1 stay", "destroy ops lobby", "changed", "*", "lobby.1 at 6, 0 members: {seat=bob(bob~) topic=tea(alice)} empty since 100 by 6, ends at 109, ending"},
		{"everybody else in the run is too late", lobby, "destroy ops lobby; leave alice lobby; leave eve lobby; leaveAll bob lobby", "changed; later; ROOM_NOT_EXIST; later", "*", ""},
		{"also where it is empty", "create - lobby", "destroy ops lobby; join eve lobby; create eve lobby; enter eve lobby; kick ops lobby eve; leave eve lobby", "changed; later; later; later; later; ROOM_NOT_EXIST", "*", ""},
		{"a room that is ending waits", "create alice lobby\nleave alice lobby", "destroy ops lobby", "later", "", ""},
	})
}

// From the first fact of its end on, a room answers as if it were gone, or waits until
// it is, no matter who is still in it.
func TestWhileEnding(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"create zoe lobby", "later"},
		{"join zoe lobby", "later"},
		{"enter u0900 lobby", "later"},
		{"enter zoe lobby", "later"},
		{"switch alice games lobby create", "later"},
		{"switch u0900 games lobby", "later"}, // a member of both: not "already there"
		{"switch u0900 lobby games", "ROOM_NOT_EXIST"},
		{"leave u0900 lobby", "ROOM_NOT_EXIST"},
		{"leave zoe lobby", "ROOM_NOT_EXIST"},
		{"leaveAll u0900", "changed"}, // only games
		{"setAttributes u0900 lobby +a=1", "later"},
		{"setMemberAttributes u0900 lobby u0900 +a=1", "later"},
		{"kick ops lobby u0900", "later"},
		{"destroy ops lobby", "later"},
	} {
		w := newWorld(t)
		w.run("create - lobby delay=600")
		w.fill("lobby", 950)
		w.run("create alice games")
		w.run("join u0900 games")
		w.run("destroy ops lobby")
		if s := w.rooms["lobby"]; s.Member("u0900") == nil || !s.Ending() {
			t.Fatal(w.show("lobby"))
		}
		verdicts, facts := w.run(c.line)
		if verdicts[0] != c.want {
			t.Errorf("%s: %s; want %s", c.line, verdicts[0], c.want)
		}
		for _, f := range facts {
			if f.Room != "games" {
				t.Errorf("%s: %s", c.line, describe(f))
			}
		}
	}
}

// A session that leaves all its rooms waits for a room whose destruction has begun.
func TestLeaveAllBesideDestroy(t *testing.T) {
	w := newWorld(t)
	w.run("create - lobby delay=600")
	w.fill("lobby", 950)
	w.run("create u0900 games")
	verdicts, facts := w.run("destroy ops lobby", "leaveAll u0900", "switch u0900 games lobby", "switch u0900 lobby games")
	if got := strings.Join(verdicts, "; "); got != "changed; later; later; ROOM_NOT_EXIST" || len(facts) != 1 {
		t.Errorf("%s; %d facts", got, len(facts))
	}
	if verdicts, _ := w.run("leaveAll u0900"); verdicts[0] != "changed" || w.rooms["games"].Members != 0 {
		t.Errorf("%s, then %s", verdicts[0], w.show("games"))
	}
}

// Wherever a destruction stops, a start from the bucket and the journal continues it.
func TestDestroyGoesOn(t *testing.T) {
	const size = 1000
	for stop := 1; ; stop++ {
		w := newWorld(t)
		var buckets []bucket
		w.changed = func(ch room.Changes, f *events.Fact) {
			b := bucket{}
			if len(buckets) > 0 {
				for k, raw := range buckets[len(buckets)-1] {
					b[k] = raw
				}
			}
			b.put(t, f.Room, f.InstanceID, ch)
			buckets = append(buckets, b)
		}
		w.run("create - lobby delay=600 +topic=tea")
		w.fill("lobby", size)
		begun := len(w.journal)
		w.now += 5000
		w.run("destroy ops lobby reason=closing req=7")
		for range stop - 1 {
			if w.rooms["lobby"] != nil {
				w.store(room.EndNext(w.rooms["lobby"], w.input("lobby")))
			}
		}
		done := w.rooms["lobby"] == nil
		if !done { // a start now, with a bucket that is some facts behind
			for behind := range min(stop, 2) {
				h := &history{w, nil}
				states, err := h.merge(buckets[len(buckets)-1-behind], uint64(len(buckets)-behind+1))
				if err != nil || dump(t, "lobby", states["lobby"]) != dump(t, "lobby", w.rooms["lobby"]) {
					t.Fatalf("stopped after %d facts, bucket %d behind: %v", stop, behind, err)
				}
				if behind == 0 {
					w.rooms["lobby"] = states["lobby"]
				}
			}
		}
		for w.rooms["lobby"] != nil {
			w.store(room.EndNext(w.rooms["lobby"], w.input("lobby")))
		}
		left := map[string]bool{}
		facts := w.journal[begun:]
		for _, f := range facts {
			for _, l := range f.Left {
				if left[l.UserID] || l.Reason != events.ReasonDestroyed || l.Operator != "ops" || l.ReasonText != "closing" || l.RequestID != "7" || l.LeftAt != 105_000 {
					t.Fatalf("%+v", l)
				}
				left[l.UserID] = true
			}
			if f.MemberCount != 0 && f.MemberCount != size-len(left) {
				t.Fatalf("%s, with %d gone", describe(f.Fact), len(left))
			}
		}
		last := facts[len(facts)-1]
		if len(left) != size || last.Type != events.RoomDestroyed || last.Reason != events.DestroyedRequested || last.Operator != "ops" || last.RequestID != "7" {
			t.Fatalf("%d left, then %s", len(left), describe(last.Fact))
		}
		if len(facts) < 4 || len(facts) > 6 {
			t.Fatalf("%d facts", len(facts))
		}
		if done {
			return
		}
	}
}

// A kick of more users than a fact has room for is refused; a kick of one user never is.
func TestKickTooMuch(t *testing.T) {
	w := newWorld(t)
	w.run("create - lobby")
	w.crowd("lobby", room.MaxKick, `"`)
	w.run("create - other")
	var all []string
	for _, m := range membersOf(w.rooms["lobby"]) {
		all = append(all, string(m.User))
	}
	kick := func(n int) (*room.Command, room.Verdict, []*events.Fact) {
		c, err := (&room.Caller{UserID: strings.Repeat(`"`, 128), RequestID: strings.Repeat("\x01", 64)}).Command(room.Kick, true, defaults)
		if err == nil {
			err = c.Kick(&room.KickRequest{UserIDs: all[:n], Reason: strings.Repeat(`"`, room.MaxReason)})
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Room = "lobby"
		verdicts, facts := w.decide(c)
		return c, verdicts[0], facts
	}
	if _, v, _ := kick(room.MaxKick); v.Refused == nil || v.Refused.Code != room.ErrParamInvalid || v.Refused.Field != "userIDs" || v.Refused.Actual <= v.Refused.Limit {
		t.Fatalf("%+v", v)
	}
	n := room.MaxKick
	for ; ; n-- {
		if _, v, facts := kick(n); v.Refused == nil {
			if len(v.Users) != n || len(facts) != 1 {
				t.Fatal(fmt.Sprint(v))
			}
			w.store(facts[0])
			break
		}
	}
	if n < 20 {
		t.Errorf("with the longest names only %d can be kicked together", n)
	}
}
