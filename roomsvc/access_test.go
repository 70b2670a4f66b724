package roomsvc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Who may join a room is the same on every instance, and after a restart.
func TestAccessOverTheWire(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{Feeds: true})
	facts := hear(t, w.NC, "room.evt.vip")
	made := ok[room.JoinedReply](w, "create", `{"roomID":"vip","userID":"host","config":{"access":"listed","allowedUsers":["alice"],"roomDestroyDelayTime":60}}`)
	if made.Room.Config.Access != "listed" || !slices.Equal(made.Room.Config.AllowedUsers, []string{"alice", "host"}) {
		t.Errorf("it is made with %+v", made.Room.Config)
	}
	ok[position](w, "join.alice", `{"roomID":"vip"}`)
	for _, verb := range []string{"join", "enter"} {
		e := w.Refused(room.ErrNotAllowed, verb+".bob", `{"roomID":"vip"}`)
		if e.Message == "" {
			t.Errorf("%v", e)
		}
	}
	ok[position](w, "enter.bob", `{"roomID":"lobby","config":{"roomDestroyDelayTime":60}}`)
	w.Refused(room.ErrNotAllowed, "switch.bob", `{"fromRoomID":"lobby","toRoomInfo":{"roomID":"vip"}}`)
	w.Refused(room.ErrNotAllowed, "setAccess.host", `{"roomID":"vip","allow":["bob"]}`)
	w.Refused(room.ErrRoomNotExist, "setAccess", `{"roomID":"none","allow":["bob"]}`)
	set := `{"roomID":"vip","allow":["bob"],"requestID":"R1","userID":"ops"}`
	first := ok[room.SetAccessReply](w, "setAccess", set)
	if again := ok[room.SetAccessReply](w, "setAccess", set); again.Position != first.Position || !slices.Equal(again.Config.AllowedUsers, []string{"alice", "bob", "host"}) {
		t.Errorf("the same request again: %+v, at first %+v", again, first)
	}
	ok[room.JoinedReply](w, "switch.bob", `{"fromRoomID":"lobby","toRoomInfo":{"roomID":"vip"}}`)
	for want := uint64(1); want <= first.Sequence; want++ {
		m, err := facts.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		f, err := events.DecodeFact(m.Data)
		if err != nil || f.Sequence != want || want == first.Sequence && (f.Type != events.RoomAccessChanged || f.User != "ops" || f.RequestID != "R1") {
			t.Fatalf("%s, %v", m.Data, err)
		}
	}
	for _, i := range instances {
		i.End()
	}
	w.Start(roomsvc.Config{Feeds: true})
	w.Refused(room.ErrNotAllowed, "join.carol", `{"roomID":"vip"}`)
	ok[room.LeftReply](w, "leave.bob", `{"roomID":"vip"}`)
	ok[position](w, "join.bob", `{"roomID":"vip"}`)
	if again := ok[room.SetAccessReply](w, "setAccess", set); again.Position != first.Position {
		t.Errorf("the same request after a restart: %+v, at first %+v", again, first)
	}
}

// grantOf is what a token that names rooms gives.
func grantOf(until time.Time, rooms ...subjects.Room) room.Grant {
	return room.Grant{Rooms: rooms, Until: events.TimeOf(until)}
}

// A token that names a room lets its user into it, through any instance, until the token expires.
func TestAccessByToken(t *testing.T) {
	w, instances := newWorld(t, 3, roomsvc.Config{Feeds: true})
	ok[position](w, "create", `{"roomID":"exam","userID":"teacher","config":{"access":"token"}}`)
	ok[position](w, "create", `{"roomID":"other","userID":"teacher","config":{"access":"token"}}`)
	grant := func(n int, u subjects.User, until time.Duration, rooms ...subjects.Room) {
		t.Helper()
		if err := instances[n].Grant(w.Ctx, u, grantOf(time.Now().Add(until), rooms...)); err != nil {
			t.Fatal(err)
		}
	}
	grant(0, "alice", time.Hour, "exam", "none")
	grant(1, "alice", -time.Hour, "other")
	grant(1, "alice", time.Minute, "exam", "none")
	grant(2, "bob", time.Hour, "other")
	for n := range 20 { // no matter which instance answers
		user := fmt.Sprintf("stranger-%d", n)
		w.Refused(room.ErrNotAllowed, "join."+user, `{"roomID":"exam"}`)
		w.Refused(room.ErrNotAllowed, "join.bob", `{"roomID":"exam"}`)
		w.Refused(room.ErrNotAllowed, "join.alice", `{"roomID":"other"}`)
		ok[position](w, "join.alice", `{"roomID":"exam"}`)
		ok[room.LeftReply](w, "leave.alice", `{"roomID":"exam"}`)
	}
	// Tokens add up, even when they arrive at several instances at the same time.
	together(30, func(n int) {
		if err := instances[n%3].Grant(w.Ctx, "carol", grantOf(time.Now().Add(time.Hour), subjects.Room(fmt.Sprint("r", n%10)))); err != nil {
			t.Error(err)
		}
	})
	for n := range 10 {
		ok[position](w, "create", fmt.Sprintf(`{"roomID":"r%d","userID":"teacher","config":{"access":"token"}}`, n))
		ok[position](w, "enter.carol", fmt.Sprintf(`{"roomID":"r%d"}`, n))
	}
}

// A host by a token runs its room until the token ends, through any instance, and not as long as it
// is in; a token that it brings later counts at once.
func TestHostUntilItsTokenEnds(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{Feeds: true})
	ok[position](w, "create", `{"roomID":"exam","userID":"bob","config":{"speakers":"hosts"}}`)
	host := func(n int, until time.Time) {
		t.Helper()
		if err := instances[n].Grant(w.Ctx, "alice", room.Grant{Hosts: []subjects.Room{"exam"}, Until: events.TimeOf(until)}); err != nil {
			t.Fatal(err)
		}
	}
	runs := map[room.Verb]string{
		"mute": `{"roomID":"exam","userIDs":["carol"]}`, "update": `{"roomID":"exam","config":{"historyForJoiners":false}}`,
		"send": `{"roomID":"exam","type":"text","data":"hello"}`, "setAccess": `{"roomID":"exam","access":"open"}`,
	}
	until := time.Now().Add(8 * time.Second)
	host(0, until)
	ok[position](w, "enter.alice", `{"roomID":"exam","leaseSeconds":3600}`)
	for verb, body := range runs {
		if _, err := once[position](w, verb+".alice", jsontext.Value(body)); err != nil && time.Now().Before(until) {
			t.Errorf("%s: %v", verb, err)
		}
	}
	w.Until(patience, "the token to end", func() bool { return time.Now().After(until) })
	for range 5 { // no matter which instance answers
		for verb, body := range runs {
			w.Refused(room.ErrNotAllowed, string(verb)+".alice", body)
		}
	}
	host(1, time.Now().Add(time.Hour))
	w.Until(patience, "both instances to have heard of another token", func() bool {
		for range 8 {
			if _, err := once[position](w, "setAccess.alice", jsontext.Value(runs["setAccess"])); err != nil {
				return false
			}
		}
		return true
	})
}

// A grant that its back end means to last forever is kept.
func TestGrantForEver(t *testing.T) {
	w, instances := newWorld(t, 1, roomsvc.Config{Feeds: true})
	ok[position](w, "create", `{"roomID":"exam","userID":"teacher","config":{"access":"token"}}`)
	sessions, err := w.JS.Stream(w.Ctx, "KV_room_sessions")
	if err != nil {
		t.Fatal(err)
	}
	for _, year := range []int{2200, 2290, 9999} {
		user := subjects.User(fmt.Sprint("alice-", year))
		if err := instances[0].Grant(w.Ctx, user, grantOf(time.Date(year, 12, 31, 23, 59, 59, 0, time.UTC), "exam")); err != nil {
			t.Fatal(err)
		}
		m, err := sessions.GetLastMsgForSubject(w.Ctx, subjects.KV(subjects.BucketSessions, subjects.GrantKey(user)))
		if err != nil {
			t.Fatalf("a grant until %d: %v", year, err)
		}
		if ttl, err := time.ParseDuration(m.Header.Get("Nats-TTL")); err != nil || ttl < 365*24*time.Hour {
			t.Errorf("a grant until %d: kept for %v, %v", year, ttl, err)
		}
		ok[position](w, "join."+string(user), `{"roomID":"exam"}`)
	}
}

// A whole class joins at once, while the room itself is busy.
func TestManyJoinByToken(t *testing.T) {
	const class = 50
	w, instances := newWorld(t, 2, roomsvc.Config{Feeds: true})
	ok[position](w, "create", `{"roomID":"exam","userID":"teacher","config":{"access":"token"}}`)
	ok[position](w, "create", `{"roomID":"hall","userID":"teacher","config":{"roomDestroyDelayTime":60}}`)
	for n := range class {
		user := fmt.Sprintf("pupil-%d", n)
		if err := instances[0].Grant(w.Ctx, subjects.User(user), grantOf(time.Now().Add(time.Hour), "exam")); err != nil {
			t.Fatal(err)
		}
		if n%2 == 1 {
			ok[position](w, "enter."+user, `{"roomID":"hall"}`)
		}
	}
	together(2*class, func(n int) {
		user := fmt.Sprintf("pupil-%d", n%class)
		switch {
		case n >= class:
			ok[position](w, "setAttributes", fmt.Sprintf(`{"roomID":"exam","userID":"teacher","set":{"k":"%d"}}`, n))
		case n%2 == 1:
			ok[position](w, "switch."+user, `{"fromRoomID":"hall","toRoomInfo":{"roomID":"exam"}}`)
		default:
			ok[position](w, "join."+user, `{"roomID":"exam"}`)
		}
	})
}

// Once end users connect as themselves, no instance goes on as if everybody were trusted.
func TestFeedsAreForAllInstances(t *testing.T) {
	w, instances := newWorld(t, 1, roomsvc.Config{})
	ok[position](w, "create.alice", `{"roomID":"lobby"}`)
	ok[position](w, "members.bob", `{"roomID":"lobby"}`)
	w.Start(roomsvc.Config{Feeds: true})
	select {
	case <-instances[0].Done():
	case <-time.After(patience):
		t.Fatal("an instance goes on trusting everybody")
	}
	if err := instances[0].Err(); err == nil || !strings.Contains(err.Error(), "feeds") {
		t.Errorf("it ends with %v", err)
	}
	w.Start(roomsvc.Config{})
	for range 20 { // no matter which instance answers
		w.Refused(room.ErrNotAllowed, "members.bob", `{"roomID":"lobby"}`)
	}
}
