package room_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// defaults are the limits that nobody set.
var defaults = (*room.Limits)(nil).Filled()

// tb is what *testing.T and *rapid.T have in common here.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is what the core needs around it: times, IDs, and a journal. Tests tell it what
// to do in lines such as
//
//	create alice lobby delay=10 max=3     join bob/tab lobby req=7
//	switch alice lobby games create       leaveAll bob
//
// where alice stands for alice/default, and - for no user.
type world struct {
	tb
	rooms   map[subjects.Room]*room.State
	births  map[subjects.Room]int
	now     events.Time
	most    int // members of a room, by the service's settings
	facts   int
	journal []record
	changed func(room.Changes, *events.Fact)
}

// record is a stored fact, as it is read back.
type record struct {
	*events.Fact
	revision uint64
}

func newWorld(t tb) *world {
	return &world{tb: t, rooms: map[subjects.Room]*room.State{}, births: map[subjects.Room]int{}, now: 100_000}
}

func (w *world) input(r subjects.Room) room.Input {
	w.facts++
	return room.Input{
		Now: w.now, FactID: fmt.Sprintf("f%d", w.facts), InstanceID: fmt.Sprintf("%s.%d", r, w.births[r]+1), Limits: &room.Limits{MaxMembers: w.most},
	}
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
		w.Fatalf("%s is before the fact before it", describe(f))
	}
	for _, j := range f.Joined {
		if j.JoinedAt != f.Time {
			w.Fatalf("%s joined at %s by a fact of %s", j.UserID, j.JoinedAt, f.Time)
		}
	}
	for _, l := range f.Left {
		if l.LeftAt != f.Time || l.JoinedAt > l.LeftAt {
			w.Fatalf("%s was in from %s to %s by a fact of %s", l.UserID, l.JoinedAt, l.LeftAt, f.Time)
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
	return p
}

// decide takes commands into one batch of runs, and gives what became of each and the
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
			v = room.AddSwitch(run(c.From), run(c.Room), c)
		case room.LeaveAll:
			v = w.leaveAll(run, c)
		default:
			v = run(c.Room).Add(c)
		}
		verdicts = append(verdicts, v)
	}
	for _, r := range slices.Sorted(maps.Keys(runs)) {
		if f := runs[r].Fact(); f != nil {
			facts = append(facts, f)
		}
	}
	return verdicts, facts
}

func (w *world) leaveAll(run func(subjects.Room) *room.Run, c *room.Command) (v room.Verdict) {
	var in []*room.Run
	for _, r := range slices.Sorted(maps.Keys(w.rooms)) {
		if m := w.rooms[r].Member(c.User); m != nil && m.Session(c.Session) != nil {
			in = append(in, run(r))
		}
	}
	for _, r := range in {
		if !r.TakesLeave(c) {
			return room.Verdict{Later: true}
		}
	}
	for _, r := range in {
		v = r.AddLeave(c, events.ReasonLeft, "")
	}
	return v
}

// run decides lines in one batch, and stores what comes of them.
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

// command reads one line.
func (w *world) command(line string) *room.Command {
	w.Helper()
	var words []string
	options := map[string]string{}
	for _, word := range strings.Fields(line) {
		if k, v, ok := strings.Cut(word, "="); ok {
			options[k] = v
		} else {
			words = append(words, word)
		}
	}
	number := func(key string) int {
		n, err := strconv.Atoi(options[key])
		if err != nil && options[key] != "" {
			w.Fatalf("%q: %v", line, err)
		}
		return n
	}
	if len(words) < 2 {
		w.Fatalf("%q is no command", line)
	}
	user, session, _ := strings.Cut(words[1], "/")
	if user == "-" {
		user = ""
	}
	c := &room.Command{
		Verb: room.Verb(words[0]), User: subjects.User(user), Name: options["name"], Session: session, RequestID: options["req"], TraceParent: options["trace"],
		RoomName: options["title"], RoomsFull: options["rooms"] == "full", UserRoomsFull: options["user"] == "full",
		Config: events.Config{RoomDestroyDelayTime: int64(number("delay")), MaxMembers: number("max")},
	}
	if c.Session == "" {
		c.Session = room.DefaultSession
	}
	if c.RequestID != "" {
		c.Digest = "d" + c.RequestID
	}
	if info := options["info"]; info != "" {
		c.Info = []byte(info)
	}
	if len(words) > 2 {
		c.Room = subjects.Room(words[2])
	}
	if c.Verb == room.Switch {
		c.From, c.Room, c.CreateMissing = c.Room, subjects.Room(words[3]), slices.Contains(words, "create")
	}
	return c
}

// verdict is a verdict in one line.
func verdict(v room.Verdict) string {
	switch {
	case v.Later:
		return "later"
	case v.Refused != nil && v.Refused.Limit != 0:
		return fmt.Sprintf("%s limit=%d actual=%d", v.Refused.Code, v.Refused.Limit, v.Refused.Actual)
	case v.Refused != nil:
		return v.Refused.Code.Name
	case v.Created:
		return "created"
	case v.Changed:
		return "changed"
	}
	return "nothing"
}

// describe is a fact in one line.
func describe(f *events.Fact) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %d at %d:", f.InstanceID, strings.TrimPrefix(f.Type, events.TypePrefix), f.Sequence, f.Time/1000)
	digests := slices.Clone(f.Digests)
	entry := func(format string, args ...any) {
		var parts []string
		for part := range strings.SplitSeq(fmt.Sprintf(format, args...), " ") {
			if !strings.HasSuffix(part, "=") {
				parts = append(parts, part)
			}
		}
		digest := "?"
		if len(digests) > 0 {
			digest, digests = digests[0], digests[1:]
		}
		if digest != "" {
			parts = append(parts, "digest="+digest)
		}
		b.WriteString(" [" + strings.Join(parts, " ") + "]")
	}
	if f.Type == events.RoomCreated && len(f.Joined) == 0 {
		entry("req=%s", f.RequestID)
	}
	for _, j := range f.Joined {
		entry("%s/%s %s from=%s req=%s", j.UserID, j.SessionID, j.Via, j.FromRoomID, j.RequestID)
	}
	for _, l := range f.Left {
		entry("%s/%s %s to=%s req=%s", l.UserID, l.SessionID, l.Reason, l.ToRoomID, l.RequestID)
	}
	switch f.Type {
	case events.RoomCreated:
		fmt.Fprintf(&b, " count=%d", f.Info.MemberCount)
	case events.RoomDestroyed:
		fmt.Fprintf(&b, " %s count=%d", f.Reason, f.Info.MemberCount)
	case events.RoomKept:
	default:
		fmt.Fprintf(&b, " count=%d", f.MemberCount)
	}
	if f.TraceParent != "" {
		b.WriteString(" trace=" + f.TraceParent)
	}
	if len(digests) > 0 {
		fmt.Fprintf(&b, " digests without entry: %q", digests)
	}
	return b.String()
}

// show is a room in one line.
func (w *world) show(r subjects.Room) string {
	s := w.rooms[r]
	if s == nil {
		return string(r) + ": none"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %d, %d members:", s.InstanceID, s.Sequence, s.Members)
	s.After(0, func(m *room.Member) bool {
		fmt.Fprintf(&b, " %s", m.User)
		for _, session := range m.Sessions {
			fmt.Fprintf(&b, "/%s", session.SessionID)
		}
		return true
	})
	if s.EmptySince != 0 {
		fmt.Fprintf(&b, " empty since %d by %d, ends at %d", s.EmptySince/1000, s.EmptyBy, s.DestroyAt()/1000)
	}
	if s.Unborn {
		b.WriteString(", unborn")
	}
	if s.Ending() {
		b.WriteString(", ending")
	}
	return b.String()
}

// dump is everything a state holds, for comparing.
func dump(t tb, r subjects.Room, s *room.State) string {
	t.Helper()
	if s == nil {
		return "none"
	}
	must := func(raw []byte, err error) string {
		if err != nil {
			t.Fatalf("%v", err)
		}
		return string(raw) + "\n"
	}
	out := must(s.Head.Record(r))
	s.After(0, func(m *room.Member) bool {
		if s.Member(m.User) != m {
			out += "a ghost: "
		}
		out += must(m.Record(s.InstanceID))
		return true
	})
	return out
}
