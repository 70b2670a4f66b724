package roomsvc_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"natsrooms/docs/contract"
	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/receiver"
	"natsrooms/roomsvc/roomtest/worlds"
)

// application answers questions. What a question is answered with, the test says each time.
type application struct {
	t     *testing.T
	nc    *nats.Conn
	asked chan asked
}

// asked is a question that waits for its answer.
type asked struct {
	hooks.Question
	m *nats.Msg
}

func (q asked) answer(text string) { _ = q.m.Respond([]byte(text)) }

const hookSubject = "room.hook.any"

// hooked are settings by which the application is asked about everything that there is. It may
// take the most time that there is, unless they say.
func hooked(s hooks.Settings) roomsvc.Config {
	s.Timeout = cmp.Or(s.Timeout, 5*time.Second)
	s.Subjects = map[room.Verb]string{}
	for _, v := range hooks.Verbs {
		s.Subjects[v] = hookSubject
	}
	return roomsvc.Config{Feeds: true, Hooks: s}
}

// newApplication listens for questions. If answer is not nil, it answers each at once.
func newApplication(t *testing.T, url string, answer func(hooks.Question) string) *application {
	t.Helper()
	a := &application{t: t, nc: worlds.Connect(t, url), asked: make(chan asked, 1000)}
	_, err := a.nc.Subscribe(hookSubject, func(m *nats.Msg) {
		q := asked{m: m}
		if err := json.Unmarshal(m.Data, &q.Question); err != nil {
			t.Errorf("%s: %v", m.Data, err)
		}
		if err := contract.HookQuestion(m.Data); err != nil {
			t.Error(err)
		}
		if answer != nil {
			q.answer(answer(q.Question))
		}
		a.asked <- q
	})
	if err == nil {
		err = a.nc.FlushTimeout(patience)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// next is the next question.
func (a *application) next() asked {
	a.t.Helper()
	select {
	case q := <-a.asked:
		return q
	case <-time.After(patience):
		a.t.Fatal("the application is not asked")
		return asked{}
	}
}

// done checks how often it has been asked since the last time.
func (a *application) done(times int, what string) {
	a.t.Helper()
	for n := range times {
		select {
		case <-a.asked:
		default:
			a.t.Errorf("%s: it was asked %d times, want %d", what, n, times)
			return
		}
	}
	if n := len(a.asked); n > 0 {
		a.t.Errorf("%s: it was asked %d times too often", what, n)
	}
}

// drain forgets what it has been asked, and says how much that was.
func (a *application) drain() (n int) {
	for n = 0; len(a.asked) > 0; n++ {
		<-a.asked
	}
	return n
}

// heard is the texts of messages that somebody trusted hears.
func heard(t *testing.T, nc *nats.Conn) (next func() string) {
	sub := hear(t, nc, "room.msg.*")
	return func() string {
		t.Helper()
		m, err := sub.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		said, err := events.DecodeMessage(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		return said.Data + said.Extended
	}
}

func counts(t *testing.T, w *world) (of map[room.Verb]hooks.Counts) {
	t.Helper()
	m, err := w.NC.Request("$SRV.STATS.rooms", nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	var stats struct {
		Endpoints []struct {
			Data struct {
				Hooks map[room.Verb]hooks.Counts `json:"hooks"`
			} `json:"data"`
		} `json:"endpoints"`
	}
	if err := json.Unmarshal(m.Data, &stats); err != nil {
		t.Fatal(err)
	}
	return stats.Endpoints[0].Data.Hooks
}

// coming are the commands that bring alice into a room, as she and as a back end sends them.
var coming = map[room.Verb]string{
	room.Enter: `{"roomID":"hall"}`, room.Join: `{"roomID":"lobby"}`, room.Create: `{"roomID":"hall"}`, room.Switch: `{"fromRoomID":"den","toRoomInfo":{"roomID":"lobby"}}`,
}

// What the application says happens, whatever it is asked about.
func TestHookAnswers(t *testing.T) {
	w, _ := newWorld(t, 1, hooked(hooks.Settings{}))
	var said string
	app := newApplication(t, w.NC.ConnectedUrl(), func(hooks.Question) string { return said })
	lobby := ok[room.JoinedReply](w, "create", `{"roomID":"lobby","config":{"roomDestroyDelayTime":1000}}`)
	app.done(0, "a command of nobody")
	ok[room.JoinedReply](w, "enter", `{"roomID":"den","userID":"alice","sessionID":"tab"}`)
	app.done(0, "a trusted caller's command")
	notices := hear(t, w.NC, "room.state.alice.*")
	for verb, body := range coming {
		said = `{"deny":{"message":"pay first","code":402}}`
		body = strings.Replace(body, "{", `{"sessionID":"tab","userName":"Alice",`, 1)
		e := w.Refused(room.ErrNotAllowed, string(verb)+".alice", body)
		if e.Message != "pay first" || e.AppCode != "402" {
			t.Errorf("%s: %+v", verb, e)
		}
		q := app.next()
		want := hooks.Question{Verb: verb, RoomID: "lobby", InstanceID: lobby.Room.InstanceID, UserID: "alice", SessionID: "tab", Body: []byte(body)}
		if strings.Contains(body, "hall") {
			want.RoomID, want.InstanceID = "hall", ""
		}
		if got, want := string(q.m.Data), string(marshal(t, want)); got != want {
			t.Errorf("it is asked\n%s, want\n%s", got, want)
		}
		for told := ""; !strings.Contains(told, `"code":"NOT_ALLOWED"`); {
			m, err := notices.NextMsg(patience)
			if err != nil {
				t.Fatalf("%s: her devices are not told: %v", verb, err)
			}
			told = string(m.Data)
		}
		for _, nonsense := range []string{`{"silent":true}`, `{"replace":{"data":"x"}}`} {
			said = nonsense
			w.Refused(room.ErrNotAllowed, string(verb)+".alice", body)
		}
		app.done(2, "what is for send only")
		said = "{}"
		ok[room.JoinedReply](w, string(verb)+".alice", body)
		app.done(1, "a command that may pass")
		ok[room.LeftReply](w, "leave.alice", fmt.Sprintf(`{"sessionID":"tab","roomID":%q}`, want.RoomID))
		if verb == room.Switch {
			ok[room.JoinedReply](w, "enter", `{"roomID":"den","userID":"alice","sessionID":"tab"}`)
		}
	}
	app.done(0, "leave")

	hears := heard(t, w.NC)
	send := func(subject, text string) string {
		return fmt.Sprintf(`{"roomID":"den","sessionID":"tab","type":%q,"data":"darn %s","extendedData":"+"}`, subject, text)
	}
	for _, kind := range []string{"text", "barrage"} {
		said = `{"deny":{"message":"not here"}}`
		if e := w.Refused(room.ErrNotAllowed, "send.alice", send(kind, "1")); e.Message != "not here" || e.AppCode != "" {
			t.Errorf("%+v", e)
		}
		said = `{"silent":true}`
		if r := ok[room.SendReply](w, "send.alice", send(kind, "2")); r.MessageID == "" || r.MessageSeq != 0 || r.Timestamp == 0 {
			t.Errorf("%+v", r)
		}
		w.Refused(room.ErrUserNotInRoom, "send.bob", send(kind, "2")) // silence is for those who may speak
		for answer, hear := range map[string]string{
			`{"replace":{"data":"d**n"}}`: "d**n+", `{"replace":{"extendedData":""}}`: "darn 3", `{"replace":{"data":"a","extendedData":"b"}}`: "ab",
			`{"replace":{}}`: "darn 3+", `{"silent":false}`: "darn 3+", ` {} `: "darn 3+",
		} {
			said = answer
			if err := contract.HookAnswer([]byte(answer)); err != nil {
				t.Error(err)
			}
			ok[room.SendReply](w, "send.alice", send(kind, "3"))
			if got := hears(); got != hear {
				t.Errorf("after %s it is heard as %q, want %q", answer, got, hear)
			}
		}
		said = fmt.Sprintf(`{"replace":{"data":%q}}`, strings.Repeat("x", 40000))
		w.Refused(room.ErrMessageTooLong, "send.alice", send(kind, "4"))
		said = `{"replace":{"data":""}}`
		if e := w.Refused(room.ErrParamInvalid, "send.alice", send(kind, "5")); e.Field != "data" {
			t.Errorf("%+v", e)
		}
	}
	said = `{"replace":{"data":"short"}}` // limits are for what is said in the end
	ok[room.SendReply](w, "send.alice", fmt.Sprintf(`{"roomID":"den","sessionID":"tab","type":"text","data":%q}`, strings.Repeat("x", 40000)))
	if got := hears(); got != "short" {
		t.Errorf("%q is heard", got)
	}
	if c := counts(t, w)[room.Send]; c.Asked != 23 || c.Denied != 2 || c.Silenced != 4 || c.Replaced != 13 || c.Passed != 4 || c.Waiting != 0 {
		t.Errorf("%+v", c)
	}
	if c := counts(t, w)[room.Join]; c.Asked != 4 || c.Denied != 1 || c.Nonsense != 2 || c.Passed != 1 {
		t.Errorf("%+v", c)
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// If trusted callers are to be asked about, that is what they do in a user's name.
func TestHookForTrustedCallers(t *testing.T) {
	w, _ := newWorld(t, 1, hooked(hooks.Settings{Trusted: true}))
	app := newApplication(t, w.NC.ConnectedUrl(), func(hooks.Question) string { return `{"deny":{}}` })
	w.Refused(room.ErrNotAllowed, "enter", `{"roomID":"lobby","userID":"alice"}`)
	if q := app.next(); q.UserID != "alice" || q.SessionID != room.DefaultSession {
		t.Errorf("%+v", q)
	}
	ok[room.JoinedReply](w, "create", `{"roomID":"lobby"}`)
	ok[room.SendReply](w, "send", `{"roomID":"lobby","type":"text","data":"hello"}`)
	app.done(0, "what the server itself does")
}

// Without a useful answer the setting decides, soon; a counter and one line of the log say so.
func TestHookFails(t *testing.T) {
	long := `{"deny":{"message":"x","code":"` + strings.Repeat("x", 65) + `"}}`
	denials := []string{`{"deny":{},"silent":true}`, `{"deny":7}`, `{"deny":{"message":"x","reason":"y"}}`, long} // with a mistake, all the same
	nonsense := []string{"", "null", "[]", "true", "x", `{"deny":`, `{"denied":{}}`, `{"silent":1}`, `{"silent":true,"replace":{}}`, `{"replace":{"data":7}}`, `{"replace":{"roomID":"x"}}`}
	for _, answer := range slices.Concat(nonsense, denials) {
		if contract.HookAnswer([]byte(answer)) == nil {
			t.Errorf("the contract allows %s", answer)
		}
	}
	for _, allow := range []bool{false, true} {
		t.Run(fmt.Sprintf("allow %t", allow), func(t *testing.T) {
			f := newFailures(t, hooks.Settings{Allow: allow})
			f.try("nobody is there")
			f.try("still nobody")
			var said string
			app := newApplication(t, f.w.NC.ConnectedUrl(), func(hooks.Question) string { return said })
			for _, said = range nonsense {
				f.try(said)
			}
			app.done(2*len(nonsense), "nonsense")
			for _, said = range denials {
				f.w.Refused(room.ErrNotAllowed, "enter.carol", `{"roomID":"lobby"}`)
			}
			f.counted(hooks.Counts{Asked: 2 + 15, Absent: 2, Nonsense: 15}, hooks.Counts{Asked: 2 + 11, Absent: 2, Nonsense: 11})
			f.logged("nobody is there to answer", "answer means nothing")
		})
		t.Run(fmt.Sprintf("slow, allow %t", allow), func(t *testing.T) {
			f := newFailures(t, hooks.Settings{Allow: allow, Timeout: 100 * time.Millisecond})
			newApplication(t, f.w.NC.ConnectedUrl(), nil)
			f.try("it does not answer")
			f.counted(hooks.Counts{Asked: 1, Slow: 1}, hooks.Counts{Asked: 1, Slow: 1})
			f.logged("did not answer within")
		})
	}
}

// failures is a service whose application fails.
type failures struct {
	*testing.T
	w        *world
	instance *instance
	allow    bool
	late     *roomtest.Lateness
}

func newFailures(t *testing.T, s hooks.Settings) *failures {
	w, instances := newWorld(t, 1, hooked(s))
	ok[room.JoinedReply](w, "create", `{"roomID":"lobby"}`)
	ok[room.JoinedReply](w, "join", `{"roomID":"lobby","userID":"alice"}`)
	return &failures{t, w, instances[0], s.Allow, w.Measure()}
}

// try sends an enter and a send, about which the application fails.
func (f *failures) try(how string) {
	f.Helper()
	for subject, body := range map[string]string{"enter.bob": `{"roomID":"lobby"}`, "send.alice": `{"roomID":"lobby","type":"text","data":"hello"}`} {
		began := time.Now()
		m := f.w.Ask(subject, body)
		switch e := refusal(m); {
		case f.allow && e != nil:
			f.Errorf("%s: %s: %v", how, subject, e)
		case !f.allow && (e == nil || e.Code != room.ErrNotAllowed || e.RetryAfterMs == 0):
			f.Errorf("%s: %s: %v", how, subject, e)
		}
		if took := time.Since(began); !f.late.Within(took, 300*time.Millisecond, began) {
			f.Errorf("%s: %s took %v", how, subject, took)
		}
	}
}

// counted checks what has been counted of enter and of send.
func (f *failures) counted(enter, send hooks.Counts) {
	f.Helper()
	if c := counts(f.T, f.w); c[room.Enter] != enter || c[room.Send] != send {
		f.Errorf("%+v, want %+v and %+v", c, enter, send)
	}
}

// logged checks that each line is in the log once for each verb.
func (f *failures) logged(lines ...string) {
	f.Helper()
	for _, line := range lines {
		if n := strings.Count(f.instance.Log.String(), line); n != 2 {
			f.Errorf("%d lines say %q\n%s", n, line, f.instance.Log)
		}
	}
}

// tell sends a request without waiting for its answer.
func tell(t *testing.T, nc *nats.Conn, subject, body string) (answer func() *nats.Msg) {
	t.Helper()
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err == nil {
		err = nc.PublishRequest("room.cmd."+subject, inbox, []byte(body))
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() *nats.Msg {
		t.Helper()
		m, err := sub.NextMsg(patience)
		if err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
		return m
	}
}

// What a session does after a command that the application is asked about waits for it, and
// happens after it. Nobody else waits, and neither does the session in other rooms.
func TestHookOrder(t *testing.T) {
	w, _ := newWorld(t, 1, hooked(hooks.Settings{}))
	app := newApplication(t, w.NC.ConnectedUrl(), nil)
	late := w.Measure()
	for _, id := range []string{"lobby", "hall"} {
		ok[room.JoinedReply](w, "create", fmt.Sprintf(`{"roomID":%q}`, id))
		for _, user := range []string{"alice", "bob"} {
			ok[room.JoinedReply](w, "join", fmt.Sprintf(`{"roomID":%q,"userID":%q}`, id, user))
		}
	}
	hears := heard(t, w.NC)
	one := tell(t, w.NC, "send.alice", `{"roomID":"lobby","type":"text","data":"1"}`)
	two := tell(t, w.NC, "send.alice", `{"roomID":"lobby","type":"text","data":"2"}`)
	set := tell(t, w.NC, "setAttributes.alice", `{"roomID":"lobby","set":{"a":"b"}}`)
	left := tell(t, w.NC, "leave.alice", `{"roomID":"lobby"}`)
	back := tell(t, w.NC, "join.alice", `{"roomID":"lobby"}`)
	first := app.next()
	began := time.Now()
	for subject, body := range map[string]string{ // answered while alice's first message waits
		"send":                `{"roomID":"lobby","userID":"bob","type":"text","data":"bob"}`,
		"setAttributes.bob":   `{"roomID":"lobby","set":{"c":"d"}}`,
		"get.bob":             `{"roomID":"lobby"}`,
		"setAttributes.alice": `{"roomID":"hall","set":{"a":"b"}}`,
		"enter":               `{"roomID":"lobby","userID":"carol"}`,
	} {
		if e := refusal(w.Ask(subject, body)); e != nil {
			t.Errorf("%s: %v", subject, e)
		}
	}
	if took := time.Since(began); !late.Within(took, time.Second, began) {
		t.Errorf("others waited for %v", took)
	}
	app.done(0, "what waits for the first answer")
	if got := hears(); got != "bob" {
		t.Errorf("%q is heard", got)
	}
	first.answer("{}")
	second := app.next()
	if !strings.Contains(string(second.Body), `"2"`) {
		t.Errorf("the second question is %s", second.Body)
	}
	if e := refusal(one()); e != nil { // before the second is answered
		t.Error(e)
	}
	second.answer("{}")
	third := app.next()
	if third.Verb != room.Join {
		t.Errorf("the third question is about %s", third.Verb)
	}
	for what, answer := range map[string]func() *nats.Msg{"send": two, "setAttributes": set, "leave": left} {
		if e := refusal(answer()); e != nil {
			t.Errorf("%s: %v", what, e)
		}
	}
	third.answer("{}")
	if e := refusal(back()); e != nil {
		t.Error(e)
	}
	if a, b := hears(), hears(); a+b != "12" {
		t.Errorf("%q is heard", a+b)
	}
}

// A request that has had its effect is not asked about again, through whichever instance.
func TestHookRepeats(t *testing.T) {
	w, instances := newWorld(t, 2, hooked(hooks.Settings{}))
	said := "{}"
	app := newApplication(t, w.NC.ConnectedUrl(), func(hooks.Question) string { return said })
	ok[room.JoinedReply](w, "create", `{"roomID":"lobby"}`)
	hears := heard(t, w.NC)
	for i, c := range []struct{ subject, body string }{
		{"create.alice", `{"roomID":"den","requestID":"1"}`},
		{"enter.alice", `{"roomID":"hall","requestID":"2"}`},
		{"join.alice", `{"roomID":"lobby","requestID":"3"}`},
		{"switch.alice", `{"fromRoomID":"hall","toRoomInfo":{"roomID":"den"},"requestID":"4"}`},
		{"send.alice", `{"roomID":"lobby","type":"text","data":"a","requestID":"5"}`},
		{"send.alice", `{"roomID":"lobby","type":"custom","data":"b","requestID":"6"}`},
	} {
		said = "{}"
		if strings.HasPrefix(c.subject, "send") {
			said = `{"replace":{"data":"replaced"}}`
		}
		first := ok[map[string]any](w, c.subject, c.body)
		app.done(1, c.subject)
		if i > 3 && hears() != "replaced" {
			t.Errorf("%s: it is not heard as the application has it", c.subject)
		}
		said = `{"deny":{"message":"not any more"}}`
		for n := range 40 { // whichever instance takes them
			if n == 20 && i > 3 { // an instance that had not heard of the message may have asked
				app.drain()
			}
			again := ok[map[string]any](w, c.subject, c.body)
			for _, field := range []string{"sequence", "messageSeq", "messageID", "revision"} {
				if (*again)[field] != (*first)[field] {
					t.Fatalf("%s: %v, at first %v", c.subject, *again, *first)
				}
			}
		}
		app.done(0, c.subject+", repeated")
		w.Refused(room.ErrParamInvalid, c.subject, strings.Replace(c.body, "{", `{"userName":"A",`, 1)) // another request with that ID
		app.done(0, c.subject+", another")
	}
	if got := len(w.Facts()); got != 6 {
		t.Errorf("%d facts", got)
	}

	instances[1].End() // only the instance that sent a live-only message remembers it
	said = "{}"
	live := `{"roomID":"lobby","type":"barrage","data":"c","requestID":"7"}`
	first := ok[room.SendReply](w, "send.alice", live)
	app.done(1, "barrage")
	said = `{"deny":{}}`
	if again := ok[room.SendReply](w, "send.alice", live); again.MessageID != first.MessageID {
		t.Errorf("%+v, at first %+v", again, first)
	}
	app.done(0, "barrage, repeated")

	said = "{}" // what was denied or silenced may have more luck
	w.NC.Flush()
	for _, answer := range []string{`{"deny":{}}`, `{"silent":true}`, "{}"} {
		said = answer
		w.Ask("send.alice", `{"roomID":"lobby","type":"text","data":"d","requestID":"8"}`)
	}
	app.done(3, "denied, silent, and said")
	if a, b := hears(), hears(); a+b != "cd" {
		t.Errorf("%q is heard", a+b)
	}

	// An instance that starts knows what was said before.
	instances[0].EndAfter(func() { w.Start(hooked(hooks.Settings{})) })
	w.Until(patience, "a repeat that is not asked about", func() bool {
		ok[room.SendReply](w, "send.alice", `{"roomID":"lobby","type":"text","data":"a","requestID":"5"}`) // the first outcome in any case
		return app.drain() == 0
	})
}

// The application dies while it is asked; another copy of it answers what comes afterwards.
func TestHookDies(t *testing.T) {
	w, _ := newWorld(t, 1, hooked(hooks.Settings{Timeout: 2 * time.Second}))
	late := w.Measure()
	app := newApplication(t, w.NC.ConnectedUrl(), nil)
	began := time.Now()
	enter := tell(t, w.NC, "enter.alice", `{"roomID":"lobby"}`)
	app.next()
	app.nc.Close()
	e := refusal(enter())
	if took := time.Since(began); e == nil || e.Code != room.ErrNotAllowed || !late.Within(took, 3*time.Second, began) {
		t.Errorf("%v after %v", e, took)
	}
	w.Refused(room.ErrNotAllowed, "enter.alice", `{"roomID":"lobby"}`)
	newApplication(t, w.NC.ConnectedUrl(), func(hooks.Question) string { return "{}" })
	ok[room.JoinedReply](w, "enter.alice", `{"roomID":"lobby"}`)
	if c := counts(t, w)[room.Enter]; c.Slow != 1 || c.Absent != 1 || c.Passed != 1 {
		t.Errorf("%+v", c)
	}
}

// An instance is killed while the application is asked: another carries the repeat out, once.
func TestHookInstanceDies(t *testing.T) {
	w, instances := newWorld(t, 1, hooked(hooks.Settings{}))
	app := newApplication(t, w.NC.ConnectedUrl(), nil)
	ok[room.JoinedReply](w, "create", `{"roomID":"lobby"}`)
	ok[room.JoinedReply](w, "join", `{"roomID":"lobby","userID":"alice"}`)
	hears := heard(t, w.NC)
	enter := map[string]any{"roomID": "hall", "requestID": "1"}
	say := map[string]any{"roomID": "lobby", "type": "text", "data": "hello", "requestID": "2"}
	tell(t, w.NC, "enter.alice", string(marshal(t, enter)))
	tell(t, w.NC, "send.alice", string(marshal(t, say)))
	lost := []asked{app.next(), app.next()}
	instances[0].Kill()
	w.Start(hooked(hooks.Settings{}))
	var group sync.WaitGroup
	for verb, q := range map[room.Verb]any{"enter.alice": enter, "send.alice": say} {
		group.Go(func() {
			if _, err := request[map[string]any](w, verb, q, patience); err != nil {
				t.Errorf("%s: %v", verb, err)
			}
		})
	}
	again := []asked{app.next(), app.next()}
	for _, q := range slices.Concat(lost, again) { // those of the dead instance are answered too, in vain
		q.answer("{}")
	}
	group.Wait()
	if got := hears(); got != "hello" {
		t.Errorf("%q is heard", got)
	}
	ok[room.SendReply](w, "send", `{"roomID":"lobby","type":"text","data":"the end"}`)
	if got := hears(); got != "the end" {
		t.Errorf("%q is heard", got)
	}
	if got := len(w.Facts()); got != 3 {
		t.Errorf("%d facts", got)
	}
}

// Beyond the most questions, and beyond one user's share of them, commands are refused at once,
// and may be repeated.
func TestHookMost(t *testing.T) {
	w, _ := newWorld(t, 1, hooked(hooks.Settings{Most: 16}))
	app := newApplication(t, w.NC.ConnectedUrl(), nil)
	var waiting []func() *nats.Msg
	enter := func(user string, i int) {
		waiting = append(waiting, tell(t, w.NC, "enter."+user, fmt.Sprintf(`{"roomID":"room-%d"}`, i)))
		app.next()
	}
	for i := range 2 {
		enter("alice", i)
	}
	if e := w.Refused(room.ErrBusy, "enter.alice", `{"roomID":"more"}`); e.RetryAfterMs == 0 {
		t.Errorf("%+v", e)
	}
	for i := range 14 {
		enter(fmt.Sprintf("u%d", i/2), i)
	}
	w.Refused(room.ErrBusy, "enter.bob", `{"roomID":"more"}`)
	ok[room.JoinedReply](w, "enter", `{"roomID":"more","userID":"bob"}`)
	app.nc.Close()
	newApplication(t, w.NC.ConnectedUrl(), func(hooks.Question) string { return "{}" })
	for _, answer := range waiting { // each makes room for others
		if e := refusal(answer()); e == nil || e.Code != room.ErrNotAllowed {
			t.Error(e)
		}
	}
	ok[room.JoinedReply](w, "enter.alice", `{"roomID":"more"}`)
	if c := counts(t, w)[room.Enter]; c.Busy != 2 || c.Waiting != 0 || c.Slow != 16 {
		t.Errorf("%+v", c)
	}
}

// An instance that stops answers what the application is asked about first.
func TestHookStop(t *testing.T) {
	w, instances := newWorld(t, 1, hooked(hooks.Settings{}))
	app := newApplication(t, w.NC.ConnectedUrl(), nil)
	enter := tell(t, w.NC, "enter.alice", `{"roomID":"lobby"}`)
	q := app.next()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- instances[0].Stop(ctx) }()
	q.answer("{}")
	if e := refusal(enter()); e != nil {
		t.Error(e)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// Over HTTP the rules are the same, and each question is signed.
func TestHookOverHTTP(t *testing.T) {
	file, key := receiver.Secret(t)
	verifier, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // guards the answer, and ids
	status, said, ids := http.StatusOK, "{}", map[string]bool{}
	answer := func(code int, text string) {
		mu.Lock()
		defer mu.Unlock()
		status, said = code, text
	}
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = verifier.Verify(body, r.Header)
		}
		if err == nil {
			err = contract.HookQuestion(body)
		}
		mu.Lock()
		code, text := status, said
		if id := r.Header.Get("webhook-id"); err != nil || ids[id] || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v, %v", body, err, r.Header)
		} else {
			ids[id] = true
		}
		mu.Unlock()
		if text == "wait" {
			<-release
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}))
	defer srv.Close()
	ask := hooks.Settings{Subjects: map[room.Verb]string{room.Send: srv.URL + "/ask?token=hidden", room.Enter: srv.URL}, Timeout: 5 * time.Second, Secrets: []string{file}, Private: true}
	w, instances := newWorld(t, 1, roomsvc.Config{Feeds: true, Hooks: ask})
	ok[room.JoinedReply](w, "enter.alice", `{"roomID":"lobby"}`)
	hears := heard(t, w.NC)
	const text = `{"roomID":"lobby","type":"text","data":"darn"}`
	for says, hear := range map[string]string{`{}`: "darn", `{"replace":{"data":"d**n"}}`: "d**n"} {
		answer(http.StatusOK, says)
		ok[room.SendReply](w, "send.alice", text)
		if got := hears(); got != hear {
			t.Errorf("after %s it is heard as %q", says, got)
		}
	}
	answer(http.StatusOK, `{"deny":{"message":"not here","code":7}}`)
	if e := w.Refused(room.ErrNotAllowed, "send.alice", text); e.Message != "not here" || e.AppCode != "7" {
		t.Errorf("%+v", e)
	}
	answer(http.StatusOK, `{"silent":true}`)
	ok[room.SendReply](w, "send.alice", text)
	for _, code := range []int{http.StatusInternalServerError, http.StatusFound, http.StatusNoContent} {
		answer(code, "{}")
		if e := w.Refused(room.ErrNotAllowed, "send.alice", text); e.RetryAfterMs == 0 {
			t.Errorf("status %d: %+v", code, e)
		}
	}
	answer(http.StatusOK, "wait")
	w.Refused(room.ErrNotAllowed, "send.alice", text)
	close(release)
	srv.Close()
	w.Refused(room.ErrNotAllowed, "send.alice", text)
	if c := counts(t, w)[room.Send]; c.Passed != 1 || c.Replaced != 1 || c.Denied != 1 || c.Silenced != 1 || c.Nonsense != 3 || c.Slow != 1 || c.Absent != 1 {
		t.Errorf("%+v", c)
	}
	instances[0].Said("nobody is there")
	if strings.Contains(instances[0].Log.String(), "hidden") {
		t.Error("the log has the whole URL")
	}
	for says, s := range map[string]hooks.Settings{
		"not encrypted":    {Subjects: map[room.Verb]string{room.Send: "http://app.example/"}, Secrets: []string{file}},
		"no secret":        {Subjects: map[room.Verb]string{room.Send: "https://app.example/"}},
		"secret can't be":  {Subjects: map[room.Verb]string{room.Send: "https://app.example/"}, Secrets: []string{"nowhere"}},
		"leads to 10.0.0.": {Subjects: map[room.Verb]string{room.Send: "https://10.0.0.1/"}, Secrets: []string{file}},
	} {
		w.Refuses(roomsvc.Config{Hooks: s}, says)
	}
}
