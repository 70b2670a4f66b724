package roomsvc_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// storm asks again and again, from several goroutines, until stop is called; stop waits for them.
func storm(n int, ask func(n, i int)) (stop func()) {
	over := make(chan struct{})
	var group sync.WaitGroup
	for k := range n {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
					ask(k, i)
				}
			}
		})
	}
	return func() { close(over); group.Wait() }
}

// Once a ban is answered its user is out, and stays out, however many of its devices come in
// and speak meanwhile, through whichever instance.
func TestStormOnABan(t *testing.T) {
	w, _ := newWorld(t, 3, roomsvc.Config{Feeds: true})
	ok[position](w, "create", `{"roomID":"lobby","userID":"host","config":{"hosts":"creator","roomDestroyDelayTime":600}}`)
	const users = 5
	var banned [users]atomic.Bool
	var late, in atomic.Int64
	stop := storm(3*users, func(k, i int) {
		u := k % users
		after := banned[u].Load()
		verb, q := room.Enter, map[string]any{"roomID": "lobby", "sessionID": fmt.Sprint("s", k)}
		if i%2 == 1 {
			verb, q["type"], q["data"] = room.Send, "text", "spam"
		}
		_, err := once[position](w, room.Verb(fmt.Sprintf("%s.bad%d", verb, u)), q)
		switch {
		case err == nil && after:
			t.Errorf("bad%d does %s after its ban", u, verb)
		case err == nil:
			in.Add(1)
		case !errors.Is(err, room.ErrBanned) && !errors.Is(err, room.ErrUserNotInRoom) && !errors.Is(err, room.ErrBusy):
			t.Errorf("bad%d, %s: %v", u, verb, err)
		case after:
			late.Add(1)
		}
	})
	for u := range users {
		for from := in.Load(); in.Load() < from+20; { // so that there is always somebody to put out
			ok[position](w, "get", `{"roomID":"lobby"}`)
		}
		if _, err := known[room.RestrictedReply](w, "ban.host", map[string]any{"roomID": "lobby", "userIDs": []string{fmt.Sprint("bad", u)}}); err != nil {
			t.Error(err)
		}
		banned[u].Store(true)
	}
	for late.Load() < 20*users {
		ok[position](w, "get", `{"roomID":"lobby"}`)
	}
	stop()
	over := map[string]bool{}
	for _, f := range w.Facts() {
		for _, j := range f.Joined {
			if over[j.UserID] {
				t.Errorf("%s joined at %d, after its ban", j.UserID, f.Sequence)
			}
		}
		for _, b := range f.Bans {
			over[b.UserID] = true
		}
	}
	if users, _, _ := w.Members("lobby"); len(over) != 5 || !slices.Equal(users, []string{"host/default"}) {
		t.Errorf("%v are banned, %v are in", over, users)
	}
}

// No message is taken that was sent after the answer of a mute, by no instance.
func TestStormOnAMute(t *testing.T) {
	w, _ := newWorld(t, 3, roomsvc.Config{Feeds: true})
	ok[position](w, "create", `{"roomID":"lobby","userID":"host","config":{"hosts":"creator","roomDestroyDelayTime":600}}`)
	ok[position](w, "enter.loud", `{"roomID":"lobby"}`)
	var muted atomic.Int64 // odd: from the answer of a mute to the request that lifts it
	var said, refused atomic.Int64
	stop := storm(9, func(k, i int) {
		before := muted.Load()
		q := map[string]any{"roomID": "lobby", "type": []string{"text", "barrage"}[i%2], "data": "noise"}
		_, err := once[position](w, "send.loud", q)
		switch {
		case err == nil && before%2 == 1 && muted.Load() == before:
			t.Errorf("a %v is taken after the mute", q["type"])
		case err == nil:
			said.Add(1)
		case errors.Is(err, room.ErrMuted):
			refused.Add(1)
		default:
			t.Error(err)
		}
	})
	for range 5 {
		for from := said.Load(); said.Load() < from+30; {
			ok[position](w, "get", `{"roomID":"lobby"}`)
		}
		ok[room.RestrictedReply](w, "mute.host", `{"roomID":"lobby","userIDs":["loud"]}`)
		muted.Add(1)
		for from := refused.Load(); refused.Load() < from+30; {
			ok[position](w, "get", `{"roomID":"lobby"}`)
		}
		muted.Add(1)
		ok[room.RestrictedReply](w, "unmute", `{"roomID":"lobby","userIDs":["loud"]}`)
	}
	stop()
}

// Bans and mutes end when they say, and not before.
func TestRestrictionsEnd(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{Feeds: true})
	ok[position](w, "create", `{"roomID":"lobby","config":{"roomDestroyDelayTime":600}}`)
	ok[position](w, "enter.bob", `{"roomID":"lobby"}`)
	ok[position](w, "enter.eve", `{"roomID":"lobby"}`)
	for _, c := range []struct {
		verb, user, asked, more string
		code                    *room.Code
	}{
		{"ban", "bob", "enter.bob", "", room.ErrBanned},
		{"mute", "eve", "send.eve", `,"type":"text","data":"hello"`, room.ErrMuted},
	} {
		reply := ok[room.RestrictedReply](w, c.verb, fmt.Sprintf(`{"roomID":"lobby","userIDs":[%q],"seconds":2,"reason":"calm down"}`, c.user))
		body := `{"roomID":"lobby"` + c.more + `}`
		if e := w.Refused(c.code, c.asked, body); e.Until != reply.Until || !strings.Contains(e.Message, "calm down") {
			t.Errorf("%+v; it ends at %v", e, reply.Until)
		}
		var refused *room.Error
		w.Until(patience, "its end", func() bool {
			_, err := once[position](w, room.Verb(c.asked), raw(body))
			if err == nil {
				return true
			}
			if !errors.As(err, &refused) || !errors.Is(err, c.code) {
				t.Errorf("%v", err)
			}
			return false
		})
		if now := events.TimeOf(time.Now()); now < reply.Until {
			t.Errorf("%s: it is %v, and it was to end at %v", c.verb, now, reply.Until)
		}
	}
	if get := ok[room.GetReply](w, "get", `{"roomID":"lobby"}`); len(get.Bans)+len(get.Mutes) > 0 {
		t.Errorf("%+v", get)
	}
}

// An empty room waits as its delay says now, whichever instance decided that and whichever ends
// the room.
func TestDelayOfAnEmptyRoomChanges(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	const rooms = 8 // so that each instance decides some
	empty := func(kind string, i, delay int) string {
		id := fmt.Sprintf("%s%d", kind, i)
		ok[position](w, "create", fmt.Sprintf(`{"roomID":%q,"userID":"alice","config":{"roomDestroyDelayTime":%d}}`, id, delay))
		ok[position](w, "leave", fmt.Sprintf(`{"roomID":%q,"userID":"alice"}`, id))
		return id
	}
	update := func(id string, delay int) {
		t.Helper()
		if r := ok[room.UpdateReply](w, "update", fmt.Sprintf(`{"roomID":%q,"config":{"roomDestroyDelayTime":%d}}`, id, delay)); r.Config.RoomDestroyDelayTime != int64(delay) {
			t.Errorf("%+v", r)
		}
	}
	for i := range rooms {
		update(empty("long", i, 3), 600)
		update(empty("short", i, 600), 2)
		id := empty("none", i, 600)
		update(id, 0)
		w.Refused(room.ErrRoomNotExist, "get", fmt.Sprintf(`{"roomID":%q,"sync":true}`, id))
		update(empty("twice", i, 600), 1000)
		update(fmt.Sprint("twice", i), 1)
	}
	empty("clock", 0, 4)
	w.Until(patience, "the others to end", func() bool {
		list := ok[room.ListReply](w, "list", `{"sync":true}`)
		return !slices.ContainsFunc(list.RoomList, func(r events.Room) bool { return !strings.HasPrefix(r.RoomID, "long") })
	})
	emptied := map[subjects.Room]events.Time{}
	for _, f := range w.Facts() {
		if f.Type == events.MemberLeft {
			emptied[f.Room] = f.Time
		}
		if f.Type == events.RoomDestroyed && f.Time < emptied[f.Room]+events.Time(f.Info.Config.RoomDestroyDelayTime*1000) {
			t.Errorf("%s was emptied at %v and ended at %v", f.Room, emptied[f.Room], f.Time)
		}
	}
	for i := range rooms {
		if r := ok[room.GetReply](w, "get", fmt.Sprintf(`{"roomID":"long%d","sync":true}`, i)).Room; r.DestroyAt != emptied[subjects.Room(r.RoomID)]+600_000 {
			t.Errorf("%+v", r)
		}
	}
}

// What hosts do is on every member's feed; who is banned, the host and back ends alone can
// read; whoever is put out is told why, and until when.
func TestHostsOnFeeds(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{Feeds: true})
	alice, carol, told := hear(t, w.NC, "room.feed.alice.*"), hear(t, w.NC, "room.feed.carol.*"), hear(t, w.NC, "room.state.carol.*")
	ok[position](w, "create.alice", `{"roomID":"lobby","config":{"hosts":"creator"}}`)
	ok[position](w, "join.bob", `{"roomID":"lobby"}`)
	ok[position](w, "join.carol", `{"roomID":"lobby"}`)
	ok[position](w, "join.carol", `{"roomID":"lobby","sessionID":"tab"}`)
	if r := ok[room.UpdateMemberReply](w, "updateMember.bob", `{"roomID":"lobby","userName":"Bob","userInfo":{"a":1}}`); r.Member.UserName != "Bob" {
		t.Errorf("%+v", r)
	}
	ok[room.UpdateReply](w, "update.alice", `{"roomID":"lobby","roomName":"Hall"}`)
	if r := ok[room.SetRoleReply](w, "setRole.alice", `{"roomID":"lobby","userIDs":["bob","nobody"],"role":"host"}`); !slices.Equal(r.UserIDs, []string{"bob"}) || len(r.ErrorUserList) != 1 {
		t.Errorf("%+v", r)
	}
	ok[room.RestrictedReply](w, "mute.bob", `{"roomID":"lobby","userIDs":["carol"]}`)
	ban := ok[room.RestrictedReply](w, "ban.bob", `{"roomID":"lobby","userIDs":["carol"],"seconds":60,"reason":"spam"}`)
	ok[room.UpdateReply](w, "update", `{"roomID":"lobby","config":{"hosts":"none"}}`)
	for _, want := range []string{
		"room.created.v1 1", "member.joined.v1 2", "member.joined.v1 3", "session.joined.v1 4", "member.updated.v1 5", "room.updated.v1 6", "member.updated.v1 7",
		"room.access.changed.v1 8", "member.left.v1 9", "room.access.changed.v1 10", "room.updated.v1 11",
	} {
		if got := next(t, alice); got != want {
			t.Errorf("alice hears %q, want %q", got, want)
		}
	}
	for want := 3; want <= 9; want++ {
		if got := next(t, carol); !strings.HasSuffix(got, fmt.Sprint(" ", want)) {
			t.Errorf("carol hears %q, want %d", got, want)
		}
	}
	w.Refused(room.ErrNotAllowed, "ban.alice", `{"roomID":"lobby","userIDs":["bob"]}`) // she is a host no more
	e := w.Refused(room.ErrBanned, "enter.carol", `{"roomID":"lobby"}`)
	if e.Until != ban.Until {
		t.Errorf("%+v, want until %v", e, ban.Until)
	}
	var banned []string
	for len(banned) < 3 {
		m, err := told.NextMsg(patience)
		if err != nil {
			t.Fatalf("carol is told %q: %v", banned, err)
		}
		n, err := events.DecodeNotice(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if n.Error == nil {
			continue
		}
		if n.Error.Code != "BANNED" || n.Error.Until != ban.Until {
			t.Errorf("%s", m.Data)
		}
		banned = append(banned, fmt.Sprintf("%s %s %s", n.SessionID, n.Event, n.ReasonText))
	}
	if want := []string{"default kickedOut spam", "tab kickedOut spam", "default enterFailed "}; !slices.Equal(banned, want) {
		t.Errorf("carol is told %q, want %q", banned, want)
	}
	for who, sees := range map[string]bool{"get": true, "get.bob": true, "get.alice": false} {
		if r := ok[room.GetReply](w, who, `{"roomID":"lobby","sync":true}`); (len(r.Bans) == 1 && r.Bans[0].UserID == "carol" && r.Bans[0].Until == ban.Until && len(r.Mutes) == 1) != sees || !sees && len(r.Bans)+len(r.Mutes) > 0 {
			t.Errorf("%s: %+v", who, r)
		}
	}
	w.Refused(room.ErrNotAllowed, "get.carol", `{"roomID":"lobby"}`)
	if n, _, _ := carol.Pending(); n != 0 {
		t.Errorf("carol hears %d more", n)
	}
}

// What was said and answered before a ban is heard by everybody, the banned one included, and
// nothing of that user is heard after it.
func TestLastWordsOfTheBanned(t *testing.T) {
	orders(t, func(t *testing.T, w *world, _ int) {
		ok[position](w, "create", `{"roomID":"lobby","userID":"host","config":{"hosts":"creator","roomDestroyDelayTime":600}}`)
		ok[position](w, "enter.al", `{"roomID":"lobby","leaseSeconds":3600}`)
		sub := hear(t, w.NC, "room.feed.al.lobby")
		for i := range rounds() / 2 {
			user := fmt.Sprint("bo", i)
			own := hear(t, w.NC, "room.feed."+user+".lobby")
			ok[position](w, "enter."+user, `{"roomID":"lobby"}`)
			inbox := nats.NewInbox()
			answers := hear(t, w.NC, inbox)
			send := func() {
				if err := w.NC.PublishRequest("room.cmd.send."+user, inbox, []byte(`{"roomID":"lobby","type":"text","data":"more"}`)); err != nil {
					t.Fatal(err)
				}
			}
			ok[room.SendReply](w, "send."+user, `{"roomID":"lobby","type":"text","data":"last words"}`)
			send() // it may cross the ban
			ok[room.RestrictedReply](w, "ban", fmt.Sprintf(`{"roomID":"lobby","userIDs":[%q]}`, user))
			send() // it must not
			for range 2 {
				if _, err := answers.NextMsg(patience); err != nil {
					t.Fatal(err)
				}
			}
			end := fmt.Sprint("end of ", i)
			ok[room.SendReply](w, "send", fmt.Sprintf(`{"roomID":"lobby","type":"text","data":%q}`, end))
			heard, left := feed(t, sub, end), "left "+user
			at := slices.Index(heard, left)
			if at < 0 || !slices.Contains(heard[:at], "last words") || slices.Contains(heard[at:], "more") || slices.Contains(heard[at:], "last words") {
				t.Errorf("round %d: al hears %q", i, heard)
			}
			if heard := feed(t, own, left); !slices.Contains(heard, "last words") {
				t.Errorf("round %d: %s hears %q", i, user, heard)
			}
		}
	})
}

// A repeat of what hosts do gives the first answer, on every instance and after a restart.
func TestRepeatsOfHosts(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{})
	ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"hosts":"creator","roomDestroyDelayTime":600}}`)
	for _, user := range []string{"bob", "carol", "dave"} {
		ok[position](w, "join", fmt.Sprintf(`{"roomID":"lobby","userID":%q}`, user))
	}
	requests := []struct{ verb, fields string }{
		{"update", `"roomName":"Hall","config":{"maxMembers":9}`},
		{"updateMember", `"userName":"Al","userInfo":{"a":1}`},
		{"setRole", `"userIDs":["bob","nobody"],"role":"host"`},
		{"mute", `"userIDs":["bob","eve"],"seconds":60,"reason":"loud"`},
		{"unmute", `"userIDs":["bob"]`},
		{"ban", `"userIDs":["bob","carol"],"seconds":1`},
		{"unban", `"userIDs":["carol"]`},
		{"ban", `"userIDs":["dave"]`},
	}
	body := func(i int, id string) string {
		return fmt.Sprintf(`{"roomID":"lobby","userID":"alice","requestID":"%s%d",%s}`, id, i/7, requests[i].fields)
	}
	first := make([]string, len(requests))
	for i, q := range requests {
		m := w.Ask(q.verb, body(i, "r"))
		if e := refusal(m); e != nil {
			t.Fatalf("%s: %v", q.verb, e)
		}
		first[i] = string(m.Data)
	}
	facts := len(w.Facts())
	again := func(when string) {
		t.Helper()
		for i, q := range requests {
			for range 4 { // so that every instance is asked
				if got := string(w.Ask(q.verb, body(i, "r")).Data); got != first[i] {
					t.Errorf("%s, %s %s again: %s, first %s", when, q.verb, q.fields, got, first[i])
				}
			}
		}
		if n := len(w.Facts()); n != facts {
			t.Errorf("%s: %d facts after repeats, %d before", when, n, facts)
		}
	}
	again("at once")
	w.Until(patience, "the end of bob's ban", func() bool { return len(ok[room.GetReply](w, "get", `{"roomID":"lobby"}`).Bans) == 1 })
	ok[room.RestrictedReply](w, "mute", `{"roomID":"lobby","userIDs":["x"]}`) // and it is forgotten
	facts++
	again("when a ban is over")
	for _, i := range instances {
		i.End()
	}
	w.Start(roomsvc.Config{})
	again("after a restart")
	if e := w.Refused(room.ErrParamInvalid, "ban", `{"roomID":"lobby","userID":"alice","requestID":"r0","userIDs":["eve"]}`); e.Field != "requestID" {
		t.Errorf("%+v", e)
	}
}

// Hosts and members who do the worst that they may cost nobody else anything.
func TestHostileHosts(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true})
	ok[position](w, "create", `{"roomID":"lobby","userID":"host","config":{"hosts":"creator","roomDestroyDelayTime":600}}`)
	ok[position](w, "enter.host", `{"roomID":"lobby","leaseSeconds":3600}`)
	long := func(n int) string { return fmt.Sprintf("%04d%s", n, strings.Repeat(`\"`, 124)) }
	reason := strings.Repeat(`\u2028`, room.MaxReason/3)
	for from := 0; from <= 1000; from += room.MaxKick {
		var ids []string
		for n := range room.MaxKick {
			ids = append(ids, `"`+long(from+n)+`"`)
		}
		body := fmt.Sprintf(`{"roomID":"lobby","reason":"%s","userIDs":[%s]}`, reason, strings.Join(ids, ","))
		for _, verb := range []string{"ban.host", "mute.host"} {
			if from < 1000 {
				ok[room.RestrictedReply](w, verb, body)
			} else if e := w.Refused(room.ErrParamInvalid, verb, body); e.Limit != 1000 || e.Actual != 1050 {
				t.Errorf("%+v", e)
			}
		}
	}
	m := w.Ask("get.host", `{"roomID":"lobby"}`)
	if r := decode[room.GetReply](t, m.Data); !r.More || len(r.Bans) == 0 || len(r.Mutes) == 0 || len(m.Data) > 256<<10 {
		t.Errorf("%d bytes, %d bans, %d mutes, more %v", len(m.Data), len(r.Bans), len(r.Mutes), r.More)
	}
	ok[room.RestrictedReply](w, "unban.host", fmt.Sprintf(`{"roomID":"lobby","userIDs":["%s","%s"]}`, long(7), long(8)))
	const crowd = 150
	together(crowd, func(n int) {
		if _, err := once[position](w, room.Verb(fmt.Sprintf("enter.u%d", n)), raw(`{"roomID":"lobby"}`)); err != nil {
			t.Error(err)
		}
	})
	info := strings.Repeat("<", room.MaxUserInfo-20)
	together(crowd, func(n int) {
		r, err := once[room.UpdateMemberReply](w, room.Verb(fmt.Sprintf("updateMember.u%d", n)), raw(fmt.Sprintf(`{"roomID":"lobby","userInfo":{"n":%d,"x":%q}}`, n, info)))
		if err != nil || len(r.Member.UserInfo) < len(info) {
			t.Errorf("%v", err)
		}
	})
	// Whoever bans itself is out, and banned, as anybody whom it names.
	ok[room.RestrictedReply](w, "ban.host", `{"roomID":"lobby","userIDs":["host","u1"]}`)
	w.Refused(room.ErrBanned, "enter.host", `{"roomID":"lobby"}`)
	w.Refused(room.ErrNotAllowed, "unban.host", `{"roomID":"lobby","userIDs":["host"]}`)
	w.Refused(room.ErrBanned, "enter.u1", `{"roomID":"lobby"}`)
	w.check()
}

// Whoever is banned from an open room does not read it either. Back ends do, in its name.
func TestBannedFromAnOpenRoom(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true})
	made := ok[room.JoinedReply](w, "enter.alice", `{"roomID":"stage","config":{"delivery":"open"}}`)
	ok[room.JoinedReply](w, "enter.bob", `{"roomID":"stage"}`)
	reads := map[string]string{
		"get": `{"roomID":"stage"%s}`, "count": `{"roomID":"stage"%s}`, "members": `{"roomID":"stage"%s}`, "memberOf": `{"roomID":"stage","userIDs":["alice"]%s}`,
		"history": `{"roomID":"stage","instanceID":"` + made.InstanceID + `","afterSequence":0%s}`,
	}
	try := func(banned bool) {
		t.Helper()
		for verb, body := range reads {
			if banned {
				if e := w.Refused(room.ErrBanned, verb+".bob", fmt.Sprintf(body, "")); e.Until != 0 {
					t.Errorf("%s: %+v", verb, e)
				}
			} else {
				ok[position](w, verb+".bob", fmt.Sprintf(body, ""))
			}
			ok[position](w, verb, fmt.Sprintf(body, `,"userID":"bob"`))
			ok[position](w, verb+".carol", fmt.Sprintf(body, ""))
		}
	}
	try(false)
	ok[position](w, "ban", `{"roomID":"stage","userIDs":["bob"],"reason":"spam"}`)
	try(true)
	ok[position](w, "unban", `{"roomID":"stage","userIDs":["bob"]}`)
	try(false)
}
