package roomsvc_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
)

// rounds is how often the order of facts and messages is tried in each setting; make soak runs
// the long form.
func rounds() int {
	if os.Getenv("NATSROOMS_LONG") != "" {
		return 1000
	}
	return 40
}

// orders runs a test with one instance and with three, with a store that syncs always and one
// that does not, and with a leader that hears everything late.
func orders(t *testing.T, test func(t *testing.T, w *world, instances int)) {
	for _, c := range []struct {
		name      string
		instances int
		opts      []roomtest.Option
		lag       time.Duration
	}{
		{"one instance", 1, nil, 0},
		{"one instance, sync always", 1, []roomtest.Option{roomtest.SyncAlways}, 0},
		{"three instances", 3, nil, 0},
		{"three instances, sync always", 3, []roomtest.Option{roomtest.SyncAlways}, 0},
		{"a leader that is behind", 3, nil, 2 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := &world{World: worlds.On(t, roomtest.Start(t, c.opts...))}
			w.Options = []nats.Option{nats.NoReconnect()}
			var wire worlds.Wire
			w.Start(roomsvc.Config{Instance: "i0", Feeds: true}, nats.SetCustomDialer(&wire)) // it leads
			for i := 1; i < c.instances; i++ {
				w.Start(roomsvc.Config{Instance: fmt.Sprintf("i%d", i), Feeds: true})
			}
			wire.Lag.Store(int64(c.lag))
			test(t, w, c.instances)
		})
	}
}

// feed is what one listener hears of one room, in short: texts of messages, and facts as
// "left bob".
func feed(t *testing.T, sub *nats.Subscription, last string) (heard []string) {
	t.Helper()
	for {
		m, err := sub.NextMsg(patience)
		if err != nil {
			t.Fatalf("%s heard %v, but not %q: %v", sub.Subject, heard, last, err)
		}
		heard = append(heard, short(t, m)...)
		if slices.Contains(heard, last) {
			return heard
		}
	}
}

// short is an event in short.
func short(t *testing.T, m *nats.Msg) (list []string) {
	t.Helper()
	f, err := events.DecodeFact(m.Data)
	if err != nil {
		said, err := events.DecodeMessage(m.Data)
		if err != nil {
			t.Fatalf("%s: %v", m.Data, err)
		}
		return []string{said.Data}
	}
	for _, j := range f.Joined {
		list = append(list, "joined "+j.UserID)
	}
	for _, l := range f.Left {
		list = append(list, "left "+l.UserID)
	}
	return list
}

// What is said and answered before a room ends, or before its listener leaves or is put out, is
// heard before that, and in the history of those who were in.
func TestLastWordsAreHeard(t *testing.T) {
	orders(t, func(t *testing.T, w *world, _ int) {
		sub := hear(t, w.NC, "room.feed.al.*")
		for i := range rounds() {
			id := fmt.Sprintf("room-%d", i)
			instance := ok[position](w, "enter.al", fmt.Sprintf(`{"roomID":%q}`, id)).InstanceID
			ok[position](w, "enter.bo", fmt.Sprintf(`{"roomID":%q}`, id))
			ok[room.SendReply](w, "send.bo", fmt.Sprintf(`{"roomID":%q,"type":"text","data":"last words"}`, id))
			switch i % 3 {
			case 0:
				ok[room.DestroyReply](w, "destroy", fmt.Sprintf(`{"roomID":%q}`, id))
			case 1:
				ok[room.LeftReply](w, "leave.al", fmt.Sprintf(`{"roomID":%q}`, id))
			case 2:
				ok[room.KickReply](w, "kick", fmt.Sprintf(`{"roomID":%q,"userIDs":["al"]}`, id))
			}
			heard := feed(t, sub, "left al")
			if at := slices.Index(heard, "last words"); at < 0 || slices.Contains(heard[:at], "left al") {
				t.Errorf("round %d: al hears %q", i, heard)
			}
			if i%3 != 0 { // the room is still there, and whoever is out of it may not read
				ok[position](w, "enter.al", fmt.Sprintf(`{"roomID":%q}`, id))
			}
			for _, subject := range []string{"history", "history.al"} {
				if !reads(w, subject, id, instance, "last words") {
					t.Errorf("round %d: %s does not have the last words", i, subject)
				}
			}
		}
	})
}

// No message comes before its sender's coming or after its sender's leaving, whether or not the
// sender waits for answers, and whoever takes the sender out. What was answered before is heard.
func TestNoWordsOfTheAbsent(t *testing.T) {
	orders(t, func(t *testing.T, w *world, instances int) {
		const senders = 6
		sub := hear(t, w.NC, "room.feed.al.lobby")
		open, backEnd := hear(t, w.NC, "room.open.stage"), hear(t, w.NC, "room.*.lobby")
		ok[position](w, "enter.al", `{"roomID":"lobby","leaseSeconds":3600}`)
		ok[position](w, "enter.al", `{"roomID":"stage","config":{"delivery":"open"},"leaseSeconds":3600}`)
		for i := range rounds() / 4 { // of six senders each
			var answered sync.Map
			together(senders, func(n int) {
				user := fmt.Sprintf("bo%d-%d", i, n)
				for _, id := range []string{"lobby", "stage"} {
					body := func(more string) string { return fmt.Sprintf(`{"roomID":%q%s}`, id, more) }
					text := fmt.Sprintf("%s says %d in %s", user, i, id)
					ok[position](w, "enter."+user, body(""))
					answer := hearOne(t, w.NC, nats.NewInbox())
					if err := w.NC.PublishRequest("room.cmd.send."+user, answer.Subject, []byte(body(`,"type":"text","data":"`+text+`"`))); err != nil {
						t.Error(err)
					}
					if n%2 == 0 { // it waits
						if m, err := answer.NextMsg(patience); err != nil || refusal(m) != nil {
							t.Errorf("%s: %v, %v", user, err, refusal(m))
						}
						answered.Store(text, true)
					}
					if n%3 == 0 {
						ok[room.KickReply](w, "kick", body(fmt.Sprintf(`,"userIDs":[%q]`, user)))
					} else {
						ok[room.LeftReply](w, "leave."+user, body(""))
					}
				}
			})
			for _, l := range []struct {
				sub  *nats.Subscription
				room string
			}{{sub, "lobby"}, {open, "stage"}, {backEnd, "lobby"}} {
				ok[room.SendReply](w, "send", fmt.Sprintf(`{"roomID":%q,"type":"text","data":"end of %d"}`, l.room, i))
				var heard []string
				for at := 0; !slices.Contains(heard, fmt.Sprintf("end of %d", i)) || strings.Count(strings.Join(heard, ","), fmt.Sprintf("left bo%d-", i)) < senders; at++ {
					m, err := l.sub.NextMsg(patience)
					if err != nil {
						t.Fatalf("%s hears %q: %v", l.sub.Subject, heard, err)
					}
					heard = append(heard, short(t, m)...)
				}
				for n := range senders {
					user := fmt.Sprintf("bo%d-%d", i, n)
					text := fmt.Sprintf("%s says %d in %s", user, i, l.room)
					_, must := answered.Load(text)
					said, came, left := slices.Index(heard, text), slices.Index(heard, "joined "+user), slices.Index(heard, "left "+user)
					crossed := l.sub == backEnd && instances > 1 && !must // two streams have no order but by waiting
					if said >= 0 && (said < came || said > left) && !crossed || said < 0 && must {
						t.Errorf("round %d, %s: %q, answered %v, in %q", i, l.sub.Subject, text, must, heard)
					}
				}
			}
		}
	})
}

// What is said while somebody is out never reaches them: not by their feed when they come back
// at once, nor by history where only those who were there may read it. It was said while they
// were out if it was answered before they asked to come back and, with one instance, if it came before that.
// What is on its way while they come back by another instance has its place before their coming or after
// it: what it says itself decides what they hear and read.
func TestNothingOfTheTimeOut(t *testing.T) {
	orders(t, func(t *testing.T, w *world, instances int) {
		sub, all := hear(t, w.NC, "room.feed.al.*"), hear(t, w.NC, "room.msg.*")
		for _, id := range []string{"lobby", "hidden"} {
			ok[position](w, "enter.bo", fmt.Sprintf(`{"roomID":%q,"config":{"historyForJoiners":%v}}`, id, id == "lobby"))
		}
		crossed := 0
		for i := range rounds() {
			waits := i%4 < 2
			for _, id := range []string{"lobby", "hidden"} {
				body := func(more string) string { return fmt.Sprintf(`{"roomID":%q%s}`, id, more) }
				joined := ok[position](w, "enter.al", body(""))
				if i%2 == 0 {
					ok[room.LeftReply](w, "leave.al", body(""))
				} else {
					ok[room.KickReply](w, "kick", body(`,"userIDs":["al"]`))
				}
				secret := fmt.Sprintf("secret %d in %s", i, id)
				answer := hearOne(t, w.NC, nats.NewInbox())
				if err := w.NC.PublishRequest("room.cmd.send.bo", answer.Subject, []byte(body(`,"type":"text","data":"`+secret+`"`))); err != nil {
					t.Fatal(err)
				}
				answered := func() {
					if m, err := answer.NextMsg(patience); err != nil || refusal(m) != nil {
						t.Fatal(err, refusal(m))
					}
				}
				if waits {
					answered()
				}
				back := ok[position](w, "enter.al", body(""))
				if !waits {
					answered()
				}
				after := place(t, all, secret)
				later := after >= back.Sequence
				if later {
					crossed++
				}
				if later && (waits || instances == 1) {
					t.Errorf("round %d: %q comes after fact %d; al is back by %d", i, secret, after, back.Sequence)
				}
				end := fmt.Sprintf("end of %d in %s", i, id)
				ok[room.SendReply](w, "send.bo", body(`,"type":"text","data":"`+end+`"`))
				if heard := feed(t, sub, end); slices.Contains(heard, secret) != later {
					t.Errorf("round %d: al hears %q; the secret comes after fact %d, and al is back by %d", i, heard, after, back.Sequence)
				}
				if id == "hidden" && reads(w, "history.al", id, joined.InstanceID, secret) != later {
					t.Errorf("round %d: al reads %q: %v; it comes after fact %d, and al is back by %d", i, secret, !later, after, back.Sequence)
				}
				ok[room.LeftReply](w, "leave.al", body(""))
				feed(t, sub, "left al")
			}
		}
		t.Logf("%d messages crossed a return, and come after it", crossed)
	})
}

// place is the fact that a message comes after, as somebody hears who hears everything.
func place(t *testing.T, all *nats.Subscription, text string) uint64 {
	t.Helper()
	for {
		m, err := all.NextMsg(patience)
		if err != nil {
			t.Fatalf("nobody hears %q: %v", text, err)
		}
		if said, err := events.DecodeMessage(m.Data); err == nil && said.Data == text {
			return said.After
		}
	}
}

// reads says whether somebody finds a message among the newest of a room.
func reads(w *world, subject, id, instance, text string) bool {
	w.T.Helper()
	page := ok[room.HistoryReply](w, subject, fmt.Sprintf(`{"roomID":%q,"instanceID":%q,"beforeMessageSeq":0,"count":3}`, id, instance))
	return slices.ContainsFunc(page.Events, func(e jsontext.Value) bool { return strings.Contains(string(e), text) })
}

// Commands of one session that are sent without waiting take effect and are answered in order.
func TestCommandsInOrder(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true})
	inbox := hear(t, w.NC, nats.NewInbox()+".>")
	for i := range rounds() {
		for what, steps := range map[string][]string{
			"enter, send":               {"enter", "send", "leave"},
			"enter, leave, enter":       {"enter", "leave", "enter", "leave"},
			"send, leave":               {"enter", "send", "send", "leave"},
			"enter, look, leave":        {"enter", "members", "send", "members", "leave"},
			"enter, switch, leave":      {"enter", "switch", "send", "leaveAll", "enter", "setAttributes", "leave"},
			"enter, leaveAll, and back": {"enter", "leaveAll", "enter", "renew", "send", "leaveAll"},
		} {
			user, here, there := fmt.Sprintf("u%d", i), fmt.Sprintf("room-%d", i), fmt.Sprintf("other-%d", i)
			at := here
			var list []pipelined
			for _, verb := range steps {
				body := fmt.Sprintf(`{"roomID":%q}`, at)
				switch verb {
				case "send":
					body = fmt.Sprintf(`{"roomID":%q,"type":"text","data":"x"}`, at)
				case "switch":
					body = fmt.Sprintf(`{"fromRoomID":%q,"toRoomInfo":{"roomID":%q},"isCreateWhenRoomNotExisted":true}`, here, there)
					at = there
				case "leaveAll", "renew":
					body = `{}`
				case "setAttributes":
					body = fmt.Sprintf(`{"roomID":%q,"set":{"a":"b"}}`, at)
				}
				list = append(list, pipelined{verb + "." + user, body, nil})
			}
			pipeline(w, inbox, fmt.Sprintf("round %d, %s", i, what), list)
			if rooms := ok[room.RoomsReply](w, "rooms."+user, `{"sync":true}`).Rooms; len(rooms) != 0 {
				t.Errorf("round %d, %s: %s is in %v at the end", i, what, user, rooms)
			}
		}
	}
}

// pipelined is a command that is sent without waiting, and how it must be refused.
type pipelined struct {
	subject, body string
	refused       *room.Code
}

// pipeline sends commands of one session at once, and checks that they are answered in that
// order.
func pipeline(w *world, inbox *nats.Subscription, what string, list []pipelined) {
	w.T.Helper()
	prefix := strings.TrimSuffix(inbox.Subject, ">")
	for n, c := range list {
		if err := w.NC.PublishRequest("room.cmd."+c.subject, fmt.Sprintf("%s%d", prefix, n), []byte(c.body)); err != nil {
			w.T.Fatal(err)
		}
	}
	for n, c := range list {
		m, err := inbox.NextMsg(patience)
		if err != nil {
			w.T.Fatalf("%s, step %d: %v", what, n, err)
		}
		var code *room.Code
		if e := refusal(m); e != nil {
			code = e.Code
		}
		if (code == nil) != (c.refused == nil) || code != nil && code.Name != c.refused.Name || m.Subject != fmt.Sprintf("%s%d", prefix, n) {
			w.T.Errorf("%s: step %d (%s): %s, answered at %s", what, n, c.subject, m.Data, m.Subject)
		}
	}
}

// Answers come in order whatever takes longer: a read that waits for a stream or a sync point, a
// message that is stored, or a refusal that needs no look at the room. And what is said comes to
// everybody in the order in which it was sent, live-only messages too.
func TestAnswersInOrder(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true})
	inbox := hear(t, w.NC, nats.NewInbox()+".>")
	said := hear(t, w.NC, "room.feed.bo.lobby")
	ok[position](w, "enter.bo", `{"roomID":"lobby","leaseSeconds":3600}`)
	instance := ok[position](w, "enter.al", `{"roomID":"lobby","leaseSeconds":3600}`).InstanceID
	send := func(typ, data string) pipelined {
		return pipelined{"send.al", fmt.Sprintf(`{"roomID":"lobby","type":%q,"data":%q}`, typ, data), nil}
	}
	set, count := pipelined{"setAttributes.al", `{"roomID":"lobby","set":{"a":"b"}}`, nil}, pipelined{"count.al", `{"roomID":"lobby"}`, nil}
	history := pipelined{"history.al", fmt.Sprintf(`{"roomID":"lobby","instanceID":%q,"beforeMessageSeq":0}`, instance), nil}
	for i := range rounds() / 4 { // of eleven each
		for what, list := range map[string][]pipelined{
			"stored, live":                {send("text", "1"), send("command", "2"), send("barrage", "3"), send("custom", "4"), send("command", "5")},
			"a change, a wrong field":     {set, {"setAttributes.al", `{"roomID":"lobby","set":{"a":5}}`, room.ErrParamInvalid}, set},
			"a change, a wrong room":      {set, {"leave.al", `{"roomID":""}`, room.ErrParamInvalid}, {"leave.al", `{"roomID":{}}`, room.ErrParamInvalid}},
			"a change, no JSON":           {set, {"leave.al", `{"roomID":"lobby"`, room.ErrParamInvalid}, {"leave.al", `?`, room.ErrParamInvalid}},
			"a change, another's name":    {set, {"leave.al", `{"roomID":"lobby","userID":"bo"}`, room.ErrNotAllowed}},
			"a change, not for users":     {set, {"list.al", `{}`, room.ErrNotAllowed}},
			"a change, far too large":     {set, {"send.al", `{"roomID":"lobby","type":"text","data":"` + strings.Repeat("x", 70<<10) + `"}`, room.ErrParamInvalid}},
			"a back end's, a wrong field": {{"setAttributes", `{"userID":"al","roomID":"lobby","set":{"a":"b"}}`, nil}, {"leave", `{"userID":"al","roomID":5}`, room.ErrParamInvalid}},
			"all members, count":          {{"members.al", `{"roomID":"lobby","sync":true}`, nil}, count, {"get.al", `{"roomID":"lobby"}`, nil}},
			"history, count":              {history, count, {"renew.al", `{}`, nil}, count},
			"a message, a wrong page":     {send("text", "0"), {"members.al", `{"roomID":"lobby","count":-1}`, room.ErrParamInvalid}, history},
		} {
			pipeline(w, inbox, fmt.Sprintf("round %d, %s", i, what), list)
			if what != "stored, live" {
				continue
			}
			for n, want := range []string{"1", "2", "3", "4", "5"} {
				if heard := nextSaid(t, said); heard != want {
					t.Errorf("round %d: %q is heard as number %d", i, heard, n+1)
				}
			}
		}
	}
}

// nextSaid is the next message that is part of a test about order; the text "0" is of another one.
func nextSaid(t *testing.T, sub *nats.Subscription) string {
	t.Helper()
	for {
		m, err := sub.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if said, err := events.DecodeMessage(m.Data); err == nil && said.Data != "0" {
			return said.Data
		}
	}
}
