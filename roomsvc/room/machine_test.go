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

// machine drives the core by random steps.
type machine struct {
	*rapid.T
	*world
	model model
}

var (
	someRooms  = rapid.SampledFrom([]subjects.Room{"a", "b", "c"})
	someUsers  = rapid.SampledFrom([]subjects.User{"alice", "bob", "carol", "dave", "erin"})
	sessions   = rapid.SampledFrom([]string{"", "", "tab"})
	sometimes  = rapid.Custom(func(t *rapid.T) bool { return rapid.IntRange(0, 9).Draw(t, "n") == 0 })
	longText   = rapid.SampledFrom([]string{"", "x", "\"\\<", strings.Repeat("é\"", 10), "<&>\u2028"})
	somePairs  = rapid.MapOfN(rapid.SampledFrom([]string{"seat", "topic", "k"}), longText, 0, 2)
	manyUsers  = rapid.SliceOfN(rapid.Map(someUsers, func(u subjects.User) string { return string(u) }), 1, 3)
	someHosts  = rapid.SampledFrom([]string{"", room.HostsNone, room.HostsCreator, room.HostsCreator})
	someGuards = rapid.SampledFrom([]string{"", room.AttributesOpen, room.AttributesOwned})
	choice     = rapid.SampledFrom([]*bool{nil, new(bool), func() *bool { yes := true; return &yes }()})
)

func newMachine(t *rapid.T) *machine {
	m := &machine{T: t, world: newWorld(t), model: model{}}
	m.most = rapid.SampledFrom([]int{0, 0, 2, 3}).Draw(t, "most")
	m.limits.Restrictions = rapid.SampledFrom([]int{0, 3}).Draw(t, "restrictions")
	m.limits.Attributes, m.limits.MemberAttributes = rapid.SampledFrom([]int{0, 2}).Draw(t, "attributes"), rapid.SampledFrom([]int{0, 2}).Draw(t, "member attributes")
	return m
}

// Fatalf and Helper are those of the check.
func (m *machine) Fatalf(format string, args ...any) { m.T.Helper(); m.T.Fatalf(format, args...) }
func (m *machine) Helper()                           { m.T.Helper() }

// draw makes a command about a room; a switch may go to any room.
func (m *machine) draw(only subjects.Room, verbs ...room.Verb) *room.Command {
	t := m.T
	q := room.Caller{UserID: string(someUsers.Draw(t, "user")), UserName: longText.Draw(t, "name"), SessionID: sessions.Draw(t, "session")}
	if info := longText.Draw(t, "info"); info != "" {
		q.UserInfo = fmt.Appendf(nil, ` {"k":%q}`, info)
	}
	if rapid.Bool().Draw(t, "request") {
		q.RequestID = fmt.Sprintf("r%d", m.facts)
	}
	c, err := q.Command(rapid.SampledFrom(verbs).Draw(t, "verb"), true, defaults)
	if err != nil {
		m.Fatalf("%v", err)
	}
	c.UserForm, c.HostByToken = rapid.Bool().Draw(t, "form"), sometimes.Draw(t, "token")
	c.Lease = rapid.SampledFrom([]int{0, 0, 5, 3600}).Draw(t, "lease")
	c.Room, c.RoomsFull, c.UserRoomsFull = only, sometimes.Draw(t, "rooms full"), sometimes.Draw(t, "user full")
	if c.RequestID != "" {
		c.Digest = "of " + c.RequestID + string(c.User)
	}
	switch c.Verb {
	case room.Switch:
		c.Room = someRooms.Draw(t, "to")
		c.From, c.CreateMissing = someRooms.Filter(func(r subjects.Room) bool { return r != c.Room }).Draw(t, "from"), rapid.Bool().Draw(t, "create")
	case room.Create:
		if rapid.Bool().Draw(t, "without user") {
			c.User, c.UserForm = "", false
		}
	case room.SetAttributes:
		if sometimes.Draw(t, "without user") {
			c.User, c.UserForm = "", false
		}
		err = m.drawSet(c)
	case room.SetMemberAttributes:
		set := &room.SetMemberAttributesRequest{UserIDs: manyUsers.Draw(t, "users"), Attributes: somePairs.Draw(t, "set"), IsDeleteAfterOwnerLeft: choice.Draw(t, "goes")}
		if len(set.Attributes) == 0 {
			set.Attributes = map[string]string{"hand": "up"}
		}
		err = c.SetMemberAttributes(set, defaults)
	case room.Kick:
		err = c.Kick(&room.KickRequest{UserIDs: manyUsers.Draw(t, "users"), Reason: "spam"})
	case room.DestroyRoom:
		err = c.Destroy(&room.DestroyRequest{Reason: "closing"})
	case room.Update:
		err = c.Update(m.drawUpdate(), defaults)
	case room.UpdateMember:
		if c.Name == "" && c.Info == nil {
			c.Name = "another"
		}
		err = c.UpdateMember()
	case room.SetRole:
		err = c.SetRole(&room.SetRoleRequest{UserIDs: manyUsers.Draw(t, "users"), Role: rapid.SampledFrom([]string{"host", "host", "member"}).Draw(t, "role")})
	case room.Ban, room.Mute:
		err = c.Restrict(&room.RestrictRequest{UserIDs: manyUsers.Draw(t, "users"), Seconds: rapid.SampledFrom([]int64{0, 0, 30, 200}).Draw(t, "seconds"), Reason: rapid.SampledFrom([]string{"", "spam"}).Draw(t, "reason")})
	case room.Unban, room.Unmute:
		err = c.Lift(&room.LiftRequest{UserIDs: manyUsers.Draw(t, "users")})
	}
	if err != nil {
		m.Fatalf("%v", err)
	}
	c.Config = events.Config{RoomDestroyDelayTime: rapid.SampledFrom([]int64{0, 0, 20, 400}).Draw(t, "delay"), MaxMembers: rapid.SampledFrom([]int{0, 0, 1, 2, 4}).Draw(t, "max"), Hosts: someHosts.Draw(t, "hosts"), Attributes: someGuards.Draw(t, "guards")}
	if rapid.Bool().Draw(t, "attributes") {
		c.Attributes = map[string]string{"k": longText.Draw(t, "value")}
	}
	return c
}

// drawUpdate makes an update that changes some of what may be changed.
func (m *machine) drawUpdate() *room.UpdateRequest {
	t := m.T
	q := &room.UpdateRequest{Config: &room.ConfigUpdate{}}
	if rapid.Bool().Draw(t, "rename") {
		q.RoomName = new(longText.Draw(t, "title"))
	}
	if rapid.Bool().Draw(t, "change the delay") {
		q.Config.RoomDestroyDelayTime = new(rapid.SampledFrom([]int64{0, 20, 400}).Draw(t, "delay"))
	}
	if rapid.Bool().Draw(t, "change the hosts") {
		q.Config.Hosts = new(someHosts.Draw(t, "hosts"))
	}
	if rapid.Bool().Draw(t, "change the guards") {
		q.Config.Attributes = new(someGuards.Draw(t, "guards"))
	}
	if q.RoomName == nil && *q.Config == (room.ConfigUpdate{}) {
		q.Config.MaxMembers = new(rapid.IntRange(0, 3).Draw(t, "max"))
	}
	return q
}

func (m *machine) drawSet(c *room.Command) *room.Error {
	t := m.T
	q := &room.SetAttributesRequest{
		Set: somePairs.Draw(t, "set"), IsForce: rapid.Bool().Draw(t, "force"), IsUpdateOwner: rapid.Bool().Draw(t, "own"), IsDeleteAfterOwnerLeft: choice.Draw(t, "goes"),
	}
	for _, k := range []string{"seat", "k", "seat"} {
		if _, set := q.Set[k]; !set && (len(q.Set) == 0 || sometimes.Draw(t, "delete")) {
			q.Delete = append(q.Delete, k)
		}
	}
	if s := m.rooms[c.Room]; s != nil && rapid.Bool().Draw(t, "if") {
		q.IfRevision = s.AttributesAt + rapid.Uint64Range(0, 2).Draw(t, "revision") - 1
	}
	return c.SetAttributes(q, defaults)
}

// batch decides commands in as many batches as needed, and does the same in the model.
func (m *machine) batch(waiting []*room.Command) {
	for len(waiting) > 0 {
		for _, r := range slices.Sorted(maps.Keys(m.rooms)) {
			if m.rooms[r].Ending() {
				m.destroy(r)
			}
		}
		verdicts, facts := m.decide(waiting...)
		if verdicts[0].Later && !verdicts[0].Begun {
			m.Fatalf("no command was decided, starting with %+v", waiting[0])
		}
		var rest, alone []*room.Command
		changed := map[subjects.Room]bool{}
		check := func(c *room.Command, v room.Verdict) {
			got, _, _ := strings.Cut(verdict(v), " limit=")
			want, in := m.model.do(c, m.input(c.Room).Limits.Filled(), m.now)
			if got != want {
				m.Fatalf("%+v: %s; want %s", c, got, want)
			}
			if v.Changed {
				for _, r := range in {
					changed[r] = true
				}
			}
		}
		of := map[*room.Command]room.Verdict{}
		for i, c := range waiting {
			switch v := verdicts[i]; {
			case v.Begun:
				if !m.model.begins(c, m.input(c.Room).Limits.Filled(), m.now) {
					m.Fatalf("%+v begins", c)
				}
				c.Begun = m.rooms[c.Room].InstanceID
				changed[c.Room] = true
				rest = append(rest, c)
			case v.Later:
				rest = append(rest, c)
			case v.Changed && c.Verb.Info().Hosts && c.Verb != room.Kick && c.Verb != room.DestroyRoom: // what comes after it was decided without it
				alone, of[c] = append(alone, c), v
			default:
				check(c, v)
			}
		}
		for _, c := range alone {
			check(c, of[c])
		}
		waiting = rest
		for _, f := range facts {
			if !changed[f.Room] {
				m.Fatalf("nobody asked for %s", describe(f))
			}
			own := slices.DeleteFunc(slices.Clone(f.Updates), func(u events.MemberUpdate) bool { return u.Role != "" })
			if n := max(len(f.Joined)+len(f.Left)+len(f.Changes)+len(own), 1); len(f.Digests) != n {
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
	m.store(f)
	r := m.model[f.Room]
	r.facts++
	r.at = max(r.at, m.now)
	if r.touched {
		r.touched, r.touchedAt = false, uint64(len(m.journal))
	}
	if f.Type == events.RoomDestroyed {
		delete(m.model, f.Room)
	}
}

// settle ends the rooms that are due.
func (m *machine) settle() {
	for id, r := range m.model {
		if r.ended(m.now) {
			m.destroy(id)
		}
	}
}

func (m *machine) destroy(id subjects.Room) {
	if m.model[id].over {
		for m.rooms[id] != nil {
			if rapid.Bool().Draw(m.T, "reload") {
				m.reload(id)
			}
			m.store(room.EndNext(m.rooms[id], m.input(id)))
		}
		delete(m.model, id)
		return
	}
	s := m.rooms[id]
	if stale := room.Destroy(s, s.EmptyBy+1, s.InstanceID, m.input(id)); stale != nil {
		m.Fatalf("ended by another emptying: %s", describe(stale))
	}
	f := room.Destroy(s, s.EmptyBy, s.InstanceID, m.input(id))
	if f == nil || !m.model[id].ended(m.now) || s.DestroyAt() > max(m.now, s.FactAt) {
		m.Fatalf("%s should end: %v, according to the model %v", m.show(id), f, m.model[id])
	}
	m.store(f)
	delete(m.model, id)
}

// expel puts sessions out of a room, some that are in and some that are not, in as many
// facts as needed.
func (m *machine) expel(id subjects.Room) {
	t, s, r := m.T, m.rooms[id], m.model[id]
	var outs []room.Out
	for range rapid.IntRange(1, 6).Draw(t, "outs") {
		o := room.Out{User: someUsers.Draw(t, "user"), Session: room.DefaultSession, Reason: rapid.SampledFrom([]events.LeftReason{events.ReasonExpired, events.ReasonReplaced}).Draw(t, "reason")}
		if rapid.Bool().Draw(t, "tab") {
			o.Session = "tab"
		}
		if member := s.Member(o.User); member != nil && member.Session(o.Session) != nil {
			o.JoinedAt = member.Session(o.Session).JoinedAt
			if sometimes.Draw(t, "another stay") {
				o.JoinedAt--
			}
		}
		o.LeftAt = rapid.SampledFrom([]events.Time{0, 1, o.JoinedAt, m.now - 1000, m.now + 1000}).Draw(t, "left at")
		outs = append(outs, o)
	}
	for f := room.Expel(m.rooms[id], outs, m.input(id)); f != nil; f = room.Expel(m.rooms[id], outs, m.input(id)) {
		before := m.rooms[id]
		for _, l := range f.Left {
			u := subjects.User(l.UserID)
			i := slices.IndexFunc(outs, func(o room.Out) bool {
				return o.User == u && o.Session == l.SessionID && o.Reason == l.Reason && o.JoinedAt == before.Member(u).Session(l.SessionID).JoinedAt
			})
			if i < 0 || !r.in[u][l.SessionID] || l.Reason == events.ReasonReplaced && len(r.in[u]) == 1 {
				m.Fatalf("nobody asked for %s", describe(f))
			}
			if delete(r.in[u], l.SessionID); len(r.in[u]) == 0 {
				r.out(u, m.now)
			}
		}
		m.stored(f)
	}
	for _, o := range outs {
		if member := m.rooms[id].Member(o.User); member != nil && member.Session(o.Session) != nil && member.Session(o.Session).JoinedAt == o.JoinedAt &&
			(o.Reason != events.ReasonReplaced || len(member.Sessions) > 1) {
			m.Fatalf("%+v is in", o)
		}
	}
	m.settle()
}

// renew makes a room continue as a new instance, with one session of each member, with bans and
// mutes, and without what absent users left behind.
func (m *machine) renew(id subjects.Room) {
	r, s := m.model[id], m.rooms[id]
	for u := range r.in {
		r.in[u] = map[string]bool{s.Member(u).Sessions[0].SessionID: true}
	}
	if len(r.in) == 0 && !s.Unborn {
		delete(m.model, id)
	}
	renewal := room.NewRenewal(s)
	for {
		f := renewal.Next(m.rooms[id], m.input(id))
		if f == nil {
			break
		}
		m.store(f)
		if f.Type == events.RoomCreated {
			r.facts, r.at, r.touchedAt = 0, m.now, uint64(len(m.journal))
			r.emptyAt, r.unborn = m.now, true
		}
		r.facts++
	}
	bans, mutes, told := r.bans, r.mutes, r.told
	r.forget()
	r.bans, r.mutes = bans, mutes
	for u, role := range told {
		if r.in[u] != nil {
			r.told[u] = role
		}
	}
}

// actions are the steps, for [rapid.T.Repeat].
func (m *machine) actions() map[string]func(*rapid.T) {
	several := func(verbs ...room.Verb) func(*rapid.T) {
		return func(t *rapid.T) {
			var list []*room.Command
			only := someRooms.Draw(t, "room")
			for range rapid.IntRange(1, 6).Draw(t, "commands") {
				list = append(list, m.draw(only, verbs...))
			}
			m.batch(list)
		}
	}
	existing := func(f func(subjects.Room)) func(*rapid.T) {
		return func(t *rapid.T) {
			if id := someRooms.Draw(t, "room"); m.rooms[id] != nil {
				f(id)
			}
		}
	}
	return map[string]func(*rapid.T){
		"one room":   several(room.Create, room.Join, room.Enter, room.Enter, room.Leave),
		"comings":    several(room.Join, room.Enter),
		"goings":     several(room.Leave),
		"rooms":      several(room.Switch, room.Switch, room.Switch, room.LeaveAll),
		"attributes": several(room.SetAttributes, room.SetAttributes, room.SetAttributes, room.Leave, room.Enter),
		"members":    several(room.SetMemberAttributes, room.SetMemberAttributes, room.Join, room.Leave),
		"hosts":      several(room.Update, room.SetRole, room.SetRole, room.UpdateMember, room.Kick, room.Enter, room.Leave),
		"bans":       several(room.Ban, room.Ban, room.Unban, room.Mute, room.Unmute, room.SetRole, room.Enter, room.Leave),
		"everything": several(room.Enter, room.Leave, room.SetAttributes, room.SetMemberAttributes, room.Kick, room.Switch, room.DestroyRoom, room.Ban, room.Mute, room.SetRole, room.Update, room.UpdateMember),
		"time":       func(t *rapid.T) { m.now += events.Time(rapid.IntRange(-3, 120).Draw(t, "s")) * 1000; m.settle() },
		"keep":       existing(func(id subjects.Room) { m.stored(room.Keep(m.rooms[id], m.input(id))) }),
		"expel":      existing(m.expel),
		"reload":     existing(m.reload),
		"renew":      existing(m.renew),
		"":           func(*rapid.T) { m.compare() },
	}
}

// compare compares the core's rooms with the model's.
func (m *machine) compare() {
	if len(m.rooms) != len(m.model) {
		m.Fatalf("%d rooms; want %d", len(m.rooms), len(m.model))
	}
	for id, want := range m.model {
		s := m.rooms[id]
		if s == nil || s.Sequence != uint64(want.facts) || s.Members != len(want.in) || !s.Whole() || (s.EmptySince != 0) != (len(want.in) == 0) {
			m.Fatalf("%s; want %+v", m.show(id), want)
		}
		m.compareStanding(s, want)
		got := &modelRoom{in: map[subjects.User]map[string]bool{}, attributes: map[string]modelAttribute{}, pairs: map[subjects.User]map[string]modelPair{}, kept: map[subjects.User]map[string]string{}}
		last := uint64(0)
		for _, member := range membersOf(s) {
			got.in[member.User] = map[string]bool{}
			for _, session := range member.Sessions {
				got.in[member.User][session.SessionID] = true
			}
			staying := stays(m, member)
			for k, v := range member.Attributes {
				got.setPair(member.User, k, modelPair{v, slices.Contains(staying, k)})
			}
			if member.Order <= last || !reflect.DeepEqual(s.Member(member.User), member) {
				m.Fatalf("%q is out of order", member.User)
			}
			last = member.Order
		}
		for k, v := range s.Attributes {
			got.attributes[k] = modelAttribute{v, s.Owners[k].User, s.Owners[k].Leaving}
		}
		for _, k := range keptOf(s) {
			if k.Attributes != nil {
				got.kept[k.User] = k.Attributes
			}
		}
		if !reflect.DeepEqual(got.in, want.in) || !reflect.DeepEqual(got.attributes, want.attributes) || !reflect.DeepEqual(got.pairs, want.pairs) || !reflect.DeepEqual(got.kept, want.kept) {
			m.Fatalf("%q is\n%+v\nwant\n%+v", id, got, want)
		}
		if len(s.Owners) != len(s.Attributes) || s.AttributesAt != want.touchedAt {
			m.Fatalf("%q: owners %v of %v, changed at %d; want %d", id, s.Owners, s.Attributes, s.AttributesAt, want.touchedAt)
		}
	}
}

// compareStanding compares how users stand in a room, with the room's own settings.
func (m *machine) compareStanding(s *room.State, want *modelRoom) {
	now := want.later(m.now)
	got := &modelRoom{hostly: map[subjects.User]bool{}, told: map[subjects.User]events.Role{}, who: map[subjects.User][2]string{}}
	for _, member := range membersOf(s) {
		got.hostly[member.User], got.who[member.User] = s.IsHost(member.User), [2]string{member.Name, string(member.Info)}
	}
	for _, k := range keptOf(s) {
		if k.Role != "" {
			got.told[k.User] = k.Role
		}
	}
	if !reflect.DeepEqual(got.hostly, want.hostly) || !reflect.DeepEqual(got.who, want.who) || !reflect.DeepEqual(got.told, want.told) {
		m.Fatalf("in %q users stand as %v %v %v; want %v %v %v", s.Room, got.hostly, got.who, got.told, want.hostly, want.who, want.told)
	}
	for _, l := range []struct {
		what string
		want map[subjects.User]room.Restriction
		get  func(subjects.User, events.Time) *room.Restriction
	}{{"ban", want.bans, s.Banned}, {"mute", want.mutes, s.Muted}} {
		for _, u := range []subjects.User{"alice", "bob", "carol", "dave", "erin"} {
			is := l.get(u, now)
			if in(l.want, u, now) != (is != nil) || is != nil && *is != l.want[u] {
				m.Fatalf("%q in %q is under the %s %+v; want %+v", u, s.Room, l.what, is, l.want[u])
			}
		}
	}
	if s.Name != want.name || s.Config.Hosts != want.hosts || s.Config.Attributes != want.guards || s.Config.MaxMembers != want.max {
		m.Fatalf("%q is %q %+v; want %+v", s.Room, s.Name, s.Config, want)
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		t.Repeat(m.actions())
	})
}
