package roomsvc_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// A session that was away learns from its renewal why it is not in its rooms any more: from an
// instance that saw it, and from one that has to look it up; also when the room was made
// again. It learns nothing of rooms where it never was.
func TestRenewalSaysWhyItLeft(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{Feeds: true, Limits: room.Limits{ReplaceDevices: 1}})
	heard := w.outs()
	instance := map[string]string{}
	enter := func(user, id, session string) {
		t.Helper()
		r := ok[position](w, "enter."+user, fmt.Sprintf(`{"roomID":%q,"sessionID":%q,"config":{"roomDestroyDelayTime":60}}`, id, session))
		instance[id] = r.InstanceID
	}
	reasons := []string{"kicked", "destroyed", "again", "left", "switched", "replaced", "back", "banned", "until"}
	for _, id := range reasons {
		enter("alice", id, "tab")
	}
	enter("alice", "stays", "tab")
	enter("bob", "foreign", "tab")
	ok[leased](w, "enter.carol", `{"roomID":"expired","sessionID":"tab","leaseSeconds":5,"config":{"roomDestroyDelayTime":60}}`)
	expired := ok[room.RenewReply](w, "renew.carol", `{"sessionID":"tab"}`).Rooms[0].InstanceID
	old := instance["again"]
	for _, q := range [][2]string{
		{"kick", `{"roomID":"kicked","userIDs":["alice"],"reason":"enough"}`},
		{"ban", `{"roomID":"banned","userIDs":["alice"],"reason":"spam"}`},
		{"ban", `{"roomID":"until","userIDs":["alice"],"seconds":3600}`},
		{"destroy", `{"roomID":"destroyed","reason":"closing time"}`},
		{"kick", `{"roomID":"again","userIDs":["alice"]}`},
		{"destroy", `{"roomID":"again"}`},
		{"leave.alice", `{"roomID":"left","sessionID":"tab"}`},
		{"switch.alice", `{"fromRoomID":"switched","toRoomInfo":{"roomID":"elsewhere"},"isCreateWhenRoomNotExisted":true,"sessionID":"tab"}`},
		{"enter.alice", `{"roomID":"replaced","sessionID":"phone"}`},
		{"kick", `{"roomID":"back","userIDs":["alice"]}`},
		{"enter.alice", `{"roomID":"back","sessionID":"tab"}`},
		{"kick", `{"roomID":"foreign","userIDs":["bob"],"reason":"secret"}`},
	} {
		if e := refusal(w.Ask(q[0], q[1])); e != nil {
			t.Fatalf("%s %s: %v", q[0], q[1], e)
		}
	}
	enter("dave", "again", "tab") // another instance
	for x := heard.next(); x.UserID != "carol"; x = heard.next() {
	}
	ask := func(user, session string, stays ...[2]string) map[string]string {
		t.Helper()
		list := []map[string]string{}
		for _, s := range stays {
			list = append(list, map[string]string{"roomID": s[0], "instanceID": s[1]})
		}
		said := map[string]string{}
		for _, l := range ok[room.RenewReply](w, "renew."+user, string(text(t, map[string]any{"sessionID": session, "rooms": list}))).Left {
			said[l.RoomID] = string(l.Reason) + l.ReasonText + l.Code
			if (l.Number == room.ErrBanned.Number) != (l.Code != "") || (l.RoomID == "until") != (time.Until(l.Until.Time()) > 50*time.Minute) {
				t.Errorf("%+v", l)
			}
			if l.Sequence == 0 || time.Since(l.LeftAt.Time()) > time.Minute || time.Until(l.LeftAt.Time()) > time.Second || l.InstanceID == "" {
				t.Errorf("%+v", l)
			}
		}
		return said
	}
	check := func(when string) {
		t.Helper()
		stays := [][2]string{{"again", old}, {"again", old}, {"stays", instance["stays"]}, {"foreign", instance["foreign"]}, {"foreign", "X"}, {"nowhere", "X"}}
		for _, id := range reasons {
			if id != "again" {
				stays = append(stays, [2]string{id, instance[id]})
			}
		}
		got := ask("alice", "tab", stays...)
		want := map[string]string{
			"kicked": "kickedenough", "destroyed": "destroyedclosing time", "again": "kicked", "left": "left", "switched": "switched", "replaced": "replaced",
			"banned": "kickedspamBANNED", "until": "kickedBANNED",
		}
		for id, reason := range want {
			if got[id] != reason {
				t.Errorf("%s, %s: %q, want %q", when, id, got[id], reason)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s it says %v", when, got)
		}
		if got := ask("carol", "tab", [2]string{"expired", expired}); got["expired"] != "expired" {
			t.Errorf("%s carol is told %v", when, got)
		}
		if got := ask("alice", "other", stays...); got["left"] != "" || got["replaced"] != "" {
			t.Errorf("%s another session is told %v", when, got)
		}
		if got := ask("dave", "tab", stays...); len(got) != 0 {
			t.Errorf("%s dave is told %v", when, got)
		}
	}
	check("at once")
	instances[0].End()
	check("by the other instance")
	instances[1].End()
	w.Start(roomsvc.Config{Feeds: true, Instance: "fresh", Remember: time.Nanosecond})
	check("after a restart")
	w.check()
}

// Of rooms of which too much has happened since, a renewal does not say that the session was
// never there, and one such room does not keep it from telling of others.
func TestRenewalSaysWhatItDoesNotKnow(t *testing.T) {
	w, instances := newWorld(t, 1, roomsvc.Config{})
	list := []map[string]string{}
	for _, id := range []string{"busy", "quiet", "never"} {
		r := ok[position](w, "enter", fmt.Sprintf(`{"roomID":%q,"userID":"host"}`, id))
		if id != "never" {
			ok[position](w, "enter", fmt.Sprintf(`{"roomID":%q,"userID":"alice"}`, id))
			ok[room.KickReply](w, "kick", fmt.Sprintf(`{"roomID":%q,"userIDs":["alice"]}`, id))
		}
		list = append(list, map[string]string{"roomID": id, "instanceID": r.InstanceID})
	}
	const many = 4096
	for n := range many {
		body := fmt.Appendf(nil, `{"roomID":"busy","userID":"host","set":{"n":"%d"}}`, n)
		if n%64 != 63 {
			if err := w.NC.Publish("room.cmd.setAttributes", body); err != nil {
				t.Fatal(err)
			}
			continue
		}
		ok[room.SetAttributesReply](w, "setAttributes", string(body))
	}
	w.Until(patience, "many facts", func() bool { return ok[position](w, "get", `{"roomID":"busy","sync":true}`).Sequence > many })
	instances[0].End()
	w.Start(roomsvc.Config{Instance: "fresh", Remember: time.Nanosecond})
	// A machine that is too busy to look through all of it in time knows less, but never more.
	w.Until(patience, "a renewal that had time to look", func() bool {
		r := ok[room.RenewReply](w, "renew", string(text(t, map[string]any{"userID": "alice", "rooms": list})))
		known := func(id string) bool {
			return !slices.ContainsFunc(r.Unknown, func(s room.Stay) bool { return s.RoomID == id })
		}
		if len(r.Left) > 1 || len(r.Left) == 1 && r.Left[0].RoomID != "quiet" || known("busy") || known("quiet") != (len(r.Left) == 1) {
			t.Fatalf("it says %+v, and does not know %+v", r.Left, r.Unknown)
		}
		return known("quiet") && known("never")
	})
}

// What a renewal may name is limited.
func TestRenewalNamesAtMostSoManyRooms(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	stays := make([]room.Stay, room.MaxStays+1)
	for i := range stays {
		stays[i] = room.Stay{RoomID: "r", InstanceID: "I"}
	}
	w.Refused(room.ErrParamInvalid, "renew.alice", string(text(t, map[string]any{"rooms": stays})))
	ok[room.RenewReply](w, "renew.alice", string(text(t, map[string]any{"rooms": stays[1:]})))
	w.Refused(room.ErrParamInvalid, "renew.alice", string(text(t, map[string]any{"rooms": stays[:1], "nextFlag": "a"})))
	w.Refused(room.ErrParamInvalid, "renew.alice", `{"rooms":[{"roomID":"","instanceID":"I"}]}`)
}
