package room_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// renew runs a renewal to its end; each of its facts is refused once before it is stored.
func renew(t *testing.T, w *world, r subjects.Room) {
	t.Helper()
	renewal := room.NewRenewal(w.rooms[r])
	for range 1000 {
		lost := renewal.Next(w.rooms[r], w.input(r))
		f := renewal.Next(w.rooms[r], w.input(r))
		if (lost == nil) != (f == nil) {
			t.Fatalf("%v, and %v after it was not stored", lost, f)
		}
		if f == nil {
			return
		}
		if again, first := plain(f), plain(lost); again.ID == first.ID || fmt.Sprint(again.Joined, again.Left, again.Type, again.Sequence) != fmt.Sprint(first.Joined, first.Left, first.Type, first.Sequence) {
			t.Fatalf("%s was made again as %s", describe(lost), describe(f))
		}
		w.store(f)
	}
	t.Fatal("the renewal does not end")
}

func members(s *room.State) (users []string) {
	s.After(0, func(m *room.Member) bool {
		users = append(users, fmt.Sprintf("%s/%s %s %s", m.User, m.Sessions[0].SessionID, m.Name, m.Info))
		return true
	})
	return users
}

func TestRenewal(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 17, 200} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newWorld(t)
			w.run("create - lobby title=Lobby delay=9 max=500")
			for i := range n {
				w.run(fmt.Sprintf(`enter u%d/s%d lobby name=n%d info={"i":%d}`, i, i%3, i, i))
			}
			if n > 0 {
				w.run("enter u0/further lobby")
			}
			was := members(w.rooms["lobby"])
			old := w.rooms["lobby"].Head
			before := len(w.journal)
			renew(t, w, "lobby")
			s := w.rooms["lobby"]
			if got := members(s); !slices.Equal(got, was) {
				t.Errorf("members %v; want %v", got, was)
			}
			if s.InstanceID == old.InstanceID || s.Name != old.Name || !reflect.DeepEqual(s.Config, old.Config) || s.CreatedAt != old.CreatedAt || s.CreatedBy != old.CreatedBy {
				t.Errorf("%+v was %+v", s.Head, old)
			}
			ended := false
			for _, f := range w.journal[before:] {
				for _, l := range f.Left {
					if l.Reason != events.ReasonDestroyed {
						t.Errorf("%+v", l)
					}
				}
				ended = ended || f.Type == events.RoomDestroyed
			}
			if !ended {
				t.Error("the old instance was not ended")
			}
		})
	}
}

// Whatever others do between the facts of a renewal, its facts fit the room.
func TestRenewalMeetsOthers(t *testing.T) {
	start := func() *world {
		w := newWorld(t)
		w.run("create - lobby delay=60")
		for i := range 150 {
			w.run(fmt.Sprintf("enter u%03d lobby name=%s", i, strings.Repeat("n", 256)))
		}
		return w
	}
	step := func(w *world, r *room.Renewal) *events.Fact {
		f := r.Next(w.rooms["lobby"], w.input("lobby"))
		if f != nil {
			w.store(f)
		}
		return f
	}
	t.Run("members", func(t *testing.T) {
		w := start()
		r := room.NewRenewal(w.rooms["lobby"])
		if f := r.Next(w.rooms["lobby"], w.input("lobby")); f == nil { // refused because of what follows
			t.Fatal("nothing to do")
		}
		w.run("leave u003 lobby")
		w.run("join late lobby")
		for range 2 {
			step(w, r)
		}
		for w.rooms["lobby"] == nil || w.births["lobby"] == 1 {
			step(w, r)
		}
		r.Next(w.rooms["lobby"], w.input("lobby")) // refused because of what follows
		w.run("join u149 lobby")
		w.run("join new lobby")
		w.run("leave u000 lobby")
		for step(w, r) != nil {
		}
		s := w.rooms["lobby"]
		for user, in := range map[subjects.User]bool{"late": true, "u149": true, "new": true, "u001": true, "u148": true, "u000": false} {
			if (s.Member(user) != nil) != in {
				t.Errorf("%s is in: %v", user, !in)
			}
		}
	})
	t.Run("two renewals", func(t *testing.T) {
		for skip := range 6 {
			w := start()
			was := members(w.rooms["lobby"])
			one, two := room.NewRenewal(w.rooms["lobby"]), room.NewRenewal(w.rooms["lobby"])
			for range skip {
				step(w, one)
			}
			for a, b := true, true; a || b; {
				a = step(w, one) != nil
				b = step(w, two) != nil
			}
			got := members(w.rooms["lobby"])
			slices.Sort(got)
			if slices.Sort(was); !slices.Equal(got, was) || w.births["lobby"] != 2 {
				t.Errorf("the other %d steps ahead: %d members of %d, instance %d", skip, len(got), len(was), w.births["lobby"])
			}
		}
	})
	t.Run("another room", func(t *testing.T) {
		w := start()
		r := room.NewRenewal(w.rooms["lobby"])
		for step(w, r).Type != events.RoomDestroyed {
		}
		w.run("create alice lobby")
		if f := step(w, r); f != nil {
			t.Errorf("it continues with %s", describe(f))
		}
		if users := slices.Collect(maps.Keys(w.rooms)); len(users) != 1 || w.rooms["lobby"].Members != 1 {
			t.Error(w.show("lobby"))
		}
	})
}

// Attributes, their owners and members' attributes are carried over unchanged, and so is
// which of them go when their owner leaves.
func TestRenewalAttributes(t *testing.T) {
	w := newWorld(t)
	w.run("create alice lobby delay=60 +topic=tea")
	w.run("join bob lobby", "join eve lobby", "join gone lobby")
	w.run("setAttributes bob lobby +seat=bob +free=1 go", "setAttributes eve lobby +mark=eve")
	w.run("setMemberAttributes alice lobby bob,eve +hand=up")
	w.run("setMemberAttributes alice lobby bob,gone +badge=1 stay")
	w.run("leave gone lobby", "leave eve lobby")
	renewal := room.NewRenewal(w.rooms["lobby"])
	if f := renewal.Next(w.rooms["lobby"], w.input("lobby")); f == nil { // refused because of what follows
		t.Fatal("nothing to do")
	}
	w.run("setAttributes alice lobby +topic=milk")
	w.run("setMemberAttributes bob lobby alice +hand=down")
	const as = "alice/default{hand=down~} bob/default{badge=1,hand=up~} {free=1(bob~) mark=eve(eve) seat=bob(bob~) topic=milk(alice)}"
	if got, want := w.show("lobby"), "lobby.1 at 8, 2 members: "+as+", gone left behind {badge=1}"; got != want {
		t.Fatalf("%s\nwant %s", got, want)
	}
	for f := renewal.Next(w.rooms["lobby"], w.input("lobby")); f != nil; f = renewal.Next(w.rooms["lobby"], w.input("lobby")) {
		w.store(f)
	}
	if got, want := w.show("lobby"), "lobby.2 at 1, 2 members: "+as; got != want {
		t.Fatalf("%s\nwant %s", got, want)
	}
	w.run("leave bob lobby")
	if got, want := w.show("lobby"), "lobby.2 at 2, 1 members: alice/default{hand=down~} {mark=eve(eve) topic=milk(alice)}, bob left behind {badge=1}"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// A room full of the longest attributes, whose members have the longest ones too.
func TestRenewalFull(t *testing.T) {
	w := newWorld(t)
	w.limits = *largest()
	w.run("create " + strings.Repeat("c", 128) + " lobby")
	for i := range 4 {
		w.run(fmt.Sprintf("join u%d%s lobby name=%s", i, strings.Repeat("x", 126), strings.Repeat("n", 1024)))
	}
	full := w.fillAttributes("lobby", "\x01", 30)
	for _, m := range membersOf(w.rooms["lobby"]) {
		w.fillMember("lobby", m.User, "\x01", 40)
	}
	was := w.show("lobby")
	renew(t, w, "lobby")
	_, members, _ := strings.Cut(was, " members:")
	if _, got, _ := strings.Cut(w.show("lobby"), " members:"); got != members || !full {
		t.Errorf("%s\nwas %s", got, members)
	}
	first := w.journal[len(w.journal)-1]
	for i := len(w.journal) - 1; first.Type != events.RoomCreated; i-- {
		first = w.journal[i]
	}
	if len(first.Joined) != 0 || w.rooms["lobby"].Unborn {
		t.Errorf("the first fact has room for %d members", len(first.Joined))
	}
}

// Bans and mutes that still hold are said again, however many they are; one that somebody else
// says or changes meanwhile counts.
func TestRenewalRestrictions(t *testing.T) {
	w := newWorld(t)
	w.limits = *largest()
	for _, line := range []string{"create - lobby", "join alice lobby", "join bob lobby", "mute - lobby bob,gone", "ban - lobby gone", "ban - lobby soon seconds=1"} {
		w.run(line)
	}
	w.setAccess(room.SetAccessRequest{Access: room.AccessListed})
	for i := range 60 {
		users := make([]string, 50)
		for j := range users {
			users[j] = fmt.Sprintf("%s%d-%d", strings.Repeat("b", 110), i, j)
		}
		w.run(fmt.Sprintf("ban - lobby %s seconds=9000 reason=%s", strings.Join(users, ","), strings.Repeat("r", 200)))
	}
	w.now += 2000
	bans, mutes := w.rooms["lobby"].Restrictions(w.now)
	if len(bans) != 3001 || len(mutes) != 2 {
		t.Fatalf("%d bans and %d mutes", len(bans), len(mutes))
	}
	before := len(w.journal)
	renew(t, w, "lobby")
	if got, still := w.rooms["lobby"].Restrictions(w.now); !reflect.DeepEqual(got, bans) || !reflect.DeepEqual(still, mutes) {
		t.Errorf("%d bans and mutes %v; want %d and %v", len(got), still, len(bans), mutes)
	}
	said := 0
	for _, f := range w.journal[before:] {
		if f.Type == events.RoomAccessChanged {
			said++
			if f.Access != room.AccessListed || len(f.Bans) > 0 == (len(f.Mutes) > 0) {
				t.Errorf("%d bans and %d mutes, with access %q", len(f.Bans), len(f.Mutes), f.Access)
			}
		}
	}
	if said < 15 || said > 25 {
		t.Errorf("%d facts say so", said)
	}
	w.run("leave bob lobby", "leave alice lobby")
}
