package roomsvc_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// message is a message as its copies and history show it, written out again from the contract.
type message struct {
	RoomID       string `json:"roomID"`
	InstanceID   string `json:"instanceID"`
	MessageID    string `json:"messageID"`
	MessageSeq   uint64 `json:"messageSeq"`
	SenderUserID string `json:"senderUserID"`
	Type         string `json:"type"`
	SubType      int    `json:"subType"`
	Data         string `json:"data"`
	Priority     string `json:"priority"`
	ExtendedData string `json:"extendedData"`
	Timestamp    int64  `json:"timestamp"`
}

type sent struct {
	MessageID  string `json:"messageID"`
	MessageSeq uint64 `json:"messageSeq"`
	Timestamp  int64  `json:"timestamp"`
}

// readMessage reads a message and checks its envelope.
func readMessage(t *testing.T, data []byte) *message {
	t.Helper()
	var e event.Event
	if err := e.UnmarshalJSON(data); err != nil {
		t.Fatalf("%.300s: %v", data, err)
	}
	if err := e.Validate(); err != nil {
		t.Errorf("no valid CloudEvent: %v: %s", err, data)
	}
	m := decode[message](t, e.Data())
	x := e.Extensions()
	if e.Type() != typePrefix+"message.sent.v1" || e.ID() != m.MessageID || e.Subject() != m.RoomID || e.DataContentType() != "application/json" ||
		e.Source() != "/rooms/"+token(m.RoomID)+"/"+m.InstanceID+"/messages" || e.Time().UnixMilli() != m.Timestamp ||
		x["roominstance"] != m.InstanceID || x["partitionkey"] != m.RoomID {
		t.Errorf("an envelope unlike the contract: %s", data)
	}
	return m
}

// storedMessages reads what the stream holds at a subject.
func (w *world) storedMessages(subject string) (all []*message) {
	w.T.Helper()
	stream, err := w.JS.Stream(w.Ctx, "ROOM_MESSAGES")
	if err != nil {
		w.T.Fatal(err)
	}
	cons, err := stream.OrderedConsumer(w.Ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		w.T.Fatal(err)
	}
	for left := cons.CachedInfo().NumPending; left > 0; left-- {
		m, err := cons.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			w.T.Fatal(err)
		}
		meta, _ := m.Metadata()
		x := readMessage(w.T, m.Data())
		x.MessageSeq = meta.Sequence.Stream
		all = append(all, x)
	}
	return all
}

type historyPage struct {
	InstanceID string           `json:"instanceID"`
	Events     []jsontext.Value `json:"events"`
	NextFlag   string           `json:"nextFlag"`
	Complete   bool             `json:"complete"`
	Sequence   uint64           `json:"sequence"`
	MessageSeq uint64           `json:"messageSeq"`
}

func TestSend(t *testing.T) {
	forms(t, func(t *testing.T, form func(verb, user, fields string) (string, string)) {
		w, _ := newWorld(t, 2, configOf(nil))
		sub, err := w.NC.SubscribeSync("room.msg.>")
		if err != nil {
			t.Fatal(err)
		}
		ok[position](w, "create", `{"roomID":"a.b","userID":"alice","config":{"roomDestroyDelayTime":60}}`)
		last := uint64(0)
		for _, c := range []struct {
			body   string
			want   message
			stored bool
		}{
			{`"type":"text","data":"hello <b> \u2028"`, message{Type: "text", Data: "hello <b> \u2028", Priority: "low"}, true},
			{`"type":"custom","subType":200,"data":"{}","priority":"high","extendedData":"x"`, message{Type: "custom", SubType: 200, Data: "{}", Priority: "high", ExtendedData: "x"}, true},
			{`"type":"command","data":"typing"`, message{Type: "command", Data: "typing", Priority: "low"}, false},
			{`"type":"barrage","data":"wow","priority":"medium"`, message{Type: "barrage", Data: "wow", Priority: "medium"}, false},
			{`"type":"text","data":"again"`, message{Type: "text", Data: "again", Priority: "low"}, true},
		} {
			subject, body := form("send", "alice", `"roomID":"a.b",`+c.body)
			reply := ok[sent](w, subject, body)
			copied, err := sub.NextMsg(patience)
			if err != nil {
				t.Fatal(err)
			}
			got := readMessage(t, copied.Data)
			c.want.RoomID, c.want.SenderUserID, c.want.InstanceID = "a.b", "alice", got.InstanceID
			c.want.MessageID, c.want.Timestamp = reply.MessageID, reply.Timestamp
			if *got != c.want || copied.Subject != "room.msg.a=2Eb" || copied.Header.Get("Content-Type") != "application/cloudevents+json" {
				t.Errorf("%s: heard %+v at %s, want %+v", body, got, copied.Subject, c.want)
			}
			if c.stored != (reply.MessageSeq > 0) || copied.Header.Get("Nats-Sequence") != map[bool]string{true: strconv.FormatUint(reply.MessageSeq, 10)}[c.stored] {
				t.Errorf("%s: messageSeq %d, the copy's headers %v", body, reply.MessageSeq, copied.Header)
			}
			if c.stored {
				if copied.Header.Get("Nats-Last-Sequence") != strconv.FormatUint(last, 10) {
					t.Errorf("%s: the message before it is %s, was %d", body, copied.Header.Get("Nats-Last-Sequence"), last)
				}
				last = reply.MessageSeq
			}
		}
		for _, c := range []struct {
			code       *room.Code
			user, body string
			field      string
		}{
			{room.ErrUserNotInRoom, "bob", `"roomID":"a.b","type":"text","data":"x"`, ""},
			{room.ErrUserNotInRoom, "alice", `"roomID":"a.b","type":"text","data":"x","sessionID":"other"`, ""},
			{room.ErrRoomNotExist, "alice", `"roomID":"none","type":"text","data":"x"`, ""},
			{room.ErrParamInvalid, "alice", `"roomID":"a.b","type":"image","data":"x"`, "type"},
			{room.ErrParamInvalid, "alice", `"roomID":"a.b","type":"text","data":""`, "data"},
			{room.ErrParamInvalid, "alice", `"roomID":"a.b","type":"text","data":"x","priority":"urgent"`, "priority"},
			{room.ErrParamInvalid, "alice", `"roomID":"a.b","type":"custom","data":"x","subType":201`, "subType"},
			{room.ErrParamInvalid, "alice", `"roomID":"a.b","type":"text","data":"x","subType":1`, "subType"},
			{room.ErrParamInvalid, "alice", `"roomID":"a.b","type":"text","data":"x","extendedData":"` + strings.Repeat("x", 1025) + `"`, "extendedData"},
			{room.ErrMessageTooLong, "alice", `"roomID":"a.b","type":"text","data":"` + strings.Repeat("<", 32<<10+1) + `"`, "data"},
		} {
			subject, body := form("send", c.user, c.body)
			if e := w.Refused(c.code, subject, body); e.Field != c.field {
				t.Errorf("%.100s: field %q, want %q", body, e.Field, c.field)
			}
		}
		subject, body := form("send", "alice", `"roomID":"a.b","type":"text","data":"`+strings.Repeat("<", 32<<10)+`"`)
		ok[sent](w, subject, body)
		if n := len(w.storedMessages("room.msg.a=2Eb")); n != 4 {
			t.Errorf("%d messages are stored, want 4", n)
		}
	})
	w, _ := newWorld(t, 1, configOf(nil))
	ok[position](w, "create", `{"roomID":"lobby","userID":"alice"}`)
	ok[sent](w, "send", `{"roomID":"lobby","type":"text","data":"maintenance at ten"}`)
	if m := w.storedMessages("room.msg.lobby"); len(m) != 1 || m[0].SenderUserID != "" {
		t.Errorf("a server message: %+v", m)
	}
	w.Refused(room.ErrRoomNotExist, "send", `{"roomID":"none","type":"text","data":"x"}`)
}

// A message is stored once, whichever instance it is sent to again, and after a restart.
func TestRepeatedMessages(t *testing.T) {
	w, instances := newWorld(t, 3, roomsvc.Config{})
	ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":600}}`)
	ok[position](w, "join", `{"roomID":"lobby","userID":"bob"}`)
	const body = `{"roomID":"lobby","userID":"alice","type":"text","data":"once","requestID":"1"}`
	first := ok[sent](w, "send", body)
	again := func() {
		t.Helper()
		if r := ok[sent](w, "send", body); *r != *first {
			t.Errorf("sent again: %+v, the first outcome was %+v", r, first)
		}
		w.Refused(room.ErrParamInvalid, "send", strings.Replace(body, "once", "twice", 1))
	}
	for range 6 {
		again()
	}
	if r := ok[sent](w, "send", strings.Replace(body, "alice", "bob", 1)); r.MessageID == first.MessageID {
		t.Error("bob's message is taken for alice's")
	}
	for _, i := range instances {
		i.End()
	}
	w.Node.Stop()
	w.Node.Start()
	w.Start(roomsvc.Config{})
	again()
	shout := strings.Replace(strings.Replace(body, "text", "barrage", 1), `"1"`, `"2"`, 1)
	if a, b := ok[sent](w, "send", shout), ok[sent](w, "send", shout); *a != *b {
		t.Errorf("a live message sent again: %+v, then %+v", a, b)
	}
	if n := len(w.storedMessages("room.msg.lobby")); n != 2 {
		t.Errorf("%d messages are stored, want 2", n)
	}
	// Its user may have left meanwhile, and the room may have ended.
	ok[position](w, "leave", `{"roomID":"lobby","userID":"alice"}`)
	again()
	w.Refused(room.ErrUserNotInRoom, "send", strings.Replace(body, `"1"`, `"4"`, 1))
	ok[room.DestroyReply](w, "destroy", `{"roomID":"lobby"}`)
	again()
}

// A user may send as soon as it has joined, on any instance, and not once it has left.
func TestMembersSendAtOnce(t *testing.T) {
	w, _ := newWorld(t, 3, roomsvc.Config{})
	ok[position](w, "create", `{"roomID":"lobby","config":{"roomDestroyDelayTime":600}}`)
	together(300, func(i int) {
		user := fmt.Sprintf("u%d", i)
		if _, err := once[position](w, room.Join, map[string]any{"roomID": "lobby", "userID": user}); err != nil {
			t.Error(err)
			return
		}
		if _, err := once[sent](w, room.Send, map[string]any{"roomID": "lobby", "userID": user, "type": "text", "data": user}); err != nil {
			t.Errorf("%s is in, but may not send: %v", user, err)
		}
	})
	seen := map[string]int{}
	for _, m := range w.storedMessages("room.msg.lobby") {
		seen[m.Data]++
	}
	if len(seen) != 300 {
		t.Errorf("%d messages of 300 are stored", len(seen))
	}
}

func TestMessageRate(t *testing.T) {
	w, _ := newWorld(t, 1, configOf(func(c *roomsvc.Config) { c.Limits.MessageRate = 5 }))
	for _, id := range []string{"lobby", "other"} {
		ok[position](w, "create", fmt.Sprintf(`{"roomID":%q,"userID":"alice"}`, id))
		ok[position](w, "join", fmt.Sprintf(`{"roomID":%q,"userID":"bob"}`, id))
	}
	send := func(user, id, priority string) string {
		return fmt.Sprintf(`{"roomID":%q,"userID":%q,"type":"barrage","data":"x","priority":%q}`, id, user, priority)
	}
	var refused *room.Error
	for n := 0; refused == nil; n++ {
		if m := w.Ask("send", send("alice", "lobby", "low")); n > 100 {
			t.Fatal("alice may send without limit")
		} else if e := refusal(m); e != nil {
			if refused = e; n < 5 {
				t.Errorf("refused after %d", n)
			}
		}
	}
	if refused.Code.Name != "RATE_LIMITED" || refused.Code.Number != 6000005 || refused.Limit != 5 || refused.RetryAfterMs < 1 || refused.RetryAfterMs > 200 {
		t.Errorf("refused by %+v", refused)
	}
	ok[sent](w, "send", send("alice", "lobby", "high")) // this passes where low is refused
	ok[sent](w, "send", send("alice", "other", "low"))
	ok[sent](w, "send", send("bob", "lobby", "low"))
	ok[sent](w, "send", `{"roomID":"lobby","type":"text","data":"of the server"}`)
}

// A full stream accepts no more messages and loses none; rooms can still be changed.
func TestMessagesFull(t *testing.T) {
	w, _ := newWorld(t, 1, configOf(nil))
	stream, err := w.JS.Stream(w.Ctx, "ROOM_MESSAGES")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxMsgs = 3
	if _, err := w.JS.UpdateStream(w.Ctx, cfg); err != nil {
		t.Fatal(err)
	}
	ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":600}}`)
	for i := range 3 {
		ok[sent](w, "send", fmt.Sprintf(`{"roomID":"lobby","userID":"alice","type":"text","data":"%d"}`, i))
	}
	for range 3 {
		w.Refused(room.ErrBusy, "send", `{"roomID":"lobby","userID":"alice","type":"text","data":"too much"}`)
	}
	ok[position](w, "join", `{"roomID":"lobby","userID":"bob"}`)
	var data []string
	for _, m := range w.storedMessages("room.msg.lobby") {
		data = append(data, m.Data)
	}
	if !slices.Equal(data, []string{"0", "1", "2"}) {
		t.Errorf("the stream holds %q", data)
	}
}

// A subscriber that misses copies learns it from Nats-Last-Sequence, and finds them in history.
func TestMessageHoles(t *testing.T) {
	w, _ := newWorld(t, 2, configOf(nil))
	instance := ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":600}}`).InstanceID
	ok[position](w, "create", `{"roomID":"other","userID":"alice","config":{"roomDestroyDelayTime":600}}`)
	sub, err := w.NC.SubscribeSync("room.msg.lobby")
	if err != nil {
		t.Fatal(err)
	}
	const n = 100
	together(n, func(i int) {
		for _, id := range []string{"lobby", "other"} {
			if _, err := once[sent](w, room.Send, map[string]any{"roomID": id, "userID": "alice", "type": "text", "data": strconv.Itoa(i)}); err != nil {
				t.Error(err)
			}
		}
	})
	var got []uint64
	last, holes := uint64(0), 0
	for i := range n {
		m, err := sub.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if i%10 == 5 && i < n-1 {
			continue // lost
		}
		seq, _ := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		if before := m.Header.Get("Nats-Last-Sequence"); before != strconv.FormatUint(last, 10) {
			holes++
			for _, missed := range w.past(instance, "lobby", "afterMessageSeq", last, 500) {
				if missed.MessageSeq < seq {
					got = append(got, missed.MessageSeq)
				}
			}
		}
		got, last = append(got, seq), seq
	}
	var want []uint64
	for _, m := range w.storedMessages("room.msg.lobby") {
		want = append(want, m.MessageSeq)
	}
	if !slices.Equal(got, want) || holes != n/10 {
		t.Errorf("with %d holes healed there are %v; %v are stored", holes, got, want)
	}
}

// past reads messages from history, page by page.
func (w *world) past(instance, id, position string, from uint64, count int) (all []*message) {
	w.T.Helper()
	for next := strconv.FormatUint(from, 10); next != ""; {
		m := w.Ask("history", fmt.Sprintf(`{"roomID":%q,"instanceID":%q,%q:%s,"count":%d}`, id, instance, position, next, count))
		if e := refusal(m); e != nil {
			w.T.Fatal(e)
		}
		if len(m.Data) > 256<<10 {
			w.T.Errorf("a page of %d bytes", len(m.Data))
		}
		page := decode[historyPage](w.T, m.Data)
		var list []*message
		for _, e := range page.Events {
			list = append(list, readMessage(w.T, e))
		}
		if len(list) > count || page.NextFlag != "" && len(list) == 0 {
			w.T.Fatalf("a page of %d, asked for %d", len(list), count)
		}
		if position == "beforeMessageSeq" {
			all = append(list, all...)
		} else {
			all = append(all, list...)
		}
		next = page.NextFlag
	}
	return all
}

func TestHistoryOfMessages(t *testing.T) {
	w, _ := newWorld(t, 2, configOf(func(c *roomsvc.Config) { c.MessagesPerRoom = 40 }))
	ok[position](w, "create", `{"roomID":"lobby","userID":"alice"}`)
	ok[sent](w, "send", `{"roomID":"lobby","userID":"alice","type":"text","data":"of an instance before"}`)
	ok[position](w, "leave", `{"roomID":"lobby","userID":"alice"}`)
	instance := ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":600}}`).InstanceID
	if got := w.past(instance, "lobby", "afterMessageSeq", 0, 10); len(got) > 0 {
		t.Errorf("a new room has messages of the one before: %+v", got)
	}
	var seqs []uint64
	say := func(n, size int) {
		for range n {
			for _, id := range []string{"lobby", "noise"} {
				ok[position](w, "enter", fmt.Sprintf(`{"roomID":%q,"userID":"alice","config":{"roomDestroyDelayTime":600}}`, id))
				r := ok[sent](w, "send", fmt.Sprintf(`{"roomID":%q,"userID":"alice","type":"text","data":%q}`, id, strings.Repeat("x", size)))
				if id == "lobby" {
					seqs = append(seqs, r.MessageSeq)
				}
			}
		}
	}
	compare := func(what string, got []*message, want []uint64) {
		t.Helper()
		var have []uint64
		for _, m := range got {
			have = append(have, m.MessageSeq)
		}
		if !slices.Equal(have, want) {
			t.Errorf("%s: %v, want %v", what, have, want)
		}
	}
	complete := func(position string, from uint64, want bool) {
		t.Helper()
		p := ok[historyPage](w, "history", fmt.Sprintf(`{"roomID":"lobby","instanceID":%q,%q:%d,"count":500}`, instance, position, from))
		if p.Complete != want || p.MessageSeq != seqs[len(seqs)-1] {
			t.Errorf("%s %d: complete %t, want %t; messageSeq %d, want %d", position, from, p.Complete, want, p.MessageSeq, seqs[len(seqs)-1])
		}
	}
	say(35, 1)
	for _, count := range []int{1, 7, 500} {
		compare(fmt.Sprintf("forward by %d", count), w.past(instance, "lobby", "afterMessageSeq", 0, count), seqs)
		compare(fmt.Sprintf("back by %d", count), w.past(instance, "lobby", "beforeMessageSeq", 0, count), seqs)
	}
	compare("from the middle", w.past(instance, "lobby", "afterMessageSeq", seqs[17], 4), seqs[18:])
	compare("before the middle", w.past(instance, "lobby", "beforeMessageSeq", seqs[17], 4), seqs[:17])
	complete("afterMessageSeq", 0, true)
	complete("afterMessageSeq", seqs[34], true)
	complete("beforeMessageSeq", 0, true)
	say(25, 30<<10) // pages end because of their bytes; the oldest messages go
	kept := seqs[len(seqs)-40:]
	compare("what is kept, forward", w.past(instance, "lobby", "afterMessageSeq", 0, 500), kept)
	compare("what is kept, back", w.past(instance, "lobby", "beforeMessageSeq", 0, 500), kept)
	complete("afterMessageSeq", 0, false)
	complete("afterMessageSeq", kept[0], true)
	complete("afterMessageSeq", kept[0]-1, false)
	if p := ok[historyPage](w, "history", `{"roomID":"lobby","instanceID":"another","afterMessageSeq":0}`); p.Complete || len(p.Events) > 0 || p.InstanceID != instance {
		t.Errorf("of another instance: %+v", p)
	}
}

// JSON needs six bytes for some characters; a page allows for that, in either direction.
func TestHistoryOfLongMessages(t *testing.T) {
	w, _ := newWorld(t, 1, configOf(nil))
	instance := ok[position](w, "create", `{"roomID":"lobby","userID":"alice"}`).InstanceID
	for range 12 {
		ok[sent](w, "send", fmt.Sprintf(`{"roomID":"lobby","userID":"alice","type":"text","data":"%s"}`, strings.Repeat(`\u0001`, 10_500)))
	}
	for _, position := range []string{"afterMessageSeq", "beforeMessageSeq"} {
		if n := len(w.past(instance, "lobby", position, 0, 500)); n != 12 { // past checks the length of each page
			t.Errorf("paging by %s gives %d messages, want 12", position, n)
		}
	}
}

// A busy room does not hide its past from a reader who pages back.
func TestHistoryWhileOthersTalk(t *testing.T) {
	w, _ := newWorld(t, 1, configOf(func(c *roomsvc.Config) { c.MessagesPerRoom = 100_000 }))
	instance := ok[position](w, "create", `{"roomID":"lobby","userID":"alice"}`).InstanceID
	for range 50 {
		ok[sent](w, "send", `{"roomID":"lobby","userID":"alice","type":"text","data":"x"}`)
	}
	over := make(chan struct{})
	var talk sync.WaitGroup
	for range 8 {
		talk.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if _, err := once[sent](w, room.Send, map[string]any{"roomID": "lobby", "userID": "alice", "type": "text", "data": "y"}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 40 {
		count := 1 + i%5
		p := ok[historyPage](w, "history", fmt.Sprintf(`{"roomID":"lobby","instanceID":%q,"beforeMessageSeq":0,"count":%d}`, instance, count))
		if len(p.Events) != count || p.NextFlag == "" {
			t.Errorf("asked for %d, there are %d, nextFlag %q", count, len(p.Events), p.NextFlag)
		}
	}
	close(over)
	talk.Wait()
}

// A message that has been discarded since was sent all the same.
func TestRepeatedMessageThatIsDiscarded(t *testing.T) {
	w, _ := newWorld(t, 1, configOf(func(c *roomsvc.Config) { c.MessagesPerRoom = 2 }))
	ok[position](w, "create", `{"roomID":"lobby","userID":"alice"}`)
	const body = `{"roomID":"lobby","userID":"alice","type":"text","data":"first","requestID":"r"}`
	first := ok[sent](w, "send", body)
	for range 2 {
		ok[sent](w, "send", `{"roomID":"lobby","userID":"alice","type":"text","data":"more"}`)
	}
	if r := ok[sent](w, "send", body); r.MessageSeq != first.MessageSeq {
		t.Errorf("repeated: %+v, the first outcome was %+v", r, first)
	}
	if n := len(w.storedMessages("room.msg.lobby")); n != 2 {
		t.Errorf("%d messages are stored, want 2", n)
	}
}

func TestHistoryForJoiners(t *testing.T) {
	w, _ := newWorld(t, 1, configOf(nil))
	instance := ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"historyForJoiners":false}}`).InstanceID
	before := ok[sent](w, "send", `{"roomID":"lobby","userID":"alice","type":"text","data":"before"}`)
	joined := time.Now() // the clock decides here: the next join must be a millisecond later
	for joined.UnixMilli() <= before.Timestamp {
		joined = time.Now()
	}
	ok[position](w, "join", `{"roomID":"lobby","userID":"bob"}`)
	ok[sent](w, "send", `{"roomID":"lobby","userID":"alice","type":"text","data":"after"}`)
	ask := func(subject, user string) string {
		p := ok[historyPage](w, subject, fmt.Sprintf(`{%s"roomID":"lobby","instanceID":%q,"beforeMessageSeq":0}`, user, instance))
		var data []string
		for _, e := range p.Events {
			data = append(data, readMessage(t, e).Data)
		}
		return strings.Join(data, " ")
	}
	for subject, want := range map[string]string{"history.bob": "after", "history.alice": "before after", "history": "before after"} {
		if got := ask(subject, ""); got != want {
			t.Errorf("%s: %q, want %q", subject, got, want)
		}
	}
	w.Refused(room.ErrUserNotInRoom, "history.carol", fmt.Sprintf(`{"roomID":"lobby","instanceID":%q,"afterMessageSeq":0}`, instance))
}

// pagesOfFacts reads the room's facts in pages of several lengths, from several places.
func (w *world) pagesOfFacts(instance string, stored []*fact, counts ...int) {
	w.T.Helper()
	for _, count := range counts {
		for _, from := range []uint64{0, 1, 30, 59, 60, 61, 99} {
			var got []jsontext.Value
			for next := strconv.FormatUint(from, 10); next != ""; {
				p := ok[historyPage](w, "history", fmt.Sprintf(`{"roomID":"lobby","instanceID":%q,"afterSequence":%s,"count":%d,"sync":true}`, instance, next, count))
				if !p.Complete || p.Sequence != uint64(len(stored)) || p.InstanceID != instance || len(p.Events) > count {
					w.T.Fatalf("after %s: complete %t, head %d, %d events", next, p.Complete, p.Sequence, len(p.Events))
				}
				got = append(got, p.Events...)
				if p.NextFlag == next {
					w.T.Fatalf("after %s comes %[1]s", next)
				}
				next = p.NextFlag
			}
			want := stored[min(int(from), len(stored)):]
			if len(got) != len(want) {
				w.T.Fatalf("after %d by %d: %d facts, want %d", from, count, len(got), len(want))
			}
			for i := range got {
				if string(got[i]) != string(want[i].Raw) {
					w.T.Errorf("after %d: fact %d is %s, stored is %s", from, i, got[i], want[i].Raw)
				}
			}
		}
	}
}

func TestHistoryOfFacts(t *testing.T) {
	w, instances := newWorld(t, 2, configOf(nil))
	instance := ok[position](w, "create", `{"roomID":"lobby","config":{"roomDestroyDelayTime":600}}`).InstanceID
	for i := range 60 {
		ok[position](w, "join", fmt.Sprintf(`{"roomID":"lobby","userID":"u%d","userName":%q}`, i, strings.Repeat("n", 200)))
		ok[position](w, "enter", fmt.Sprintf(`{"roomID":"noise%d","userID":"u%d","config":{"roomDestroyDelayTime":600}}`, i%3, i))
	}
	stored := w.journal("room.evt.lobby", 1)
	w.pagesOfFacts(instance, stored, 1, 7, 500)
	// An instance that has just started does not hold any fact as it was stored.
	for _, i := range instances {
		i.End()
	}
	w.Start(configOf(nil))
	w.pagesOfFacts(instance, stored, 17, 500)
	for body, field := range map[string]string{
		`{"roomID":"lobby","instanceID":"x"}`:                                       "afterSequence",
		`{"roomID":"lobby","instanceID":"x","afterSequence":1,"afterMessageSeq":1}`: "afterSequence",
		`{"roomID":"lobby","afterSequence":1}`:                                      "instanceID",
		`{"roomID":"lobby","instanceID":"x","afterSequence":1,"count":501}`:         "count",
		`{"roomID":"lobby","instanceID":"x","afterSequence":-1}`:                    "afterSequence",
	} {
		if e := w.Refused(room.ErrParamInvalid, "history", body); e.Field != field {
			t.Errorf("%s: field %q, want %q", body, e.Field, field)
		}
	}
	w.Refused(room.ErrRoomNotExist, "history", `{"roomID":"none","instanceID":"x","afterSequence":1}`)
	if p := ok[historyPage](w, "history", `{"roomID":"lobby","instanceID":"another","afterSequence":0}`); p.Complete || len(p.Events) > 0 || p.InstanceID != instance {
		t.Errorf("of another instance: %+v", p)
	}
}

// The messageSeq that rooms gives is that of the newest message.
func TestMessageHeads(t *testing.T) {
	w, _ := newWorld(t, 3, configOf(nil))
	ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":600}}`)
	var head uint64
	for i := range 10 {
		head = ok[sent](w, "send", fmt.Sprintf(`{"roomID":"lobby","userID":"alice","type":"text","data":"%d"}`, i)).MessageSeq
	}
	deadline := time.Now().Add(patience)
	for agreed := 0; agreed < 30; { // no matter which instance answers
		r := ok[room.RoomsReply](w, "rooms", `{"userID":"alice","sync":true}`)
		if r.Rooms[0].MessageSeq == head {
			agreed++
		} else if time.Now().After(deadline) {
			t.Fatalf("rooms says %+v, the newest message is %d", r.Rooms, head)
		}
	}
	w.Start(roomsvc.Config{})
	for agreed := 0; agreed < 30; {
		if r := ok[room.RoomsReply](w, "rooms", `{"userID":"alice","sync":true}`); r.Rooms[0].MessageSeq == head {
			agreed++
		} else if time.Now().After(deadline) {
			t.Fatalf("after a start rooms says %+v, the newest message is %d", r.Rooms, head)
		}
	}
}

// Members talk while others join: no message and no join is lost or doubled.
func TestMessagesDuringAStorm(t *testing.T) {
	w, _ := newWorld(t, 3, roomsvc.Config{})
	ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":600}}`)
	sub, err := w.NC.Subscribe("room.msg.lobby", func(*nats.Msg) {})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	var mu sync.Mutex
	acked := map[string]uint64{}
	together(600, func(i int) {
		if i%3 == 0 {
			if _, err := once[position](w, room.Enter, map[string]any{"roomID": "lobby", "userID": fmt.Sprintf("u%d", i)}); err != nil {
				t.Error(err)
			}
			return
		}
		r, err := once[sent](w, room.Send, map[string]any{"roomID": "lobby", "userID": "alice", "type": "text", "data": strconv.Itoa(i), "requestID": strconv.Itoa(i)})
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		acked[strconv.Itoa(i)] = r.MessageSeq
		mu.Unlock()
	})
	stored := map[string]uint64{}
	for _, m := range w.storedMessages("room.msg.lobby") {
		if stored[m.Data] != 0 {
			t.Errorf("message %s is stored twice", m.Data)
		}
		stored[m.Data] = m.MessageSeq
	}
	for data, seq := range acked {
		if stored[data] != seq {
			t.Errorf("message %s was acknowledged as %d, stored is %d", data, seq, stored[data])
		}
	}
	if len(stored) != len(acked) {
		t.Errorf("%d stored, %d acknowledged", len(stored), len(acked))
	}
	w.check()
}
