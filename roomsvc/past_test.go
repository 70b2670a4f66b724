package roomsvc_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// told asks for all pages of history and writes them in short: the types of facts, the texts
// of messages. Each page is asked for with the nextFlag of the one before.
func (w *world) told(subject, id, instance, at string, count int) string {
	w.T.Helper()
	var list []string
	complete := true
	for next := ""; ; {
		body := fmt.Sprintf(`{"roomID":%q,"instanceID":%q,%s,"count":%d,"nextFlag":%q}`, id, instance, at, count, next)
		page := ok[historyPage](w, subject, body)
		if page.InstanceID != instance {
			return "another"
		}
		var short []string
		for _, raw := range page.Events {
			if strings.Contains(string(raw), "message.sent") {
				short = append(short, readMessage(w.T, raw).Data)
			} else {
				_, typ, _ := strings.Cut(string(raw), typePrefix)
				typ, _, _ = strings.Cut(typ, ".v1")
				short = append(short, typ)
			}
		}
		if strings.HasPrefix(at, `"before`) {
			list = append(short, list...)
		} else {
			list = append(list, short...)
		}
		complete = complete && page.Complete
		if next = page.NextFlag; next == "" {
			line := strings.Join(list, " ")
			if !complete {
				line += " incomplete"
			}
			return line
		}
	}
}

// tick waits until the clock, which tells messages from facts, shows another millisecond.
func (w *world) tick() {
	w.T.Helper()
	for now := time.Now().UnixMilli(); time.Now().UnixMilli() == now; {
		runtime.Gosched()
	}
}

// What happened and was said in a room that has ended is told to back ends, and to users as
// far as they were there, also when the name is used again, on any instance and after a
// restart.
func TestHistoryOfAnEndedRoom(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{Feeds: true})
	first := ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":600}}`).InstanceID
	say := func(user, text string) {
		ok[sent](w, "send", fmt.Sprintf(`{"roomID":"lobby","userID":%q,"type":"text","data":%q}`, user, text))
	}
	w.tick()
	say("alice", "one")
	w.tick()
	ok[position](w, "join", `{"roomID":"lobby","userID":"bob"}`)
	say("bob", "two")
	w.tick()
	ok[position](w, "kick", `{"roomID":"lobby","userIDs":["bob"]}`)
	w.tick()
	say("alice", "three")
	ok[position](w, "destroy", `{"roomID":"lobby"}`)
	w.awaitFacts("room.evt.lobby", "the room's end", func(f *fact) bool { return f.Type == "room.destroyed.v1" })

	const all = "room.created member.joined member.left member.left room.destroyed"
	again := func(when, notIn string) {
		t.Helper()
		for range 2 { // so that both instances are asked
			for _, c := range []struct{ subject, at, want string }{
				{"history", `"afterSequence":0`, all},
				{"history", `"afterSequence":3`, "member.left room.destroyed"},
				{"history", `"afterSequence":5`, ""},
				{"history", `"afterMessageSeq":0`, "one two three"},
				{"history", `"beforeMessageSeq":0`, "one two three"},
				{"history.alice", `"afterSequence":0`, all},
				{"history.alice", `"afterMessageSeq":0`, "one two three"},
				{"history.bob", `"afterSequence":0`, "member.joined member.left"},
				{"history.bob", `"afterMessageSeq":0`, "two"},
				{"history.bob", `"beforeMessageSeq":0`, "two"},
			} {
				for _, count := range []int{2, 500} {
					if got := w.told(c.subject, "lobby", first, c.at, count); got != c.want {
						t.Errorf("%s, %s %s by %d: %q, want %q", when, c.subject, c.at, count, got, c.want)
					}
				}
			}
			for _, at := range []string{"afterSequence", "afterMessageSeq"} { // carol was never there
				m := w.Ask("history.carol", fmt.Sprintf(`{"roomID":"lobby","instanceID":%q,%q:0}`, first, at))
				if e := refusal(m); e == nil || e.Code.Name != notIn {
					t.Errorf("%s, carol is answered %s", when, m.Data)
				}
			}
		}
	}
	again("after the end", "ROOM_NOT_EXIST")
	w.Refused(room.ErrRoomNotExist, "history", `{"roomID":"lobby","instanceID":"never","afterSequence":0}`)
	w.Refused(room.ErrRoomNotExist, "history", fmt.Sprintf(`{"roomID":"hall","instanceID":%q,"afterSequence":0}`, first))

	second := ok[position](w, "create", `{"roomID":"lobby","userID":"dora","config":{"roomDestroyDelayTime":600}}`).InstanceID
	ok[sent](w, "send", `{"roomID":"lobby","userID":"dora","type":"text","data":"new"}`)
	again("with the name used again", "NOT_ALLOWED")
	if got := w.told("history", "lobby", second, `"afterMessageSeq":0`, 500); got != "new" {
		t.Errorf("the new room: %q", got)
	}
	if got := w.told("history", "lobby", "never", `"afterSequence":0`, 500); got != "another" {
		t.Errorf("an instance that never was: %q", got)
	}
	for _, i := range instances {
		i.End()
	}
	w.Start(roomsvc.Config{Feeds: true})
	again("after a restart", "NOT_ALLOWED")
}

// In an open room that has ended, everybody may read what everybody could hear; but messages
// are for those who were there if the room said so.
func TestHistoryOfAnEndedOpenRoom(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true})
	for _, c := range []struct{ id, config, want string }{
		{"open", `{"delivery":"open"}`, "one"},
		{"hidden", `{"delivery":"open","historyForJoiners":false}`, ""},
	} {
		instance := ok[position](w, "create", fmt.Sprintf(`{"roomID":%q,"userID":"alice","config":%s}`, c.id, c.config)).InstanceID
		w.tick()
		ok[sent](w, "send", fmt.Sprintf(`{"roomID":%q,"userID":"alice","type":"text","data":"one"}`, c.id))
		ok[position](w, "destroy", fmt.Sprintf(`{"roomID":%q}`, c.id))
		w.awaitFacts("room.evt."+c.id, "the room's end", func(f *fact) bool { return f.Type == "room.destroyed.v1" })
		if got := w.told("history.bob", c.id, instance, `"afterSequence":0`, 500); got != "room.created member.left room.destroyed" {
			t.Errorf("%s: bob reads %q", c.id, got)
		}
		if got := w.told("history.alice", c.id, instance, `"afterMessageSeq":0`, 500); got != "one" {
			t.Errorf("%s: alice reads %q", c.id, got)
		}
		body := fmt.Sprintf(`{"roomID":%q,"instanceID":%q,"afterMessageSeq":0}`, c.id, instance)
		if c.want == "" {
			w.Refused(room.ErrRoomNotExist, "history.bob", body)
		} else if got := w.told("history.bob", c.id, instance, `"afterMessageSeq":0`, 500); got != c.want {
			t.Errorf("%s: bob reads the messages %q", c.id, got)
		}
	}
}

// A nextFlag takes the place of the position of the request that it is added to.
func TestNextFlagOfHistory(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	at := ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":600}}`)
	for i := range 5 {
		ok[position](w, "setAttributes", fmt.Sprintf(`{"roomID":"lobby","userID":"alice","set":{"a":"%d"}}`, i))
		ok[sent](w, "send", fmt.Sprintf(`{"roomID":"lobby","userID":"alice","type":"text","data":"%d"}`, i))
	}
	const set = " room.attributes.changed"
	for _, c := range []struct{ at, want string }{
		{`"afterSequence":0`, "room.created" + strings.Repeat(set, 5)},
		{`"afterMessageSeq":0`, "0 1 2 3 4"},
		{`"beforeMessageSeq":0`, "0 1 2 3 4"},
	} {
		if got := w.told("history", "lobby", at.InstanceID, c.at, 2); got != c.want {
			t.Errorf("%s: %q, want %q", c.at, got, c.want)
		}
	}
	for _, flag := range []string{"x", "-1", "1e3"} {
		body := fmt.Sprintf(`{"roomID":"lobby","instanceID":%q,"afterSequence":0,"nextFlag":%q}`, at.InstanceID, flag)
		if e := w.Refused(room.ErrParamInvalid, "history", body); e.Field != "nextFlag" {
			t.Errorf("%q: %v", flag, e)
		}
	}
}
