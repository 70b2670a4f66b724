package roomsvc_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/docs/contract"
	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest/receiver"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/roomsvc/webhooks"
	"natsrooms/subjects"
)

// hookTo is a webhook that leads to a receiver.
func hookTo(name string, r *receiver.Receiver) webhooks.Hook {
	return webhooks.Hook{Name: name, URL: r.URL, Secrets: []string{r.Secret}, Private: true}
}

// delivering are settings with webhooks that try again soon.
func delivering(list ...webhooks.Hook) roomsvc.Config {
	return roomsvc.Config{Webhooks: webhooks.Settings{Hooks: list, First: 20 * time.Millisecond, Most: 200 * time.Millisecond}}
}

// webhook asks about webhooks.
func webhook(w *world, action string, q webhooks.Question) (*webhooks.Reply, *room.Error) {
	w.T.Helper()
	m, err := w.NC.Request("room.webhooks."+action, marshalled(w.T, &q), patience)
	if err != nil {
		w.T.Fatal(err)
	}
	if e := worlds.Refusal(m); e != nil {
		return nil, e
	}
	return worlds.Decode[webhooks.Reply](w.T, m.Data), nil
}

func marshalled(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// letters are the dead letters of a webhook, once there are so many.
func letters(w *world, hook string, n int) (list []webhooks.Letter) {
	w.T.Helper()
	w.Until(patience, fmt.Sprintf("%d dead letters of %s", n, hook), func() bool {
		reply, e := webhook(w, "list", webhooks.Question{Hook: hook})
		if e != nil {
			w.T.Fatal(e)
		}
		list = reply.Letters
		return len(list) == n
	})
	return list
}

// What happens and is said arrives as it is stored, signed, to whomever it is for.
func TestWebhooks(t *testing.T) {
	all, some, none := receiver.New(t), receiver.New(t), receiver.New(t)
	everything := hookTo("all", all)
	everything.Messages = true
	classes := hookTo("classes", some)
	classes.Rooms, classes.Types, classes.Binary, classes.Messages = "class-", []string{"member.joined", "io.natsrooms.room.created.v1", "message.sent"}, true, true
	quiet := hookTo("facts", none)
	w, _ := newWorld(t, 1, delivering(everything, classes, quiet))
	facts := hear(t, w.NC, "room.evt.*")
	for _, r := range []string{"class-1", "lobby"} {
		ok[room.JoinedReply](w, "create", fmt.Sprintf(`{"roomID":%q,"userID":"alice"}`, r))
		ok[room.JoinedReply](w, "join", fmt.Sprintf(`{"roomID":%q,"userID":"bob"}`, r))
		ok[room.SendReply](w, "send", fmt.Sprintf(`{"roomID":%q,"userID":"bob","type":"text","data":"psst"}`, r))
	}
	sent := ok[room.SendReply](w, "send", `{"roomID":"lobby","userID":"bob","type":"text","data":"darn"}`)
	ok[room.DeleteMessagesReply](w, "deleteMessages", fmt.Sprintf(`{"roomID":"lobby","userID":"bob","messageSeqs":[%d]}`, sent.MessageSeq))

	got := all.Wait(patience, 8)
	stored := map[string][]byte{}
	for range 4 {
		m, err := facts.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		f, err := events.DecodeFact(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		stored[f.ID] = m.Data
	}
	deleted := false
	for _, g := range got {
		if g.Header.Get("Content-Type") != events.ContentType {
			t.Errorf("it has the type %q", g.Header.Get("Content-Type"))
		}
		switch g.Event.Type() {
		case events.MessageSent:
			m, err := events.DecodeMessage(g.Body)
			if err != nil || m.Seq == 0 || m.Sender != "bob" {
				t.Errorf("%s: %v", g.Body, err)
			}
			if err := contract.Event(g.Body); err != nil {
				t.Error(err)
			}
		case events.MessageDeleted:
			deleted = true
		default:
			if !bytes.Equal(g.Body, stored[g.ID]) {
				t.Errorf("delivered\n%s, stored\n%s", g.Body, stored[g.ID])
			}
		}
	}
	if !deleted {
		t.Error("it is not told that a message was deleted")
	}
	for i, g := range some.Wait(patience, 3) {
		if g.Room() != "class-1" || g.Header.Get("Content-Type") != "application/json" || g.Header.Get("Ce-Type") != g.Event.Type() || bytes.Contains(g.Body, []byte("specversion")) {
			t.Errorf("%d: %v\n%s", i, g.Header, g.Body)
		}
	}
	for _, g := range none.Wait(patience, 4) {
		if strings.Contains(g.Event.Type(), "message") {
			t.Errorf("it gets %s", g.Event.Type())
		}
	}
	w.Until(patience, "nothing to be waiting", func() bool {
		reply, e := webhook(w, "list", webhooks.Question{})
		if e != nil || len(reply.Webhooks) != 3 {
			t.Fatalf("%+v, %v", reply, e)
		}
		return !slices.ContainsFunc(reply.Webhooks, func(s webhooks.Status) bool { return s.Waiting+uint64(s.Behind+s.Letters) > 0 })
	})
	if n := len(all.Taken()) + len(some.Taken()) + len(none.Taken()); n != 15 || all.Bad()+some.Bad()+none.Bad() > 0 {
		t.Errorf("%d events were delivered, %d with a wrong signature", n, all.Bad())
	}
}

// While a secret is changed, receivers with the old one and with the new one both find a signature of
// theirs; one with neither finds none.
func TestWebhookSecrets(t *testing.T) {
	r := receiver.New(t)
	second, key := receiver.Secret(t)
	h := hookTo("app", r)
	h.Secrets = append(h.Secrets, second)
	w, _ := newWorld(t, 1, delivering(h))
	ok[room.JoinedReply](w, "create", `{"roomID":"a","userID":"alice"}`)
	old := r.Wait(patience, 1)[0]
	if n := len(strings.Fields(old.Header.Get("webhook-signature"))); n != 2 {
		t.Errorf("it has %d signatures", n)
	}
	r.Rekey(key)
	ok[room.JoinedReply](w, "create", `{"roomID":"b","userID":"alice"}`)
	r.Wait(patience, 2)

	_, third := receiver.Secret(t)
	r.Rekey(third)
	ok[room.JoinedReply](w, "create", `{"roomID":"c","userID":"alice"}`)
	r.Until(patience, "a signature to be refused", func() bool { return r.Bad() > 0 })
	if err := os.WriteFile(second, []byte(third), 0o600); err != nil { // it is read while the service runs
		t.Fatal(err)
	}
	if got := r.Wait(patience, 3)[2]; got.Room() != "c" {
		t.Errorf("%s", got.Body)
	}
}

// moody answers as a bad receiver does: it dies, lies, delays, fails and leads elsewhere.
func moody(n *atomic.Int64) func(http.ResponseWriter, *receiver.Got) {
	return func(out http.ResponseWriter, g *receiver.Got) {
		switch n.Add(1) % 17 {
		case 3:
			receiver.Die(out)
		case 5:
			out.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(out, strings.Repeat("sorry ", 1000))
		case 7:
			out.Header().Set("Location", "http://127.0.0.1:1/")
			out.WriteHeader(http.StatusTemporaryRedirect)
		case 9: // it lies: a success of which it knows nothing, and an answer that goes on
			_, _ = io.WriteString(out, strings.Repeat("x", 200<<10))
		case 11:
			<-time.After(5 * time.Millisecond) // the receiver is slow
		case 13:
			out.WriteHeader(http.StatusNotFound)
		}
	}
}

// inOrder checks that each room's facts arrived in order and none is missing, and returns how many
// there were.
func inOrder(t *testing.T, got []*receiver.Got, want int) {
	t.Helper()
	last := map[string]uint64{}
	wrong := 0
	for _, g := range got {
		f, err := events.DecodeFact(g.Body)
		if err != nil {
			t.Fatal(err)
		}
		place := g.Room() + " " + f.InstanceID
		if f.Sequence != last[place]+1 {
			if wrong++; wrong < 10 {
				t.Errorf("%s: after %d comes %d", place, last[place], f.Sequence)
			}
		}
		last[place] = f.Sequence
	}
	if len(got) != want || wrong > 0 {
		t.Errorf("%d facts arrived, want %d; %d are out of order", len(got), want, wrong)
	}
}

// busyRooms changes rooms, and returns how many facts that makes. half is called in the middle.
func busyRooms(w *world, rooms, changes int, half func()) int {
	var working sync.WaitGroup
	var middle sync.Once
	var done atomic.Int64
	places := make(chan struct{}, 16) // rooms at a time
	for i := range rooms {
		places <- struct{}{}
		working.Go(func() {
			defer func() { <-places }()
			id := fmt.Sprintf("room-%d", i)
			if _, err := worlds.Request[room.JoinedReply](w.World, room.Create, map[string]any{"roomID": id, "userID": "alice", "requestID": "create-" + id}, patience/3); err != nil {
				w.T.Error(err)
				return
			}
			for n := range changes - 1 {
				q := map[string]any{"roomID": id, "userID": "alice", "set": map[string]string{"n": fmt.Sprint(n)}, "requestID": fmt.Sprintf("%s-%d", id, n)}
				if _, err := worlds.Request[room.SetAttributesReply](w.World, room.SetAttributes, q, patience/3); err != nil {
					w.T.Error(err)
					return
				}
				if done.Add(1) == int64(rooms*changes/2) {
					middle.Do(half)
				}
			}
		})
	}
	working.Wait()
	return rooms * changes
}

// Ten thousand facts arrive once each, after those are put aside that are known, and in each room's
// order: at a receiver that misbehaves, with an instance that dies while it delivers.
func TestWebhookTenThousand(t *testing.T) {
	r := receiver.New(t)
	var n atomic.Int64
	r.Answer(moody(&n))
	w, instances := newWorld(t, 2, delivering(hookTo("app", r)))
	w.Breaks = true
	changes := 200
	if racing && os.Getenv("NATSROOMS_LONG") == "" {
		changes = 50 // with the race detector all of it takes minutes
	}
	want := busyRooms(w, 50, changes, func() {
		for _, i := range instances {
			if m := i.Measure(w.Ctx); m.Leads {
				i.Kill()
				return
			}
		}
		t.Error("nobody leads")
	})
	inOrder(t, r.Wait(4*patience, want), want)
	t.Logf("%d deliveries for %d facts", n.Load(), want)
}

// A room that cannot be delivered holds up neither other rooms nor another webhook, and goes on where
// it stopped: after its receiver has recovered, and after the lead has changed.
func TestWebhookRoomBehind(t *testing.T) {
	r, other := receiver.New(t), receiver.New(t)
	r.Answer(func(out http.ResponseWriter, g *receiver.Got) {
		if g.Room() == "room-0" {
			out.WriteHeader(http.StatusInternalServerError)
		}
	})
	w, instances := newWorld(t, 2, delivering(hookTo("app", r), hookTo("other", other)))
	const rooms, changes = 4, 300 // more than a consumer may hold
	busyRooms(w, rooms, changes, func() {})
	r.Wait(patience, (rooms-1)*changes)
	inOrder(t, other.Wait(patience, rooms*changes), rooms*changes)
	reply, e := webhook(w, "list", webhooks.Question{Hook: "app"})
	if e != nil || reply.Webhooks[0].Behind != 1 || len(reply.Letters) != 0 {
		t.Errorf("%+v, %v", reply, e)
	}
	for _, i := range instances {
		if i.Measure(w.Ctx).Leads {
			if c := i.Measure(w.Ctx).Webhooks["app"]; c.Behind != 1 || c.Failed == 0 || c.Oldest == 0 {
				t.Errorf("%+v", c)
			}
			i.End()
			break
		}
	}
	ok[room.JoinedReply](w, "join", `{"roomID":"room-1","userID":"bob"}`)
	r.Wait(patience, (rooms-1)*changes+1)
	r.Answer(nil)
	inOrder(t, r.Wait(patience, rooms*changes+1), rooms*changes+1)
	w.Until(patience, "nothing to be behind", func() bool {
		reply, e := webhook(w, "list", webhooks.Question{Hook: "app"})
		return e == nil && reply.Webhooks[0].Behind == 0 && reply.Webhooks[0].Waiting == 0
	})
	ok[room.LeftReply](w, "leave", `{"roomID":"room-0","userID":"alice"}`) // and the room is as any other
	r.Until(patience, "what happens after that", func() bool {
		return slices.ContainsFunc(r.Taken(), func(g *receiver.Got) bool {
			return g.Event.Type() == events.MemberLeft && g.Room() == "room-0"
		})
	})
}

// The bucket of webhooks is full: that is told, people go on, and everything is delivered once there
// is space.
func TestWebhookStoreIsFull(t *testing.T) {
	r := receiver.New(t)
	r.Answer(func(out http.ResponseWriter, _ *receiver.Got) { out.WriteHeader(http.StatusServiceUnavailable) })
	w, instances := newWorld(t, 1, delivering(hookTo("app", r)))
	limit := func(bytes int64) {
		s, err := w.JS.Stream(w.Ctx, subjects.StreamWebhooks)
		if err != nil {
			t.Fatal(err)
		}
		cfg := s.CachedInfo().Config
		cfg.MaxBytes = bytes
		if _, err := w.JS.UpdateStream(w.Ctx, cfg); err != nil {
			t.Fatal(err)
		}
	}
	problem := func() string {
		for _, p := range instances[0].Problems() {
			if p.Name == "full:"+subjects.StreamWebhooks {
				return p.Text
			}
		}
		return ""
	}
	limit(1000)
	const rooms = 50
	for n := range rooms {
		ok[room.JoinedReply](w, "create", fmt.Sprintf(`{"roomID":"room-%d","userID":"alice"}`, n))
	}
	w.Until(patience, "it to be told", func() bool { return problem() != "" })
	for _, says := range []string{"the stream KV_room_webhooks takes nothing more", "hold up its others", "--state-bytes"} {
		if !strings.Contains(problem(), says) {
			t.Errorf("it says %q; want %q in it", problem(), says)
		}
	}
	ok[room.JoinedReply](w, "join", `{"roomID":"room-1","userID":"bob"}`)
	limit(10 << 20)
	r.Answer(nil)
	w.Until(patience, "it to be over", func() bool { return problem() == "" })
	r.Wait(patience, rooms+1)
	instances[0].Said("problem=full:" + subjects.StreamWebhooks + " after=")
}

// What a receiver does not want is a dead letter, which can be delivered again, or dropped. What was
// erased is not delivered any more.
func TestWebhookLetters(t *testing.T) {
	r := receiver.New(t)
	r.Answer(receiver.Status(http.StatusGone))
	h := hookTo("app", r)
	h.Messages = true
	w, _ := newWorld(t, 1, delivering(h))
	ok[room.JoinedReply](w, "create", `{"roomID":"lobby","userID":"alice"}`)
	ok[room.SendReply](w, "send", `{"roomID":"lobby","userID":"alice","type":"text","data":"psst"}`)
	erased := ok[room.SendReply](w, "send", `{"roomID":"lobby","userID":"alice","type":"text","data":"darn"}`)
	list := letters(w, "app", 3)
	if list[0].Type != events.RoomCreated || list[0].Room != "lobby" || list[0].Tries != 1 || !strings.Contains(list[0].Why, "410") || !strings.HasPrefix(list[0].ID, "facts.") || list[1].Type != events.MessageSent {
		t.Errorf("%+v", list)
	}
	if _, e := webhook(w, "replay", webhooks.Question{Hook: "app", IDs: []string{list[0].ID}}); e != nil {
		t.Fatal(e)
	}
	w.Until(patience, "another try", func() bool { return letters(w, "app", 3)[0].Tries == 2 })
	r.Answer(nil)
	if reply, e := webhook(w, "replay", webhooks.Question{Hook: "app", IDs: []string{list[0].ID}}); e != nil || reply.Done != 1 {
		t.Fatal(reply, e)
	}
	if got := r.Wait(patience, 1)[0]; got.ID != list[0].Event {
		t.Errorf("%s arrives", got.Body)
	}
	letters(w, "app", 2)
	r.Answer(func(out http.ResponseWriter, g *receiver.Got) {
		if bytes.Contains(g.Body, []byte("darn")) {
			t.Errorf("it gets what was erased: %s", g.Body)
		}
	})
	ok[room.EraseUserReply](w, "eraseUser", `{"userID":"alice"}`)
	if _, e := webhook(w, "replay", webhooks.Question{Hook: "app", All: true}); e != nil {
		t.Fatal(e)
	}
	w.Until(patience, "it to be found that they are gone", func() bool {
		return !slices.ContainsFunc(letters(w, "app", 2), func(l webhooks.Letter) bool { return l.Replay || !strings.Contains(l.Why, "erased") })
	})
	if reply, e := webhook(w, "drop", webhooks.Question{Hook: "app", IDs: []string{fmt.Sprintf("messages.%d", erased.MessageSeq)}}); e != nil || reply.Done != 1 {
		t.Error(reply, e)
	}
	letters(w, "app", 1)
	if reply, e := webhook(w, "drop", webhooks.Question{Hook: "app", All: true}); e != nil || reply.Done != 1 {
		t.Error(reply, e)
	}
	letters(w, "app", 0)
	for _, q := range []struct {
		action, field string
		webhooks.Question
	}{
		{"list", "webhook", webhooks.Question{Hook: "nobody"}}, {"list", "webhook", webhooks.Question{Hook: "*"}}, {"replay", "webhook", webhooks.Question{Hook: "nobody", All: true}},
		{"drop", "webhook", webhooks.Question{All: true}}, {"drop", "ids", webhooks.Question{Hook: "app"}}, {"drop", "ids", webhooks.Question{Hook: "app", All: true, IDs: []string{"facts.1"}}},
		{"replay", "ids", webhooks.Question{Hook: "app", IDs: []string{"facts.>"}}}, {"clear", "", webhooks.Question{}},
	} {
		if reply, e := webhook(w, q.action, q.Question); e == nil || e.Code.Name != room.ErrParamInvalid.Name || e.Field != q.field {
			t.Errorf("%s %+v: %+v, %v", q.action, q.Question, reply, e)
		}
	}
}

// What is too old and fails is given up, and so is untried what is as old behind it; what is young is
// delivered as ever.
func TestWebhookGiveUp(t *testing.T) {
	r := receiver.New(t)
	r.Answer(receiver.Status(http.StatusInternalServerError))
	cfg := delivering(hookTo("app", r))
	cfg.Webhooks.GiveUp = 2 * time.Second
	w, _ := newWorld(t, 1, cfg)
	ok[room.JoinedReply](w, "create", `{"roomID":"lobby","userID":"alice"}`)
	ok[room.JoinedReply](w, "join", `{"roomID":"lobby","userID":"bob"}`)
	ok[room.JoinedReply](w, "join", `{"roomID":"lobby","userID":"carol"}`)
	list := letters(w, "app", 3)
	if l := list[0]; l.Tries < 2 || l.Type != events.RoomCreated || !strings.HasPrefix(l.Why, "it was given up after 2s: the receiver answered 500") || l.Died-l.At < 2000 {
		t.Errorf("%+v", l)
	}
	r.Answer(nil)
	ok[room.LeftReply](w, "leave", `{"roomID":"lobby","userID":"bob"}`)
	if got := r.Wait(patience, 1); got[0].Event.Type() != events.MemberLeft || r.Tries(list[0].Event) < 2 {
		t.Errorf("%s arrives", got[0].Body)
	}
}

// A receiver that fails for a while, a minute in the long form, gets everything with the usual pauses
// once it works again.
func TestWebhookDown(t *testing.T) {
	down := 3 * time.Second
	if os.Getenv("NATSROOMS_LONG") != "" {
		down = time.Minute
	}
	r := receiver.New(t)
	var first atomic.Pointer[time.Time]
	r.Answer(func(out http.ResponseWriter, g *receiver.Got) {
		if first.CompareAndSwap(nil, &g.At); time.Since(*first.Load()) < down {
			out.WriteHeader(http.StatusInternalServerError)
		}
	})
	w, _ := newWorld(t, 1, roomsvc.Config{Webhooks: webhooks.Settings{Hooks: []webhooks.Hook{hookTo("app", r)}}})
	want := busyRooms(w, 10, 5, func() {})
	got := r.Wait(3*down+patience, want) // the last pause is no longer than all before it
	inOrder(t, got, want)
	for _, g := range got {
		if n := r.Tries(g.ID); n > 10 {
			t.Errorf("%s was tried %d times", g.ID, n)
		}
	}
}

// A message that is erased while its room is behind is not delivered, and the room goes on.
func TestWebhookErasedMeanwhile(t *testing.T) {
	r := receiver.New(t)
	r.Answer(func(out http.ResponseWriter, g *receiver.Got) {
		if strings.Contains(g.Event.Type(), "message") {
			out.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	h := hookTo("app", r)
	h.Types, h.Messages = []string{events.MessageSent}, true
	w, _ := newWorld(t, 1, delivering(h))
	ok[room.JoinedReply](w, "create", `{"roomID":"lobby","userID":"alice"}`)
	ok[room.JoinedReply](w, "join", `{"roomID":"lobby","userID":"bob"}`)
	ok[room.SendReply](w, "send", `{"roomID":"lobby","userID":"alice","type":"text","data":"darn"}`)
	ok[room.SendReply](w, "send", `{"roomID":"lobby","userID":"bob","type":"text","data":"hello"}`)
	w.Until(patience, "the room to be behind", func() bool {
		reply, _ := webhook(w, "list", webhooks.Question{Hook: "app"})
		return reply.Webhooks[0].Behind == 1
	})
	ok[room.EraseUserReply](w, "eraseUser", `{"userID":"alice"}`)
	r.Answer(nil)
	if got := r.Wait(patience, 1)[0]; !bytes.Contains(got.Body, []byte("hello")) {
		t.Errorf("%s arrives", got.Body)
	}
	if l := letters(w, "app", 1)[0]; !strings.Contains(l.Why, "erased") {
		t.Errorf("%+v", l)
	}
}

// A receiver says how long it wants to be left alone.
func TestWebhookRetryAfter(t *testing.T) {
	r := receiver.New(t)
	var first, second atomic.Pointer[time.Time]
	r.Answer(func(out http.ResponseWriter, g *receiver.Got) {
		switch now := time.Now(); {
		case g.Room() == "a" && g.Try == 1:
			first.Store(&now)
			out.Header().Set("Retry-After", "2")
			out.WriteHeader(http.StatusServiceUnavailable)
		case g.Room() == "c" && g.Try == 1:
			second.Store(&now)
			out.Header().Set("Retry-After", "2")
			out.WriteHeader(http.StatusTooManyRequests)
		}
	})
	w, _ := newWorld(t, 1, delivering(hookTo("app", r)))
	ok[room.JoinedReply](w, "create", `{"roomID":"a","userID":"alice"}`)
	r.Until(patience, "a try", func() bool { return first.Load() != nil })
	ok[room.JoinedReply](w, "create", `{"roomID":"b","userID":"alice"}`)
	got := r.Wait(patience, 2)
	if got[0].Room() != "b" || got[1].At.Sub(*first.Load()) < 2*time.Second {
		t.Errorf("%s came first, then the other after %v", got[0].Room(), got[1].At.Sub(*first.Load()))
	}
	ok[room.JoinedReply](w, "create", `{"roomID":"c","userID":"alice"}`)
	r.Until(patience, "a try", func() bool { return second.Load() != nil })
	ok[room.JoinedReply](w, "create", `{"roomID":"d","userID":"alice"}`)
	for _, g := range r.Wait(patience, 4)[2:] { // 429 is about everything
		if g.At.Sub(*second.Load()) < 2*time.Second {
			t.Errorf("%s comes after %v", g.Room(), g.At.Sub(*second.Load()))
		}
	}
}

// A webhook whose receiver takes all the time that it may holds up no other, and no command.
func TestWebhookSlow(t *testing.T) {
	slow, quick := receiver.New(t), receiver.New(t)
	release := make(chan struct{})
	slow.Answer(func(http.ResponseWriter, *receiver.Got) { <-release })
	h := hookTo("slow", slow)
	h.Timeout = 30 * time.Second
	w, instances := newWorld(t, 1, delivering(h, hookTo("quick", quick)))
	const rooms, changes = 60, 20
	want := busyRooms(w, rooms, changes, func() {})
	inOrder(t, quick.Wait(patience, want), want)
	if n := len(slow.Taken()); n > 0 {
		t.Errorf("%d were taken", n)
	}
	close(release)
	inOrder(t, slow.Wait(patience, want), want)
	instances[0].End()
}

// Where addresses of private networks are not allowed, none is connected to, whatever its name is.
func TestWebhookPrivate(t *testing.T) {
	r := receiver.New(t)
	h := hookTo("app", r)
	h.Private, h.URL = false, strings.Replace(strings.Replace(r.URL, "http://", "https://", 1), "127.0.0.1", "localhost", 1)
	w, instances := newWorld(t, 1, delivering(h))
	ok[room.JoinedReply](w, "create", `{"roomID":"a","userID":"alice"}`)
	w.Until(patience, "a try", func() bool { return instances[0].Measure(w.Ctx).Webhooks["app"].Failed > 0 })
	instances[0].Said("is an address of a private network")
	if strings.Contains(instances[0].Log.String(), "token=secret") {
		t.Error("the log has the whole address")
	}
	for _, wrong := range []struct {
		says string
		webhooks.Hook
	}{
		{`webhook "app": url leads to 127.0.0.1`, webhooks.Hook{Name: "app", URL: "https://127.0.0.1/", Secrets: h.Secrets}},
		{`webhook "app": url is http`, webhooks.Hook{Name: "app", URL: "http://app.example/", Secrets: h.Secrets}},
		{`webhook "app": secret`, webhooks.Hook{Name: "app", URL: "https://app.example/", Secrets: []string{"nowhere"}}},
		{`webhook "app": types has "member.gone"`, webhooks.Hook{Name: "app", URL: "https://app.example/", Secrets: h.Secrets, Types: []string{"member.gone"}}},
		{`webhook "hook-`, webhooks.Hook{URL: "https://app.example/"}},
		{`webhook "app": types has "message.sent"`, webhooks.Hook{Name: "app", URL: "https://app.example/", Secrets: h.Secrets, Types: []string{"message.sent"}}},
		{`timeout is 1m0s`, webhooks.Hook{Name: "app", URL: "https://app.example/", Secrets: h.Secrets, Timeout: time.Minute}},
		{`name may have`, webhooks.Hook{Name: "a.b", URL: "https://app.example/", Secrets: h.Secrets}},
	} {
		w.Refuses(roomsvc.Config{Webhooks: webhooks.Settings{Hooks: []webhooks.Hook{wrong.Hook}}}, wrong.says)
	}
	two := webhooks.Hook{Name: "app", URL: "https://app.example/", Secrets: h.Secrets}
	w.Refuses(roomsvc.Config{Webhooks: webhooks.Settings{Hooks: []webhooks.Hook{two, two}}}, "taken by another")
	w.Refuses(roomsvc.Config{FactsKeep: 24 * time.Hour, Webhooks: webhooks.Settings{GiveUp: 48 * time.Hour}}, "facts are kept for 24h")
}

// More rooms may fail than may be behind: then the webhook waits, and forgets nothing.
func TestWebhookAllFail(t *testing.T) {
	r := receiver.New(t)
	r.Answer(receiver.Status(http.StatusBadGateway))
	w, instances := newWorld(t, 1, delivering(hookTo("app", r)))
	const changes = 2
	rooms := webhooks.MostBehind + 600 // more than may be behind and held
	if testing.Short() {
		rooms = 50
	}
	want := busyRooms(w, rooms, changes, func() {})
	w.Until(patience, "the webhook to wait", func() bool {
		return instances[0].Measure(w.Ctx).Webhooks["app"].Behind == int64(min(rooms, webhooks.MostBehind))
	})
	r.Answer(nil)
	got := r.Wait(4*patience, want)
	inOrder(t, got, want)
}

// How a webhook is, as people are shown it: who delivers, whether it fails and why, what waits.
func TestWebhookConditions(t *testing.T) {
	r := receiver.New(t)
	r.Answer(func(out http.ResponseWriter, g *receiver.Got) {
		if g.Room() == "stuck" {
			out.WriteHeader(http.StatusInternalServerError)
		}
	})
	w, instances := newWorld(t, 2, delivering(hookTo("app", r)))
	leads, other := instances[0], instances[1]
	if !leads.Measure(w.Ctx).Leads {
		leads, other = other, leads
	}
	var c webhooks.Condition
	until := func(i *instance, what string, so func() bool) {
		t.Helper()
		w.Until(patience, what, func() bool {
			list := i.MeasureWebhooks(w.Ctx)
			if len(list) != 1 || list[0].Name != "app" || !strings.HasPrefix(list[0].Host, "127.0.0.1:") || strings.Contains(fmt.Sprint(list[0]), "token") {
				t.Fatalf("%+v", list)
			}
			c = list[0]
			return c.Counted && so()
		})
	}
	until(leads, "nothing to do", func() bool { return c.State == webhooks.Delivering && c.Waiting == 0 && c.Why == "" })
	before := time.Now()
	ok[room.JoinedReply](w, "create", `{"roomID":"stuck","userID":"alice"}`)
	for n := range 5 {
		ok[room.JoinedReply](w, "join", fmt.Sprintf(`{"roomID":"stuck","userID":"user-%d"}`, n))
	}
	until(leads, "six events that wait", func() bool { return c.State == webhooks.Failing && c.Waiting == 6 && c.Behind == 1 })
	since := c.Since
	if !strings.Contains(c.Why, "answered 500") || c.Since.Before(before) || c.WhyAt.Before(c.Since) || c.OldestAt.IsZero() || c.Letters != 0 {
		t.Errorf("%+v", c)
	}
	until(leads, "another failure", func() bool { return c.WhyAt.After(since) && c.Since.Equal(since) })
	if c := other.MeasureWebhooks(w.Ctx)[0]; c.State != webhooks.Elsewhere || c.Behind != 1 || !c.Counted || c.Why != "" {
		t.Errorf("an instance that does not lead says %+v", c)
	}
	r.Answer(nil)
	until(leads, "nothing that waits", func() bool { return c.State == webhooks.Delivering && c.Waiting == 0 && c.Behind == 0 })
	if !strings.Contains(c.Why, "answered 500") {
		t.Errorf("the last failure is forgotten: %+v", c)
	}
	r.Answer(func(out http.ResponseWriter, _ *receiver.Got) {
		out.Header().Set("Retry-After", "1800")
		out.WriteHeader(http.StatusTooManyRequests)
	})
	ok[room.JoinedReply](w, "create", `{"roomID":"hall","userID":"alice"}`)
	until(leads, "a pause", func() bool { return c.State == webhooks.Paused && c.Waiting == 1 })
	if left := time.Until(c.Until); left < 1700*time.Second || left > 1800*time.Second {
		t.Errorf("it pauses for %v", left)
	}
	r.Answer(nil)
	leads.End()
	until(other, "the other one delivers", func() bool { return c.State == webhooks.Delivering && c.Waiting == 0 && c.Behind == 0 && c.Why == "" })
	inOrder(t, r.Wait(patience, 7), 7)
}
