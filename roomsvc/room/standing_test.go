package room_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// carry decides one command, again and again as long as its facts only prepare it, and stores
// them.
func (w *world) carry(c *room.Command) (room.Verdict, []*events.Fact) {
	w.Helper()
	var all []*events.Fact
	for {
		verdicts, facts := w.decide(c)
		for _, f := range facts {
			w.store(f)
		}
		all = append(all, facts...)
		v := verdicts[0]
		if !v.Begun {
			return v, all
		}
		c.Begun = facts[0].InstanceID
	}
}

// as is a command of a user in the user form; of nobody, it is a back end's.
func as(v room.Verb, user string) *room.Command {
	return &room.Command{Verb: v, Room: "lobby", User: subjects.User(user), Session: room.DefaultSession, UserForm: user != ""}
}

func restrict(v room.Verb, by string, seconds int64, users ...subjects.User) *room.Command {
	c := as(v, by)
	c.Users, c.Seconds, c.ReasonText = users, seconds, "spam"
	if v == room.Unban || v == room.Unmute {
		c.Seconds, c.ReasonText = 0, ""
	}
	return c
}

func (w *world) restrictMany(v room.Verb, n int) *room.Error {
	for from := 0; from < n; from += room.MaxKick {
		c := as(v, "")
		for i := from; i < min(from+room.MaxKick, n); i++ {
			c.Users = append(c.Users, subjects.User(fmt.Sprintf("x%d", i)))
		}
		if v, _ := w.carry(c); v.Refused != nil {
			return v.Refused
		}
	}
	return nil
}

func setRole(by string, role events.Role, users ...subjects.User) *room.Command {
	c := as(room.SetRole, by)
	c.Role, c.Users = role, users
	return c
}

func refusedWith(v room.Verdict, code *room.Code) bool {
	return !v.Changed && v.Refused != nil && errors.Is(v.Refused, code)
}

// hosted is a room of alice, who is its host, with bob and carol.
func hosted(t *testing.T) *world {
	w := newWorld(t)
	c := as(room.Create, "alice")
	c.Config = events.Config{Hosts: room.HostsCreator, RoomDestroyDelayTime: 60}
	if v, facts := w.carry(c); !v.Changed || facts[0].Joined[0].Role != events.RoleHost {
		t.Fatalf("%+v", v)
	}
	w.run("join bob lobby", "join carol lobby")
	return w
}

func (w *world) hosts() (list []subjects.User) {
	w.rooms["lobby"].After(0, func(m *room.Member) bool {
		if w.rooms["lobby"].IsHost(m.User) {
			list = append(list, m.User)
		}
		return true
	})
	return list
}

func (w *world) hasHosts(t *testing.T, want ...subjects.User) {
	t.Helper()
	if got := w.hosts(); !slices.Equal(got, want) {
		t.Errorf("hosts are %v, want %v", got, want)
	}
	w.reload("lobby")
	if got := w.hosts(); !slices.Equal(got, want) {
		t.Errorf("hosts after a reload are %v, want %v", got, want)
	}
}

// Who runs a room: its creator if it is so configured, whoever was given the role, for as long
// as the instance lives, and the bearers of tokens that say so.
func TestHosts(t *testing.T) {
	w := hosted(t)
	w.hasHosts(t, "alice")
	if v, _ := w.carry(setRole("bob", events.RoleHost, "bob")); !refusedWith(v, room.ErrNotAllowed) {
		t.Errorf("bob makes himself a host: %+v", v)
	}
	if v, facts := w.carry(setRole("alice", events.RoleHost, "bob", "nobody")); !v.Changed || len(facts[0].Updates) != 1 {
		t.Errorf("alice makes bob a host: %+v", v)
	}
	w.hasHosts(t, "alice", "bob")
	if v, facts := w.carry(setRole("", events.RoleHost, "bob")); v.Changed || v.Refused != nil || len(facts) > 0 {
		t.Errorf("he is one already: %+v", v)
	}
	w.run("leave bob lobby", "leave alice lobby")
	w.run("join bob lobby", "join alice lobby")
	w.hasHosts(t, "bob", "alice") // they come back as what they were
	if v, _ := w.carry(setRole("bob", events.RoleMember, "alice")); !v.Changed {
		t.Errorf("bob takes alice's role: %+v", v)
	}
	w.run("leave alice lobby")
	w.run("join alice lobby")
	w.hasHosts(t, "bob")
	token := as(room.Join, "dave")
	token.HostByToken = true
	w.carry(token)
	w.hasHosts(t, "bob", "dave")
	w.run("leave dave lobby")
	w.run("join dave lobby") // without the token
	w.hasHosts(t, "bob")

	change := as(room.Update, "bob")
	none, creator := room.HostsNone, room.HostsCreator
	change.Change = &room.ConfigUpdate{Hosts: &none}
	w.carry(change)
	w.hasHosts(t, "bob")
	change.Change = &room.ConfigUpdate{Hosts: &creator}
	w.carry(change)
	w.hasHosts(t, "bob", "alice") // that decides anew about her
}

// A ban puts out whoever is in, by a fact before its own, and keeps them out until it ends or
// is lifted; back ends bring in whom they want.
func TestBans(t *testing.T) {
	w := hosted(t)
	if v, _ := w.carry(restrict(room.Ban, "bob", 0, "carol")); !refusedWith(v, room.ErrNotAllowed) {
		t.Errorf("bob bans: %+v", v)
	}
	c := restrict(room.Ban, "alice", 60, "carol", "mallory")
	c.RequestID = "r"
	v, facts := w.carry(c)
	if !v.Changed || len(facts) != 2 || facts[0].Type != events.MemberLeft || facts[1].Type != events.RoomAccessChanged || v.Until != w.now+60_000 {
		t.Fatalf("%+v, %d facts", v, len(facts))
	}
	if l := facts[0].Left; len(l) != 1 || l[0].UserID != "carol" || l[0].Reason != events.ReasonKicked || l[0].ReasonText != "spam" || l[0].Operator != "alice" || l[0].RequestID != "" {
		t.Errorf("%+v", l)
	}
	if f := facts[1]; len(f.Bans) != 2 || f.Bans[0] != (events.Restriction{UserID: "carol", Until: w.now + 60_000, Reason: "spam"}) || f.RequestID != "r" || f.User != "alice" {
		t.Errorf("%+v", f)
	}
	enter := func(user string, form bool) room.Verdict {
		c := as(room.Enter, user)
		c.UserForm = form
		v, _ := w.carry(c)
		return v
	}
	for range 2 {
		if v := enter("carol", true); !refusedWith(v, room.ErrBanned) || v.Refused.Until != w.now+60_000 {
			t.Errorf("she comes back: %+v", v)
		}
		w.reload("lobby")
	}
	if v := enter("carol", false); !v.Changed {
		t.Errorf("a back end brings her in: %+v", v)
	}
	if v := enter("mallory", true); !refusedWith(v, room.ErrBanned) {
		t.Errorf("one who was not in: %+v", v)
	}
	w.now += 60_000
	if v := enter("mallory", true); !v.Changed {
		t.Errorf("after its end: %+v", v)
	}
	w.carry(restrict(room.Ban, "", 0, "eve"))
	bans, _ := w.rooms["lobby"].Restrictions(w.now)
	if len(bans) != 1 || bans[0].UserID != "eve" || bans[0].Until != 0 {
		t.Errorf("%+v", bans)
	}
	if kept := w.kept(); !slices.Equal(kept, []subjects.User{"eve"}) {
		t.Errorf("bans that are over are still kept: %v", kept)
	}
	if v, facts := w.carry(restrict(room.Ban, "", 0, "eve")); v.Changed || v.Refused != nil || len(facts) > 0 {
		t.Errorf("the same again: %+v", v)
	}
	if v, _ := w.carry(restrict(room.Unban, "alice", 0, "eve")); !v.Changed || !enter("eve", true).Changed {
		t.Errorf("lifted: %+v", v)
	}
	if v, _ := w.carry(restrict(room.Unban, "alice", 0, "eve")); v.Changed || v.Refused != nil {
		t.Errorf("lifted twice: %+v", v)
	}
	if v := enter("alice", true); v.Refused != nil {
		t.Errorf("alice: %+v", v)
	}
}

func (w *world) kept() (users []subjects.User) {
	w.rooms["lobby"].Kept(func(k room.Kept) { users = append(users, k.User) })
	slices.Sort(users)
	return users
}

// A mute is for users who are in as for those who are not; it goes on over leaving and coming
// back. Where only hosts speak, others do not.
func TestMutes(t *testing.T) {
	w := hosted(t)
	silent := func(u subjects.User) *room.Error { return w.rooms["lobby"].Silent(as(room.Send, string(u)), w.now) }
	if v, facts := w.carry(restrict(room.Mute, "alice", 60, "bob", "eve")); !v.Changed || len(facts) != 1 || len(facts[0].Mutes) != 2 {
		t.Fatalf("%+v", v)
	}
	w.run("leave bob lobby")
	w.run("join bob lobby", "join eve lobby")
	for range 2 {
		for _, u := range []subjects.User{"bob", "eve"} {
			if e := silent(u); !errors.Is(e, room.ErrMuted) || e.Until != w.now+60_000 {
				t.Errorf("%s may speak: %v", u, e)
			}
		}
		w.reload("lobby")
	}
	if e := silent("carol"); e != nil {
		t.Errorf("carol: %v", e)
	}
	w.carry(restrict(room.Unmute, "alice", 0, "bob"))
	if e := silent("bob"); e != nil {
		t.Errorf("lifted: %v", e)
	}
	w.now += 60_000
	if e := silent("eve"); e != nil {
		t.Errorf("after its end: %v", e)
	}
	c := as(room.Update, "alice")
	hosts := room.SpeakersHosts
	c.Change = &room.ConfigUpdate{Speakers: &hosts}
	w.carry(c)
	if e := silent("bob"); !errors.Is(e, room.ErrNotAllowed) {
		t.Errorf("bob, who is no host: %v", e)
	}
	if e := silent("alice"); e != nil {
		t.Errorf("alice: %v", e)
	}
}

// What is changed of a room is changed, and the rest stays; members change themselves.
func TestUpdates(t *testing.T) {
	w := hosted(t)
	name, most, delay := "Hall", 3, int64(5)
	c := as(room.Update, "alice")
	c.Rename, c.Change = &name, &room.ConfigUpdate{MaxMembers: &most, RoomDestroyDelayTime: &delay}
	for range 2 {
		v, facts := w.carry(c)
		if v.Refused != nil || v.Changed != (len(facts) == 1) {
			t.Fatalf("%+v", v)
		}
		w.reload("lobby")
		if h := w.rooms["lobby"].Head; h.Name != "Hall" || h.Config.MaxMembers != 3 || h.Config.RoomDestroyDelayTime != 5 || h.Config.Hosts != room.HostsCreator {
			t.Errorf("%+v", h)
		}
	}
	if v, _ := w.carry(as(room.Join, "dave")); !refusedWith(v, room.ErrRoomFull) {
		t.Errorf("a fourth: %+v", v)
	}
	if c.User, c.Change.MaxMembers = "bob", new(int); true {
		if v, _ := w.carry(c); !refusedWith(v, room.ErrNotAllowed) {
			t.Errorf("bob: %+v", v)
		}
	}
	bob, carol := as(room.UpdateMember, "bob"), as(room.UpdateMember, "carol")
	bob.Name, bob.RequestID, carol.Info = "Bob", "r1", []byte(`{"color":"red"}`)
	verdicts, facts := w.decide(bob, carol)
	if len(facts) != 1 || !verdicts[0].Changed || !verdicts[1].Changed || len(facts[0].Updates) != 2 {
		t.Fatalf("two in one fact: %+v", verdicts)
	}
	w.store(facts[0])
	w.reload("lobby")
	if b, c := w.rooms["lobby"].Member("bob"), w.rooms["lobby"].Member("carol"); b.Name != "Bob" || string(c.Info) != `{"color":"red"}` {
		t.Errorf("%+v, %+v", b, c)
	}
	if v, _ := w.carry(as(room.UpdateMember, "dave")); v.Refused != nil && !errors.Is(v.Refused, room.ErrUserNotInRoom) || v.Changed {
		t.Errorf("one who is not in: %+v", v)
	}
}

// Where attributes are owned, only owners and hosts change them, whatever a member forces; the
// server itself sets attributes that nobody owns.
func TestOwnedAttributes(t *testing.T) {
	w := hosted(t)
	owned := room.AttributesOwned
	c := as(room.Update, "alice")
	c.Change = &room.ConfigUpdate{Attributes: &owned}
	w.carry(c)
	set := func(user string, force bool) room.Verdict {
		c := as(room.SetAttributes, user)
		c.Set, c.Force = map[string]string{"topic": user + "'s"}, force
		v, _ := w.carry(c)
		return v
	}
	if v := set("", false); !v.Changed {
		t.Fatalf("the server sets one: %+v", v)
	}
	if o := w.rooms["lobby"].Owners["topic"]; o.User != "" {
		t.Errorf("it belongs to %q", o.User)
	}
	w.carry(func() *room.Command {
		c := as(room.SetAttributes, "carol")
		c.Set = map[string]string{"seat": "carol"}
		return c
	}())
	seat := func(user string, force bool) room.Verdict {
		c := as(room.SetAttributes, user)
		c.Set, c.Force = map[string]string{"seat": user}, force
		v, _ := w.carry(c)
		return v
	}
	if v := seat("bob", true); !refusedWith(v, room.ErrNotAllowed) || v.Refused.Field != "isForce" {
		t.Errorf("bob forces: %+v", v)
	}
	if v := seat("bob", false); v.Changed || !slices.Equal(v.ErrorKeys, []string{"seat"}) {
		t.Errorf("bob asks: %+v", v)
	}
	if v := seat("alice", true); !v.Changed {
		t.Errorf("alice, who is a host: %+v", v)
	}
	if v := seat("", false); !v.Changed {
		t.Errorf("a back end: %+v", v)
	}
	m := as(room.SetMemberAttributes, "bob")
	m.Set, m.Users = map[string]string{"role": "admin"}, []subjects.User{"carol"}
	if v, _ := w.carry(m); !refusedWith(v, room.ErrNotAllowed) || v.Refused.Field != "userIDs" {
		t.Errorf("bob writes into carol's: %+v", v)
	}
	m.Users = []subjects.User{"bob"}
	if v, _ := w.carry(m); !v.Changed {
		t.Errorf("bob writes into his own: %+v", v)
	}
}

// A host does in the user form what a back end does; a member does not, and a room that there
// is not cannot be run by anybody.
func TestHostsCommands(t *testing.T) {
	commands := map[room.Verb]func() *room.Command{
		room.Kick:        func() *room.Command { return restrict(room.Kick, "", 0, "carol") },
		room.Ban:         func() *room.Command { return restrict(room.Ban, "", 0, "carol") },
		room.Unban:       func() *room.Command { return restrict(room.Unban, "", 0, "carol") },
		room.Mute:        func() *room.Command { return restrict(room.Mute, "", 0, "carol") },
		room.Unmute:      func() *room.Command { return restrict(room.Unmute, "", 0, "carol") },
		room.SetRole:     func() *room.Command { return setRole("", events.RoleHost, "carol") },
		room.SetAccess:   func() *room.Command { c := as(room.SetAccess, ""); c.Access = room.AccessListed; return c },
		room.Update:      func() *room.Command { c := as(room.Update, ""); c.Rename = new(string); *c.Rename = "x"; return c },
		room.DestroyRoom: func() *room.Command { return as(room.DestroyRoom, "") },
	}
	for _, info := range room.Commands {
		if info.Hosts && info.Kind == room.ChangesOne && commands[info.Verb] == nil {
			t.Errorf("%s is not tried", info.Verb)
		}
	}
	for v, command := range commands {
		for user, may := range map[string]bool{"": true, "alice": true, "bob": false, "dave": false} {
			w := hosted(t)
			c := command()
			if c.User = subjects.User(user); user != "" {
				c.UserForm = true
			}
			if got, _ := w.carry(c); refusedWith(got, room.ErrNotAllowed) == may {
				t.Errorf("%s by %q: %+v", v, user, got)
			}
			c.Room = "nowhere"
			if got, _ := w.carry(c); !refusedWith(got, room.ErrRoomNotExist) {
				t.Errorf("%s of no room by %q: %+v", v, user, got)
			}
		}
	}
}

// A ban whose first fact is stored is carried through: when it was its own user that it put
// out, when that user lost its role meanwhile, and when others filled the room's bans.
func TestBanThatBegan(t *testing.T) {
	for what, between := range map[string]func(*world){
		"itself":  func(*world) {},
		"demoted": func(w *world) { w.carry(setRole("", events.RoleMember, "alice")) },
		"filled":  func(w *world) { w.carry(restrict(room.Ban, "", 0, "x", "y")) },
	} {
		w := hosted(t)
		w.limits.Restrictions = 2
		users := []subjects.User{"carol"}
		if what == "itself" {
			users = append(users, "alice")
		}
		c := restrict(room.Ban, "alice", 0, users...)
		verdicts, facts := w.decide(c)
		if !verdicts[0].Begun || len(facts) != 1 || len(facts[0].Left) != len(users) {
			t.Fatalf("%s: %+v", what, verdicts)
		}
		w.store(facts[0])
		c.Begun = facts[0].InstanceID
		between(w)
		if v, _ := w.carry(c); !v.Changed || w.rooms["lobby"].Banned("carol", w.now) == nil {
			t.Errorf("%s: %+v", what, v)
		}
		c.Begun = "another instance"
		if v, _ := w.carry(c); what != "filled" && !refusedWith(v, room.ErrNotAllowed) {
			t.Errorf("%s, begun in another instance: %+v", what, v)
		}
	}
}

// A host stands no higher than another: it may put out the room's creator, who stays a host
// until somebody says otherwise, and neither comes back by itself.
func TestHostsAgainstEachOther(t *testing.T) {
	w := hosted(t)
	w.carry(setRole("alice", events.RoleHost, "bob"))
	if v, _ := w.carry(restrict(room.Ban, "bob", 0, "alice")); !v.Changed {
		t.Errorf("%+v", v)
	}
	for _, v := range []room.Verb{room.Unban, room.Ban, room.Update, room.SetRole, room.SetAccess, room.DestroyRoom} {
		c := restrict(v, "alice", 0, "alice")
		if got, _ := w.carry(c); !refusedWith(got, room.ErrNotAllowed) {
			t.Errorf("%s by alice, who is out: %+v", v, got)
		}
	}
	token := as(room.Enter, "alice")
	token.HostByToken, token.Granted = true, true
	if v, _ := w.carry(token); !refusedWith(v, room.ErrBanned) {
		t.Errorf("she comes back with a token: %+v", v)
	}
	token.UserForm = false
	if v, _ := w.carry(token); !v.Changed {
		t.Errorf("a back end brings her in: %+v", v)
	}
	w.hasHosts(t, "bob", "alice")
	tab := as(room.Enter, "alice")
	tab.Session = "tab"
	if v, _ := w.carry(tab); !refusedWith(v, room.ErrBanned) {
		t.Errorf("another device of hers, who is in: %+v", v)
	}
}

// What a room keeps of users does not grow for ever: hosts that make hosts, and hosts that ban,
// come to an end.
func TestKeptIsBounded(t *testing.T) {
	w := hosted(t)
	w.limits.Restrictions = 10
	refused := 0
	for i := range 30 {
		u := subjects.User(fmt.Sprintf("s%d", i))
		w.run(fmt.Sprintf("join %s lobby", u))
		for _, c := range []*room.Command{setRole("alice", events.RoleHost, u), setRole("alice", events.RoleMember, u), restrict(room.Mute, "alice", 0, u), restrict(room.Ban, "alice", 0, u)} {
			if v, _ := w.carry(c); v.Refused != nil {
				refused++
				refusal(t, string(c.Verb), v.Refused, room.ErrParamInvalid, "userIDs", 10)
			}
		}
		w.run(fmt.Sprintf("leave %s lobby", u))
	}
	if n := len(w.kept()); n > 12 || refused != 60 {
		t.Errorf("%d users are kept, %d commands were refused", n, refused)
	}
	w.now += 1000
	if v, _ := w.carry(setRole("alice", events.RoleMember, "bob")); v.Refused != nil {
		t.Errorf("a demotion is refused: %+v", v)
	}
}

// A back end that names no user is nobody in the room, even beside those who have left.
func TestNobodyIsNoMember(t *testing.T) {
	w := hosted(t)
	w.run("join dave lobby", "join eve lobby")
	w.run("leave carol lobby")
	c := as(room.SetAttributes, "")
	c.Set = map[string]string{"k": "v"}
	if v, _ := w.carry(c); !v.Changed {
		t.Errorf("%+v", v)
	}
	if m := w.rooms["lobby"].Member(""); m != nil || w.rooms["lobby"].IsHost("") {
		t.Errorf("%+v", m)
	}
}

// What ends for a user when something else begins for it does not hide that.
func TestOneEndsAnotherBegins(t *testing.T) {
	w := hosted(t)
	w.carry(restrict(room.Ban, "", 60, "eve"))
	w.now += 60_000
	if v, _ := w.carry(restrict(room.Mute, "", 0, "eve")); !v.Changed {
		t.Fatalf("%+v", v)
	}
	w.reload("lobby")
	if s := w.rooms["lobby"]; s.Muted("eve", w.now) == nil || s.Banned("eve", w.now) != nil {
		t.Errorf("%+v, %+v", s.Muted("eve", w.now), s.Banned("eve", w.now))
	}
}

// Whom nothing but a token made a host runs the room as long as a token says so, command by command.
// Whoever was given the role, or made the room, needs none.
func TestHostByTokenAlone(t *testing.T) {
	w := newWorld(t)
	c := as(room.Create, "alice")
	c.Config.Hosts, c.Config.Speakers, c.Config.Attributes = room.HostsCreator, room.SpeakersHosts, room.AttributesOwned
	w.carry(c)
	w.run("join bob lobby form token", "join carol lobby form", "join dave lobby form token")
	w.hasHosts(t, "alice", "bob", "dave")
	w.carry(setRole("alice", events.RoleHost, "dave"))
	runs := func(u string, token, want bool) {
		t.Helper()
		commands := []*room.Command{setRole(u, events.RoleMember, "nobody"), restrict(room.Unban, u, 0, "nobody"), restrict(room.Kick, u, 0, "nobody")}
		force := as(room.SetAttributes, u)
		force.Force, force.Set, force.UserForm = true, map[string]string{"k": u}, true
		for _, c := range append(commands, force) {
			c.HostByToken = token
			if v, _ := w.carry(c); refusedWith(v, room.ErrNotAllowed) == want {
				t.Errorf("%s by %s, by token %v: %+v", c.Verb, u, token, v)
			}
		}
		send := as(room.Send, u)
		send.HostByToken = token
		if refused := w.rooms["lobby"].Silent(send, w.now); (refused == nil) != want {
			t.Errorf("%s speaks, by token %v: %v", u, token, refused)
		}
	}
	for range 2 {
		for u, alone := range map[string]bool{"alice": true, "bob": false, "carol": false, "dave": true} {
			runs(u, false, alone)
		}
		runs("bob", true, true)
		runs("carol", true, false) // it was none when it came in
		renewed := room.NewRenewal(w.rooms["lobby"])
		for f := renewed.Next(w.rooms["lobby"], w.input("lobby")); f != nil; f = renewed.Next(w.rooms["lobby"], w.input("lobby")) {
			w.store(f)
		}
		w.hasHosts(t, "alice", "bob", "dave") // in the new instance, too
	}
}
