package room_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// out is a session that is in a room now, to be put out.
func (w *world) out(r subjects.Room, u subjects.User, session string, reason events.LeftReason, left events.Time) room.Out {
	w.Helper()
	m := w.rooms[r].Member(u)
	if m == nil || m.Session(session) == nil {
		w.Fatalf("%s/%s is not in %s", u, session, r)
	}
	return room.Out{User: u, Session: session, JoinedAt: m.Session(session).JoinedAt, LeftAt: left, Reason: reason}
}

// expel puts sessions out, stores the facts and describes them.
func (w *world) expel(r subjects.Room, outs ...room.Out) (facts []string) {
	w.Helper()
	for range 1000 {
		f := room.Expel(w.rooms[r], outs, w.input(r))
		if f == nil {
			return facts
		}
		w.store(f)
		line := strings.TrimSuffix(strings.TrimPrefix(f.Type, events.TypePrefix), ".v1") + fmt.Sprintf(" %d", f.MemberCount)
		for _, l := range f.Left {
			line += fmt.Sprintf(" %s/%s %s %d-%d", l.UserID, l.SessionID, l.Reason, l.JoinedAt, l.LeftAt)
		}
		for _, k := range f.Deleted {
			line += " -" + k
		}
		facts = append(facts, line)
	}
	w.Fatalf("expelling does not end")
	return nil
}

func storyIs(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestExpel(t *testing.T) {
	w := newWorld(t)
	w.run("create alice lobby delay=60")
	w.now = 101_000
	w.run("join bob lobby", "join carol lobby")
	w.now = 102_000
	w.run("join alice/tab lobby", "join bob/tab lobby")
	w.run("setAttributes carol lobby +seat=carol go")
	expired := func(u subjects.User, session string, left events.Time) room.Out {
		return w.out("lobby", u, session, events.ReasonExpired, left)
	}
	w.now = 110_000
	stale := expired("bob", "tab", 0)
	stale.JoinedAt++
	storyIs(t, "a session that joined again stays", w.expel("lobby", stale))
	storyIs(t, "sessions that are not in", w.expel("lobby", room.Out{User: "eve", Session: "default"}, room.Out{User: "bob", Session: "none"}))

	// Each type of fact by itself; a member's two sessions go in two facts, and the stay is the member's.
	storyIs(t, "several", w.expel("lobby", expired("bob", "default", 108_000), expired("bob", "tab", 109_000), expired("carol", "default", 107_000), expired("alice", "tab", 106_000)),
		"session.left 3 bob/default expired 101000-108000 alice/tab expired 102000-106000",
		"member.left 1 bob/tab expired 101000-109000 carol/default expired 101000-107000 -seat")

	// LeftAt is not before the join, and not after the fact.
	w.now = 120_000
	w.run("join bob lobby", "join carol lobby", "join dave lobby")
	w.now = 121_000
	storyIs(t, "odd clocks", w.expel("lobby", expired("bob", "default", 5), expired("carol", "default", 999_000), expired("dave", "default", 0)),
		"member.left 1 bob/default expired 120000-120000 carol/default expired 120000-121000 dave/default expired 120000-121000")

	// A device takes another one's place; a member's only session is never replaced.
	w.now = 130_000
	w.run("join alice/tab lobby")
	replaced := func(session string) room.Out {
		return w.out("lobby", "alice", session, events.ReasonReplaced, 0)
	}
	storyIs(t, "replaced", w.expel("lobby", replaced("default"), replaced("tab")), "session.left 1 alice/default replaced 100000-130000")
	storyIs(t, "the only one", w.expel("lobby", replaced("tab")))

	storyIs(t, "the last one", w.expel("lobby", expired("alice", "tab", 131_000)), "member.left 0 alice/tab expired 100000-130000")
	if s := w.rooms["lobby"]; s.EmptySince != 130_000 || s.Members != 0 {
		t.Errorf("empty since %v, %d members", s.EmptySince, s.Members)
	}
	if f := room.Expel(nil, []room.Out{{User: "alice"}}, w.input("lobby")); f != nil {
		t.Errorf("of no room: %s", describe(f))
	}
}

// A room that is being destroyed puts everybody out itself.
func TestExpelBesideADestruction(t *testing.T) {
	w := newWorld(t)
	w.run("create alice lobby")
	w.crowd("lobby", 2000, "x")
	o := w.out("lobby", "alice", room.DefaultSession, events.ReasonExpired, 0)
	for _, m := range membersOf(w.rooms["lobby"]) {
		o = w.out("lobby", m.User, m.Sessions[0].SessionID, events.ReasonExpired, 0) // the last one that the destruction reaches
	}
	w.run("destroy ops lobby")
	if w.rooms["lobby"].Member(o.User) == nil {
		t.Fatal("one fact ends everything")
	}
	storyIs(t, "ending", w.expel("lobby", o))
}

// However long everybody's names are, no fact is too large, and everybody is put out.
func TestExpelledFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.limits = *largest()
		name, session := hostile(w.limits.UserName, false), hostile(room.MaxSessionID, false)
		n := rapid.SampledFrom([]int{1, 60, 300}).Draw(t, "members")
		w.run("create keeper lobby")
		long, device := name.Draw(t, "name"), session.Draw(t, "session")
		if len(device) < 1 {
			device = "d"
		}
		for i := 0; i < n; {
			var list []*room.Command
			for range min(20, n-i) {
				u := fmt.Sprintf("%03d%s", i, strings.Repeat(`"`, 125))
				list = append(list, &room.Command{Verb: room.Join, Room: "lobby", User: subjects.User(u), Name: long, Session: device, Lease: room.MaxLease})
				i++
			}
			for len(list) > 0 {
				verdicts, facts := w.decide(list...)
				var rest []*room.Command
				for k, v := range verdicts {
					if v.Later {
						rest = append(rest, list[k])
					}
				}
				list = rest
				for _, f := range facts {
					w.store(f)
				}
			}
		}
		owner := membersOf(w.rooms["lobby"])[1]
		for k := range 40 { // attributes that go with one of them
			goes := true
			c := &room.Command{Verb: room.SetAttributes, Room: "lobby", User: owner.User, Session: device}
			q := &room.SetAttributesRequest{Set: map[string]string{fmt.Sprintf("%02d%s", k, strings.Repeat(`"`, 126)): "v"}, IsDeleteAfterOwnerLeft: &goes}
			if err := c.SetAttributes(q, w.input("lobby").Limits.Filled()); err != nil {
				t.Fatal(err)
			}
			if _, facts := w.decide(c); len(facts) > 0 {
				w.store(facts[0])
			}
		}
		var outs []room.Out
		for _, m := range membersOf(w.rooms["lobby"])[1:] {
			outs = append(outs, w.out("lobby", m.User, device, events.ReasonExpired, 1))
		}
		w.now += 1000
		facts := w.expel("lobby", outs...) // [world.store] checks the size
		if len(membersOf(w.rooms["lobby"])) != 1 || n == 300 && len(facts) < 2 {
			t.Fatalf("%d members are left after %d facts", len(membersOf(w.rooms["lobby"])), len(facts))
		}
	})
}
