package roomsvc_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// isBlocked checks that nothing of a user is taken any more, whichever instance gets it.
func isBlocked(t *testing.T, w *world, instances []*instance, user, room2 string) {
	t.Helper()
	for _, i := range instances { // each knows, a moment after the one that took the command
		w.Until(patience, user+" to be refused everywhere", func() bool { return i.Admit(w.Ctx, bearerOf(user)) != nil })
	}
	for range 10 {
		for verb, body := range map[string]string{
			"enter": `{"roomID":"lobby"}`, "create": `{"roomID":"new"}`, "renew": `{}`, "rooms": `{}`, "leaveAll": `{}`,
			"send": `{"roomID":"lobby","type":"text","data":"x"}`, "get": `{"roomID":"lobby"}`,
		} {
			w.Refused(room.ErrBlocked, verb+"."+user, body)
		}
		for _, verb := range []string{"enter", "join", "create"} { // nor can anybody bring it in
			w.Refused(room.ErrBlocked, verb, fmt.Sprintf(`{"roomID":%q,"userID":%q}`, room2, user))
		}
	}
	if rooms := ok[room.RoomsReply](w, "rooms", fmt.Sprintf(`{"userID":%q,"sync":true}`, user)); len(rooms.Rooms) > 0 {
		t.Errorf("%s is in %v", user, rooms.Rooms)
	}
}

func bearerOf(user string) room.Bearer {
	return room.Bearer{User: subjects.User(user), Connection: room.Connection{ServerID: "S", ClientID: 1}}
}

// A user who is blocked is out of everything, everywhere, until then; others notice nothing.
func TestBlock(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{Feeds: true})
	for _, id := range []string{"lobby", "garden"} {
		ok[position](w, "enter.bob", fmt.Sprintf(`{"roomID":%q}`, id))
		ok[position](w, "enter.alice", fmt.Sprintf(`{"roomID":%q}`, id))
		ok[position](w, "enter.alice", fmt.Sprintf(`{"roomID":%q,"sessionID":"phone"}`, id))
	}
	facts, notices := hear(t, w.NC, "room.evt.*"), hear(t, w.NC, "room.state.alice.*")
	body := `{"userID":"alice","seconds":3600,"reason":"spam","requestID":"B1"}`
	before := events.TimeOf(time.Now())
	first := ok[room.BlockReply](w, "block", body)
	if !first.Blocked || first.Reason != "spam" || first.Until < before+3600_000 || first.Until > events.TimeOf(time.Now())+3600_000 {
		t.Errorf("%+v", first)
	}
	for range 2 {
		f := decodeFact(t, facts)
		if f.Type != events.MemberLeft || len(f.Left) != 1 || f.Left[0].UserID != "alice" || f.Left[0].Reason != events.ReasonKicked || f.Left[0].ReasonText != "spam" {
			t.Errorf("%+v", f)
		}
	}
	for range 4 {
		m, err := notices.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if s := string(m.Data); !strings.Contains(s, `"kickedOut"`) || !strings.Contains(s, `"reasonText":"spam"`) {
			t.Errorf("%s", s)
		}
	}
	isBlocked(t, w, instances, "alice", "garden")
	if e := w.Refused(room.ErrBlocked, "enter.alice", `{"roomID":"lobby"}`); e.Until != first.Until || !strings.Contains(e.Message, "spam") {
		t.Errorf("%+v", e)
	}
	if again := ok[room.BlockReply](w, "block", body); again.Until != first.Until || again.BlockedAt != first.BlockedAt {
		t.Errorf("the same request again: %+v, at first %+v", again, first)
	}
	list := ok[room.BlockedReply](w, "blocked", `{}`)
	if len(list.UserList) != 1 || list.UserList[0].UserID != "alice" || list.UserList[0].Until != first.Until {
		t.Errorf("%+v", list)
	}
	ok[position](w, "enter.bob", `{"roomID":"lobby"}`)
	for _, i := range instances {
		i.End()
	}
	after := []*instance{w.Start(roomsvc.Config{Feeds: true}), w.Start(roomsvc.Config{Feeds: true})}
	isBlocked(t, w, after, "alice", "garden")
	if is := ok[room.UnblockReply](w, "unblock", `{"userID":"alice"}`); is.Blocked || is.Reason != "" {
		t.Errorf("%+v", is)
	}
	for _, i := range after {
		w.Until(patience, "alice to be taken again", func() bool { return i.Admit(w.Ctx, bearerOf("alice")) == nil })
	}
	for range 10 {
		ok[position](w, "enter.alice", `{"roomID":"lobby"}`)
	}
	if list := ok[room.BlockedReply](w, "blocked", `{}`); len(list.UserList) != 0 {
		t.Errorf("%+v", list)
	}
}

func decodeFact(t *testing.T, facts *nats.Subscription) *events.Fact {
	t.Helper()
	m, err := facts.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	f, err := events.DecodeFact(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A block is stored before anything else happens. Whoever learns of it does the rest: instances
// that run, and one that starts when there was none.
func TestBlockOfAnInstanceThatDied(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{Feeds: true})
	for _, user := range []string{"alice", "bob"} {
		ok[position](w, "enter."+user, `{"roomID":"lobby"}`)
	}
	stored := func(user string) {
		t.Helper()
		if _, err := w.JS.Publish(w.Ctx, "$KV.room_blocks."+user, []byte(fmt.Sprintf(`{"userID":%q,"blocked":true,"reason":"spam"}`, user))); err != nil {
			t.Fatal(err)
		}
	}
	facts := hear(t, w.NC, "room.evt.lobby")
	stored("alice")
	if f := decodeFact(t, facts); len(f.Left) != 1 || f.Left[0].UserID != "alice" || f.Left[0].Reason != events.ReasonKicked {
		t.Fatalf("%+v", f)
	}
	isBlocked(t, w, instances, "alice", "lobby")
	for _, i := range instances {
		i.End()
	}
	stored("bob")
	after := []*instance{w.Start(roomsvc.Config{Feeds: true})}
	if f := decodeFact(t, facts); len(f.Left) != 1 || f.Left[0].UserID != "bob" || f.Left[0].Reason != events.ReasonKicked {
		t.Fatalf("%+v", f)
	}
	isBlocked(t, w, after, "bob", "garden")
}

// A block ends when it said that it would, without anybody doing anything.
func TestBlockEnds(t *testing.T) {
	w, instances := newWorld(t, 1, roomsvc.Config{Feeds: true})
	until := ok[room.BlockReply](w, "block", `{"userID":"alice","seconds":2}`).Until
	w.Refused(room.ErrBlocked, "enter.alice", `{"roomID":"lobby"}`)
	w.Until(patience, "the block to end", func() bool { return instances[0].Admit(w.Ctx, bearerOf("alice")) == nil })
	if now := events.TimeOf(time.Now()); now < until || now > until+5000 {
		t.Errorf("it ends at %v; it said %v", now, until)
	}
	ok[position](w, "enter.alice", `{"roomID":"lobby"}`)
	if list := ok[room.BlockedReply](w, "blocked", `{}`); len(list.UserList) != 0 {
		t.Errorf("%+v", list)
	}
}

// Tokens are refused one by one, or by when they were issued; the user is not concerned.
func TestRevokedTokens(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{Feeds: true})
	ok[position](w, "enter.alice", `{"roomID":"lobby"}`)
	now := time.Now()
	ok[room.BlockReply](w, "block", `{"userID":"alice","tokenID":"T1"}`)
	is := ok[room.BlockReply](w, "block", `{"userID":"alice","tokenID":"T2","seconds":3600}`)
	if is.Blocked || len(is.Tokens) != 2 || is.Tokens[0].Until != 0 || is.Tokens[1].Until == 0 {
		t.Errorf("%+v", is)
	}
	bearer := func(id string, issued time.Time) room.Bearer {
		b := bearerOf("alice")
		if b.TokenID = id; !issued.IsZero() {
			b.IssuedAt = events.TimeOf(issued)
		}
		return b
	}
	refused := func(b room.Bearer, want bool) {
		t.Helper()
		for _, i := range instances {
			w.Until(patience, fmt.Sprintf("%+v to be refused: %v", b, want), func() bool { return (i.Admit(w.Ctx, b) != nil) == want })
		}
	}
	refused(bearer("T1", now), true)
	refused(bearer("T2", now), true)
	refused(bearer("T3", now), false)
	refused(bearer("", time.Time{}), false)
	ok[room.BlockReply](w, "block", fmt.Sprintf(`{"userID":"alice","issuedBefore":%q}`, events.TimeOf(now)))
	refused(bearer("T3", now.Add(-time.Second)), true)
	refused(bearer("", time.Time{}), true) // nobody knows how old it is
	refused(bearer("T3", now.Add(time.Second)), false)
	is = ok[room.BlockReply](w, "block", fmt.Sprintf(`{"userID":"alice","issuedBefore":%q}`, events.TimeOf(now.Add(-time.Hour))))
	if is.IssuedBefore != events.TimeOf(now) {
		t.Errorf("tokens are good again: %+v", is)
	}
	ok[position](w, "leave.alice", `{"roomID":"lobby"}`) // it goes on all the time
	ok[room.UnblockReply](w, "unblock", `{"userID":"alice"}`)
	refused(bearer("T1", now), true)
	ok[room.UnblockReply](w, "unblock", `{"userID":"alice","tokens":true}`)
	refused(bearer("T1", now.Add(-time.Hour)), false)
}

func TestBlocksThatMakeNoSense(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true})
	for body, field := range map[string]string{
		`{}`:                                     "userID",
		`{"userID":""}`:                          "userID",
		`{"userID":"alice","seconds":-1}`:        "seconds",
		`{"userID":"alice","seconds":315360001}`: "seconds",
		`{"userID":"alice","reason":"` + strings.Repeat("x", 257) + `"}`:             "reason",
		`{"userID":"alice","tokenID":"` + strings.Repeat("x", 257) + `"}`:            "tokenID",
		`{"userID":"alice","tokenID":"a","issuedBefore":"2026-01-01T00:00:00.000Z"}`: "issuedBefore",
		`{"userID":"alice","issuedBefore":"9000-01-01T00:00:00.000Z"}`:               "issuedBefore",
		`{"userID":"alice","seconds":60,"issuedBefore":"2026-01-01T00:00:00.000Z"}`:  "seconds",
	} {
		if e := w.Refused(room.ErrParamInvalid, "block", body); e.Field != field {
			t.Errorf("%.80s: it names %q, want %q", body, e.Field, field)
		}
	}
	for i := range room.MaxTokens {
		ok[room.BlockReply](w, "block", fmt.Sprintf(`{"userID":"alice","tokenID":"T%d"}`, i))
	}
	if e := w.Refused(room.ErrParamInvalid, "block", `{"userID":"alice","tokenID":"more"}`); e.Field != "tokenID" || e.Limit != room.MaxTokens {
		t.Errorf("%+v", e)
	}
	for _, verb := range []string{"block", "unblock", "blocked"} {
		w.Refused(room.ErrNotAllowed, verb+".alice", `{"userID":"alice"}`)
	}
}

// The list of those who are blocked comes page by page, each once.
func TestListOfTheBlocked(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	for i := range 7 {
		ok[room.BlockReply](w, "block", fmt.Sprintf(`{"userID":"u%d"}`, i))
	}
	seen, next := "", ""
	for {
		page := ok[room.BlockedReply](w, "blocked", fmt.Sprintf(`{"count":3,"nextFlag":%q}`, next))
		for _, b := range page.UserList {
			seen += b.UserID
		}
		if next = page.NextFlag; next == "" {
			break
		}
	}
	if seen != "u0u1u2u3u4u5u6" {
		t.Error(seen)
	}
	if one := ok[room.BlockedReply](w, "blocked", `{"userID":"u3"}`); len(one.UserList) != 1 || one.UserList[0].UserID != "u3" {
		t.Errorf("%+v", one)
	}
	if none := ok[room.BlockedReply](w, "blocked", `{"userID":"u9"}`); len(none.UserList) != 0 {
		t.Errorf("%+v", none)
	}
}

// New IDs that could be taken for others are refused, and the field is named; what is there already
// stays usable.
func TestStrictIDs(t *testing.T) {
	const nfc, nfd, hidden = "Zo\u00eb", "Zoe\u0308", "lob\u200bby"
	w, instances := newWorld(t, 1, roomsvc.Config{Feeds: true})
	ok[position](w, "create", fmt.Sprintf(`{"roomID":%q,"userID":%q}`, hidden, nfd))
	ok[position](w, "create", `{"roomID":"old","userID":"bob"}`)
	instances[0].End()
	w.Start(roomsvc.Config{Feeds: true, Limits: room.Limits{StrictIDs: 1}})
	refused := func(field, subject, body string) {
		t.Helper()
		if e := w.Refused(room.ErrParamInvalid, subject, body); e.Field != field {
			t.Errorf("%s: it names %q, want %q", body, e.Field, field)
		}
	}
	ok[position](w, "enter."+token(nfd), `{"roomID":"lobby"}`)
	ok[position](w, "join.alice", fmt.Sprintf(`{"roomID":%q}`, hidden))
	ok[position](w, "enter."+token(nfc), fmt.Sprintf(`{"roomID":%q}`, hidden))
	for _, verb := range []string{"create", "enter"} {
		refused("roomID", verb, fmt.Sprintf(`{"roomID":%q,"userID":"alice"}`, nfd))
		refused("roomID", verb+".alice", fmt.Sprintf(`{"roomID":%q}`, nfd))
	}
	refused("roomID", "create", fmt.Sprintf(`{"roomID":%q}`, nfd))
	refused("toRoomInfo.roomID", "switch.alice", fmt.Sprintf(`{"fromRoomID":%q,"toRoomInfo":{"roomID":%q},"isCreateWhenRoomNotExisted":true}`, hidden, nfd))
	for _, verb := range []string{"create", "enter", "join"} {
		refused("userID", verb, `{"roomID":"new","userID":"al\u202eice"}`)
	}
	w.Refused(room.ErrRoomNotExist, "join.alice", fmt.Sprintf(`{"roomID":%q}`, nfd)) // it would make nothing
}

// How an end user is called is what its newest token says, on every instance, and its own words do
// not count.
func TestNamesByToken(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{Feeds: true, Limits: room.Limits{TokenNames: 1}})
	called := func(user, name, info string) {
		t.Helper()
		ok[position](w, "enter."+user, `{"roomID":"lobby","userName":"Admin","userInfo":{"role":"boss"}}`)
		m := ok[room.MembersReply](w, "members", `{"roomID":"lobby","sync":true}`).MemberList
		for _, m := range m {
			if m.UserID == user && (m.UserName != name || string(m.UserInfo) != info) {
				t.Errorf("%s is called %q %s, want %q %s", user, m.UserName, m.UserInfo, name, info)
			}
		}
		ok[position](w, "leave."+user, `{"roomID":"lobby"}`)
	}
	ok[position](w, "enter", `{"roomID":"lobby","userID":"keeper","userName":"as a back end says"}`)
	give := func(n int, user subjects.User, name, info string, until events.Time) {
		t.Helper()
		g := room.Grant{Named: true, Name: name, Until: until}
		if info != "" {
			g.Info = []byte(info)
		}
		if err := instances[n].Grant(w.Ctx, user, g); err != nil {
			t.Fatal(err)
		}
	}
	called("alice", "", "")
	hour := events.TimeOf(time.Now().Add(time.Hour))
	give(0, "alice", "Alice", `{"a":1}`, hour)
	w.Until(patience, "both instances to know", func() bool {
		same := 0
		for range 8 {
			ok[position](w, "enter.alice", `{"roomID":"hall"}`)
			if m := ok[room.MembersReply](w, "members", `{"roomID":"hall","sync":true}`).MemberList; len(m) == 1 && m[0].UserName == "Alice" {
				same++
			}
			ok[position](w, "leave.alice", `{"roomID":"hall"}`)
		}
		return same == 8
	})
	called("alice", "Alice", `{"a":1}`)
	called("bob", "", "")
	if members := ok[room.MembersReply](w, "members", `{"roomID":"lobby","sync":true}`).MemberList; members[0].UserName != "as a back end says" {
		t.Errorf("a back end is not heeded: %+v", members[0])
	}
	ok[position](w, "enter.bob", `{"roomID":"lobby"}`)
	w.Refused(room.ErrRoomNotExist, "updateMember.alice", `{"roomID":"nowhere","userName":"Admin"}`) // her token says how she is called
	none := w.Refused(room.ErrParamInvalid, "updateMember.bob", `{"roomID":"lobby","userName":"Admin"}`)
	if none.Field != "userName" || !strings.HasPrefix(none.Message, "userName does not count: on this service the claims name and info of an end user's token say how it is called") {
		t.Errorf("a name of one's own: %+v", none)
	}
	err := instances[0].Grant(w.Ctx, "carol", room.Grant{Named: true, Name: strings.Repeat("x", 257), Until: hour})
	if err == nil || !strings.Contains(err.Error(), "name has 257 bytes") {
		t.Errorf("a long name: %v", err)
	}
}
