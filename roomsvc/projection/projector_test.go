package projection

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// life is a few rooms in which random things happen.
type life struct {
	*rand.Rand
	revision uint64
	members  map[subjects.Room]map[subjects.User]bool
	kept     map[subjects.Room]map[subjects.User]bool
	instance map[subjects.Room]int
}

// next returns the next fact: a room is created, a user joins or leaves, or a room ends with
// all that it has.
func (l *life) next() room.Change {
	l.revision++
	r := subjects.Room(fmt.Sprint("room ", l.IntN(4)))
	if l.members[r] == nil {
		l.instance[r]++
		l.members[r], l.kept[r] = map[subjects.User]bool{}, map[subjects.User]bool{}
	}
	c := change(r, l.revision, fmt.Sprint("name ", l.revision))
	c.InstanceID = fmt.Sprint(l.instance[r])
	c.Head.InstanceID = c.InstanceID
	members, u := l.members[r], subjects.User(fmt.Sprint("user.", l.IntN(6)))
	switch {
	case l.IntN(8) == 0:
		c.Head, c.Del = nil, slices.Collect(maps.Keys(members))
		for k := range l.kept[r] {
			c.Keep = append(c.Keep, room.Kept{User: k})
		}
		l.members[r] = nil
	case members[u]:
		c.Del = []subjects.User{u}
		c.Keep = []room.Kept{{User: u, Attributes: map[string]string{"k": c.Head.Name}, Revision: l.revision}}
		delete(members, u)
		l.kept[r][u] = true
	default:
		c.Put, members[u] = []*room.Member{member(u, l.revision)}, true
		if l.kept[r][u] {
			c.Keep = []room.Kept{{User: u}}
			delete(l.kept[r], u)
		}
	}
	return c
}

// Whatever happens in rooms, and in however many batches it is written, the bucket holds
// their state as of its mark and is loaded as that.
func TestBucketIsTheState(t *testing.T) {
	w := newWorld(t)
	p := NewProjector(w.bucket, Projected{}, time.Hour, func() (room.Mark, []room.Change) { return room.Mark{}, nil })
	_, stop := w.lead(p)
	l := &life{rand.New(rand.NewPCG(1, 2)), 0, map[subjects.Room]map[subjects.User]bool{}, map[subjects.Room]map[subjects.User]bool{}, map[subjects.Room]int{}}
	want := state{}
	for _, some := range []int{1, 1, 1, 5, 20, 100, 1, 300} {
		for range some {
			c := l.next()
			want.take(t, c)
			p.Add(c)
		}
		mark := w.await(l.revision)
		if mark.Mark != (room.Mark{Revision: l.revision, FactID: fmt.Sprint("fact ", l.revision)}) || mark.Journal != w.bucket.journal.ID || mark.Safe != (room.Mark{}) {
			t.Fatalf("after %d the mark is %+v", l.revision, mark)
		}
		same(t, fmt.Sprint("written by ", l.revision), w.records(), want)
		s, loaded := w.load()
		same(t, fmt.Sprint("loaded at ", l.revision), loaded, want)
		if s.Projected != mark {
			t.Errorf("loaded is the mark %+v, want %+v", s.Projected, mark)
		}
	}
	if err := stop(); !errors.Is(err, context.Canceled) || p.Trouble() != nil {
		t.Errorf("it ended with %v; %v", err, p.Trouble())
	}
}

// A deleted key stays as a marker for a while, so that watchers learn of it.
func TestDeletesAreMarkers(t *testing.T) {
	w := newWorld(t)
	p := NewProjector(w.bucket, Projected{}, time.Hour, func() (room.Mark, []room.Change) { return room.Mark{}, nil })
	w.lead(p)
	c := crowd("lobby", 1, 1)
	p.Add(c)
	w.await(1)
	c = change("lobby", 2, "")
	c.Head, c.Del = nil, []subjects.User{"u0"}
	p.Add(c)
	w.await(2)
	for _, key := range []string{"lobby", "lobby.u0"} {
		m, err := w.bucket.stream.GetLastMsgForSubject(w.ctx, subjects.KV(subjects.BucketState, key))
		if err != nil || !journal.IsMarker(m.Header) || len(m.Data) != 0 || m.Header.Get(jetstream.MsgTTLHeader) != markerTTL.String() {
			t.Errorf("%s: %+v, %v", key, m, err)
		}
		if _, err := w.kv.Get(w.ctx, key); !errors.Is(err, jetstream.ErrKeyNotFound) {
			t.Errorf("%s is read with %v", key, err)
		}
	}
}

// If two instances both believe that they lead, the older one can't overwrite what the
// younger one wrote.
func TestTwoLeaders(t *testing.T) {
	w := newWorld(t)
	nothing := func() (room.Mark, []room.Change) { return room.Mark{}, nil }
	old, young := NewProjector(w.bucket, Projected{}, 0, nothing), NewProjector(w.open(), Projected{}, 0, nothing)
	oldEnds, _ := w.lead(old)
	old.Add(change("lobby", 1, "old"))
	w.await(1)
	_, stop := w.lead(young)
	young.Add(change("lobby", 2, "young"))
	w.await(2)
	old.Add(change("lobby", 3, "old again"))
	if err := receive(t, oldEnds, "the old one's end"); !errors.Is(err, ErrLost) {
		t.Errorf("it ended with %v", err)
	}
	if old.Trouble() != nil {
		t.Errorf("that is no trouble: %v", old.Trouble())
	}
	s, _ := w.load()
	if h := s.Heads["lobby"]; h.Name != "young" || s.Projected.Revision != 2 {
		t.Errorf("the bucket is what %q wrote, at %d", h.Name, s.Projected.Revision)
	}
	if err := errors.Join(stop(), old.Follow(w.ctx)); !errors.Is(err, context.Canceled) || errors.Is(err, ErrLost) {
		t.Errorf("%v", err)
	}
	if old.Written() != 2 || len(old.pending) != 1 {
		t.Errorf("the old one knows %d to be written, and keeps %d changes", old.Written(), len(old.pending))
	}
}

// A batch that is resent after it was stored is not taken for somebody else's.
func TestOwnBatchIsNotLost(t *testing.T) {
	w := newWorld(t)
	p := NewProjector(w.bucket, Projected{}, 0, nil)
	p.projected.Mark = room.Mark{Revision: 5, FactID: "five"}
	first, err := p.commit(w.ctx, nil, 0)
	if err != nil || first == 0 {
		t.Fatalf("%d, %v", first, err)
	}
	if again, err := p.commit(w.ctx, nil, 0); again != first || err != nil {
		t.Errorf("%d, %v; want %d", again, err, first)
	}
	p.projected.Mark = room.Mark{Revision: 6, FactID: "six"}
	if _, err := p.commit(w.ctx, nil, 0); !errors.Is(err, ErrLost) {
		t.Errorf("another one: %v", err)
	}
	if next, err := p.commit(w.ctx, nil, first); next <= first || err != nil {
		t.Errorf("after the first: %d, %v", next, err)
	}
}

// all returns a whole state for a rewrite, and the records that it consists of.
func all(t *testing.T, mark room.Mark, changes ...room.Change) (func() (room.Mark, []room.Change), state) {
	s := state{}
	for _, c := range changes {
		s.take(t, c)
	}
	return func() (room.Mark, []room.Change) { return mark, changes }, s
}

// When everything is rewritten, and that nothing older is left then.
func TestRewrite(t *testing.T) {
	for name, c := range map[string]struct {
		before  func(*world) Projected // fills the bucket; returns what the instance loaded
		asked   bool
		rewrite bool
	}{
		"an empty bucket":       {func(*world) Projected { return Projected{} }, false, true},
		"one that is as loaded": {func(w *world) Projected { return w.mark(Projected{Mark: room.Mark{Revision: 5, FactID: "five"}}) }, false, false},
		"one that is asked for": {func(w *world) Projected { return w.mark(Projected{Mark: room.Mark{Revision: 5, FactID: "five"}}) }, true, true},
		"one that is torn":      {func(w *world) Projected { return w.mark(Projected{Torn: true}) }, false, true},
		"one of another journal": {func(w *world) Projected {
			return w.mark(Projected{Mark: room.Mark{Revision: 5, FactID: "five"}, Journal: "another"})
		}, false, true},
		"one that went back": {func(w *world) Projected {
			w.mark(Projected{Mark: room.Mark{Revision: 5, FactID: "five"}})
			return Projected{Mark: room.Mark{Revision: 6, FactID: "six"}}
		}, false, true},
		"one that another one wrote": {func(w *world) Projected {
			w.mark(Projected{Mark: room.Mark{Revision: 5, FactID: "five"}})
			return Projected{Mark: room.Mark{Revision: 4, FactID: "four"}}
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			stale := change("stale", 1, "stale")
			if _, err := w.kv.Put(w.ctx, "stale", []byte(encoded(t)(stale.Head.Record("stale")))); err != nil {
				t.Fatal(err)
			}
			state, want := all(t, room.Mark{Revision: 7, FactID: "seven"}, crowd("lobby", 6, 3), change("hall", 7, "hall"))
			p := NewProjector(w.bucket, c.before(w), time.Hour, state)
			if c.asked {
				p.Rewrite()
			}
			_, stop := w.lead(p)
			p.Add(change("yard", 8, "yard"))
			mark := w.await(8)
			if err := stop(); !errors.Is(err, context.Canceled) {
				t.Errorf("it ended with %v", err)
			}
			if !c.rewrite {
				clear(want)
				want.take(t, stale)
			}
			want.take(t, change("yard", 8, "yard"))
			same(t, "written", w.records(), want)
			if mark.Journal != w.bucket.journal.ID || p.rewrite {
				t.Errorf("the mark is %+v; rewrite %v", mark, p.rewrite)
			}
		})
	}
}

// mark puts a mark into the bucket, of this journal unless it names one.
func (w *world) mark(p Projected) Projected {
	w.t.Helper()
	of := NewProjector(w.bucket, p, 0, nil)
	if p.Journal == "" {
		p.Journal = w.bucket.journal.ID
	}
	of.projected = p
	if _, err := of.commit(w.ctx, nil, 0); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// A rewrite that is interrupted leaves a bucket that says so, and the next leader rewrites
// everything.
func TestTornRewrite(t *testing.T) {
	w := newWorld(t)
	state, want := all(t, room.Mark{Revision: 2, FactID: "two"}, crowd("lobby", 1, 5*journal.MaxBatch), change("hall", 2, "hall"))
	_, stop := w.lead(NewProjector(w.bucket, Projected{}, time.Hour, state))
	w.until(func(p Projected) bool { return p.Torn })
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Fatalf("it ended with %v", err)
	}
	// This is stored after whatever it sent last.
	if _, err := w.bucket.journal.Store(w.ctx, []journal.Entry{{Subject: subjects.KV(subjects.BucketState, "none"), Header: deleted}}); err != nil {
		t.Fatal(err)
	}
	s, _ := w.load()
	if !s.Projected.Torn || s.Projected.Revision != 0 || s.Projected.Safe != (room.Mark{}) || len(s.Keys) >= len(want) || len(s.Keys) == 0 {
		t.Fatalf("of %d records there are %d, the mark is %+v", len(want), len(s.Keys), s.Projected)
	}
	follower := NewProjector(w.bucket, Projected{}, time.Hour, nil)
	follower.Add(change("lobby", 1, ""))
	if err := follower.Follow(w.ctx); err != nil || len(follower.pending) != 1 {
		t.Errorf("a follower keeps %d changes, %v", len(follower.pending), err)
	}
	w.lead(NewProjector(w.open(), s.Projected, time.Hour, state))
	if mark := w.await(2); mark.Torn || mark.Mark != (room.Mark{Revision: 2, FactID: "two"}) {
		t.Errorf("the mark is %+v", mark)
	}
	same(t, "written", w.records(), want)
}

// A bucket that can't be written is trouble until what waits has been written.
func TestTrouble(t *testing.T) {
	w := newWorld(t)
	p := NewProjector(w.bucket, Projected{}, time.Hour, func() (room.Mark, []room.Change) { return room.Mark{}, nil })
	ended, _ := w.lead(p)
	p.Add(change("lobby", 1, "lobby"))
	w.await(1)
	w.full(2)
	p.Add(change("hall", 2, "hall"))
	if err := receive(t, ended, "the end"); !errors.Is(err, journal.ErrRefused) || p.Trouble() != err {
		t.Errorf("it ended with %v, its trouble is %v", err, p.Trouble())
	}
	if s, loaded := w.load(); s.Projected.Revision != 1 || len(loaded) != 1 {
		t.Errorf("the bucket is at %d, with %q", s.Projected.Revision, loaded)
	}
	ended, _ = w.lead(p)
	if err := receive(t, ended, "the end"); !errors.Is(err, journal.ErrRefused) || p.Trouble() != err {
		t.Errorf("it ended again with %v, its trouble is %v", err, p.Trouble())
	}
	w.full(-1)
	_, stop := w.lead(p)
	w.await(2)
	p.Add(change("yard", 3, "yard"))
	w.await(3) // so it knows that the one before was written
	if err := stop(); !errors.Is(err, context.Canceled) || p.Trouble() != nil || p.Written() < 2 {
		t.Errorf("it ended with %v at %d, its trouble is %v", err, p.Written(), p.Trouble())
	}
}

// full limits how many messages the bucket may hold.
func (w *world) full(messages int64) {
	w.t.Helper()
	info, err := w.bucket.stream.Info(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	info.Config.MaxMsgs = messages
	if _, err := w.js.UpdateStream(w.ctx, info.Config); err != nil {
		w.t.Fatal(err)
	}
}

// An instance that does not lead drops the changes that the bucket has, and no others.
func TestFollow(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		mark    Projected
		written uint64
		waiting []uint64
	}{
		{Projected{Mark: room.Mark{Revision: 5, FactID: "five"}, Journal: "another"}, 1, []uint64{2, 4, 6}},
		{Projected{Torn: true}, 1, []uint64{2, 4, 6}},
		{Projected{Mark: room.Mark{Revision: 1, FactID: "one"}}, 1, []uint64{2, 4, 6}},
		{Projected{Mark: room.Mark{Revision: 4, FactID: "four"}}, 4, []uint64{6}},
		{Projected{Mark: room.Mark{Revision: 5, FactID: "five"}}, 5, []uint64{6}},
		{Projected{Mark: room.Mark{Revision: 9, FactID: "nine"}}, 9, nil},
	} {
		_, guard, err := w.bucket.Mark(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		of := NewProjector(w.bucket, Projected{}, 0, nil)
		if of.projected = c.mark; c.mark.Journal == "" {
			of.projected.Journal = w.bucket.journal.ID
		}
		if _, err := of.commit(w.ctx, nil, guard); err != nil {
			t.Fatal(err)
		}
		p := NewProjector(w.bucket, Projected{Mark: room.Mark{Revision: 1, FactID: "one"}}, 0, nil)
		for _, revision := range []uint64{1, 2, 4, 6} { // the first of them is written already
			p.Add(crowd("lobby", revision, 2))
		}
		if err := p.Follow(w.ctx); err != nil {
			t.Fatal(err)
		}
		var waiting []uint64
		for _, c := range p.pending {
			waiting = append(waiting, c.Revision)
		}
		if p.Written() != c.written || !slices.Equal(waiting, c.waiting) || p.waiting != 3*len(c.waiting) {
			t.Errorf("%+v: written is %d, %v wait with %d records; want %d, %v", c.mark, p.Written(), waiting, p.waiting, c.written, c.waiting)
		}
	}
}

// A mark becomes safe soon after it is settle old, and not before.
func TestSafe(t *testing.T) {
	const settle, step = 300 * time.Second, 300 / safeStep
	synctest.Test(t, func(t *testing.T) {
		p := &Projector{settle: settle}
		for now := uint64(1); now < 2000; now++ {
			safe := p.safe(room.Mark{Revision: now, FactID: fmt.Sprint(now)}).Revision
			p.projected.Safe = room.Mark{Revision: safe, FactID: ""}
			if age := now - safe; safe > 0 && (age < 300 || age > 300+step) || safe == 0 && now > 301 || len(p.marks) > safeStep+1 {
				t.Fatalf("at %d s the mark of %d s is safe; %d are kept", now, safe, len(p.marks))
			}
			time.Sleep(time.Second)
		}
	})
}

// The mark in the bucket names the safe one.
func TestSafeIsWritten(t *testing.T) {
	w := newWorld(t)
	p := NewProjector(w.bucket, Projected{}, 0, func() (room.Mark, []room.Change) { return room.Mark{}, nil })
	w.lead(p)
	p.Add(change("lobby", 1, "lobby"))
	if mark := w.await(1); mark.Safe != mark.Mark {
		t.Errorf("it is %+v", mark)
	}
}

// Changes are gathered in order, as many as fit into one batch together with its mark, and
// the newest value of each key counts.
func TestCollect(t *testing.T) {
	for rooms, want := range map[uint64][]int{40: {19, 19, 19, 19, 19, 5}, 15: {100}} { // few rooms: all that they change is in the batch already
		var pending []room.Change
		for revision := range uint64(100) {
			pending = append(pending, crowd(subjects.Room(fmt.Sprint("room ", revision%rooms)), revision+1, 49))
		}
		for _, want := range want {
			entries, n := collect(pending)
			if n != want || len(entries)+1 > journal.MaxBatch {
				t.Fatalf("it takes %d changes, %d records; want %d changes", n, len(entries), want)
			}
			newest := map[subjects.Room]uint64{}
			for _, c := range pending[:n] {
				newest[c.Room] = c.Revision
			}
			for key, r := range entries {
				if r.head != nil && r.head.Revision != newest[r.room] || r.member != nil && r.member.Revision != newest[r.room] {
					t.Errorf("under %s it has %+v, the newest is %d", key, r, newest[r.room])
				}
			}
			pending = pending[n:]
		}
	}
	over := crowd("lobby", 1, 10)
	gone := room.Change{Mark: room.Mark{Revision: 2, FactID: "gone"}, Room: "lobby", Changes: room.Changes{Del: []subjects.User{"u0", "u1"}}}
	entries, n := collect([]room.Change{over, gone})
	if n != 2 || len(entries) != 11 || entries["lobby"].head != nil || entries["lobby.u0"].member != nil || entries["lobby.u2"].member == nil {
		t.Errorf("%d changes, %+v", n, entries)
	}
	if entries, n := collect([]room.Change{crowd("lobby", 1, 2*journal.MaxBatch), over}); n != 1 || len(entries) != 2*journal.MaxBatch+1 {
		t.Errorf("one that is too large comes with %d others", n-1)
	}
}

// More changes than fit into one batch are all written, without waiting for another change.
func TestManyBatches(t *testing.T) {
	w := newWorld(t)
	p := NewProjector(w.bucket, Projected{}, time.Hour, func() (room.Mark, []room.Change) { return room.Mark{}, nil })
	want := state{}
	for revision := range uint64(3) {
		c := crowd(subjects.Room(fmt.Sprint("room", revision)), revision+1, journal.MaxBatch-2)
		want.take(t, c)
		p.Add(c)
	}
	w.lead(p)
	w.await(3)
	same(t, "written", w.records(), want)
}
