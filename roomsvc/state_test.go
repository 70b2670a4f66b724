package roomsvc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/projection"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
)

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestFacts(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	sub, err := w.NC.SubscribeSync("room.evt.>")
	if err != nil {
		t.Fatal(err)
	}
	shape := newShape(t)
	envelope := func(room, instance, typ string, sequence int, data string) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":"ID","source":"/rooms/%s/%s","type":"io.natsrooms.%s","subject":"%s","time":"T","datacontenttype":"application/json",
			"sequence":"%020d","roominstance":%q,"partitionkey":"%s","data":{"sequence":%d,%s}}`,
			token(room), instance, typ, room, sequence, instance, room, sequence, data)
	}
	// What is as usual, or in the envelope, is left out of callers who enter or leave now.
	const lobby = `"room":{"roomName":"AB",%s"createdBy":"alice","attributes":{"k":"<&>"}%s}`
	joined := func(user, session, request, more string) string {
		return fmt.Sprintf(`"memberList":[{"userID":%q,"sessionID":%q,"requestID":%q%s}]`, user, session, request, more)
	}
	left := func(user, session, request, more string) string {
		return fmt.Sprintf(`"memberList":[{"userID":%q,"sessionID":%q,"joinedAt":"T","requestID":%q%s}]`, user, session, request, more)
	}
	steps := []struct {
		verb, body string
		want       []string
	}{
		{"create", `{"userID":"alice","userName":"Al","userInfo":{"x":1},"roomID":"a.b","roomName":"AB","config":{"roomAttributes":{"k":"<&>"}},"requestID":"r1"}`, []string{
			envelope("a.b", "I1", "room.created.v1", 1, fmt.Sprintf(lobby, "", "")+`,`+joined("alice", "default", "r1", `,"userName":"Al","userInfo":{"x":1},"via":"create"`))}},
		{"join", `{"userID":"bob","roomID":"a.b","requestID":"r2"}`, []string{
			envelope("a.b", "I1", "member.joined.v1", 2, joined("bob", "default", "r2", `,"via":"join"`)+`,"memberCount":2`)}},
		{"enter", `{"userID":"bob","sessionID":"phone","roomID":"a.b","requestID":"r3"}`, []string{
			envelope("a.b", "I1", "session.joined.v1", 3, joined("bob", "phone", "r3", "")+`,"memberCount":2`)}},
		{"leave", `{"userID":"bob","roomID":"a.b","requestID":"r4"}`, []string{
			envelope("a.b", "I1", "session.left.v1", 4, left("bob", "default", "r4", "")+`,"memberCount":2`)}},
		{"switch", `{"userID":"bob","sessionID":"phone","fromRoomID":"a.b","toRoomInfo":{"roomID":"new"},"isCreateWhenRoomNotExisted":true,"requestID":"r5"}`, []string{
			envelope("a.b", "I1", "member.left.v1", 5, left("bob", "phone", "r5", `,"reason":"switched","toRoomID":"new"`)+`,"memberCount":1`),
			envelope("new", "I2", "room.created.v1", 1, `"room":{"createdBy":"bob"},`+joined("bob", "phone", "r5", `,"via":"switch","fromRoomID":"a.b"`))}},
		{"enter", `{"userID":"alice","roomID":"new","requestID":"r6"}`, []string{
			envelope("new", "I2", "member.joined.v1", 2, joined("alice", "default", "r6", "")+`,"memberCount":2`)}},
		{"leaveAll", `{"userID":"alice","requestID":"r7"}`, []string{
			envelope("a.b", "I1", "member.left.v1", 6, left("alice", "default", "r7", `,"userName":"Al"`)+`,"memberCount":0`),
			envelope("new", "I2", "member.left.v1", 3, left("alice", "default", "r7", "")+`,"memberCount":1`),
			envelope("a.b", "I1", "room.destroyed.v1", 7, fmt.Sprintf(lobby, `"createdAt":"T",`, `,"destroyAt":"T"`)+`,"reason":"empty"`)}},
		{"create", `{"roomID":"plain","requestID":"r8"}`, []string{
			envelope("plain", "I3", "room.created.v1", 1, `"room":{},"requestID":"r8"`)}},
	}
	var live []*nats.Msg
	for i, s := range steps {
		header := []string{}
		if s.verb == "create" {
			header = []string{"traceparent", trace}
		}
		m := w.Ask(s.verb, s.body, header...)
		if e := refusal(m); e != nil {
			t.Fatalf("%s %s: %v", s.verb, s.body, e)
		}
		for j, want := range s.want {
			heard, err := sub.NextMsg(patience)
			if err != nil {
				t.Fatalf("step %d: fact %d: %v", i, j, err)
			}
			if s.verb == "create" {
				want = strings.Replace(want, `"time":"T"`, `"time":"T","traceparent":"`+trace+`"`, 1)
			}
			shape.same(fmt.Sprintf("step %d, fact %d", i, j), withBeginnings(heard.Data), want)
			f := w.live(heard)
			w.checkFact(f)
			if p := decode[position](t, m.Data); j == len(s.want)-1 && s.verb != "leaveAll" && (p.Revision != f.Revision || p.Sequence != f.Data.Sequence) {
				t.Errorf("step %d: the reply says %+v, the fact is %d at %d", i, p, f.Data.Sequence, f.Revision)
			}
			live = append(live, heard)
		}
	}
	if n, _, _ := sub.Pending(); n > 0 {
		t.Errorf("%d more facts", n)
	}
	stored := w.replay().facts
	if len(stored) != len(live) {
		t.Fatalf("%d facts heard, %d stored", len(live), len(stored))
	}
	for i, f := range stored {
		if string(f.Raw) != string(live[i].Data) || live[i].Subject != "room.evt."+token(f.Room) {
			t.Errorf("heard at %s\n%s\nstored\n%s", live[i].Subject, live[i].Data, f.Raw)
		}
	}
}

// withBeginnings puts in when what ends began, which is left out if that was in the same millisecond.
func withBeginnings(data []byte) []byte {
	text := string(data)
	if strings.Contains(text, ".left.v1") && !strings.Contains(text, `"joinedAt"`) {
		text = strings.Replace(text, `"memberList":[{`, `"memberList":[{"joinedAt":"T",`, 1)
	}
	if strings.Contains(text, ".destroyed.v1") && !strings.Contains(text, `"createdAt"`) {
		text = strings.Replace(text, `"room":{`, `"room":{"createdAt":"T",`, 1)
	}
	return []byte(text)
}

// One fact carries requests that arrive together; each entry keeps its own request ID.
func TestFactsOfARun(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	ok[position](w, "create", `{"roomID":"lobby","userID":"first"}`)
	together(500, func(i int) {
		if _, err := once[position](w, room.Join, map[string]any{"roomID": "lobby", "userID": fmt.Sprintf("u%d", i), "requestID": fmt.Sprintf("r%d", i)}); err != nil {
			t.Error(err)
		}
	})
	h := w.check()
	if n := len(h.rooms["lobby"].Members); n != 501 {
		t.Errorf("%d members", n)
	}
	for _, f := range h.facts {
		for _, e := range f.Data.MemberList {
			if strings.HasPrefix(e.UserID, "u") && e.RequestID != "r"+e.UserID[1:] {
				t.Errorf("the entry of %s carries request %q", e.UserID, e.RequestID)
			}
		}
	}
	t.Logf("%d facts for 500 joins", len(h.facts))
}

func TestDestroyDelay(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	end := func(id string) (f *fact) {
		w.awaitFacts("room.evt."+id, "the end of "+id, func(x *fact) bool { f = x; return x.Type == "room.destroyed.v1" })
		return f
	}
	// The end of `clock` falls between the two timers of `lobby`: the test needs no clock.
	first := ok[room.JoinedReply](w, "create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":2}}`)
	ok[position](w, "create", `{"roomID":"clock","userID":"alice","config":{"roomDestroyDelayTime":1}}`)
	ok[room.LeftAllReply](w, "leaveAll", `{"userID":"alice"}`)
	emptied := ok[room.GetReply](w, "get", `{"roomID":"lobby","sync":true}`).Room
	if emptied.DestroyAt == 0 || emptied.MemberCount != 0 {
		t.Errorf("an empty room that waits: %+v", emptied)
	}
	end("clock")
	back := ok[room.JoinedReply](w, "join", `{"roomID":"lobby","userID":"bob"}`)
	if back.InstanceID != first.InstanceID || back.Room.DestroyAt != 0 {
		t.Errorf("back in %+v, was %+v", back, first)
	}
	ok[position](w, "leave", `{"roomID":"lobby","userID":"bob"}`)
	again := ok[room.GetReply](w, "get", `{"roomID":"lobby","sync":true}`).Room
	gone := end("lobby")
	if at := gone.Event.Time().UnixMilli(); at < int64(again.DestroyAt) || at > int64(again.DestroyAt)+1500 {
		t.Errorf("ended at %v, was due at %v", gone.Event.Time(), again.DestroyAt.Time())
	}
	if again.DestroyAt-emptied.DestroyAt < 900 {
		t.Errorf("the second emptying was due at %v, the first at %v", again.DestroyAt, emptied.DestroyAt)
	}
	if gone.Data.Reason != "empty" || gone.Data.Sequence != 5 {
		t.Errorf("the room ended with %s", gone.Raw)
	}
	w.Refused(room.ErrRoomNotExist, "join", `{"roomID":"lobby","userID":"carol"}`)
	w.check()
}

// A room that is due ends although the leader died, and a timer goes on across a restart.
func TestDestroyAfterRestart(t *testing.T) {
	w, instances := newWorld(t, 1, roomsvc.Config{})
	ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":1}}`)
	ok[position](w, "leave", `{"roomID":"lobby","userID":"alice"}`)
	due := ok[room.GetReply](w, "get", `{"roomID":"lobby","sync":true}`).Room.DestroyAt
	instances[0].Kill()
	w.Node.Restart()
	w.Start(roomsvc.Config{Instance: "i0"})
	w.awaitFacts("room.evt.lobby", "the end of the room", func(f *fact) bool {
		if f.Type == "room.destroyed.v1" && f.Event.Time().UnixMilli() < int64(due) {
			t.Errorf("ended at %v, was due at %v", f.Event.Time(), due.Time())
		}
		return f.Type == "room.destroyed.v1"
	})
	w.check()
}

func TestRestartKeepsEverything(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{})
	for i := range 30 {
		ok[position](w, "enter", fmt.Sprintf(`{"roomID":"r%d","userID":"u%d","userName":"N","userInfo":{"i":%d},"config":{"roomDestroyDelayTime":600,"roomAttributes":{"k":"v"}}}`, i%7, i, i))
		ok[position](w, "enter", fmt.Sprintf(`{"roomID":"r%d","userID":"u%d","sessionID":"phone"}`, i%7, i))
		ok[position](w, "leave", fmt.Sprintf(`{"roomID":"r%d","userID":"u%d"}`, i%7, i))
	}
	w.check()
	before := w.Ask("list", `{}`)
	page := w.Ask("members", `{"roomID":"r1"}`)
	for _, i := range instances {
		i.End()
	}
	w.Node.Restart()
	w.Start(roomsvc.Config{})
	if after := w.Ask("list", `{"prefix":"r"}`); !strings.HasPrefix(string(before.Data), strings.TrimSuffix(string(after.Data), `],"nextFlag":""}`)) {
		t.Errorf("list says\n%s\nbefore\n%s", after.Data, before.Data)
	}
	if after := w.Ask("members", `{"roomID":"r1"}`); string(after.Data) != string(page.Data) {
		t.Errorf("members says\n%s\nbefore\n%s", after.Data, page.Data)
	}
	w.check()
}

// Facts that a start reads again, on top of a newer bucket, do not undo what the bucket says.
func TestRestartKnowsWhoIsWhere(t *testing.T) {
	w, instances := newWorld(t, 1, roomsvc.Config{})
	for range 3 {
		ok[position](w, "enter", `{"roomID":"lobby","userID":"alice"}`)
		ok[position](w, "enter", `{"roomID":"lobby","userID":"bob"}`)
		ok[position](w, "leave", `{"roomID":"lobby","userID":"bob"}`)
		ok[position](w, "leave", `{"roomID":"lobby","userID":"alice"}`)
	}
	ok[position](w, "enter", `{"roomID":"lobby","userID":"alice"}`)
	w.check()
	instances[0].End()
	w.Start(roomsvc.Config{})
	if rooms := ok[room.RoomsReply](w, "rooms", `{"userID":"alice"}`).Rooms; len(rooms) != 1 {
		t.Errorf("alice is in %v", rooms)
	}
	if rooms := ok[room.RoomsReply](w, "rooms", `{"userID":"bob"}`).Rooms; len(rooms) != 0 {
		t.Errorf("bob is in %v", rooms)
	}
	if left := ok[room.LeftAllReply](w, "leaveAll", `{"userID":"alice"}`).RoomIDList; len(left) != 1 {
		t.Errorf("alice left %v", left)
	}
	w.check()
}

func TestBucket(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	ok[position](w, "create", `{"roomID":"a.b","userID":"alice","userInfo":{"x":1},"config":{"roomAttributes":{"k":"v"},"roomDestroyDelayTime":600}}`)
	at := ok[position](w, "join", `{"roomID":"a.b","userID":"b*b"}`)
	w.projected(at.Revision)
	records := w.bucket()
	for _, key := range []string{"a=2Eb", "a=2Eb.alice", "a=2Eb.b=2Ab"} {
		if r := records[key]; r == nil || r["revision"] == nil || r["instanceID"] != at.InstanceID {
			t.Errorf("the bucket's %s: %v", key, records[key])
		}
	}
	if n := records["a=2Eb"]["memberCount"]; n != 2.0 {
		t.Errorf("the room's record counts %v members", n)
	}
	// A roster can be watched by keys alone.
	watch, err := w.kv.Watch(w.Ctx, "a=2Eb.>", jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watch.Stop() }()
	ok[position](w, "leave", `{"roomID":"a.b","userID":"alice"}`)
	ok[position](w, "leave", `{"roomID":"a.b","userID":"b*b"}`)
	for _, want := range []string{"a=2Eb.alice", "a=2Eb.b=2Ab"} {
		select {
		case e := <-watch.Updates():
			if e.Operation() != jetstream.KeyValueDelete || e.Key() != want && e.Key() != "a=2Eb.alice" && e.Key() != "a=2Eb.b=2Ab" {
				t.Errorf("the watcher heard %v of %s", e.Operation(), e.Key())
			}
		case <-time.After(patience):
			t.Fatalf("the watcher did not hear that %s is gone", want)
		}
	}
	if r := w.bucket(); len(r) != 1 || r["a=2Eb"]["destroyAt"] == nil {
		t.Errorf("the bucket of an empty room: %v", r)
	}
	ok[position](w, "create", `{"roomID":"short","userID":"alice"}`)
	ok[position](w, "leave", `{"roomID":"short","userID":"alice"}`)
	w.check()
}

// There are two leaders at once: neither can overwrite what the other wrote.
func TestTwoLeaders(t *testing.T) {
	w, instances := newWorld(t, 1, roomsvc.Config{})
	at := ok[position](w, "create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":600}}`)
	w.projected(at.Revision)
	instances[0].End()
	leader := func() (*projection.Projector, func() error) {
		nc := roomtest.Conn(t, w.Node.Server)
		j, err := journal.Open(w.Ctx, nc, journal.Settings{Keep: 168 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		b, err := projection.Open(w.Ctx, j, projection.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		p := projection.NewProjector(b, projection.Projected{}, time.Minute, nil)
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancel(w.Ctx)
		go func() { ended <- p.Lead(ctx) }()
		return p, func() error {
			defer cancel()
			select {
			case err := <-ended:
				return err
			case <-time.After(patience):
				return errors.New("it goes on")
			}
		}
	}
	change := func(revision uint64, name string) room.Change {
		h := room.Head{Name: name, InstanceID: at.InstanceID, Members: 1, Sequence: revision, Revision: revision}
		return room.Change{Mark: room.Mark{Revision: revision, FactID: name}, Room: "lobby", InstanceID: at.InstanceID, Changes: room.Changes{Head: &h}}
	}
	old, oldEnd := leader()
	old.Add(change(at.Revision+1000, "old"))
	w.projected(at.Revision + 1000)
	young, _ := leader()
	young.Add(change(at.Revision+1001, "young"))
	w.projected(at.Revision + 1001)
	old.Add(change(at.Revision+1002, "old again"))
	if err := oldEnd(); !errors.Is(err, projection.ErrLost) {
		t.Errorf("the old leader ended with %v", err)
	}
	if name := w.bucket()["lobby"]["roomName"]; name != "young" {
		t.Errorf("the bucket holds what %q wrote", name)
	}
	if at := w.projected(0); at == at+1002 {
		t.Errorf("the bucket's mark is the old leader's")
	}
}

// A leader whose bucket somebody else wrote to reads it again and goes on.
func TestLeaderRecoversFromForeignWrites(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	for i := range 3 {
		at := ok[position](w, "enter", fmt.Sprintf(`{"roomID":"lobby","userID":"u%d"}`, i))
		w.projected(at.Revision)
		e, err := w.kv.Get(w.Ctx, "=projected")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.kv.Put(w.Ctx, "=projected", e.Value()); err != nil {
			t.Fatal(err)
		}
	}
	w.check()
}

// Another instance takes over the lead from one that was stopped, and from one that died.
func TestLeadChanges(t *testing.T) {
	w, instances := newWorld(t, 3, roomsvc.Config{})
	for i, end := range []func(){instances[0].End, instances[1].Kill} {
		at := ok[position](w, "enter", fmt.Sprintf(`{"roomID":"lobby","userID":"u%d"}`, i))
		end()
		w.projected(at.Revision)
	}
	ok[position](w, "enter", `{"roomID":"lobby","userID":"last"}`)
	w.check()
}

func TestForeignStream(t *testing.T) {
	for _, subject := range []string{"room.evt.>", "room.evt.lobby", "room.msg.*", "room.cmd.>", "room.cmd.join.alice", "room.>"} {
		t.Run(subject, func(t *testing.T) {
			w, _ := newWorld(t, 0, roomsvc.Config{})
			foreign := jetstream.StreamConfig{Name: "ARCHIVE", Subjects: []string{subject}, NoAck: true}
			if _, err := w.JS.CreateStream(w.Ctx, foreign); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Open(roomsvc.Config{}); err == nil || !strings.Contains(err.Error(), `"ARCHIVE"`) {
				t.Fatalf("started although there is a stream on %s: %v", subject, err)
			}
			if err := w.JS.DeleteStream(w.Ctx, "ARCHIVE"); err != nil {
				t.Fatal(err)
			}
			i := w.Start(roomsvc.Config{})
			if err := i.Check(w.Ctx); err != nil {
				t.Errorf("not ready without a reason: %v", err)
			}
			if subject == "room.>" {
				return // the server itself refuses it next to ours
			}
			if _, err := w.JS.CreateStream(w.Ctx, foreign); err != nil {
				t.Fatal(err)
			}
			if err := i.Check(w.Ctx); err == nil || !strings.Contains(err.Error(), `"ARCHIVE"`) {
				t.Errorf("ready although there is a stream on %s: %v", subject, err)
			}
			ok[position](w, "enter", `{"roomID":"lobby","userID":"alice"}`)
			if err := w.JS.DeleteStream(w.Ctx, "ARCHIVE"); err != nil {
				t.Fatal(err)
			}
			if err := i.Check(w.Ctx); err != nil {
				t.Errorf("not ready without a reason: %v", err)
			}
		})
	}
	t.Parallel()
}

func TestWhatDoesNotBelongTogether(t *testing.T) {
	t.Parallel()
	t.Run("the journal is another one", func(t *testing.T) {
		w, instances := newWorld(t, 1, roomsvc.Config{})
		at := ok[position](w, "enter", `{"roomID":"lobby","userID":"alice"}`)
		w.projected(at.Revision)
		instances[0].End()
		if err := w.JS.DeleteStream(w.Ctx, "ROOMS"); err != nil {
			t.Fatal(err)
		}
		_, err := w.Open(roomsvc.Config{})
		if err == nil || !strings.Contains(err.Error(), "rooms") || !strings.Contains(err.Error(), "ROOMS") || !strings.Contains(err.Error(), "another deployment") {
			t.Fatalf("started: %v", err)
		}
		if err := w.JS.DeleteStream(w.Ctx, "KV_rooms"); err != nil {
			t.Fatal(err)
		}
		w.Start(roomsvc.Config{})
		w.bind()
		if rooms := w.roomsNow(); len(rooms) > 0 {
			t.Errorf("rooms out of nothing: %v", rooms)
		}
	})
	t.Run("the bucket is lost", func(t *testing.T) {
		w, instances := newWorld(t, 1, roomsvc.Config{})
		for i := range 20 {
			ok[position](w, "enter", fmt.Sprintf(`{"roomID":"r%d","userID":"u%d"}`, i%3, i))
		}
		instances[0].End()
		if err := w.JS.DeleteStream(w.Ctx, "KV_rooms"); err != nil {
			t.Fatal(err)
		}
		w.Start(roomsvc.Config{})
		w.bind()
		w.check()
	})
	t.Run("the journal is somebody else's", func(t *testing.T) {
		w, _ := newWorld(t, 0, roomsvc.Config{})
		if _, err := w.JS.CreateStream(w.Ctx, jetstream.StreamConfig{Name: "ROOMS", Subjects: []string{"hotel.>"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Open(roomsvc.Config{}); err == nil || !strings.Contains(err.Error(), "did not make") {
			t.Fatalf("started: %v", err)
		}
	})
	t.Run("settings", func(t *testing.T) {
		w, _ := newWorld(t, 0, roomsvc.Config{})
		if _, err := w.Open(roomsvc.Config{FactsKeep: time.Hour}); err == nil || !strings.Contains(err.Error(), "24h") {
			t.Errorf("started: %v", err)
		}
		if _, err := w.Open(roomsvc.Config{Limits: room.Limits{MaxRooms: -1}}); err == nil {
			t.Error("started with -1 rooms")
		}
	})
}

func TestBusy(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{MaxInFlight: 1})
	at := ok[position](w, "create", `{"roomID":"lobby","userID":"alice"}`)
	w.projected(at.Revision)
	inbox, err := w.NC.SubscribeSync(w.NC.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	// The first request waits for what is not stored yet, and takes the only place.
	head, err := w.JS.Stream(w.Ctx, "ROOMS")
	if err != nil {
		t.Fatal(err)
	}
	next := head.CachedInfo().State.LastSeq + 1
	if err := w.NC.PublishRequest("room.cmd.get", inbox.Subject, fmt.Appendf(nil, `{"roomID":"lobby","minRevision":%d}`, next)); err != nil {
		t.Fatal(err)
	}
	if e := w.Refused(room.ErrBusy, "get", `{"roomID":"lobby"}`); e.RetryAfterMs <= 0 || !strings.Contains(e.Message, "1 command") {
		t.Errorf("retry after %d ms: %s", e.RetryAfterMs, e.Message)
	}
	if _, err := w.JS.Publish(w.Ctx, "room.sync", nil); err != nil {
		t.Fatal(err)
	}
	m, err := inbox.NextMsg(patience)
	if err != nil || refusal(m) != nil {
		t.Fatalf("the first one: %v, %v", err, refusal(m))
	}
	ok[position](w, "join", `{"roomID":"lobby","userID":"bob"}`)
}
