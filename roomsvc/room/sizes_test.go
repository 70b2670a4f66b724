package room_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// largest is every limit at its maximum.
func largest() *room.Limits {
	l := &room.Limits{}
	for _, s := range room.Settings {
		if s.Default > 0 {
			*s.Of(l) = s.Most
		}
	}
	return l
}

// fillAttributes makes the room's creator set attributes until the room takes no more,
// and says whether it refused in the end.
func (w *world) fillAttributes(r subjects.Room, char string, key int) bool {
	w.Helper()
	by := membersOf(w.rooms[r])[0]
	for i := range 300 {
		c := &room.Command{Verb: room.SetAttributes, Room: r, User: by.User, Session: by.Sessions[0].SessionID}
		goes := i%2 == 0
		q := &room.SetAttributesRequest{Set: map[string]string{fmt.Sprintf("%03d%s", i, strings.Repeat(char, key)): strings.Repeat(char, 100)}, IsDeleteAfterOwnerLeft: &goes}
		if err := c.SetAttributes(q, w.input(r).Limits.Filled()); err != nil {
			w.Fatalf("%v", err)
		}
		verdicts, facts := w.decide(c)
		if verdicts[0].Refused != nil {
			return true
		}
		w.store(facts[0])
	}
	return false
}

// fillMember does the same for a member.
func (w *world) fillMember(r subjects.Room, u subjects.User, char string, key int) bool {
	w.Helper()
	by := membersOf(w.rooms[r])[0]
	for i := range 300 {
		c := &room.Command{Verb: room.SetMemberAttributes, Room: r, User: by.User, Session: by.Sessions[0].SessionID}
		goes := i%2 == 0
		q := &room.SetMemberAttributesRequest{UserIDs: []string{string(u)}, Attributes: map[string]string{fmt.Sprintf("%03d%s", i, strings.Repeat(char, key)): strings.Repeat(char, 100)}, IsDeleteAfterOwnerLeft: &goes}
		if err := c.SetMemberAttributes(q, w.input(r).Limits.Filled()); err != nil {
			w.Fatalf("%v", err)
		}
		verdicts, facts := w.decide(c)
		if verdicts[0].Refused != nil {
			return true
		}
		w.store(facts[0])
	}
	return false
}

// hostile draws texts of up to n bytes, of characters that take much or little space in JSON.
func hostile(n int, control bool) *rapid.Generator[string] {
	chars := []string{`"`, `\`, "<", "x", "\u2028", "\u0080", "é", "日", "\uFFFD", "\U0001F389"}
	if control {
		chars = append(chars, "\x00", "\x1f", "\n", "\u007f")
	}
	return rapid.Custom(func(t *rapid.T) string {
		size := rapid.OneOf(rapid.Just(n), rapid.IntRange(1, n)).Draw(t, "size")
		char := rapid.SampledFrom(chars).Draw(t, "char")
		if size < len(char) {
			char = "x"
		}
		return strings.Repeat(char, size/len(char))
	})
}

// hostileWorld is a world whose callers send the worst that its limits allow.
type hostileWorld struct {
	*world
	t       *rapid.T
	l       *room.Limits
	users   []string
	refused map[string]int
}

func (h *hostileWorld) caller(v room.Verb) *room.Command {
	t := h.t
	q := room.Caller{
		UserID: rapid.SampledFrom(h.users).Draw(t, "user"), UserName: hostile(h.l.UserName, false).Draw(t, "name"),
		SessionID: rapid.SampledFrom([]string{"", strings.Repeat(`"`, room.MaxSessionID)}).Draw(t, "session"), RequestID: strings.Repeat(rapid.SampledFrom([]string{"", "\x01", "日"}).Draw(t, "request"), room.MaxRequestID),
		UserInfo: fmt.Appendf(nil, `{"k":"%s"}`, strings.Repeat("<", rapid.SampledFrom([]int{0, room.MaxUserInfo - 8}).Draw(t, "info"))),
	}
	c, err := q.Command(v, true, h.l)
	if err != nil {
		h.Fatalf("%v", err)
	}
	c.Room, c.TraceParent = "<room>"+subjects.Room(strings.Repeat("\"", 122)), strings.Repeat("0", 55)
	return c
}

// many is up to n users: those who come, and others.
func (h *hostileWorld) many(n int) []string {
	list := slices.Clone(h.users[:min(n, len(h.users))])
	for i := len(list); i < n && rapid.Bool().Draw(h.t, "another"); i++ {
		list = append(list, fmt.Sprintf("x%02d%s", i, strings.Repeat(`"`, 125)))
	}
	return list
}

func (h *hostileWorld) pairs(n, key, value int) map[string]string {
	pairs := map[string]string{}
	for range rapid.IntRange(1, n).Draw(h.t, "pairs") {
		pairs[hostile(key, true).Draw(h.t, "key")] = hostile(value, true).Draw(h.t, "value")
	}
	return pairs
}

// draw makes any command, or nil where its form is refused.
func (h *hostileWorld) draw() *room.Command {
	t, l := h.t, h.l
	c := h.caller(rapid.SampledFrom([]room.Verb{
		room.Enter, room.Enter, room.Enter, room.Leave, room.SetAttributes, room.SetAttributes, room.SetAttributes, room.SetMemberAttributes, room.Kick, room.DestroyRoom,
		room.Update, room.UpdateMember, room.SetRole, room.Ban, room.Mute, room.SetAccess,
	}).Draw(t, "verb"))
	var err *room.Error
	switch c.Verb {
	case room.Enter:
		q := &room.RoomConfig{RoomDestroyDelayTime: 600}
		if rapid.Bool().Draw(t, "attributes") {
			q.RoomAttributes = h.pairs(min(l.Attributes, 8), l.AttributeKey, l.AttributeValue)
		}
		err = c.Making("roomName", hostile(l.RoomName, false).Draw(t, "title"), q, l)
	case room.SetAttributes:
		q := &room.SetAttributesRequest{Set: h.pairs(min(l.Attributes, 40), l.AttributeKey, rapid.SampledFrom([]int{1, l.AttributeValue}).Draw(t, "most")), IsForce: rapid.Bool().Draw(t, "force"), IsUpdateOwner: rapid.Bool().Draw(t, "own"), IsDeleteAfterOwnerLeft: choice.Draw(t, "goes")}
		if s := h.rooms[c.Room]; s != nil {
			for k := range s.Attributes {
				if _, ok := q.Set[k]; !ok && len(k)%3 == 0 {
					q.Delete = append(q.Delete, k)
				} else if len(q.Set) < l.Attributes {
					q.Set[k] = s.Attributes[k]
				}
			}
		}
		err = c.SetAttributes(q, l)
	case room.SetMemberAttributes:
		q := &room.SetMemberAttributesRequest{UserIDs: h.users, Attributes: h.pairs(min(l.MemberAttributes, 8), l.MemberAttributeKey, l.MemberAttributeValue), IsDeleteAfterOwnerLeft: choice.Draw(t, "goes")}
		if rapid.Bool().Draw(t, "one") {
			q.UserIDs = h.users[:1]
		}
		err = c.SetMemberAttributes(q, l)
	case room.Kick:
		err = c.Kick(&room.KickRequest{UserIDs: h.users, Reason: hostile(room.MaxReason, false).Draw(t, "reason")})
	case room.Ban, room.Mute:
		err = c.Restrict(&room.RestrictRequest{UserIDs: h.many(room.MaxKick), Seconds: room.MaxRestriction, Reason: hostile(room.MaxReason, false).Draw(t, "reason")})
	case room.SetRole:
		err = c.SetRole(&room.SetRoleRequest{UserIDs: h.many(room.MaxUserIDs), Role: "host"})
	case room.SetAccess:
		err = c.SetAccess(&room.SetAccessRequest{Access: room.AccessListed, Allow: h.many(60)})
	case room.Update:
		err = c.Update(&room.UpdateRequest{RoomName: new(hostile(l.RoomName, false).Draw(t, "title"))}, l)
	case room.UpdateMember:
		err = c.UpdateMember()
	case room.DestroyRoom:
		err = c.Destroy(&room.DestroyRequest{Reason: hostile(room.MaxReason, false).Draw(t, "reason")})
	}
	if err != nil {
		h.refused[string(c.Verb)]++
		return nil
	}
	return c
}

// step decides some commands together; [world.store] insists that every fact fits.
func (h *hostileWorld) step() {
	for id, s := range h.rooms {
		for s.Ending() && h.rooms[id] != nil {
			h.store(room.EndNext(h.rooms[id], h.input(id)))
		}
	}
	var list []*room.Command
	for range rapid.IntRange(1, 12).Draw(h.t, "commands") {
		if c := h.draw(); c != nil {
			list = append(list, c)
		}
	}
	_, facts := h.decide(list...)
	for _, f := range facts {
		h.store(f)
	}
}

// However hostile the texts and whatever the limits are set to, every fact fits, including
// those that nobody can be refused: of leaving, of a room's end and of its renewal.
func TestSizes(t *testing.T) {
	facts := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		h := &hostileWorld{world: newWorld(t), t: t, refused: map[string]int{}}
		switch rapid.IntRange(0, 2).Draw(t, "limits") {
		case 0:
			h.limits = *largest()
		case 1:
			for _, s := range room.Settings {
				if s.Default > 0 {
					*s.Of(&h.limits) = rapid.IntRange(1, s.Most).Draw(t, s.Name)
				}
			}
		}
		h.l = h.limits.Filled()
		for i := range rapid.IntRange(1, 30).Draw(t, "users") {
			h.users = append(h.users, fmt.Sprintf("%02d%s", i, strings.Repeat(`"`, rapid.SampledFrom([]int{0, 126}).Draw(t, "long"))))
		}
		h.changed = func(_ room.Changes, f *events.Fact) { facts[f.Type]++ }
		if rapid.Bool().Draw(t, "small beginning") { // some of what follows is for members only, and with short texts
			c := h.caller(room.Enter)
			c.User, c.Name, c.Info = subjects.User(h.users[0]), "", nil
			set := h.caller(room.SetMemberAttributes)
			set.User = c.User
			if err := set.SetMemberAttributes(&room.SetMemberAttributesRequest{UserIDs: h.users[:1], Attributes: map[string]string{"k": ""}}, h.l); err != nil {
				t.Fatal(err)
			}
			for _, c := range []*room.Command{c, set} {
				_, facts := h.decide(c)
				for _, f := range facts {
					h.store(f)
				}
			}
		}
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			h.step()
		}
		for id := range h.rooms {
			if rapid.Bool().Draw(t, "renew") && !h.rooms[id].Ending() {
				was := membersOf(h.rooms[id])
				renewal := room.NewRenewal(h.rooms[id])
				for f := renewal.Next(h.rooms[id], h.input(id)); f != nil; f = renewal.Next(h.rooms[id], h.input(id)) {
					h.store(f)
				}
				if s := h.rooms[id]; len(was) > 0 && (s == nil || s.Members != len(was)) {
					t.Fatalf("of %d members: %s", len(was), h.show(id))
				}
			}
			if s := h.rooms[id]; s != nil && !s.Ending() && rapid.Bool().Draw(t, "one by one") {
				for _, m := range membersOf(s) {
					for _, session := range m.Sessions {
						c := h.caller(room.Leave)
						c.User, c.Session = m.User, session.SessionID
						verdicts, facts := h.decide(c)
						if !verdicts[0].Changed {
							t.Fatalf("%+v", verdicts[0].Refused)
						}
						h.store(facts[0])
					}
				}
			}
			for h.rooms[id] != nil {
				h.store(room.EndNext(h.rooms[id], h.input(id)))
			}
		}
	})
	for _, typ := range []string{events.RoomCreated, events.MemberJoined, events.MemberLeft, events.RoomAttributesChanged, events.MemberAttributesChanged, events.RoomDestroyed, events.RoomUpdated, events.MemberUpdated, events.RoomAccessChanged} {
		if facts[typ] == 0 {
			t.Errorf("no %s was made", typ)
		}
	}
}

// Users who come back bring many attributes with them; a fact takes fewer of these users.
func TestSizesOfReturningMembers(t *testing.T) {
	w := newWorld(t)
	w.run("create keeper lobby")
	w.fill("lobby", 30)
	users := membersOf(w.rooms["lobby"])[1:]
	var leave, join []*room.Command
	for _, m := range users {
		if !w.fillMember("lobby", m.User, "\x01", 40) {
			t.Fatal("a member takes any attributes")
		}
		leave, join = append(leave, w.command("leave "+string(m.User)+" lobby")), append(join, w.command("enter "+string(m.User)+" lobby"))
	}
	_, facts := w.decide(leave...)
	w.store(facts[0])
	had := len(users[0].Attributes)
	for len(join) > 0 {
		_, facts := w.decide(join...)
		w.store(facts[0])
		join = join[len(facts[0].Joined):]
	}
	if s := w.rooms["lobby"]; s.Members != 31 || len(keptOf(s)) != 0 || had != 0 || len(s.Member("u0000").Attributes) < 5 {
		t.Errorf("%s", w.show("lobby"))
	}
}

// The largest ban of all fits beside the largest list of users who may join.
func TestSizeOfTheLargestBan(t *testing.T) {
	w := newWorld(t)
	w.limits.Restrictions = 10_000
	w.run("create keeper lobby")
	allow := &room.Command{Verb: room.SetAccess, Room: "lobby", Session: room.DefaultSession, RequestID: strings.Repeat("\x01", room.MaxRequestID)}
	long := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("%03d%s", i, strings.Repeat(`"`, 125)))
		}
		return list
	}
	if err := allow.SetAccess(&room.SetAccessRequest{Access: room.AccessListed, Allow: long(63)}); err != nil {
		t.Fatal(err)
	}
	if v, _ := w.carry(allow); !v.Changed {
		t.Fatalf("%+v", v)
	}
	for _, v := range []room.Verb{room.Ban, room.Mute} {
		for _, char := range []string{"\u2028", "\uFFFD", `"`, "日"} {
			c := &room.Command{Verb: v, Room: "lobby", User: subjects.User(strings.Repeat(`"`, 128)), RequestID: strings.Repeat("\x01", room.MaxRequestID), TraceParent: strings.Repeat("0", 55)}
			if err := c.Restrict(&room.RestrictRequest{UserIDs: long(room.MaxKick), Seconds: room.MaxRestriction, Reason: strings.Repeat(char, room.MaxReason/len(char))}); err != nil {
				t.Fatal(err)
			}
			if v, facts := w.carry(c); !v.Changed || len(facts) != 1 { // [world.store] insists that it fits
				t.Errorf("%+v", v)
			}
		}
	}
}
