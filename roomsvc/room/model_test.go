package room_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// model is what the contract says, as dumb as can be: it knows who is in which room and
// does one command after another. A room that is left empty stays for the rest of its
// batch, since the batch is decided on what was there before it.
type model map[subjects.Room]*modelRoom

type modelRoom struct {
	in         map[subjects.User]map[string]bool
	facts, max int
	delay      events.Time
	emptyAt    events.Time
	at         events.Time // of its newest fact: a room's time never goes back
}

// do gives what verdict would print, without numbers, and the rooms that change.
func (m model) do(c *room.Command, most int, now events.Time) (string, []subjects.Room) {
	r := m[c.Room]
	switch c.Verb {
	case room.Leave:
		if code := m.leave(c, c.Room, now); code != "" {
			return code, nil
		}
		return "changed", []subjects.Room{c.Room}
	case room.LeaveAll:
		var left []subjects.Room
		for id := range m {
			if m.leave(c, id, now) == "" {
				left = append(left, id)
			}
		}
		if left == nil {
			return "nothing", nil
		}
		return "changed", left
	case room.Switch:
		switch from := m[c.From]; {
		case from == nil, !from.in[c.User][c.Session]:
			return "USER_NOT_IN_ROOM", nil
		case r != nil && r.in[c.User][c.Session]:
			m.leave(c, c.From, now)
			return "changed", []subjects.Room{c.From}
		}
	}
	switch {
	case r == nil && (c.Verb == room.Join || c.Verb == room.Switch && !c.CreateMissing):
		return "ROOM_NOT_EXIST", nil
	case r == nil && c.RoomsFull:
		return "ROOM_LIMIT", nil
	case r != nil && c.Verb == room.Create:
		return "ROOM_ALREADY_EXISTS", nil
	case r != nil && r.in[c.User][c.Session] && c.Verb == room.Enter:
		return "nothing", nil
	case r != nil && r.in[c.User][c.Session]:
		return "USER_ALREADY_IN_ROOM", nil
	case r != nil && r.in[c.User] == nil && (r.max > 0 && len(r.in) >= r.max || most > 0 && len(r.in) >= most):
		return "ROOM_FULL", nil
	case c.UserRoomsFull && c.Verb != room.Switch && (r == nil || r.in[c.User] == nil):
		return "USER_ROOM_LIMIT", nil
	}
	answer, changed := "changed", []subjects.Room{c.Room}
	if r == nil {
		answer = "created"
		r = &modelRoom{in: map[subjects.User]map[string]bool{}, max: c.Config.MaxMembers, delay: events.Time(c.Config.RoomDestroyDelayTime) * 1000, emptyAt: now}
		m[c.Room] = r
		if c.User == "" {
			r.emptyAt += max(0, 300_000-r.delay)
			return answer, changed
		}
	}
	if r.in[c.User] == nil {
		r.in[c.User] = map[string]bool{}
	}
	r.in[c.User][c.Session] = true
	if c.Verb == room.Switch {
		m.leave(c, c.From, now)
		changed = append(changed, c.From)
	}
	return answer, changed
}

func (m model) leave(c *room.Command, id subjects.Room, now events.Time) string {
	r := m[id]
	switch {
	case r == nil:
		return "ROOM_NOT_EXIST"
	case !r.in[c.User][c.Session]:
		return "USER_NOT_IN_ROOM"
	}
	delete(r.in[c.User], c.Session)
	if len(r.in[c.User]) == 0 {
		delete(r.in, c.User)
	}
	if len(r.in) == 0 {
		r.emptyAt = max(now, r.at)
	}
	return ""
}

// ended says that the room is over.
func (r *modelRoom) ended(now events.Time) bool {
	return len(r.in) == 0 && r.emptyAt+r.delay <= max(now, r.at)
}

// machine drives the core by random steps.
type machine struct {
	*rapid.T
	*world
	model model
}

var (
	someRooms = rapid.SampledFrom([]subjects.Room{"a", "b", "c"})
	someUsers = rapid.SampledFrom([]subjects.User{"alice", "bob", "carol", "dave", "erin"})
	sessions  = rapid.SampledFrom([]string{"", "", "tab"})
	sometimes = rapid.Custom(func(t *rapid.T) bool { return rapid.IntRange(0, 9).Draw(t, "n") == 0 })
	longText  = rapid.SampledFrom([]string{"", "x", "\"\\<", strings.Repeat("é\"", 10), "<&>\u2028"})
)

func newMachine(t *rapid.T) *machine {
	m := &machine{T: t, world: newWorld(t), model: model{}}
	m.most = rapid.SampledFrom([]int{0, 0, 2, 3}).Draw(t, "most")
	return m
}

// Fatalf and Helper are those of the check.
func (m *machine) Fatalf(format string, args ...any) { m.T.Helper(); m.T.Fatalf(format, args...) }
func (m *machine) Helper()                           { m.T.Helper() }

func (m *machine) draw(verbs ...room.Verb) *room.Command {
	t := m.T
	q := room.Caller{UserID: string(someUsers.Draw(t, "user")), UserName: longText.Draw(t, "name"), SessionID: sessions.Draw(t, "session")}
	if info := longText.Draw(t, "info"); info != "" {
		q.UserInfo = fmt.Appendf(nil, ` {"k":%q}`, info)
	}
	if rapid.Bool().Draw(t, "request") {
		q.RequestID = fmt.Sprintf("r%d", m.facts)
	}
	c, err := q.Command(rapid.SampledFrom(verbs).Draw(t, "verb"), true)
	if err != nil {
		m.Fatalf("%v", err)
	}
	c.Room, c.RoomsFull, c.UserRoomsFull = someRooms.Draw(t, "room"), sometimes.Draw(t, "rooms full"), sometimes.Draw(t, "user full")
	if c.RequestID != "" {
		c.Digest = "of " + c.RequestID + string(c.User)
	}
	if c.Verb == room.Switch {
		c.From, c.CreateMissing = someRooms.Filter(func(r subjects.Room) bool { return r != c.Room }).Draw(t, "from"), rapid.Bool().Draw(t, "create")
	}
	if c.Verb == room.Create && rapid.Bool().Draw(t, "without user") {
		c.User = ""
	}
	c.Config = events.Config{RoomDestroyDelayTime: rapid.SampledFrom([]int64{0, 0, 20, 400}).Draw(t, "delay"), MaxMembers: rapid.SampledFrom([]int{0, 0, 1, 2, 4}).Draw(t, "max")}
	if rapid.Bool().Draw(t, "attributes") {
		c.Attributes = map[string]string{"k": longText.Draw(t, "value")}
	}
	return c
}

// batch decides commands in as many batches as they need, and does the same in the model.
func (m *machine) batch(waiting []*room.Command) {
	for len(waiting) > 0 {
		for _, r := range slices.Sorted(maps.Keys(m.rooms)) {
			if m.rooms[r].Ending() {
				m.destroy(r)
			}
		}
		verdicts, facts := m.decide(waiting...)
		if verdicts[0].Later {
			m.Fatalf("nothing is decided of %+v", waiting[0])
		}
		var rest []*room.Command
		changed := map[subjects.Room]bool{}
		for i, c := range waiting {
			got, _, _ := strings.Cut(verdict(verdicts[i]), " ")
			if got == "later" {
				rest = append(rest, c)
				continue
			}
			want, in := m.model.do(c, m.most, m.now)
			if got != want {
				m.Fatalf("%+v: %s; want %s", c, got, want)
			}
			for _, r := range in {
				changed[r] = true
			}
		}
		waiting = rest
		for _, f := range facts {
			if !changed[f.Room] {
				m.Fatalf("nobody asked for %s", describe(f))
			}
			if n := max(len(f.Joined)+len(f.Left), 1); len(f.Digests) != n {
				m.Fatalf("%d digests for %s", len(f.Digests), describe(f))
			}
			delete(changed, f.Room)
			m.stored(f)
		}
		if len(changed) > 0 {
			m.Fatalf("no facts for %v", changed)
		}
	}
	m.settle()
}

func (m *machine) stored(f *events.Fact) {
	r := m.model[f.Room]
	r.facts++
	r.at = max(r.at, m.now)
	m.store(f)
}

// settle lets time do its work.
func (m *machine) settle() {
	for id, r := range m.model {
		if r.ended(m.now) {
			m.destroy(id)
		}
	}
}

func (m *machine) destroy(id subjects.Room) {
	s := m.rooms[id]
	if stale := room.Destroy(s, s.EmptyBy+1, s.InstanceID, m.input(id)); stale != nil {
		m.Fatalf("ended by another emptying: %s", describe(stale))
	}
	f := room.Destroy(s, s.EmptyBy, s.InstanceID, m.input(id))
	if f == nil || !m.model[id].ended(m.now) || s.DestroyAt() > max(m.now, s.FactAt) {
		m.Fatalf("%s to end: %v, by the model %v", m.show(id), f, m.model[id])
	}
	m.store(f)
	delete(m.model, id)
}

// actions are the steps, for [rapid.T.Repeat].
func (m *machine) actions() map[string]func(*rapid.T) {
	several := func(verbs ...room.Verb) func(*rapid.T) {
		return func(t *rapid.T) {
			var list []*room.Command
			only := someRooms.Draw(t, "room")
			for range rapid.IntRange(1, 6).Draw(t, "commands") {
				c := m.draw(verbs...)
				if c.Verb != room.Switch {
					c.Room = only
				}
				list = append(list, c)
			}
			m.batch(list)
		}
	}
	return map[string]func(*rapid.T){
		"one room": several(room.Create, room.Join, room.Enter, room.Enter, room.Leave),
		"comings":  several(room.Join, room.Enter),
		"goings":   several(room.Leave),
		"rooms":    several(room.Switch, room.Switch, room.Switch, room.LeaveAll),
		"time":     func(t *rapid.T) { m.now += events.Time(rapid.IntRange(-3, 120).Draw(t, "s")) * 1000; m.settle() },
		"keep": func(t *rapid.T) {
			if id := someRooms.Draw(t, "room"); m.rooms[id] != nil {
				m.stored(room.Keep(m.rooms[id], m.input(id)))
			}
		},
		"": func(*rapid.T) { m.compare() },
	}
}

// compare holds the core's rooms against the model's.
func (m *machine) compare() {
	if len(m.rooms) != len(m.model) {
		m.Fatalf("%d rooms; want %d", len(m.rooms), len(m.model))
	}
	for id, want := range m.model {
		s := m.rooms[id]
		if s == nil || s.Sequence != uint64(want.facts) || s.Members != len(want.in) || !s.Whole() || (s.EmptySince != 0) != (len(want.in) == 0) {
			m.Fatalf("%s; want %+v", m.show(id), want)
		}
		in := map[subjects.User]map[string]bool{}
		last := uint64(0)
		s.After(0, func(member *room.Member) bool {
			in[member.User] = map[string]bool{}
			for _, session := range member.Sessions {
				in[member.User][session.SessionID] = true
			}
			if member.Order <= last || s.Member(member.User) != member {
				m.Fatalf("%q is out of order", member.User)
			}
			last = member.Order
			return true
		})
		if !reflect.DeepEqual(in, want.in) {
			m.Fatalf("in %q are %v; want %v", id, in, want.in)
		}
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		t.Repeat(m.actions())
	})
}
