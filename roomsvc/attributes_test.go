package roomsvc_test

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

func TestAttributes(t *testing.T) {
	at := func(sequence int) string {
		return fmt.Sprintf(`"instanceID":"I1","sequence":%d,"revision":"R"`, sequence)
	}
	steps := []struct{ verb, user, body, want string }{
		{"create", "alice", `"roomID":"lobby","config":{"roomAttributes":{"topic":"tea"},"roomDestroyDelayTime":60}`, ``},
		{"join", "bob", `"roomID":"lobby"`, ``},
		{"setAttributes", "bob", `"roomID":"lobby","set":{"seat-1":"bob","topic":"beer"},"isDeleteAfterOwnerLeft":true`, `{"attributes":{"seat-1":"bob","topic":"tea"},"errorKeys":["topic"],` + at(3) + `}`},
		{"setAttributes", "alice", `"roomID":"lobby","set":{"topic":"coffee"},"delete":["seat-1","none"]`, `{"attributes":{"seat-1":"bob","topic":"coffee"},"errorKeys":["seat-1"],` + at(4) + `}`},
		{"setAttributes", "alice", `"roomID":"lobby","set":{"topic":"coffee"}`, `{"attributes":{"seat-1":"bob","topic":"coffee"},"errorKeys":[],` + at(4) + `}`}, // it is so already
		{"setAttributes", "bob", `"roomID":"lobby","set":{"topic":"milk"},"isForce":true,"isUpdateOwner":true`, `{"attributes":{"seat-1":"bob","topic":"milk"},"errorKeys":[],` + at(5) + `}`},
		{"setAttributes", "alice", `"roomID":"lobby","set":{"topic":"tea"}`, `{"attributes":{"seat-1":"bob","topic":"milk"},"errorKeys":["topic"],` + at(5) + `}`},
		{"setMemberAttributes", "alice", `"roomID":"lobby","userIDs":["bob","nobody","alice","bob"],"attributes":{"level":"9"},"isDeleteAfterOwnerLeft":false`,
			`{"infos":[{"userID":"bob","attributes":{"level":"9"}},{"userID":"alice","attributes":{"level":"9"}}],"errorUserList":[{"userID":"nobody","code":"USER_NOT_IN_ROOM","number":6000321}],` + at(6) + `}`},
		{"setMemberAttributes", "alice", `"roomID":"lobby","userIDs":["bob"],"attributes":{"mood":"fine"}`, `{"infos":[{"userID":"bob","attributes":{"level":"9","mood":"fine"}}],"errorUserList":[],` + at(7) + `}`},
		{"leave", "bob", `"roomID":"lobby"`, `{"roomID":"lobby",` + at(8) + `}`}, // seat-1 goes with him, his level stays
		{"setAttributes", "alice", `"roomID":"lobby","set":{"n":"1"}`, `{"attributes":{"topic":"milk","n":"1"},"errorKeys":[],` + at(9) + `}`},
		{"join", "bob", `"roomID":"lobby"`, ``},
	}
	forms(t, func(t *testing.T, form func(verb, user, fields string) (string, string)) {
		w, _ := newWorld(t, 2, configOf(nil))
		shape := newShape(t)
		var follower *follower
		for i, s := range steps {
			subject, body := form(s.verb, s.user, s.body)
			m := w.Ask(subject, body)
			if e := refusal(m); e != nil {
				t.Fatalf("step %d, %s: %v", i, subject, e)
			}
			if i == 0 {
				shape.instance(decode[position](t, m.Data).InstanceID)
				follower = w.follow("lobby", "lobby", decode[position](t, m.Data).Revision, 0)
			}
			if s.want != "" {
				shape.same(fmt.Sprintf("step %d, %s %s", i, subject, body), m.Data, s.want)
			}
		}
		h := w.check(follower)
		if got := h.rooms["lobby"].Members["bob"].Attributes; !maps.Equal(got, map[string]string{"level": "9"}) {
			t.Errorf("bob comes back with %v", got)
		}
		for _, verb := range []string{"setAttributes", "setMemberAttributes"} {
			subject, body := form(verb, "carol", `"roomID":"lobby","set":{"a":"b"},"userIDs":["alice"],"attributes":{"a":"b"}`)
			w.Refused(room.ErrUserNotInRoom, subject, body)
			subject, body = form(verb, "carol", `"roomID":"none","set":{"a":"b"},"userIDs":["alice"],"attributes":{"a":"b"}`)
			w.Refused(room.ErrRoomNotExist, subject, body)
		}
	})
}

// A repeated request gets its first outcome again, from any instance and after a restart,
// together with the attributes as they are by then.
func TestAttributesOfRepeatedRequests(t *testing.T) {
	w, instances := newWorld(t, 3, roomsvc.Config{})
	ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":600}}`)
	ok[position](w, "setAttributes", `{"roomID":"lobby","userID":"alice","set":{"a":"1"}}`)
	ok[position](w, "join", `{"roomID":"lobby","userID":"bob"}`)
	first := ok[room.SetAttributesReply](w, "setAttributes", `{"roomID":"lobby","userID":"bob","set":{"a":"2","b":"2"},"requestID":"r1"}`)
	member := ok[room.SetMemberAttributesReply](w, "setMemberAttributes", `{"roomID":"lobby","userID":"bob","userIDs":["bob","x"],"attributes":{"m":"1"},"requestID":"r2"}`)
	ok[position](w, "setAttributes", `{"roomID":"lobby","userID":"bob","set":{"c":"3"}}`)
	again := func() {
		t.Helper()
		r := &room.SetAttributesReply{}
		for r.Attributes["c"] == "" { // later changes may not be known everywhere yet
			r = ok[room.SetAttributesReply](w, "setAttributes", `{"roomID":"lobby","userID":"bob","set":{"a":"2","b":"2"},"requestID":"r1"}`)
		}
		if r.Position != first.Position || fmt.Sprint(r.ErrorKeys) != "[a]" || !maps.Equal(r.Attributes, map[string]string{"a": "1", "b": "2", "c": "3"}) {
			t.Errorf("repeated: %+v, the first outcome was %+v", r, first)
		}
		m := ok[room.SetMemberAttributesReply](w, "setMemberAttributes", `{"roomID":"lobby","userID":"bob","userIDs":["bob","x"],"attributes":{"m":"1"},"requestID":"r2"}`)
		if fmt.Sprintf("%+v", m) != fmt.Sprintf("%+v", member) {
			t.Errorf("repeated: %+v, the first outcome was %+v", m, member)
		}
		w.Refused(room.ErrParamInvalid, "setAttributes", `{"roomID":"lobby","userID":"bob","set":{"a":"3"},"requestID":"r1"}`)
	}
	w.Refused(room.ErrRoomNotExist, "get", `{"roomID":"none","sync":true}`)
	for range 6 {
		again()
	}
	for _, i := range instances {
		i.End()
	}
	w.Start(roomsvc.Config{})
	again()
	w.check()
}

// The attributes of many members are more than a reply can hold: then it says only what was set.
func TestAttributesOfManyMembers(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	var users []string
	for i := range 80 {
		users = append(users, fmt.Sprintf(`"u%d"`, i))
		ok[position](w, "enter", fmt.Sprintf(`{"roomID":"lobby","userID":"u%d"}`, i))
	}
	list := strings.Join(users, ",")
	for n := range 7 {
		body := fmt.Sprintf(`{"roomID":"lobby","userID":"u0","userIDs":[%s],"attributes":{"k%d":"%s"},"requestID":"%[2]d"}`, list, n, strings.Repeat("v", 550))
		for range 2 {
			m := w.Ask("setMemberAttributes", body)
			if e := refusal(m); e != nil {
				t.Fatal(e)
			}
			if r := decode[room.SetMemberAttributesReply](t, m.Data); len(m.Data) > 256<<10 || len(r.Infos) != 80 {
				t.Errorf("a reply of %d bytes with %d members", len(m.Data), len(r.Infos))
			}
		}
	}
	w.check()
}

// Twenty writers count up by compare-and-set, on three instances: every success is one
// step, and none is lost.
func TestCompareAndSet(t *testing.T) {
	w, _ := newWorld(t, 3, roomsvc.Config{})
	const writers, steps = 20, 10
	for i := range writers {
		ok[position](w, "enter", fmt.Sprintf(`{"roomID":"lobby","userID":"u%d","config":{"roomDestroyDelayTime":600}}`, i))
	}
	ok[position](w, "setAttributes", `{"roomID":"lobby","userID":"u0","set":{"n":"0"}}`)
	var mu sync.Mutex
	seen := map[int]string{}
	together(writers, func(i int) {
		user := fmt.Sprintf("u%d", i)
		now, err := once[room.GetReply](w, room.Get, map[string]any{"roomID": "lobby", "sync": true})
		if err != nil {
			t.Error(err)
			return
		}
		value, revision := now.Room.Attributes["n"], now.Revision
		for done := 0; done < steps; {
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Error(err)
				return
			}
			next := strconv.Itoa(n + 1)
			reply, err := request[room.SetAttributesReply](w, room.SetAttributes, map[string]any{
				"roomID": "lobby", "userID": user, "set": map[string]string{"n": next}, "isForce": true, "ifRevision": revision, "requestID": fmt.Sprintf("%s-%d-%d", user, done, revision),
			}, patience)
			var refused *room.Error
			switch {
			case err == nil:
				mu.Lock()
				if other, ok := seen[n+1]; ok {
					t.Errorf("%s and %s both counted to %d", other, user, n+1)
				}
				seen[n+1] = user
				mu.Unlock()
				done++
				value, revision = next, reply.Revision
			case errors.As(err, &refused) && refused.Code == room.ErrRevisionMismatch:
				if refused.At == nil || refused.At.Revision <= revision || refused.Attributes["n"] == "" {
					t.Errorf("a mismatch that does not help: %+v", refused)
					return
				}
				value, revision = refused.Attributes["n"], refused.At.Revision
			default:
				t.Error(err)
				return
			}
		}
	})
	if got := ok[room.GetReply](w, "get", `{"roomID":"lobby","sync":true}`).Room.Attributes["n"]; got != strconv.Itoa(writers*steps) || len(seen) != writers*steps {
		t.Errorf("%d writers counted %d times each to %s, by %d steps", writers, steps, got, len(seen))
	}
	// Joining does not change attributes.
	now := ok[room.GetReply](w, "get", `{"roomID":"lobby","sync":true}`)
	ok[position](w, "join", `{"roomID":"lobby","userID":"late"}`)
	ok[position](w, "setAttributes", fmt.Sprintf(`{"roomID":"lobby","userID":"late","set":{"n":"over"},"isForce":true,"ifRevision":%d}`, now.Revision))
	w.check()
}

// Owners, and what absent members left behind, are known after a restart: from the bucket,
// and from the journal alone.
func TestAttributesAfterRestart(t *testing.T) {
	for _, emptied := range []bool{false, true} {
		t.Run(fmt.Sprintf("bucket emptied %t", emptied), func(t *testing.T) {
			w, instances := newWorld(t, 1, roomsvc.Config{})
			ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":600,"roomAttributes":{"topic":"tea"}}}`)
			ok[position](w, "join", `{"roomID":"lobby","userID":"bob"}`)
			ok[position](w, "setAttributes", `{"roomID":"lobby","userID":"bob","set":{"seat":"bob"},"isDeleteAfterOwnerLeft":true}`)
			ok[position](w, "setMemberAttributes", `{"roomID":"lobby","userID":"bob","userIDs":["alice","bob"],"attributes":{"level":"9"},"isDeleteAfterOwnerLeft":false}`)
			ok[position](w, "leave", `{"roomID":"lobby","userID":"alice"}`)
			w.check()
			instances[0].End()
			if emptied {
				stream, err := w.JS.Stream(w.Ctx, "KV_rooms")
				if err == nil {
					err = stream.Purge(w.Ctx)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			w.Start(roomsvc.Config{})
			ok[position](w, "join", `{"roomID":"lobby","userID":"alice"}`)
			if r := ok[room.SetAttributesReply](w, "setAttributes", `{"roomID":"lobby","userID":"alice","set":{"seat":"alice","topic":"mate"}}`); fmt.Sprint(r.ErrorKeys) != "[seat]" || r.Attributes["topic"] != "mate" {
				t.Errorf("alice may change: %+v", r)
			}
			ok[position](w, "leave", `{"roomID":"lobby","userID":"bob"}`)
			h := w.check()
			if r := h.rooms["lobby"]; !maps.Equal(r.Attributes, map[string]string{"topic": "mate"}) || !maps.Equal(r.Members["alice"].Attributes, map[string]string{"level": "9"}) {
				t.Errorf("the room is %v", r)
			}
		})
	}
}

func TestKick(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	heard, err := w.NC.SubscribeSync("room.state.bob.*")
	if err != nil {
		t.Fatal(err)
	}
	ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":600}}`)
	ok[position](w, "join", `{"roomID":"lobby","userID":"bob"}`)
	ok[position](w, "join", `{"roomID":"lobby","userID":"bob","sessionID":"phone"}`)
	ok[position](w, "setAttributes", `{"roomID":"lobby","userID":"bob","set":{"seat":"bob"},"isDeleteAfterOwnerLeft":true}`)
	const kick = `{"roomID":"lobby","userID":"admin","userIDs":["bob","nobody"],"reason":"spam","requestID":"k"}`
	want := `{"kicked":["bob"],"errorUserList":[{"userID":"nobody","code":"USER_NOT_IN_ROOM","number":6000321}],"instanceID":"I1","sequence":5,"revision":"R"}`
	shape := newShape(t)
	for range 4 {
		shape.same("kick", w.Ask("kick", kick).Data, want)
	}
	shape.same("kick of somebody who is out", w.Ask("kick", `{"roomID":"lobby","userIDs":["bob"]}`).Data, `{"kicked":[],"errorUserList":[{"userID":"bob","code":"USER_NOT_IN_ROOM","number":6000321}],"instanceID":"I1","sequence":5,"revision":"R"}`)
	w.Refused(room.ErrRoomNotExist, "kick", `{"roomID":"none","userIDs":["bob"]}`)
	w.Refused(room.ErrNotAllowed, "kick.bob", `{"roomID":"lobby","userIDs":["alice"]}`)
	w.Refused(room.ErrUserNotInRoom, "send", `{"roomID":"lobby","userID":"bob","type":"text","data":"still here"}`)
	var out []string
	for {
		m, err := heard.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if n := readNotice(t, m); n.Event == "kickedOut" {
			out = append(out, n.line(t, m)+" "+n.ReasonText)
		}
		if len(out) == 2 {
			break
		}
	}
	if fmt.Sprint(out) != "[lobby/default disconnected kickedOut spam lobby/phone disconnected kickedOut spam]" {
		t.Errorf("bob heard %q", out)
	}
	h := w.check()
	last := h.facts[len(h.facts)-2] // before the marker of check
	if e := last.Data.MemberList[0]; last.Type != "member.left.v1" || e.Reason != "kicked" || e.ReasonText != "spam" || e.Operator != "admin" || fmt.Sprint(last.Data.DeletedAttributes) != "[seat]" {
		t.Errorf("the fact is %s", last.Raw)
	}
}

func TestDestroy(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	const members = 700
	ok[position](w, "create", `{"roomID":"lobby","config":{"roomDestroyDelayTime":600}}`)
	ok[position](w, "create", `{"roomID":"empty","config":{"roomDestroyDelayTime":600}}`)
	together(members, func(i int) {
		if _, err := once[position](w, room.Join, map[string]any{"roomID": "lobby", "userID": fmt.Sprintf("u%d", i)}); err != nil {
			t.Error(err)
		}
	})
	last, err := w.NC.SubscribeSync("room.state.u7.lobby")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"lobby", "empty"} {
		for range 3 {
			if r := ok[room.DestroyReply](w, "destroy", fmt.Sprintf(`{"roomID":%q,"userID":"admin","reason":"over","requestID":"d-%[1]s"}`, id)); r.RoomID != id {
				t.Errorf("destroy %s: %+v", id, r)
			}
		}
		w.Refused(room.ErrRoomNotExist, "get", fmt.Sprintf(`{"roomID":%q,"sync":true}`, id))
		w.Refused(room.ErrRoomNotExist, "destroy", fmt.Sprintf(`{"roomID":%q}`, id))
		w.Refused(room.ErrRoomNotExist, "join", fmt.Sprintf(`{"roomID":%q,"userID":"late"}`, id))
	}
	w.Refused(room.ErrRoomNotExist, "destroy.alice", `{"roomID":"lobby"}`)
	if m, err := last.NextMsg(patience); err != nil {
		t.Error(err)
	} else if n := readNotice(t, m); n.Event != "roomNotExist" || n.State != "disconnected" {
		t.Errorf("a member heard %s", m.Data)
	}
	h := w.check()
	left, facts := 0, 0
	for _, f := range h.facts {
		if f.Room != "lobby" {
			continue
		}
		for _, e := range f.Data.MemberList {
			if e.Reason == "destroyed" {
				left++
			}
		}
		if f.Type == "member.left.v1" {
			facts++
		}
		if f.Type == "room.destroyed.v1" && f.Data.Reason != "requested" {
			t.Errorf("the end is %s", f.Raw)
		}
	}
	if left != members || facts < 2 {
		t.Errorf("%d of %d left, by %d facts", left, members, facts)
	}
}
