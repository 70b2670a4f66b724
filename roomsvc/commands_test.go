package roomsvc_test

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// position is what replies about one room have in common.
type position = room.Position

func configOf(change func(*roomsvc.Config)) roomsvc.Config {
	var c roomsvc.Config
	if change != nil {
		change(&c)
	}
	return c
}

// forms runs a test in both forms of commands. The function it passes on makes the
// subject and the body of a command of one user.
func forms(t *testing.T, f func(t *testing.T, form func(verb, user, fields string) (subject, body string))) {
	t.Run("trusted", func(t *testing.T) {
		f(t, func(verb, user, fields string) (string, string) {
			return verb, strings.Replace(`{"userID":"`+user+`",`+fields+`}`, ",}", "}", 1)
		})
	})
	t.Run("user", func(t *testing.T) {
		f(t, func(verb, user, fields string) (string, string) { return verb + "." + token(user), "{" + fields + "}" })
	})
}

func TestReplies(t *testing.T) {
	t.Parallel()
	const subscribe = `"subscribe":["room.evt.lobby","room.msg.lobby"]`
	const alice = `{"userID":"alice","userName":"Alice","userInfo":{"a":1},"joinedAt":"T","attributes":{},"sessions":[{"sessionID":"default","joinedAt":"T"}]}`
	const bob = `{"userID":"bob","userName":"","joinedAt":"T","attributes":{},"sessions":[{"sessionID":"tab","joinedAt":"T"}]}`
	lobby := func(members, sequence int) string {
		return fmt.Sprintf(`"room":{"roomID":"lobby","roomName":"The Lobby","instanceID":"I1","createdAt":"T","createdBy":"alice",
			"config":{"roomDestroyDelayTime":60,"maxMembers":9,"delivery":"open","access":"open"},"attributes":{"k":"v"},"memberCount":%d,"sequence":%d,"revision":"R"}`, members, sequence)
	}
	at := func(instance string, sequence int) string {
		return fmt.Sprintf(`"instanceID":%q,"sequence":%d,"revision":"R"`, instance, sequence)
	}
	side := func(members, sequence int, more string) string {
		return fmt.Sprintf(`"room":{"roomID":"s.ide","roomName":"Side","instanceID":"I2","createdAt":"T","createdBy":"alice","config":{"roomDestroyDelayTime":9},
			"attributes":{},"memberCount":%d,"sequence":%d,"revision":"R"%s},"subscribe":["room.evt.s=2Eide","room.msg.s=2Eide"]`, members, sequence, more)
	}
	steps := []struct{ verb, user, body, want string }{
		{"create", "alice", `"roomID":"lobby","roomName":"The Lobby","userName":"Alice","userInfo":{"a": 1},
			"config":{"roomAttributes":{"k":"v"},"roomDestroyDelayTime":60,"maxMembers":9,"delivery":"open","access":"open"}`,
			`{` + lobby(1, 1) + `,` + subscribe + `,` + at("I1", 1) + `}`},
		{"join", "bob", `"roomID":"lobby","sessionID":"tab"`, `{` + lobby(2, 2) + `,` + subscribe + `,` + at("I1", 2) + `}`},
		{"enter", "bob", `"roomID":"lobby","sessionID":"tab","roomName":"counts only when creating"`, `{` + lobby(2, 2) + `,"created":false,` + subscribe + `,` + at("I1", 2) + `}`},
		{"enter", "carol", `"roomID":"lobby"`, `{` + lobby(3, 3) + `,"created":false,` + subscribe + `,` + at("I1", 3) + `}`},
		{"leave", "carol", `"roomID":"lobby"`, `{"roomID":"lobby",` + at("I1", 4) + `}`},
		{"get", "carol", `"roomID":"lobby"`, `{` + lobby(2, 4) + `,"owners":{"k":"alice"},` + subscribe + `,` + at("I1", 4) + `}`},
		{"members", "carol", `"roomID":"lobby"`, `{"memberList":[` + alice + `,` + bob + `],"memberCount":2,"nextFlag":"",` + at("I1", 4) + `}`},
		{"count", "carol", `"roomID":"lobby"`, `{"memberCount":2,` + at("I1", 4) + `}`},
		{"memberOf", "carol", `"roomID":"lobby","userIDs":["bob","carol"]`,
			`{"memberList":[` + bob + `],"errorUserList":[{"userID":"carol","code":"USER_NOT_IN_ROOM","number":6000321}],` + at("I1", 4) + `}`},
		{"switch", "alice", `"fromRoomID":"lobby","toRoomInfo":{"roomID":"s.ide","roomName":"Side"},"isCreateWhenRoomNotExisted":true,"config":{"roomDestroyDelayTime":9}`,
			`{` + side(1, 1, "") + `,"created":true,"left":{"roomID":"lobby","instanceID":"I1","sequence":5},` + at("I2", 1) + `}`},
		{"switch", "bob", `"sessionID":"tab","fromRoomID":"lobby","toRoomInfo":{"roomID":"s.ide"}`,
			`{` + side(2, 2, "") + `,"created":false,"left":{"roomID":"lobby","instanceID":"I1","sequence":6},` + at("I2", 2) + `}`},
		{"get", "bob", `"roomID":"lobby"`, `{` + strings.Replace(lobby(0, 6), `"R"}`, `"R","destroyAt":"T"}`, 1) + `,"owners":{"k":"alice"},` + subscribe + `,` + at("I1", 6) + `}`},
		{"enter", "alice", `"roomID":"lobby"`, `{` + lobby(1, 7) + `,"created":false,` + subscribe + `,` + at("I1", 7) + `}`},
		{"rooms", "alice", ``, `{"rooms":[{"roomID":"lobby","instanceID":"I1","sequence":7,"messageSeq":0},{"roomID":"s.ide","instanceID":"I2","sequence":2,"messageSeq":0}],"nextFlag":""}`},
		{"switch", "alice", `"fromRoomID":"lobby","toRoomInfo":{"roomID":"s.ide"}`, // it is in both: it only leaves
			`{` + side(2, 2, "") + `,"created":false,"left":{"roomID":"lobby","instanceID":"I1","sequence":8},` + at("I2", 2) + `}`},
		{"enter", "alice", `"roomID":"lobby"`, `{` + lobby(1, 9) + `,"created":false,` + subscribe + `,` + at("I1", 9) + `}`},
		{"enter", "alice", `"roomID":"lobby","sessionID":"phone"`, `{` + lobby(1, 10) + `,"created":false,` + subscribe + `,` + at("I1", 10) + `}`},
		{"leaveAll", "alice", ``, `{"roomIDList":["lobby","s.ide"],"nextFlag":""}`},
		{"leaveAll", "alice", ``, `{"roomIDList":[],"nextFlag":""}`},
		{"rooms", "alice", ``, `{"rooms":[{"roomID":"lobby","instanceID":"I1","sequence":11,"messageSeq":0}],"nextFlag":""}`}, // the phone stays
		{"rooms", "nobody", ``, `{"rooms":[],"nextFlag":""}`},
	}
	forms(t, func(t *testing.T, form func(verb, user, fields string) (string, string)) {
		w, _ := newWorld(t, 2, configOf(nil))
		shape := newShape(t)
		for i, s := range steps {
			fields := s.body
			if room.Verb(s.verb) == room.Get || s.verb == "members" || s.verb == "count" || s.verb == "memberOf" || s.verb == "rooms" {
				fields = strings.TrimSuffix(`"sync":true,`+fields, ",")
			}
			subject, body := form(s.verb, s.user, fields)
			m := w.Ask(subject, body)
			if e := refusal(m); e != nil {
				t.Fatalf("step %d, %s: %v", i, subject, e)
			}
			shape.same(fmt.Sprintf("step %d, %s %s", i, subject, body), m.Data, s.want)
			if got := m.Header.Values("Room-Ignored-Fields"); len(got) > 0 {
				t.Errorf("step %d, %s: ignored %q", i, subject, got)
			}
		}
		shape.same("list", w.Ask("list", `{"sync":true}`).Data, `{"roomList":[
			{"roomID":"lobby","roomName":"The Lobby","instanceID":"I1","createdAt":"T","createdBy":"alice","config":{"roomDestroyDelayTime":60,"maxMembers":9,"delivery":"open","access":"open"},
			 "attributes":{"k":"v"},"memberCount":1,"sequence":11,"revision":"R"},
			{"roomID":"s.ide","roomName":"Side","instanceID":"I2","createdAt":"T","createdBy":"alice","config":{"roomDestroyDelayTime":9},"attributes":{},"memberCount":1,"sequence":3,"revision":"R"}
			],"nextFlag":""}`)
		w.check()
	})
}

func TestCreateWithoutUser(t *testing.T) {
	w, _ := newWorld(t, 1, configOf(nil))
	shape := newShape(t)
	first := w.Ask("create", `{"roomID":"lobby","requestID":"r"}`)
	want := `{"room":{"roomID":"lobby","roomName":"","instanceID":"I1","createdAt":"T","createdBy":"","config":{},"attributes":{},"memberCount":0,"sequence":1,"revision":"R","destroyAt":"T"},
		"subscribe":["room.evt.lobby","room.msg.lobby"],"instanceID":"I1","sequence":1,"revision":"R"}`
	shape.same("create", first.Data, want)
	shape.same("create again", w.Ask("create", `{"roomID":"lobby","requestID":"r"}`).Data, want)
	info := decode[room.JoinedReply](t, first.Data).Room
	if wait := info.DestroyAt - info.CreatedAt; wait != 300_000 {
		t.Errorf("an unborn room waits %d ms for its first member", wait)
	}
	late := ok[room.JoinedReply](w, "create", `{"roomID":"late","config":{"roomDestroyDelayTime":900}}`).Room
	if wait := late.DestroyAt - late.CreatedAt; wait != 900_000 {
		t.Errorf("an unborn room with a longer delay waits %d ms", wait)
	}
	w.Refused(room.ErrParamInvalid, "join", `{"roomID":"lobby"}`)
	// Sent twice in a row it is still one request.
	inbox := w.NC.NewInbox()
	answers, err := w.NC.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 50 {
		body := fmt.Appendf(nil, `{"roomID":"twice%d","requestID":"twice%d"}`, n, n)
		var got [2]*position
		for range got {
			if err := w.NC.PublishRequest("room.cmd.create", inbox, body); err != nil {
				t.Fatal(err)
			}
		}
		for i := range got {
			m, err := answers.NextMsg(patience)
			if err != nil {
				t.Fatal(err)
			}
			if e := refusal(m); e != nil {
				t.Fatalf("%s sent twice: %v", body, e)
			}
			got[i] = decode[position](t, m.Data)
		}
		if *got[0] != *got[1] {
			t.Errorf("%s sent twice: %+v and %+v", body, got[0], got[1])
		}
	}
}

func TestRefusals(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	attributes := func(n int, key, value string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%s%d":"%s"`, key, i, value)
		}
		return `"roomID":"new","config":{"roomAttributes":{` + b.String()[1:] + `}}`
	}
	const lobby = `"roomID":"lobby"`
	tests := []struct {
		verb, user, body string
		code             *room.Code
		field            string
		limit, actual    int64
		says             []string // parts of the message
	}{
		{"create", "alice", lobby, room.ErrRoomAlreadyExists, "", 0, 0, []string{`"lobby"`, "enter"}},
		{"join", "alice", lobby, room.ErrUserAlreadyInRoom, "", 0, 0, []string{`"alice"`, "session default", `"lobby"`, "enter"}},
		{"join", "bob", `"roomID":"loby"`, room.ErrRoomNotExist, "", 0, 0, []string{`"loby"`, "enter"}},
		{"join", "bob", `"roomID":"full"`, room.ErrRoomFull, "", 1, 1, []string{`"full"`}},
		{"enter", "bob", `"roomID":"full"`, room.ErrRoomFull, "", 1, 1, []string{`"full"`}},
		{"leave", "bob", lobby, room.ErrUserNotInRoom, "", 0, 0, []string{`"bob"`, `"lobby"`}},
		{"leave", "alice", `"roomID":"lobby","sessionID":"phone"`, room.ErrUserNotInRoom, "", 0, 0, []string{`"alice"`, "phone"}},
		{"leave", "alice", `"roomID":"none"`, room.ErrRoomNotExist, "", 0, 0, []string{`"none"`}},
		{"switch", "bob", `"fromRoomID":"lobby","toRoomInfo":{"roomID":"other"}`, room.ErrUserNotInRoom, "", 0, 0, []string{`"bob"`, `"lobby"`}},
		{"switch", "bob", `"fromRoomID":"lobby","toRoomInfo":{"roomID":"new"},"isCreateWhenRoomNotExisted":true`, room.ErrUserNotInRoom, "", 0, 0, []string{`"bob"`}},
		{"switch", "alice", `"fromRoomID":"lobby","toRoomInfo":{"roomID":"none"}`, room.ErrRoomNotExist, "", 0, 0, []string{`"none"`, "isCreateWhenRoomNotExisted"}},
		{"switch", "alice", `"fromRoomID":"lobby","toRoomInfo":{"roomID":"full"}`, room.ErrRoomFull, "", 1, 1, []string{`"full"`}},
		{"switch", "alice", `"fromRoomID":"lobby","toRoomInfo":{"roomID":"lobby"}`, room.ErrParamInvalid, "toRoomInfo.roomID", 0, 0, []string{`"lobby"`}},
		{"switch", "alice", `"toRoomInfo":{"roomID":"full"}`, room.ErrParamInvalid, "fromRoomID", 0, 0, nil},
		{"switch", "alice", `"fromRoomID":"lobby"`, room.ErrParamInvalid, "toRoomInfo.roomID", 0, 0, nil},
		{"switch", "alice", `"fromRoomID":"lobby","toRoomInfo":{"roomID":"other","name":"x"}`, room.ErrParamInvalid, "toRoomInfo.name", 0, 0, []string{"toRoomInfo.name"}},
		{"switch", "alice", `"fromRoomID":"lobby","toRoomInfo":{"roomID":"new","roomName":"` + long(65) + `"},"isCreateWhenRoomNotExisted":true`, room.ErrParamInvalid, "toRoomInfo.roomName", 64, 65, nil},
		{"get", "bob", `"roomID":"none"`, room.ErrRoomNotExist, "", 0, 0, []string{`"none"`}},
		{"members", "bob", `"roomID":"none"`, room.ErrRoomNotExist, "", 0, 0, []string{`"none"`}},
		{"count", "bob", `"roomID":"none"`, room.ErrRoomNotExist, "", 0, 0, []string{`"none"`}},
		{"memberOf", "bob", `"roomID":"none","userIDs":["bob"]`, room.ErrRoomNotExist, "", 0, 0, []string{`"none"`}},
		{"create", "alice", `"roomID":"new","config":{"roomDestroyDelayTime":20000}`, room.ErrParamInvalid, "config.roomDestroyDelayTime", 10800, 20000, []string{"roomDestroyDelayTime is 20000; it must be 0 to 10800 seconds"}},
		{"create", "alice", `"roomID":"new","config":{"roomDestroyDelayTime":-1}`, room.ErrParamInvalid, "config.roomDestroyDelayTime", 10800, -1, nil},
		{"create", "alice", `"roomID":"new","config":{"roomDestroyDelayTime":1.5}`, room.ErrParamInvalid, "config.roomDestroyDelayTime", 0, 0, []string{"whole number"}},
		{"create", "alice", `"roomID":"new","config":{"roomDestroyDelay":1}`, room.ErrParamInvalid, "config.roomDestroyDelay", 0, 0, []string{"config.roomDestroyDelay"}},
		{"enter", "alice", `"roomID":"new","config":{"maxMembers":-1}`, room.ErrParamInvalid, "config.maxMembers", 0, 0, nil},
		{"enter", "alice", `"roomID":"new","config":{"delivery":"all"}`, room.ErrParamInvalid, "config.delivery", 0, 0, []string{`"all"`}},
		{"enter", "alice", `"roomID":"new","config":{"access":"secret"}`, room.ErrParamInvalid, "config.access", 0, 0, []string{`"secret"`}},
		{"enter", "alice", `"roomID":"new","config":[]`, room.ErrParamInvalid, "config", 0, 0, []string{"list"}},
		{"create", "alice", attributes(65, "k", "v"), room.ErrAttributeCount, "config.roomAttributes", 64, 65, nil},
		{"create", "alice", attributes(1, long(64), "v"), room.ErrAttributeKey, "config.roomAttributes", 64, 65, nil},
		{"create", "alice", attributes(1, "k", long(4097)), room.ErrAttributeValue, "config.roomAttributes", 4096, 4097, nil},
		{"create", "alice", attributes(33, "k", long(1000)), room.ErrAttributeTotal, "config.roomAttributes", 32768, 0, nil},
		{"create", "alice", `"roomID":"new","roomName":"` + long(65) + `"`, room.ErrParamInvalid, "roomName", 64, 65, nil},
		{"create", "alice", ``, room.ErrParamInvalid, "roomID", 0, 0, nil},
		{"join", "alice", `"roomID":7`, room.ErrParamInvalid, "roomID", 0, 0, []string{"number", "string"}},
		{"join", "bob", `"roomID":"lobby","userName":"` + long(257) + `"`, room.ErrParamInvalid, "userName", 256, 257, nil},
		{"join", "bob", `"roomID":"lobby","userInfo":"x"`, room.ErrParamInvalid, "userInfo", 0, 0, []string{"object"}},
		{"join", "bob", `"roomID":"lobby","userInfo":{"x":"` + long(1020) + `"}`, room.ErrParamInvalid, "userInfo", 1024, 1028, nil},
		{"join", "bob", `"roomID":"lobby","sessionID":"a\nb"`, room.ErrParamInvalid, "sessionID", 0, 0, nil},
		{"join", "bob", `"roomID":"lobby","requestID":"` + long(65) + `"`, room.ErrParamInvalid, "requestID", 64, 65, nil},
		{"members", "bob", `"roomID":"lobby","count":501`, room.ErrParamInvalid, "count", 500, 501, nil},
		{"members", "bob", `"roomID":"lobby","count":-1`, room.ErrParamInvalid, "count", 500, -1, nil},
		{"members", "bob", `"roomID":"lobby","nextFlag":"?"`, room.ErrParamInvalid, "nextFlag", 0, 0, []string{`"?"`}},
		{"memberOf", "bob", `"roomID":"lobby","userIDs":["` + strings.Repeat(`u","`, 100) + `u"]`, room.ErrParamInvalid, "userIDs", 100, 101, nil},
		{"memberOf", "bob", `"roomID":"lobby","userIDs":["a\n"]`, room.ErrParamInvalid, "userIDs", 0, 0, nil},
		{"join", "bob", `"roomID":"lobby","userInfo":{"x":"` + long(65<<10) + `"}`, room.ErrParamInvalid, "", 65536, 0, []string{"65536"}},
	}
	t.Parallel()
	forms(t, func(t *testing.T, form func(verb, user, fields string) (string, string)) {
		w, _ := newWorld(t, 2, configOf(nil))
		ok[position](w, "create", `{"roomID":"lobby","userID":"alice"}`)
		ok[position](w, "create", `{"roomID":"other","userID":"carol"}`)
		ok[position](w, "create", `{"roomID":"full","userID":"carol","config":{"maxMembers":1}}`)
		before := len(w.replay().facts)
		for _, x := range tests {
			subject, body := form(x.verb, x.user, x.body)
			e := w.Refused(x.code, subject, body)
			if e.Field != x.field || x.limit != e.Limit || x.actual != 0 && x.actual != e.Actual {
				t.Errorf("%s %.200s: field %q, limit %d, actual %d: %s", subject, body, e.Field, e.Limit, e.Actual, e.Message)
			}
			for _, part := range x.says {
				if !strings.Contains(e.Message, part) {
					t.Errorf("%s %.200s: the message does not say %s: %s", subject, body, part, e.Message)
				}
			}
		}
		for _, broken := range []string{`{`, `[]`, `"x"`, `null x`, `{"roomID":"lobby","roomID":"other"}`, "{\"roomID\":\"\xff\"}"} {
			subject, _ := form("join", "bob", "")
			w.Refused(room.ErrParamInvalid, subject, broken)
		}
		if after := len(w.replay().facts); after != before {
			t.Errorf("%d facts after refusals, %d before", after, before)
		}
	})
}

func TestWhoMayAsk(t *testing.T) {
	w, _ := newWorld(t, 1, configOf(nil))
	ok[position](w, "create.alice", `{"roomID":"lobby","userID":"alice"}`)
	for _, verb := range []string{"create", "join", "enter", "switch", "leave", "leaveAll", "get", "members", "count", "memberOf", "rooms"} {
		e := w.Refused(room.ErrNotAllowed, verb+".alice", `{"roomID":"lobby","userID":"bob","fromRoomID":"lobby","toRoomInfo":{"roomID":"x"}}`)
		if !strings.Contains(e.Message, `"bob"`) || !strings.Contains(e.Message, `"alice"`) {
			t.Errorf("%s: the message does not name both users: %s", verb, e.Message)
		}
	}
	if e := w.Refused(room.ErrNotAllowed, "list.alice", `{}`); !strings.Contains(e.Message, "room.cmd.list") {
		t.Errorf("the message does not say where to ask: %s", e.Message)
	}
	for _, verb := range []string{"join", "enter", "switch", "leave", "leaveAll", "rooms"} {
		e := w.Refused(room.ErrParamInvalid, verb, `{"roomID":"lobby","fromRoomID":"lobby","toRoomInfo":{"roomID":"x"}}`)
		if e.Field != "userID" {
			t.Errorf("%s without a user: field %q", verb, e.Field)
		}
	}
}

func TestUnknownFields(t *testing.T) {
	w, _ := newWorld(t, 1, configOf(nil))
	for _, subject := range []string{"enter", "enter.alice", "get", "members.alice", "rooms.alice"} {
		m := w.Ask(subject, `{"zeta":1,"userID":"alice","roomID":"lobby","UserID":{"deep":true},"config":{}}`)
		want := "UserID,zeta"
		if !strings.HasPrefix(subject, "enter") {
			want = "UserID,config,zeta"
		}
		if subject == "rooms.alice" {
			want = "UserID,config,roomID,zeta"
		}
		if e := refusal(m); e != nil || m.Header.Get("Room-Ignored-Fields") != want {
			t.Errorf("%s: %v, ignored %q, want %q", subject, e, m.Header.Get("Room-Ignored-Fields"), want)
		}
	}
	m := w.Ask("join", `{"userID":"alice","roomID":"none","nme":"x"}`)
	if refusal(m) == nil || m.Header.Get("Room-Ignored-Fields") != "nme" {
		t.Errorf("a refusal: %v, ignored %q", refusal(m), m.Header.Get("Room-Ignored-Fields"))
	}
}

func TestIDs(t *testing.T) {
	w, _ := newWorld(t, 1, configOf(nil))
	for _, id := range []string{"", "a\nb", "a\u007f", "a\u009f", strings.Repeat("x", 129), strings.Repeat("ä", 65), "\ufffe", "\ufdd0", "\U0001ffff"} {
		quoted, _ := json.Marshal(id)
		if e := w.Refused(room.ErrParamInvalid, "enter", fmt.Sprintf(`{"userID":"alice","roomID":%s}`, quoted)); e.Field != "roomID" {
			t.Errorf("%q as a room: field %q", id, e.Field)
		}
		if e := w.Refused(room.ErrParamInvalid, "enter", fmt.Sprintf(`{"userID":%s,"roomID":"lobby"}`, quoted)); e.Field != "userID" {
			t.Errorf("%q as a user: field %q", id, e.Field)
		}
	}
	for _, token := range []string{"=41", "=2e", "=", "=G0", "a=2", "=projected", "=0A", "=FF", "a$b"} {
		if e := w.Refused(room.ErrParamInvalid, "enter."+token, `{"roomID":"lobby"}`); e.Field != "userID" {
			t.Errorf("%q as a user's token: field %q", token, e.Field)
		}
	}
	rooms := []string{"=projected", "=41", "a.*", ">", "*", "a.b.c", "A", "$SYS", "a b", "ä", strings.Repeat("x", 128), "room/1?q=%2e#"}
	for _, id := range rooms {
		quoted, _ := json.Marshal(id)
		for _, subject := range []string{"enter." + token(id), "enter"} {
			r := ok[room.JoinedReply](w, subject, fmt.Sprintf(`{"userID":%s,"roomID":%s}`, quoted, quoted))
			if want := []string{"room.evt." + token(id), "room.msg." + token(id)}; !slices.Equal(r.Subscribe, want) {
				t.Errorf("%q is heard at %q, want %q", id, r.Subscribe, want)
			}
		}
	}
	// Each is its own room and its own key, and the service's own key is untouched.
	w.check()
	if got := len(w.roomsNow()); got != len(rooms)+1 {
		t.Errorf("%d rooms, want %d", got, len(rooms)+1)
	}
}

// outcome is what a repeated request must get again; the rest of a reply is current.
type outcome struct {
	InstanceID string         `json:"instanceID"`
	Sequence   uint64         `json:"sequence"`
	Revision   uint64         `json:"revision"`
	Created    *bool          `json:"created"`
	Left       *room.LeftRoom `json:"left"`
	RoomID     string         `json:"roomID"`
	RoomIDList []string       `json:"roomIDList"`
	Subscribe  []string       `json:"subscribe"`
}

func TestRepeatedRequests(t *testing.T) {
	w, instances := newWorld(t, 3, configOf(nil))
	requests := []struct{ subject, body string }{
		{"create.alice", `{"roomID":"lobby","requestID":"1","config":{"roomDestroyDelayTime":60}}`},
		{"join.bob", `{"roomID":"lobby","requestID":"1"}`}, // bob's "1" is not alice's
		{"enter", `{"userID":"carol","roomID":"lobby","requestID":"1"}`},
		{"enter", `{"userID":"carol","roomID":"side","requestID":"2"}`},
		{"switch.bob", `{"fromRoomID":"lobby","toRoomInfo":{"roomID":"third"},"isCreateWhenRoomNotExisted":true,"requestID":"2"}`},
		{"leave.alice", `{"roomID":"lobby","requestID":"2"}`},
		{"leaveAll", `{"userID":"carol","requestID":"3"}`},        // `side` ends with it
		{"leave.bob", `{"roomID":"third","requestID":"3"}`},       // and so does `third`
		{"create", `{"roomID":"plain","requestID":"1"}`},          // nobody's "1"
		{"enter.dora", `{"roomID":"plain","requestID":"\u00e9"}`}, // as a header it would not survive
		{"switch.dora", `{"fromRoomID":"plain","toRoomInfo":{"roomID":"last"},"isCreateWhenRoomNotExisted":true,"requestID":"5"}`},
	}
	first := make([]outcome, len(requests))
	for i, q := range requests {
		first[i] = *ok[outcome](w, q.subject, q.body)
	}
	w.settled()
	facts := len(w.replay().facts)
	again := func(when string) {
		t.Helper()
		for i, q := range requests {
			for range 6 { // so that every instance is asked
				if got := *ok[outcome](w, q.subject, q.body); !reflect.DeepEqual(got, first[i]) {
					t.Errorf("%s, %s %s again: %+v, first %+v", when, q.subject, q.body, got, first[i])
				}
			}
		}
		if n := len(w.replay().facts); n != facts {
			t.Errorf("%s: %d facts after repeats, %d before", when, n, facts)
		}
	}
	again("at once")
	now := ok[room.JoinedReply](w, "create.alice", requests[0].body).Room
	if now.MemberCount != 0 || now.Sequence <= 1 {
		t.Errorf("a repeat's room is not the room as it is now: %+v", now)
	}
	for _, i := range instances {
		i.End()
	}
	w.Start(configOf(nil))
	w.Start(configOf(nil))
	again("after a restart")
}

// A switch into a room that the session is already in only leaves the other one. Repeating
// it has no second effect and names the same room as left; the target is as it is now.
func TestRepeatedSwitchThatOnlyLeft(t *testing.T) {
	w, instances := newWorld(t, 2, configOf(nil))
	for _, id := range []string{"from", "to"} {
		ok[position](w, "enter", fmt.Sprintf(`{"roomID":%q,"userID":"alice","config":{"roomDestroyDelayTime":60}}`, id))
	}
	const body = `{"userID":"alice","fromRoomID":"from","toRoomInfo":{"roomID":"to"},"requestID":"1"}`
	first := ok[room.JoinedReply](w, "switch", body)
	now := ok[position](w, "enter", `{"roomID":"to","userID":"bob"}`)
	again := func() {
		t.Helper()
		for range 6 { // so that every instance is asked
			r := ok[room.JoinedReply](w, "switch", body)
			if *r.Left != *first.Left || *r.Created != *first.Created || r.Sequence < first.Sequence || r.InstanceID != now.InstanceID {
				t.Errorf("again: %+v, left %+v; first %+v, left %+v", r.Position, *r.Left, first.Position, *first.Left)
			}
		}
	}
	again()
	for _, i := range instances {
		i.End()
	}
	w.Start(configOf(nil))
	again()
	if r := ok[room.JoinedReply](w, "switch", body); r.Sequence != now.Sequence {
		t.Errorf("the target is at %d, the reply says %d", now.Sequence, r.Sequence)
	}
	if n := len(w.replay().facts); n != 4 {
		t.Errorf("%d facts", n)
	}
	w.check()
}

func TestRequestIDs(t *testing.T) {
	w, _ := newWorld(t, 2, configOf(nil))
	ok[position](w, "create", `{"roomID":"lobby"}`)
	first := ok[position](w, "join", `{"userID":"alice","roomID":"lobby","requestID":"1"}`)
	for _, other := range []struct{ subject, body string }{
		{"join", `{"userID":"alice","roomID":"lobby","sessionID":"phone","requestID":"1"}`},
		{"join.alice", `{"roomID":"nowhere","requestID":"1"}`},
	} {
		if e := w.Refused(room.ErrParamInvalid, other.subject, other.body); e.Field != "requestID" || !strings.Contains(e.Message, `"1"`) {
			t.Errorf("%s %s: field %q: %s", other.subject, other.body, e.Field, e.Message)
		}
	}
	// It is the same request, whatever its layout and its form.
	for _, same := range []struct{ subject, body string }{
		{"join.alice", `{"requestID":"1","roomID":"lobby"}`},
		{"join", ` { "roomID" : "lobby", "userID":"alice", "requestID":"1", "unknown":7 } `},
	} {
		if got := ok[position](w, same.subject, same.body); *got != *first {
			t.Errorf("%s %s: %+v, first %+v", same.subject, same.body, got, first)
		}
	}
	// The ID may come in a header; the body wins.
	const id = nats.MsgIdHdr
	header := ok[position](w, "join.bob", `{"roomID":"lobby"}`, id, "h1")
	for _, body := range []string{`{"roomID":"lobby"}`, `{"roomID":"lobby","requestID":"h1"}`} {
		if got := ok[position](w, "join.bob", body, id, "h1"); *got != *header {
			t.Errorf("again by header: %+v, first %+v", got, header)
		}
	}
	w.Refused(room.ErrUserAlreadyInRoom, "join.bob", `{"roomID":"lobby","requestID":"b1"}`, id, "h1")
	w.Refused(room.ErrParamInvalid, "join.bob", `{"roomID":"lobby"}`, id, strings.Repeat("x", 65))
	for _, f := range w.replay().facts {
		for _, e := range f.Data.MemberList {
			if want := map[string]string{"alice": "1", "bob": "h1"}[e.UserID]; e.RequestID != want {
				t.Errorf("the entry of %q carries requestID %q, want %q", e.UserID, e.RequestID, want)
			}
		}
	}
	// Refusals are not remembered.
	w.Refused(room.ErrRoomNotExist, "join", `{"userID":"alice","roomID":"later","requestID":"2"}`)
	ok[position](w, "create", `{"roomID":"later"}`)
	ok[position](w, "join", `{"userID":"alice","roomID":"later","requestID":"2"}`)
}

func TestMembersPages(t *testing.T) {
	w, _ := newWorld(t, 2, configOf(nil))
	const n = 1000
	ok[position](w, "create", `{"roomID":"big","config":{"roomDestroyDelayTime":60}}`)
	info := `{"x":"` + strings.Repeat("i", room.MaxUserInfo-8) + `"}`
	together(n, func(i int) {
		q := fmt.Sprintf(`{"roomID":"big","userID":"u%d","userName":"%s","userInfo":%s}`, i, strings.Repeat("n", 256), info)
		if m, err := w.NC.Request("room.cmd.join", []byte(q), patience); err != nil || refusal(m) != nil {
			t.Errorf("join: %v, %v", err, refusal(m))
		}
	})
	for _, count := range []int{0, 100, 500} {
		seen, at, next := map[string]bool{}, "", ""
		for {
			m := w.Ask("members", fmt.Sprintf(`{"roomID":"big","count":%d,"nextFlag":%q,"sync":true}`, count, next))
			page := decode[membersPage](t, m.Data)
			if len(m.Data) > 256<<10 || len(page.MemberList) == 0 || len(page.MemberList) > cmp.Or(count, 500) || page.MemberCount != n {
				t.Fatalf("count %d: a page of %d bytes, %d members of %d", count, len(m.Data), len(page.MemberList), page.MemberCount)
			}
			if count == 100 && page.NextFlag != "" && len(page.MemberList) != count {
				t.Errorf("a page of %d members in %d bytes is not the last", len(page.MemberList), len(m.Data))
			}
			for _, x := range page.MemberList {
				if seen[x.UserID] || x.JoinedAt < at || string(x.UserInfo) != info {
					t.Fatalf("%q, joined at %s, after somebody who joined at %s", x.UserID, x.JoinedAt, at)
				}
				seen[x.UserID], at = true, x.JoinedAt
			}
			if next = page.NextFlag; next == "" {
				break
			}
		}
		if len(seen) != n {
			t.Errorf("count %d: %d members on all pages", count, len(seen))
		}
	}
	m := w.Ask("memberOf", `{"roomID":"big","userIDs":["`+strings.Join(names("u", 100), `","`)+`"]}`)
	if reply := decode[room.MemberOfReply](t, m.Data); len(m.Data) > 256<<10 || len(reply.MemberList) != 100 {
		t.Errorf("memberOf: %d bytes, %d members", len(m.Data), len(reply.MemberList))
	}
	w.check()
}

func names(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return list
}

func TestListPages(t *testing.T) {
	w, _ := newWorld(t, 1, configOf(nil))
	attributes := `{"a":"` + strings.Repeat("x", 4096) + `","b":"` + strings.Repeat("y", 4096) + `"}`
	want := map[string][]string{}
	for i := range 60 {
		id := fmt.Sprintf("%c-%02d", "ab"[i%2], i)
		want[id[:1]] = append(want[id[:1]], id)
		ok[position](w, "enter", fmt.Sprintf(`{"roomID":%q,"userID":"alice","config":{"roomAttributes":%s}}`, id, attributes))
	}
	all := append(slices.Clone(want["a"]), want["b"]...)
	read := func(prefix string, count int) (ids []string, pages int) {
		for next := ""; ; pages++ {
			m := w.Ask("list", fmt.Sprintf(`{"prefix":%q,"count":%d,"nextFlag":%q}`, prefix, count, next))
			reply := decode[room.ListReply](t, m.Data)
			if len(m.Data) > 256<<10 {
				t.Errorf("a page of %d bytes", len(m.Data))
			}
			for _, r := range reply.RoomList {
				ids = append(ids, r.RoomID)
			}
			if next = reply.NextFlag; next == "" {
				return ids, pages + 1
			}
		}
	}
	for _, x := range []struct {
		prefix       string
		count, pages int
		want         []string
	}{{"", 500, 3, all}, {"a", 10, 3, want["a"]}, {"b-", 7, 5, want["b"]}, {"c", 0, 1, nil}, {"a-00", 1, 1, []string{"a-00"}}} {
		if got, pages := read(x.prefix, x.count); !slices.Equal(got, x.want) || pages != x.pages {
			t.Errorf("prefix %q, %d a page: %d pages with %q, want %d with %q", x.prefix, x.count, pages, got, x.pages, x.want)
		}
	}
	w.Refused(room.ErrParamInvalid, "list", `{"count":501}`)
	reply := ok[room.RoomsReply](w, "rooms.alice", `{}`)
	var ids []string
	for _, r := range reply.Rooms {
		ids = append(ids, r.RoomID)
	}
	if !slices.Equal(ids, all) || reply.NextFlag != "" {
		t.Errorf("rooms: %q, nextFlag %q", ids, reply.NextFlag)
	}
}

func TestFreshness(t *testing.T) {
	w, _ := newWorld(t, 3, configOf(nil))
	ok[position](w, "create", `{"roomID":"lobby","config":{"roomDestroyDelayTime":60}}`)
	for i := range 60 {
		verb, members := "enter", 1
		if i%2 == 1 {
			verb, members = "leave", 0
		}
		at := ok[position](w, verb, `{"roomID":"lobby","userID":"alice"}`)
		for _, how := range []string{fmt.Sprintf(`"minRevision":%d`, at.Revision), `"sync":true`} {
			r := ok[room.GetReply](w, "get", `{"roomID":"lobby",`+how+`}`)
			if r.Revision != at.Revision || r.Sequence != at.Sequence || r.Room.MemberCount != members {
				t.Fatalf("%s after %+v: %+v", how, at, r)
			}
			if rooms := ok[room.RoomsReply](w, "rooms.alice", `{`+how+`}`).Rooms; len(rooms) != members {
				t.Fatalf("%s after %+v: in %d rooms", how, at, len(rooms))
			}
			if n := ok[room.CountReply](w, "count", `{"roomID":"lobby",`+how+`}`).MemberCount; n != members {
				t.Fatalf("%s after %+v: %d members", how, at, n)
			}
			if list := ok[room.MemberOfReply](w, "memberOf", `{"roomID":"lobby","userIDs":["alice"],`+how+`}`).MemberList; len(list) != members {
				t.Fatalf("%s after %+v: %d members", how, at, len(list))
			}
		}
	}
	for _, how := range []string{`"minRevision":-1`, `"minRevision":"7"`, `"sync":1`} {
		w.Refused(room.ErrParamInvalid, "get", `{"roomID":"lobby",`+how+`}`)
	}
	// A question about a revision that does not arrive in time is not answered with older state.
	if e := w.Refused(room.ErrBusy, "get", `{"roomID":"lobby","minRevision":999999}`); e.Field != "minRevision" || e.Actual != 999999 {
		t.Errorf("a revision to come: field %q, actual %d: %s", e.Field, e.Actual, e.Message)
	}
}

func TestUnasked(t *testing.T) {
	w, _ := newWorld(t, 1, configOf(nil))
	if err := w.NC.Publish("room.cmd.create.alice", []byte(`{"roomID":"lobby"}`)); err != nil {
		t.Fatal(err)
	}
	w.awaitFacts("room.evt.lobby", "the room", func(f *fact) bool { return f.Type == "room.created.v1" })
}

func TestLimits(t *testing.T) {
	t.Parallel()
	t.Run("rooms", func(t *testing.T) {
		w, _ := newWorld(t, 1, configOf(func(c *roomsvc.Config) { c.Limits.MaxRooms = 3 }))
		var made, refused atomic.Int64
		together(20, func(i int) {
			_, err := once[position](w, "create", map[string]any{"roomID": fmt.Sprintf("r%d", i), "userID": fmt.Sprintf("u%d", i)})
			count(t, err, &made, room.ErrRoomLimit, &refused)
		})
		if made.Load() != 3 || refused.Load() != 17 {
			t.Errorf("%d rooms made, %d refused", made.Load(), refused.Load())
		}
		var some string
		for some = range w.roomsNow() {
		}
		w.Refused(room.ErrRoomLimit, "enter", `{"roomID":"more","userID":"x"}`)
		creator := "u" + some[1:]
		w.Refused(room.ErrRoomLimit, "switch", fmt.Sprintf(`{"fromRoomID":%q,"userID":%q,"toRoomInfo":{"roomID":"more"},"isCreateWhenRoomNotExisted":true}`, some, creator))
		ok[position](w, "leave", fmt.Sprintf(`{"roomID":%q,"userID":%q}`, some, creator))
		w.awaitFacts("room.evt."+some, "its end", func(f *fact) bool { return f.Type == "room.destroyed.v1" })
		ok[position](w, "enter", `{"roomID":"more","userID":"x"}`)
	})
	t.Run("members", func(t *testing.T) {
		w, _ := newWorld(t, 1, configOf(func(c *roomsvc.Config) { c.Limits.MaxMembers = 2 }))
		ok[position](w, "create", `{"roomID":"lobby","userID":"a","config":{"maxMembers":5}}`)
		ok[position](w, "join", `{"roomID":"lobby","userID":"b"}`)
		ok[position](w, "join", `{"roomID":"lobby","userID":"b","sessionID":"phone"}`) // no further member
		if e := w.Refused(room.ErrRoomFull, "join", `{"roomID":"lobby","userID":"c"}`); e.Limit != 2 || e.Actual != 2 {
			t.Errorf("limit %d, actual %d", e.Limit, e.Actual)
		}
	})
	t.Run("rooms of a user", func(t *testing.T) {
		w, _ := newWorld(t, 1, configOf(func(c *roomsvc.Config) { c.Limits.MaxRoomsPerUser = 2 }))
		for _, id := range []string{"a", "b"} {
			ok[position](w, "enter", fmt.Sprintf(`{"roomID":%q,"userID":"alice"}`, id))
		}
		ok[position](w, "enter", `{"roomID":"c","userID":"bob"}`)
		for _, q := range []string{`create {"roomID":"new","userID":"alice"}`, `enter {"roomID":"new","userID":"alice"}`, `enter {"roomID":"c","userID":"alice"}`, `join {"roomID":"c","userID":"alice"}`} {
			verb, body, _ := strings.Cut(q, " ")
			if e := w.Refused(room.ErrUserRoomLimit, verb, body); !strings.Contains(e.Message, `"alice"`) {
				t.Errorf("%s: %s", q, e.Message)
			}
		}
		ok[position](w, "enter", `{"roomID":"a","userID":"alice"}`)
		ok[position](w, "join", `{"roomID":"a","userID":"alice","sessionID":"phone"}`)
		ok[position](w, "switch", `{"fromRoomID":"b","toRoomInfo":{"roomID":"c"},"userID":"alice"}`)
		ok[position](w, "leave", `{"roomID":"c","userID":"alice"}`)
		ok[position](w, "join", `{"roomID":"c","userID":"alice"}`)
		w.check()
	})
}
