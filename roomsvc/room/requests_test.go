package room_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

func userIDs(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint("u", i)
	}
	return list
}

func TestSetAttributesRequest(t *testing.T) {
	key, many := letters(65), userIDs(5000)
	for _, c := range []struct {
		name  string
		in    room.SetAttributesRequest
		code  *room.Code
		field string
		limit int64
	}{
		{"nothing", room.SetAttributesRequest{}, room.ErrParamInvalid, "set", 0},
		{"empty lists", room.SetAttributesRequest{Set: map[string]string{}, Delete: []string{}}, room.ErrParamInvalid, "set", 0},
		{"one set", room.SetAttributesRequest{Set: map[string]string{"k": ""}}, nil, "", 0},
		{"one deleted", room.SetAttributesRequest{Delete: []string{"k"}}, nil, "", 0},
		{"both", room.SetAttributesRequest{Set: map[string]string{"a": "1"}, Delete: []string{"b", "b"}}, nil, "", 0},
		{"the same in both", room.SetAttributesRequest{Set: map[string]string{"a": "1"}, Delete: []string{"b", "a"}}, room.ErrParamInvalid, "delete", 0},
		{"an empty key", room.SetAttributesRequest{Set: map[string]string{"": "1"}}, room.ErrAttributeKey, "set", 64},
		{"an empty key to delete", room.SetAttributesRequest{Delete: []string{"a", ""}}, room.ErrAttributeKey, "delete", 64},
		{"a long key to delete", room.SetAttributesRequest{Delete: []string{key}}, room.ErrAttributeKey, "delete", 64},
		{"a key of any characters", room.SetAttributesRequest{Set: map[string]string{"a.b>c\n\"\x00": "\x01"}}, nil, "", 0},
		{"many to delete that don't exist", room.SetAttributesRequest{Delete: many}, nil, "", 0},
	} {
		cmd := &room.Command{}
		err := cmd.SetAttributes(&c.in, defaults)
		refusal(t, c.name, err, c.code, c.field, c.limit)
	}
	yes := true
	q := &room.SetAttributesRequest{Set: map[string]string{"a": "1"}, Delete: []string{"b"}, IsForce: true, IsUpdateOwner: true, IsDeleteAfterOwnerLeft: &yes, IfRevision: 7}
	cmd := &room.Command{}
	if err := cmd.SetAttributes(q, defaults); err != nil || !reflect.DeepEqual(*cmd, room.Command{Set: q.Set, Delete: q.Delete, Force: true, UpdateOwner: true, LeaveDeletes: &yes, IfRevision: 7}) {
		t.Errorf("%+v, %v", cmd, err)
	}
}

func TestUserLists(t *testing.T) {
	pair := map[string]string{"k": "v"}
	members := func(ids []string, set map[string]string) (*room.Command, *room.Error) {
		c := &room.Command{}
		return c, c.SetMemberAttributes(&room.SetMemberAttributesRequest{UserIDs: ids, Attributes: set}, defaults)
	}
	kick := func(ids []string, reason string) (*room.Command, *room.Error) {
		c := &room.Command{}
		return c, c.Kick(&room.KickRequest{UserIDs: ids, Reason: reason})
	}
	for n, ok := range map[int]bool{0: false, 1: true, room.MaxKick - 1: true, room.MaxKick: true, room.MaxKick + 1: false} {
		field := "userIDs"
		if ok {
			field = ""
		}
		c, err := kick(userIDs(n), "")
		if refusal(t, fmt.Sprint("kick of ", n), err, room.ErrParamInvalid, field, room.MaxKick); err == nil && len(c.Users) != n {
			t.Errorf("kick of %d: %v", n, c.Users)
		}
	}
	for n, ok := range map[int]bool{0: false, 1: true, room.MaxUserIDs - 1: true, room.MaxUserIDs: true, room.MaxUserIDs + 1: false} {
		field := "userIDs"
		if ok {
			field = ""
		}
		c, err := members(userIDs(n), pair)
		if refusal(t, fmt.Sprint("attributes of ", n), err, room.ErrParamInvalid, field, room.MaxUserIDs); err == nil && len(c.Users) != n {
			t.Errorf("attributes of %d: %v", n, c.Users)
		}
	}
	c, err := kick([]string{"b", "a", "b", "a"}, "why")
	if err != nil || !reflect.DeepEqual(c.Users, []subjects.User{"b", "a"}) || c.ReasonText != "why" {
		t.Errorf("a list with repeats: %+v, %v", c, err)
	}
	_, err = kick([]string{"a", "b\n"}, "")
	refusal(t, "a user with a bad ID", err, room.ErrParamInvalid, "userIDs", 0)
	_, err = members([]string{"a", ""}, pair)
	refusal(t, "an empty user", err, room.ErrParamInvalid, "userIDs", 0)
	_, err = members([]string{letters(129)}, pair)
	refusal(t, "a long user", err, room.ErrParamInvalid, "userIDs", 128)
	_, err = members([]string{"a"}, nil)
	refusal(t, "no attributes", err, room.ErrParamInvalid, "attributes", 0)
	_, err = members([]string{"a"}, map[string]string{"": ""})
	refusal(t, "an empty key", err, room.ErrMemberAttributeKey, "attributes", 64)
	_, err = members(userIDs(room.MaxUserIDs), map[string]string{"k": letters(1024)})
	refusal(t, "too much for a fact", err, room.ErrParamInvalid, "attributes", 53248)
	_, err = members(userIDs(room.MaxUserIDs), map[string]string{"k": letters(400)})
	refusal(t, "much for a fact", err, nil, "", 0)
}

func TestReasons(t *testing.T) {
	for reason, ok := range map[string]bool{
		"": true, letters(room.MaxReason - 1): true, letters(room.MaxReason): true, letters(room.MaxReason + 1): false, "a\nb": false, "a\xff": false, "日本": true,
	} {
		for name, err := range map[string]*room.Error{
			"kick":    (&room.Command{}).Kick(&room.KickRequest{UserIDs: []string{"a"}, Reason: reason}),
			"destroy": (&room.Command{}).Destroy(&room.DestroyRequest{Reason: reason}),
		} {
			field, limit := "reason", int64(0)
			if ok {
				field = ""
			} else if len(reason) > room.MaxReason {
				limit = room.MaxReason
			}
			refusal(t, fmt.Sprintf("%s because of %q", name, reason), err, room.ErrParamInvalid, field, limit)
		}
	}
}

func TestSay(t *testing.T) {
	for _, c := range []struct {
		name  string
		in    room.SendRequest
		code  *room.Code
		field string
		limit int64
	}{
		{"a text", room.SendRequest{Type: "text", Data: "x"}, nil, "", 0},
		{"a command", room.SendRequest{Type: "command", Data: "x"}, nil, "", 0},
		{"a barrage", room.SendRequest{Type: "barrage", Data: "x"}, nil, "", 0},
		{"no type", room.SendRequest{Data: "x"}, room.ErrParamInvalid, "type", 0},
		{"another type", room.SendRequest{Type: "Text", Data: "x"}, room.ErrParamInvalid, "type", 0},
		{"no data", room.SendRequest{Type: "text"}, room.ErrParamInvalid, "data", 0},
		{"data of any characters", room.SendRequest{Type: "text", Data: "\x00\n\"<"}, nil, "", 0},
		{"wide data", room.SendRequest{Type: "text", Data: strings.Repeat("日", 10923)}, room.ErrMessageTooLong, "data", 32768},
		{"a priority", room.SendRequest{Type: "text", Data: "x", Priority: "high"}, nil, "", 0},
		{"another priority", room.SendRequest{Type: "text", Data: "x", Priority: "HIGH"}, room.ErrParamInvalid, "priority", 0},
		{"subType -1", room.SendRequest{Type: "custom", Data: "x", SubType: -1}, room.ErrParamInvalid, "subType", room.MaxSubType},
		{"subType 0", room.SendRequest{Type: "custom", Data: "x"}, nil, "", 0},
		{"subType below", room.SendRequest{Type: "custom", Data: "x", SubType: room.MaxSubType - 1}, nil, "", 0},
		{"subType at", room.SendRequest{Type: "custom", Data: "x", SubType: room.MaxSubType}, nil, "", 0},
		{"subType past", room.SendRequest{Type: "custom", Data: "x", SubType: room.MaxSubType + 1}, room.ErrParamInvalid, "subType", room.MaxSubType},
		{"subType of a text", room.SendRequest{Type: "text", Data: "x", SubType: 1}, room.ErrParamInvalid, "subType", 0},
		{"extendedData below", room.SendRequest{Type: "text", Data: "x", ExtendedData: letters(room.MaxExtendedData - 1)}, nil, "", 0},
		{"extendedData at", room.SendRequest{Type: "text", Data: "x", ExtendedData: letters(room.MaxExtendedData)}, nil, "", 0},
		{"extendedData past", room.SendRequest{Type: "text", Data: "x", ExtendedData: letters(room.MaxExtendedData + 1)}, room.ErrParamInvalid, "extendedData", room.MaxExtendedData},
	} {
		refusal(t, c.name, say(c.in, defaults), c.code, c.field, c.limit)
	}
	for _, c := range []struct {
		user subjects.User
		in   room.SendRequest
		want events.Message
	}{
		{"u", room.SendRequest{Type: "text", Data: "x"}, events.Message{Room: "lobby", Sender: "u", Type: events.Text, Data: "x", Priority: events.Low}},
		{"", room.SendRequest{Type: "barrage", Data: "x"}, events.Message{Room: "lobby", Type: events.Barrage, Data: "x", Priority: events.Low}},
		{
			"u", room.SendRequest{Type: "custom", SubType: 7, Data: "x", Priority: "medium", ExtendedData: "y"},
			events.Message{Room: "lobby", Sender: "u", Type: events.Custom, SubType: 7, Data: "x", Priority: events.Medium, Extended: "y"},
		},
	} {
		m, err := (&room.Command{Room: "lobby", User: c.user}).Say(&c.in, defaults)
		if err != nil || *m != c.want {
			t.Errorf("%+v, %v; want %+v", m, err, c.want)
		}
	}
}

// The bodies that clients write are read as the contract says.
func TestRequestBodies(t *testing.T) {
	no := false
	for _, c := range []struct{ raw, got, want any }{
		{
			`{"userID":"u","roomID":"r","set":{"a":"1"},"delete":["b"],"isForce":true,"isUpdateOwner":true,"isDeleteAfterOwnerLeft":false,"ifRevision":9}`, &room.SetAttributesRequest{},
			&room.SetAttributesRequest{Caller: room.Caller{UserID: "u"}, RoomID: "r", Set: map[string]string{"a": "1"}, Delete: []string{"b"}, IsForce: true, IsUpdateOwner: true, IsDeleteAfterOwnerLeft: &no, IfRevision: 9},
		},
		{
			`{"roomID":"r","userIDs":["a","b"],"attributes":{"k":"v"},"isDeleteAfterOwnerLeft":false}`, &room.SetMemberAttributesRequest{},
			&room.SetMemberAttributesRequest{RoomID: "r", UserIDs: []string{"a", "b"}, Attributes: map[string]string{"k": "v"}, IsDeleteAfterOwnerLeft: &no},
		},
		{`{"roomID":"r","type":"custom","subType":3,"data":"d","priority":"high","extendedData":"e"}`, &room.SendRequest{}, &room.SendRequest{RoomID: "r", Type: "custom", SubType: 3, Data: "d", Priority: "high", ExtendedData: "e"}},
		{`{"roomID":"r","userIDs":["a"],"reason":"why"}`, &room.KickRequest{}, &room.KickRequest{RoomID: "r", UserIDs: []string{"a"}, Reason: "why"}},
		{`{"roomID":"r","reason":"why"}`, &room.DestroyRequest{}, &room.DestroyRequest{RoomID: "r", Reason: "why"}},
	} {
		if err := json.Unmarshal([]byte(c.raw.(string)), c.got); err != nil || !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", c.raw, err, c.got, c.want)
		}
	}
}

// A member has at most MaxSessions sessions, whichever command adds one.
func TestMaxSessions(t *testing.T) {
	w := newWorld(t)
	w.run("create u lobby")
	w.run("create u/last games")
	for i := range room.MaxSessions - 2 {
		w.run(fmt.Sprintf("join u/s%d lobby", i))
	}
	if verdicts, _ := w.run("join u/at lobby"); verdicts[0] != "changed" || len(w.rooms["lobby"].Member("u").Sessions) != room.MaxSessions {
		t.Errorf("at the limit: %s", verdicts[0])
	}
	for _, line := range []string{"join u/last lobby", "enter u/last lobby", "switch u/last games lobby"} {
		err := w.one(w.command(line))
		refusal(t, line, err, room.ErrParamInvalid, "sessionID", room.MaxSessions)
	}
}
