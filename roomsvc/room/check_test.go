package room_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

func TestCaller(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	info := func(n int) []byte { return []byte(`{"k":"` + long(n-8) + `"}`) }
	for _, c := range []struct {
		name  string
		in    room.Caller
		field string // at fault
		limit int64
	}{
		{"a user alone", room.Caller{UserID: "alice"}, "", 0},
		{"no user", room.Caller{}, "userID", 0},
		{"userID of 128", room.Caller{UserID: long(128)}, "", 0},
		{"userID of 129", room.Caller{UserID: long(129)}, "userID", 128},
		{"userID with a newline", room.Caller{UserID: "a\n"}, "userID", 0},
		{"userName of 255", room.Caller{UserID: "a", UserName: long(255)}, "", 0},
		{"userName of 256", room.Caller{UserID: "a", UserName: long(256)}, "", 0},
		{"userName of 257", room.Caller{UserID: "a", UserName: long(257)}, "userName", 256},
		{"userName of 86 wide characters", room.Caller{UserID: "a", UserName: strings.Repeat("日", 86)}, "userName", 256},
		{"userName with a tab", room.Caller{UserID: "a", UserName: "a\tb"}, "userName", 0},
		{"userName with a DEL", room.Caller{UserID: "a", UserName: "a\x7f"}, "userName", 0},
		{"userName that is no UTF-8", room.Caller{UserID: "a", UserName: "a\xff"}, "userName", 0},
		{"sessionID of 63", room.Caller{UserID: "a", SessionID: long(63)}, "", 0},
		{"sessionID of 64", room.Caller{UserID: "a", SessionID: long(64)}, "", 0},
		{"sessionID of 65", room.Caller{UserID: "a", SessionID: long(65)}, "sessionID", 64},
		{"requestID of 63", room.Caller{UserID: "a", RequestID: long(63)}, "", 0},
		{"requestID of 64 characters", room.Caller{UserID: "a", RequestID: strings.Repeat("日", 64)}, "", 0},
		{"requestID of 65", room.Caller{UserID: "a", RequestID: long(65)}, "requestID", 64},
		{"requestID that is no UTF-8", room.Caller{UserID: "a", RequestID: "\xff"}, "requestID", 0},
		{"userInfo of 1023", room.Caller{UserID: "a", UserInfo: info(1023)}, "", 0},
		{"userInfo of 1024", room.Caller{UserID: "a", UserInfo: info(1024)}, "", 0},
		{"userInfo of 1025", room.Caller{UserID: "a", UserInfo: info(1025)}, "userInfo", 1024},
		{"userInfo of 1024 with space", room.Caller{UserID: "a", UserInfo: append([]byte(" "), info(1024)...)}, "", 0},
		{"userInfo null", room.Caller{UserID: "a", UserInfo: []byte("null")}, "", 0},
		{"userInfo as a list", room.Caller{UserID: "a", UserInfo: []byte("[]")}, "userInfo", 0},
		{"userInfo cut off", room.Caller{UserID: "a", UserInfo: []byte("{")}, "userInfo", 0},
		{"userInfo with a name twice", room.Caller{UserID: "a", UserInfo: []byte(`{"a":1,"a":2}`)}, "userInfo", 0},
	} {
		cmd, err := c.in.Command(room.Join, false, defaults)
		refusal(t, c.name, err, room.ErrParamInvalid, c.field, c.limit)
		if err == nil && (cmd.Verb != room.Join || string(cmd.User) != c.in.UserID || cmd.Session == "" || cmd.RequestID != c.in.RequestID) {
			t.Errorf("%s: %+v", c.name, cmd)
		}
	}
	q := room.Caller{UserInfo: []byte(` { "a" : "\u003c" } `)}
	cmd, err := q.Command(room.Create, true, defaults)
	if err != nil || cmd.User != "" || cmd.Session != room.DefaultSession || string(cmd.Info) != `{"a":"<"}` || string(q.UserInfo) != ` { "a" : "\u003c" } ` {
		t.Errorf("without a user: %+v, %v", cmd, err)
	}
}

func TestMaking(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	many := func(n, key, value int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprintf("%0*d", key, i)] = long(value)
		}
		return m
	}
	attributes := func(m map[string]string) *room.RoomConfig { return &room.RoomConfig{RoomAttributes: m} }
	const config = "config."
	for _, c := range []struct {
		name, title string
		config      *room.RoomConfig
		code        *room.Code
		field       string
		limit       int64
	}{
		{"nothing", "", nil, nil, "", 0},
		{"roomName of 63", long(63), nil, nil, "", 0},
		{"roomName of 64", long(64), nil, nil, "", 0},
		{"roomName of 65", long(65), nil, room.ErrParamInvalid, "roomName", 64},
		{"delay below 0", "", &room.RoomConfig{RoomDestroyDelayTime: -1}, room.ErrParamInvalid, config + "roomDestroyDelayTime", 10800},
		{"delay 1", "", &room.RoomConfig{RoomDestroyDelayTime: 1}, nil, "", 0},
		{"the longest delay", "", &room.RoomConfig{RoomDestroyDelayTime: 10800}, nil, "", 0},
		{"a longer delay", "", &room.RoomConfig{RoomDestroyDelayTime: 10801}, room.ErrParamInvalid, config + "roomDestroyDelayTime", 10800},
		{"members below 0", "", &room.RoomConfig{MaxMembers: -1}, room.ErrParamInvalid, config + "maxMembers", 0},
		{"members 1", "", &room.RoomConfig{MaxMembers: 1}, nil, "", 0},
		{"delivery members", "", &room.RoomConfig{Delivery: "members", Access: "open"}, nil, "", 0},
		{"delivery open", "", &room.RoomConfig{Delivery: "open"}, nil, "", 0},
		{"delivery of another kind", "", &room.RoomConfig{Delivery: "Open"}, room.ErrParamInvalid, config + "delivery", 0},
		{"access of another kind", "", &room.RoomConfig{Access: "closed"}, room.ErrParamInvalid, config + "access", 0},
		{"63 attributes", "", attributes(many(63, 2, 1)), nil, "", 0},
		{"64 attributes", "", attributes(many(64, 2, 1)), nil, "", 0},
		{"65 attributes", "", attributes(many(65, 2, 1)), room.ErrAttributeCount, config + "roomAttributes", 64},
		{"an empty key", "", attributes(map[string]string{"": ""}), room.ErrAttributeKey, config + "roomAttributes", 64},
		{"a key of 1", "", attributes(many(1, 1, 0)), nil, "", 0},
		{"a key of 63", "", attributes(many(1, 63, 0)), nil, "", 0},
		{"a key of 64", "", attributes(many(1, 64, 0)), nil, "", 0},
		{"a key of 65", "", attributes(many(1, 65, 0)), room.ErrAttributeKey, config + "roomAttributes", 64},
		{"a value of 4095", "", attributes(many(1, 1, 4095)), nil, "", 0},
		{"a value of 4096", "", attributes(many(1, 1, 4096)), nil, "", 0},
		{"a value of 4097", "", attributes(many(1, 1, 4097)), room.ErrAttributeValue, config + "roomAttributes", 4096},
		{"32767 bytes in all", "", attributes(merged(many(7, 1, 4095), "z", long(4094))), nil, "", 0},
		{"32768 bytes in all", "", attributes(many(8, 1, 4095)), nil, "", 0},
		{"32769 bytes in all", "", attributes(merged(many(7, 1, 4095), "z", long(4096))), room.ErrAttributeTotal, config + "roomAttributes", 32768},
		{"32 KiB of <", "", attributes(map[string]string{"a": "", "b": strings.Repeat("<", 4096)}), nil, "", 0},
		{"what escapes make too long", "", attributes(merged(many(2, 1, 1), "z", strings.Repeat("\x01", 4096))), nil, "", 0},
		{"what escapes make far too long", "", attributes(controls(3)), room.ErrParamInvalid, config + "roomAttributes", 53248},
	} {
		cmd := &room.Command{}
		err := cmd.Making("roomName", c.title, c.config, defaults)
		refusal(t, c.name, err, c.code, c.field, c.limit)
		if err == nil && (cmd.RoomName != c.title || c.config != nil && (cmd.Config.RoomDestroyDelayTime != c.config.RoomDestroyDelayTime || len(cmd.Attributes) != len(c.config.RoomAttributes))) {
			t.Errorf("%s: %+v", c.name, cmd)
		}
	}
	// If there are several faults, the error always names the same one.
	faulty := merged(merged(many(40, 2, 1), strings.Repeat("y", 65), ""), "x", long(4097))
	first := (&room.Command{}).Making("roomName", "", attributes(faulty), defaults).Error()
	for range 20 {
		if err := (&room.Command{}).Making("roomName", "", attributes(faulty), defaults); err.Error() != first {
			t.Fatalf("%v, and before %s", err, first)
		}
	}
}

func merged(m map[string]string, k, v string) map[string]string { m[k] = v; return m }

func controls(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint(i)] = strings.Repeat("\x01", 4096)
	}
	return m
}

func refusal(t *testing.T, name string, err *room.Error, code *room.Code, field string, limit int64) {
	t.Helper()
	if field == "" {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	if err == nil || err.Code != code || err.Field != field || err.Limit != limit || err.Outcome != room.None || err.Message == "" {
		t.Errorf("%s: %#v", name, err)
	} else if limit > 0 && err.Actual == limit {
		t.Errorf("%s: actual and limit are both %d", name, limit)
	}
}

// Facts fit even with the longest of everything, in the characters that take most.
func TestLargestFacts(t *testing.T) {
	w := newWorld(t)
	q := room.Caller{
		UserID: strings.Repeat(`"`, 128), UserName: strings.Repeat(`\`, 256), SessionID: strings.Repeat(`"`, 64), RequestID: strings.Repeat("\x01", 64),
		UserInfo: []byte(`{"k":"` + strings.Repeat("x", 1016) + `"}`),
	}
	c, err := q.Command(room.Create, false, defaults)
	if err != nil {
		t.Fatal(err)
	}
	config := &room.RoomConfig{RoomAttributes: merged(controls(2), "z", strings.Repeat("x", 3000))}
	if err := c.Making("roomName", strings.Repeat(`"`, 64), config, defaults); err != nil {
		t.Fatal(err)
	}
	c.Room = subjects.Room("\"" + strings.Repeat(".", 127))
	verdicts, facts := w.decide(c)
	if !verdicts[0].Created {
		t.Fatal(verdicts[0].Refused)
	}
	w.store(facts[0])
	w.crowd(c.Room, 80, `"`)
	renew(t, w, c.Room)
	if s := w.rooms[c.Room]; s.Members != 81 || len(s.Attributes) != 3 {
		t.Errorf("%d members, %d attributes", s.Members, len(s.Attributes))
	}
}

func TestErrorTable(t *testing.T) {
	numbers, names := map[int]bool{}, map[string]bool{}
	last := 0
	for _, c := range room.Codes {
		if numbers[c.Number] || names[c.Name] || c.Name == "" || c.Means == "" || c.Error() != c.Name {
			t.Errorf("%+v is there twice, or incomplete", c)
		}
		if c.Number <= last || c.Number/1_000_000 != 6 && c.Number/1_000_000 != 7 {
			t.Errorf("%s: %d after %d", c.Name, c.Number, last)
		}
		numbers[c.Number], names[c.Name], last = true, true, c.Number

		e := room.Refuse(c, "because of %d", 1)
		e.Field, e.Limit, e.Actual, e.RetryAfterMs, e.Outcome = "f", 1, 2, 3, room.Unknown
		if c == room.ErrRevisionMismatch {
			e.Attributes, e.At = map[string]string{"n": "1"}, &room.Position{InstanceID: "i", Sequence: 2, Revision: 3}
		}
		raw, err := json.Marshal(e.Body())
		if err != nil {
			t.Fatal(err)
		}
		var body room.ErrorBody
		if err := json.Unmarshal(raw, &body); err != nil {
			t.Fatal(err)
		}
		back := body.Err()
		if !reflect.DeepEqual(back, e) {
			t.Errorf("%+v came back as %+v", e, back)
		}
		for _, err := range []error{e, back, fmt.Errorf("join: %w", back)} {
			if !errors.Is(err, c) || errors.Is(err, room.ErrRoomNotExist) != (c == room.ErrRoomNotExist) {
				t.Errorf("%v is not matched by its code", err)
			}
		}
	}
	for name, number := range map[string]int{
		"PARAM_INVALID": 6000001, "USER_ALREADY_IN_ROOM": 6000320, "USER_NOT_IN_ROOM": 6000321, "ROOM_NOT_EXIST": 6000322, "ROOM_ALREADY_EXISTS": 6000323,
		"ROOM_LIMIT": 6000324, "USER_ROOM_LIMIT": 6000325, "NOT_ALLOWED": 7000001, "ROOM_FULL": 7000002,
		"RATE_LIMITED": 6000005, "ROOM_ATTRIBUTE_COUNT": 6000334, "ROOM_ATTRIBUTE_KEY": 6000335, "ROOM_ATTRIBUTE_VALUE": 6000336, "ROOM_ATTRIBUTE_TOTAL": 6000337,
		"MEMBER_ATTRIBUTE_TOTAL": 6000351, "MEMBER_ATTRIBUTE_KEY": 6000352, "MEMBER_ATTRIBUTE_VALUE": 6000353, "REVISION_MISMATCH": 7000003, "MESSAGE_TOO_LONG": 7000004, "BUSY": 7000005, "UNAVAILABLE": 7000006,
	} {
		if !names[name] || !numbers[number] {
			t.Errorf("%s %d is not in the table", name, number)
		}
	}
	unknown := room.ErrorBody{Error: room.ErrorInfo{Code: "NEW", Number: 7999999, Message: "m", Outcome: room.None}}.Err()
	if unknown.Code.Name != "NEW" || unknown.Code.Number != 7999999 || unknown.Error() != "NEW: m" || errors.Is(unknown, room.ErrParamInvalid) {
		t.Errorf("an unknown code: %+v", unknown)
	}
	if e := room.Invalid("userID", "is %d", 1); e.Code != room.ErrParamInvalid || e.Field != "userID" || e.Message != "userID is 1" || e.Outcome != room.None {
		t.Errorf("Invalid: %+v", e)
	}
}

// A misspelt setting is refused, wherever it stands.
func TestUnknownFields(t *testing.T) {
	for raw, ok := range map[string]bool{
		`{"userID":"a","roomID":"r","config":{"maxMembers":1},"other":1}`: true,
		`{"userID":"a","roomID":"r","config":{"maxMember":1}}`:            false,
		`{"userID":"a","roomID":"r","config":{"MaxMembers":1}}`:           false,
	} {
		var q room.CreateRequest
		if err := json.Unmarshal([]byte(raw), &q); (err == nil) != ok || ok && (q.UserID != "a" || q.RoomID != "r" || q.Config.MaxMembers != 1) {
			t.Errorf("%s: %+v, %v", raw, q, err)
		}
	}
	var q room.SwitchRequest
	if err := json.Unmarshal([]byte(`{"toRoomInfo":{"roomID":"r","name":"x"}}`), &q); err == nil {
		t.Errorf("an unknown field in toRoomInfo: %+v", q)
	}
}
