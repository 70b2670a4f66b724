package roomsvc_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
)

// Requests of different verbs may have the same requestID; each is one request, and is
// repeated as itself.
func TestOneRequestIDForEachVerb(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{})
	requests := []struct{ subject, body string }{
		{"create", `{"userID":"alice","roomID":"lobby","requestID":"1","config":{"roomDestroyDelayTime":600}}`},
		{"enter", `{"userID":"alice","roomID":"side","requestID":"1","config":{"roomDestroyDelayTime":600}}`},
		{"setAttributes", `{"userID":"alice","roomID":"side","set":{"a":"b"},"requestID":"1"}`},
		{"setMemberAttributes", `{"userID":"alice","roomID":"side","userIDs":["alice"],"attributes":{"a":"b"},"requestID":"1"}`},
		{"send", `{"userID":"alice","roomID":"side","type":"text","data":"hello","requestID":"1"}`},
		{"setAccess", `{"userID":"alice","roomID":"side","access":"listed","requestID":"1"}`},
		{"leave", `{"userID":"alice","roomID":"side","requestID":"1"}`},
		{"join", `{"userID":"alice","roomID":"side","requestID":"1"}`},
		{"switch", `{"userID":"alice","fromRoomID":"side","toRoomInfo":{"roomID":"third"},"isCreateWhenRoomNotExisted":true,"config":{"roomDestroyDelayTime":600},"requestID":"1"}`},
		{"leaveAll", `{"userID":"alice","requestID":"1"}`},
		{"enter", `{"userID":"bob","roomID":"third","requestID":"1"}`},
		{"kick", `{"userID":"alice","roomID":"third","userIDs":["bob"],"requestID":"1"}`},
		{"destroy", `{"userID":"alice","roomID":"third","requestID":"1"}`},
	}
	type answer struct {
		outcome
		MessageID string   `json:"messageID"`
		Kicked    []string `json:"kicked"`
	}
	first := make([]answer, len(requests))
	for i, q := range requests {
		first[i] = *ok[answer](w, q.subject, q.body)
	}
	again := func(when string) {
		t.Helper()
		facts := len(w.replay().facts)
		for i, q := range requests {
			for range 4 { // so that every instance is asked
				got := *ok[answer](w, q.subject, q.body)
				if got.Subscribe = first[i].Subscribe; !reflect.DeepEqual(got, first[i]) {
					t.Errorf("%s, %s %s again: %+v, first %+v", when, q.subject, q.body, got, first[i])
				}
			}
		}
		if n := len(w.replay().facts); n != facts {
			t.Errorf("%s: %d facts after repeats, %d before", when, n, facts)
		}
	}
	again("at once")
	for _, i := range instances {
		i.End()
	}
	w.Start(roomsvc.Config{})
	again("after a restart")
	for _, other := range []struct{ subject, body string }{
		{"leave", `{"userID":"alice","roomID":"lobby","requestID":"1"}`},
		{"leaveAll", `{"userID":"alice","sessionID":"phone","requestID":"1"}`},
		{"kick", `{"userID":"alice","roomID":"lobby","userIDs":["bob"],"requestID":"1"}`},
	} {
		if e := w.Refused(room.ErrParamInvalid, other.subject, other.body); e.Field != "requestID" {
			t.Errorf("%s %s: %v", other.subject, other.body, e)
		}
	}
}

// A live-only send and a command of the same requestID do not meet.
func TestLiveSendAndLeaveUnderOneRequestID(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	ok[position](w, "create", `{"userID":"alice","roomID":"lobby","config":{"roomDestroyDelayTime":600}}`)
	typing := ok[sent](w, "send", `{"userID":"alice","roomID":"lobby","type":"command","data":"typing","requestID":"1"}`)
	left := ok[position](w, "leave", `{"userID":"alice","roomID":"lobby","requestID":"1"}`)
	if again := ok[sent](w, "send", `{"userID":"alice","roomID":"lobby","type":"command","data":"typing","requestID":"1"}`); *again != *typing {
		t.Errorf("again %+v, first %+v", again, typing)
	}
	if again := ok[position](w, "leave", `{"userID":"alice","roomID":"lobby","requestID":"1"}`); *again != *left {
		t.Errorf("again %+v, first %+v", again, left)
	}
}

// Kicks and destroys say where in the room's history they are, also when they are repeated on
// another instance or after a restart.
func TestPositionsOfKickAndDestroy(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{})
	const members = 700 // more than one fact can put out
	requests := []string{"kick", `{"roomID":"lobby","userIDs":["u0","u1"],"requestID":"k"}`, "kick", `{"roomID":"lobby","userIDs":["u0"],"requestID":"none"}`, "destroy", `{"roomID":"lobby","requestID":"d"}`}
	before := ok[position](w, "create", `{"roomID":"lobby","config":{"roomDestroyDelayTime":600}}`)
	together(members, func(i int) {
		if _, err := once[position](w, room.Join, map[string]any{"roomID": "lobby", "userID": fmt.Sprintf("user-%d-%0*d", i, 80, i)}); err != nil {
			t.Error(err)
		}
	})
	for _, u := range []string{"u0", "u1"} {
		before = ok[position](w, "join", fmt.Sprintf(`{"roomID":"lobby","userID":%q}`, u))
	}
	var first []position
	for i := 0; i < len(requests); i += 2 {
		first = append(first, *ok[position](w, requests[i], requests[i+1]))
	}
	facts := w.replay().facts
	for i, n := range []uint64{1, 1, 2} {
		at := slices.IndexFunc(facts, func(f *fact) bool { return f.Revision == first[i].Revision })
		if at < 0 || first[i].InstanceID != before.InstanceID || first[i].Sequence != before.Sequence+n || facts[at].Data.Sequence != first[i].Sequence {
			t.Errorf("%s is at %+v; before it the room was at %+v", requests[2*i], first[i], before)
		}
	}
	again := func(when string, requests []string, first []position) {
		t.Helper()
		for i := 0; i < len(requests); i += 2 {
			for range 4 { // so that every instance is asked
				if got := ok[position](w, requests[i], requests[i+1]); *got != first[i/2] {
					t.Errorf("%s, %s again: %+v, first %+v", when, requests[i], got, first[i/2])
				}
			}
		}
	}
	changed, at := slices.Concat(requests[:2], requests[4:]), []position{first[0], first[2]}
	again("at once", changed, at)
	for _, i := range instances {
		i.End()
	}
	w.Start(roomsvc.Config{})
	again("after a restart", changed, at)
}

// A session in more rooms than one step can leave learns that some are left over.
func TestLeaveAllOfManyRooms(t *testing.T) {
	w, instances := newWorld(t, 1, roomsvc.Config{})
	const rooms = 1003
	enter := func(user string) {
		together(rooms, func(i int) {
			if _, err := once[position](w, room.Enter, map[string]any{"roomID": fmt.Sprintf("r%04d", i), "userID": user, "config": map[string]any{"roomDestroyDelayTime": 600}}); err != nil {
				t.Error(err)
			}
		})
	}
	type left struct {
		RoomIDList []string `json:"roomIDList"`
		NextFlag   string   `json:"nextFlag"`
	}
	enter("alice")
	first := ok[left](w, "leaveAll", `{"userID":"alice","requestID":"1"}`)
	again := ok[left](w, "leaveAll", `{"userID":"alice","requestID":"1"}`)
	rest := ok[left](w, "leaveAll", `{"userID":"alice","requestID":"2"}`)
	if len(first.RoomIDList) != 1000 || first.NextFlag == "" || !reflect.DeepEqual(first, again) || len(rest.RoomIDList) != 3 || rest.NextFlag != "" {
		t.Errorf("first %d rooms and %q, again %d and %q, then %d and %q", len(first.RoomIDList), first.NextFlag, len(again.RoomIDList), again.NextFlag, len(rest.RoomIDList), rest.NextFlag)
	}
	all := append(first.RoomIDList, rest.RoomIDList...)
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != rooms {
		t.Errorf("%d rooms were left", n)
	}
	instances[0].End()
	w.Start(roomsvc.Config{})
	if after := ok[left](w, "leaveAll", `{"userID":"alice","requestID":"1"}`); !reflect.DeepEqual(after, first) {
		t.Errorf("after a restart %d rooms and %q", len(after.RoomIDList), after.NextFlag)
	}

	enter("bob")
	reply, err := w.Client.LeaveAll(w.Ctx, client.LeaveAllRequest{Caller: client.Caller{UserID: "bob"}})
	if err != nil || len(reply.RoomIDList) != rooms || reply.NextFlag != "" {
		t.Errorf("the client left %d rooms, %q: %v", len(reply.RoomIDList), reply.NextFlag, err)
	}
	if in := ok[room.RoomsReply](w, "rooms", `{"userID":"bob","sync":true}`).Rooms; len(in) != 0 {
		t.Errorf("bob is still in %d rooms", len(in))
	}
}

// Every verb about one room says of a room that is gone that it does not exist, in both forms.
func TestRoomThatIsGone(t *testing.T) {
	forms(t, func(t *testing.T, form func(verb, user, fields string) (string, string)) {
		w, _ := newWorld(t, 1, roomsvc.Config{})
		ok[position](w, "create", `{"roomID":"lobby","userID":"alice"}`)
		ok[position](w, "create", `{"roomID":"stays","userID":"alice"}`)
		ok[position](w, "destroy", `{"roomID":"lobby"}`)
		fields := map[room.Verb]string{
			room.Join: ``, room.Leave: ``, room.Get: ``, room.Members: ``, room.Count: ``,
			room.MemberOf: `,"userIDs":["alice"]`, room.SetAttributes: `,"set":{"a":"b"}`, room.SetMemberAttributes: `,"userIDs":["alice"],"attributes":{"a":"b"}`,
			room.Send: `,"type":"text","data":"hello"`, room.History: `,"instanceID":"never","afterSequence":0`,
			room.Kick: `,"userIDs":["alice"]`, room.SetAccess: `,"access":"open"`, room.DestroyRoom: ``,
			room.Update: `,"roomName":"x"`, room.UpdateMember: `,"userName":"Al"`, room.SetRole: `,"userIDs":["alice"],"role":"host"`,
			room.DeleteMessages: `,"messageSeqs":[1]`,
			room.Ban:            `,"userIDs":["alice"]`, room.Unban: `,"userIDs":["alice"]`, room.Mute: `,"userIDs":["alice"]`, room.Unmute: `,"userIDs":["alice"]`,
		}
		for _, id := range []string{"lobby", "never"} {
			for _, info := range room.Commands {
				more, about := fields[info.Verb]
				subject, body := form(string(info.Verb), "alice", fmt.Sprintf(`"roomID":%q%s`, id, more))
				if about && (!info.Trusted || subject == string(info.Verb)) {
					w.Refused(room.ErrRoomNotExist, subject, body)
				}
			}
			subject, body := form("switch", "alice", fmt.Sprintf(`"fromRoomID":%q,"toRoomInfo":{"roomID":"stays"}`, id))
			w.Refused(room.ErrRoomNotExist, subject, body)
			subject, body = form("switch", "alice", fmt.Sprintf(`"fromRoomID":"stays","toRoomInfo":{"roomID":%q}`, id))
			w.Refused(room.ErrRoomNotExist, subject, body)
		}
		subject, body := form("send", "bob", `"roomID":"stays","type":"text","data":"hello"`)
		w.Refused(room.ErrUserNotInRoom, subject, body)
		for _, info := range room.Commands { // nothing is forgotten above
			if _, about := fields[info.Verb]; !about && !slices.Contains([]room.Verb{room.Create, room.Enter, room.Switch, room.LeaveAll, room.Rooms, room.List, room.Renew, room.Instances, room.EraseUser, room.Block, room.Unblock, room.Blocked}, info.Verb) {
				t.Errorf("%s is not tried", info.Verb)
			}
		}
	})
}
