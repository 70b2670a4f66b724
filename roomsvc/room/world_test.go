package room_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// defaults are the limits when none is set.
var defaults = (*room.Limits)(nil).Filled()

// tb is what *testing.T and *rapid.T have in common here.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is what the core needs around it: times, IDs, and a journal. Tests tell it what
// to do in lines such as
//
//	create alice lobby delay=10 max=3 +topic=tea     join bob/tab lobby req=7
//	switch alice lobby games create                  leaveAll bob
//	setAttributes alice lobby +seat=alice -old force own go if=3
//	setMemberAttributes alice lobby bob,eve +hand=up stay
//	kick ops lobby bob,eve reason=spam               destroy ops lobby
//	update ops lobby title=Hall delay=5 max=3 hosts=creator attributes=owned speakers=hosts
//	updateMember alice lobby name=Al info={}         setRole alice lobby bob role=host form
//	ban ops lobby bob,eve seconds=60 reason=spam     unban ops lobby bob
//
// where alice stands for alice/default, and - for no user; own is isUpdateOwner, and go
// and stay are the two values of isDeleteAfterOwnerLeft, true and false. With form a command is
// in the user form; with token its user's token makes it a host.
type world struct {
	tb
	rooms   map[subjects.Room]*room.State
	births  map[subjects.Room]int
	now     events.Time
	most    int // members of a room, as the service is set
	limits  room.Limits
	facts   int
	journal []record
	changed func(room.Changes, *events.Fact)
}

// record is a stored fact as it is read back.
type record struct {
	*events.Fact
	revision uint64
}

func newWorld(t tb) *world {
	return &world{tb: t, rooms: map[subjects.Room]*room.State{}, births: map[subjects.Room]int{}, now: 100_000}
}

func (w *world) input(r subjects.Room) room.Input {
	w.facts++
	limits := w.limits
	limits.MaxMembers = w.most
	return room.Input{Now: w.now, FactID: fmt.Sprintf("f%d", w.facts), InstanceID: fmt.Sprintf("%s.%d", r, w.births[r]+1), Limits: &limits}
}

// store encodes a fact, reads it back, keeps it and folds it.
func (w *world) store(f *events.Fact) {
	w.Helper()
	raw, err := f.Encode("")
	if err != nil {
		w.Fatalf("encoding %s: %v", describe(f), err)
	}
	if len(raw) > events.MaxFactBytes {
		w.Fatalf("%s of %d entries has %d bytes", f.Type, len(f.Joined)+len(f.Left), len(raw))
	}
	back, err := events.DecodeFact(raw)
	if err != nil {
		w.Fatalf("decoding %s: %v", raw, err)
	}
	back.Digests = f.Digests // they travel in a header
	if want := plain(f); !reflect.DeepEqual(plain(back), want) {
		w.Fatalf("read back %+v\nwritten   %+v\nas %s", plain(back), want, raw)
	}
	if s := w.rooms[f.Room]; s != nil && f.Time < s.FactAt {
		w.Fatalf("%s is earlier than the fact before it", describe(f))
	}
	for _, j := range f.Joined {
		if j.JoinedAt != f.Time {
			w.Fatalf("%s joined at %s in a fact of %s", j.UserID, j.JoinedAt, f.Time)
		}
	}
	for _, l := range f.Left {
		// A lease ends before anybody notices.
		if l.LeftAt > f.Time || l.LeftAt < f.Time && l.Reason != events.ReasonExpired && l.Reason != events.ReasonReplaced || l.JoinedAt > l.LeftAt {
			w.Fatalf("%s was in from %s to %s in a fact of %s", l.UserID, l.JoinedAt, l.LeftAt, f.Time)
		}
	}
	revision := uint64(len(w.journal)) + 1
	after, ch, err := room.Apply(w.rooms[f.Room], f, revision)
	if err != nil {
		w.Fatalf("%v", err)
	}
	w.journal = append(w.journal, record{back, revision})
	w.rooms[f.Room] = after
	if after == nil {
		delete(w.rooms, f.Room)
	}
	if f.Type == events.RoomCreated {
		w.births[f.Room]++
	}
	if w.changed != nil {
		w.changed(ch, f)
	}
}

// plain is a fact for comparing: no list and an empty list are the same.
func plain(f *events.Fact) events.Fact {
	p := *f
	if len(p.Joined) == 0 {
		p.Joined = nil
	}
	if len(p.Left) == 0 {
		p.Left = nil
	}
	if len(p.Allowed) == 0 {
		p.Allowed = nil
	}
	p.Ban = nil // it is not stored
	return p
}

// decide takes commands into one batch of runs, and returns each one's verdict and the
// facts, which are not stored yet.
func (w *world) decide(commands ...*room.Command) (verdicts []room.Verdict, facts []*events.Fact) {
	runs := map[subjects.Room]*room.Run{}
	run := func(r subjects.Room) *room.Run {
		if runs[r] == nil {
			runs[r] = room.NewRun(r, w.rooms[r], w.input(r))
		}
		return runs[r]
	}
	for _, c := range commands {
		var v room.Verdict
		switch c.Verb {
		case room.Switch:
			v = room.AddSeveral([]*room.Run{run(c.From), run(c.Room)}, c)
		case room.LeaveAll:
			v = w.leaveAll(run, c)
		default:
			v = run(c.Room).Add(c)
		}
		verdicts = append(verdicts, v)
	}
	for _, r := range slices.Sorted(maps.Keys(runs)) {
		if f := runs[r].Fact(); f != nil {
			w.bounded(f, runs[r].Bound())
			facts = append(facts, f)
		}
	}
	return verdicts, facts
}

// bounded checks what a run's commands take in its fact against what the run counted for them.
func (w *world) bounded(f *events.Fact, bound int) {
	w.Helper()
	switch f.Type {
	case events.MemberAttributesChanged, events.RoomDestroyed:
		return // such a command has a fact of its own
	}
	bare := *f
	bare.Joined, bare.Left, bare.Deleted, bare.Set, bare.Delete, bare.Ownership, bare.Changes, bare.Updates = nil, nil, nil, nil, nil, events.Ownership{}, nil, nil
	if f.Info != nil {
		info := *f.Info
		info.RoomName, info.Attributes = "", nil
		bare.Info = &info
	}
	whole, err := f.Encode("")
	if err != nil {
		w.Fatalf("%v", err)
	}
	rest, _ := bare.Encode("")
	const names = 64 // of the lists themselves
	if took := len(whole) - len(rest); took > bound+names {
		w.Fatalf("%s takes %d bytes, but is counted as %d", describe(f), took, bound)
	}
}

func (w *world) leaveAll(run func(subjects.Room) *room.Run, c *room.Command) room.Verdict {
	var in []*room.Run
	for _, r := range slices.Sorted(maps.Keys(w.rooms)) {
		if m := w.rooms[r].Member(c.User); m != nil && m.Session(c.Session) != nil && !w.rooms[r].Ending() {
			in = append(in, run(r))
		}
	}
	return room.AddSeveral(in, c)
}

// run decides lines in one batch, and stores the facts.
func (w *world) run(lines ...string) (verdicts []string, facts []*events.Fact) {
	w.Helper()
	var commands []*room.Command
	for _, line := range lines {
		commands = append(commands, w.command(line))
	}
	list, facts := w.decide(commands...)
	for _, v := range list {
		verdicts = append(verdicts, verdict(v))
	}
	for _, f := range facts {
		w.store(f)
	}
	return verdicts, facts
}
