package room_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// history is a journal, and the bucket after each of its facts; the first is the empty one.
type history struct {
	*world
	buckets []bucket
}

// newHistory runs a machine, and keeps the bucket as each fact changes it.
func newHistory(t *rapid.T) *history {
	m := newMachine(t)
	h := &history{m.world, []bucket{{}}}
	m.changed = func(ch room.Changes, f *events.Fact) {
		b := maps.Clone(h.buckets[len(h.buckets)-1])
		b.put(t, f.Room, f.InstanceID, ch)
		if ch.Head == nil && slices.ContainsFunc(slices.Collect(maps.Keys(b)), func(k key) bool { return k.room == f.Room }) {
			t.Fatalf("the room is gone, but the bucket holds %v", b)
		}
		h.buckets = append(h.buckets, b)
	}
	t.Repeat(m.actions())
	return h
}

// merge reads the journal over a bucket, from a revision on. The error says that the
// result can't be used.
func (h *history) merge(b bucket, from uint64) (map[subjects.Room]*room.State, error) {
	states, orphans := load(h, b), map[subjects.Room]string{}
	for _, f := range h.journal[from-1:] {
		after, _, known, err := room.Merge(states[f.Room], f.Fact, f.revision)
		if err != nil {
			return nil, err
		}
		if !known {
			orphans[f.Room] = f.InstanceID
		}
		if f.Type == events.RoomCreated || f.Type == events.RoomDestroyed {
			delete(orphans, f.Room)
		}
		states[f.Room] = after
		if after == nil {
			delete(states, f.Room)
		}
	}
	if len(orphans) > 0 {
		return nil, fmt.Errorf("facts of unknown instances: %v", orphans)
	}
	for r, s := range states {
		if !s.Whole() {
			return nil, fmt.Errorf("%q is incomplete", r)
		}
	}
	return states, nil
}

// same says where states differ from those of a full fold.
func (h *history) same(states map[subjects.Room]*room.State) error { return same(h, states, h.rooms) }

func same(t tb, got, want map[subjects.Room]*room.State) error {
	for _, r := range []subjects.Room{"a", "b", "c"} {
		if got, want := dump(t, r, got[r]), dump(t, r, want[r]); got != want {
			return fmt.Errorf("%q is\n%s\nwant\n%s", r, got, want)
		}
	}
	return nil
}

func withoutKept(states map[subjects.Room]*room.State) map[subjects.Room]*room.State {
	bare := map[subjects.Room]*room.State{}
	for r, s := range states {
		bare[r] = room.NewState(r, *s.Head, membersOf(s), nil)
	}
	return bare
}

func TestReplayTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		for range 2 {
			states := map[subjects.Room]*room.State{}
			for _, f := range h.journal {
				after, _, err := room.Apply(states[f.Room], f.Fact, f.revision)
				if err != nil {
					t.Fatalf("%v", err)
				}
				states[f.Room] = after
			}
			if err := h.same(states); err != nil {
				t.Fatalf("%v", err)
			}
		}
		last := h.buckets[len(h.buckets)-1]
		if err := h.same(load(h, last)); err != nil {
			t.Fatalf("the records at the end: %v", err)
		}
		for k, raw := range last {
			head, err := room.DecodeHead([]byte(raw))
			if s := h.rooms[k.room]; k.user == "" && (err != nil || !reflect.DeepEqual(head, *s.Head)) {
				t.Fatalf("%s gives %+v, %v; want %+v", raw, head, err, s.Head)
			}
		}
	})
}

// A scan of the bucket while it is being written sees each record as it was at some
// moment between the watermark and the scan's end, but what a user left behind no earlier
// than that user's membership, since one batch writes both. Reading the journal over it,
// from the watermark or from any point before, gives the rooms.
func TestMergeScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		for range 20 {
			end := len(h.buckets) - 1
			mark := rapid.IntRange(0, end).Draw(t, "watermark")
			scanned := rapid.IntRange(mark, min(end, mark+10)).Draw(t, "end of the scan")
			keys := map[key]bool{}
			for _, b := range h.buckets[mark : scanned+1] {
				for k := range b {
					keys[k] = true
				}
			}
			seen := bucket{}
			moments := map[key]int{}
			for _, k := range slices.SortedFunc(maps.Keys(keys), compareKeys) {
				earliest := mark
				if k.kept {
					earliest = max(mark, moments[key{k.room, k.user, false}])
				}
				moments[k] = rapid.IntRange(earliest, scanned).Draw(t, "moment")
				if raw, ok := h.buckets[moments[k]][k]; ok {
					seen[k] = raw
				}
			}
			if len(h.journal) == 0 {
				return
			}
			from := rapid.IntRange(1, mark+1).Draw(t, "from")
			states, err := h.merge(seen, uint64(from))
			if err == nil {
				err = h.same(states)
			}
			if err != nil {
				t.Fatalf("watermark %d, scan to %d, facts from %d of %d: %v", mark, scanned, from, end, err)
			}
		}
	})
}

// Damage to a bucket is noticed, unless later facts make up for it. Nothing counts what
// absent users left behind, so its loss is not noticed.
func TestMergeDamage(t *testing.T) {
	noticed := 0
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		end := len(h.buckets) - 1
		if end == 0 {
			return
		}
		// try starts from a damaged bucket, and insists on an error if no fact follows, or
		// if must is true.
		try := func(what string, b bucket, mark int, must bool) {
			states, err := h.merge(b, uint64(mark)+1)
			if err != nil {
				noticed++
				return
			}
			if must {
				t.Fatalf("%s, watermark %d of %d: not noticed", what, mark, end)
			}
			if err := same(h, withoutKept(states), withoutKept(h.rooms)); err != nil {
				t.Fatalf("%s, watermark %d of %d: not noticed, and %v", what, mark, end, err)
			}
		}
		for range 20 {
			mark := rapid.IntRange(1, end).Draw(t, "watermark")
			b, f := h.buckets[mark], h.journal[mark-1]
			if len(b) == 0 {
				continue
			}
			keys := slices.SortedFunc(maps.Keys(b), compareKeys)
			keys = slices.DeleteFunc(keys, func(k key) bool { return k.kept }) // these are not counted
			k := rapid.SampledFrom(keys).Draw(t, "hole")
			hole := maps.Clone(b)
			delete(hole, k)
			if k.user != "" {
				was, _, _ := room.DecodeMember([]byte(b[k]))
				is := h.rooms[k.room].Member(k.user)
				try("a member's record is lost", hole, mark, is != nil && is.Sessions[0] == was.Sessions[0] && is.Order == was.Order && h.rooms[k.room].InstanceID == instanceOf(t, b, k.room))
			} else if lives := h.rooms[k.room]; lives != nil && lives.InstanceID == instanceOf(t, b, k.room) && lives.Revision > uint64(mark) {
				try("a room's record is lost", hole, mark, true)
			}
			for _, u := range usersOf(f.Fact) {
				if f.Type == events.SessionJoined || f.Type == events.SessionLeft {
					continue // only atomic batches keep a session's record with its head
				}
				torn := maps.Clone(b)
				delete(torn, key{f.Room, u, false})
				if raw, ok := h.buckets[mark-1][key{f.Room, u, false}]; ok {
					torn[key{f.Room, u, false}] = raw
				}
				lives := h.rooms[f.Room]
				try("the room was written before a member", torn, mark, lives != nil && lives.Revision == uint64(mark))
			}
		}
	})
	if noticed == 0 {
		t.Error("no damage was ever noticed")
	}
}

func instanceOf(t tb, b bucket, r subjects.Room) string {
	h, err := room.DecodeHead([]byte(b[key{r, "", false}]))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return h.InstanceID
}

func usersOf(f *events.Fact) (users []subjects.User) {
	for _, j := range f.Joined {
		users = append(users, subjects.User(j.UserID))
	}
	for _, l := range f.Left {
		users = append(users, subjects.User(l.UserID))
	}
	return users
}

// Facts that don't follow from the state are refused, and merging distinguishes the past
// from what is missing.
func TestDamaged(t *testing.T) {
	at := func(f events.Fact) *events.Fact {
		f.ID, f.Room = "x", "lobby"
		if f.InstanceID == "" {
			f.InstanceID = "lobby.1"
		}
		return &f
	}
	alice, bob := events.Joined{UserID: "alice", SessionID: "default"}, events.Joined{UserID: "bob", SessionID: "default"}
	state := func() *room.State {
		w := newWorld(t)
		w.run("create alice lobby")
		w.run("join bob/tab lobby")
		return w.rooms["lobby"] // at sequence 2, revision 2
	}
	left := func(user, session string) []events.Left {
		return []events.Left{{UserID: user, SessionID: session}}
	}
	created := at(events.Fact{Type: events.RoomCreated, InstanceID: "lobby.2", Sequence: 1, Info: &events.Room{}})
	for _, c := range []struct {
		name     string
		none     bool
		fact     *events.Fact
		revision uint64
		merge    string // what merging says: damaged, unknown, past, or not whole
	}{
		{"no room", true, at(events.Fact{Type: events.RoomKept, Sequence: 3}), 3, "unknown"},
		{"the end of no room", true, at(events.Fact{Type: events.RoomDestroyed, Sequence: 3}), 3, "unknown"},
		{"created where there is one", false, created, 3, "damaged"},
		{"a hole in the sequence", false, at(events.Fact{Type: events.RoomKept, Sequence: 4}), 4, "damaged"},
		{"the same sequence again", false, at(events.Fact{Type: events.RoomKept, Sequence: 2}), 3, "damaged"},
		{"another instance", false, at(events.Fact{Type: events.RoomKept, InstanceID: "lobby.0", Sequence: 3}), 3, "damaged"},
		{"the past of another instance", false, at(events.Fact{Type: events.RoomKept, InstanceID: "lobby.0", Sequence: 9}), 1, "past"},
		{"a member joins", false, at(events.Fact{Type: events.MemberJoined, Sequence: 3, Joined: []events.Joined{alice}, MemberCount: 3}), 3, "damaged"},
		{"a session of nobody", false, at(events.Fact{Type: events.SessionJoined, Sequence: 3, Joined: []events.Joined{{UserID: "eve"}}, MemberCount: 2}), 3, "past"},
		{"nobody leaves", false, at(events.Fact{Type: events.MemberLeft, Sequence: 3, Left: left("eve", "default"), MemberCount: 2}), 3, "past"},
		{"a session that is not in leaves", false, at(events.Fact{Type: events.MemberLeft, Sequence: 3, Left: left("bob", "default"), MemberCount: 1}), 3, "damaged"},
		{"a wrong count", false, at(events.Fact{Type: events.MemberLeft, Sequence: 3, Left: left("bob", "tab"), MemberCount: 2}), 3, "not whole"},
		{"what the state holds", false, at(events.Fact{Type: events.MemberJoined, Sequence: 2, Joined: []events.Joined{bob}, MemberCount: 2}), 2, "past"},
	} {
		var s *room.State
		if !c.none {
			s = state()
		}
		if _, _, err := room.Apply(s, c.fact, c.revision); !errors.Is(err, room.ErrDamaged) {
			t.Errorf("%s: Apply gives %v", c.name, err)
		}
		if !c.none {
			s = state()
		}
		after, ch, known, err := room.Merge(s, c.fact, c.revision)
		got := "past"
		switch {
		case !known:
			got = "unknown"
		case errors.Is(err, room.ErrDamaged):
			got = "damaged"
		case !after.Whole():
			got = "not whole"
		case len(ch.Put)+len(ch.Del) > 0 || after.Members != 2:
			got = "changed"
		}
		if got != c.merge {
			t.Errorf("%s: merging it is %s (%v); want %s", c.name, got, err, c.merge)
		}
	}
	if _, _, err := room.DecodeMember([]byte(`{"userID":"alice","sessions":[]}`)); !errors.Is(err, room.ErrDamaged) {
		t.Errorf("a record without sessions: %v", err)
	}
	for _, raw := range []string{"", "[]", "{"} {
		if _, _, err := room.DecodeMember([]byte(raw)); err == nil {
			t.Errorf("%q is read as a member", raw)
		}
		if _, err := room.DecodeHead([]byte(raw)); err == nil {
			t.Errorf("%q is read as a room", raw)
		}
	}
}

// The two ways in which reading the past again went wrong: a member that has left joins
// and leaves once more, after one that joined later, or with a session from before.
func TestMergePast(t *testing.T) {
	for name, lines := range map[string][]string{
		"order":   {"create keeper a", "join alice a", "join bob a", "leave alice a", "join carol a"},
		"session": {"create keeper a", "join alice a", "join alice/tab a", "leave alice a", "leave alice/tab a", "join bob a"},
		"again":   {"create keeper a", "join alice a", "join alice/tab a", "leave alice/tab a", "leave alice a", "join bob a", "join alice a", "leave keeper a"},
	} {
		w := newWorld(t)
		h := &history{w, nil}
		for _, line := range lines {
			w.run(line)
		}
		b := bucket{}
		head, err := w.rooms["a"].Head.Record("a")
		if err != nil {
			t.Fatal(err)
		}
		b[key{"a", "", false}] = string(head)
		w.rooms["a"].After(0, func(m *room.Member) bool {
			raw, err := m.Record(w.rooms["a"].InstanceID)
			if err != nil {
				t.Fatal(err)
			}
			b[key{"a", m.User, false}] = string(raw)
			return true
		})
		for from := range len(w.journal) + 1 {
			states, err := h.merge(b, uint64(from)+1)
			if err == nil {
				err = h.same(states)
			}
			if err != nil {
				t.Errorf("%s: facts from %d: %v", name, from+1, err)
			}
		}
	}
}
