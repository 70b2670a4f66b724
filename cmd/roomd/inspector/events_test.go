package inspector_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/cmd/roomd/inspector"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/roomtest/worlds"
)

// told is what matters of an event of a room.
type told struct {
	Type     string `json:"type"`
	Instance string `json:"roominstance"`
	Sequence string `json:"sequence"`
	Data     struct {
		MessageSeq uint64 `json:"messageSeq"`
		Text       string `json:"data"`
	} `json:"data"`
}

func (e event) told(t *testing.T) *told {
	t.Helper()
	m := worlds.Decode[told](t, []byte(e.data))
	m.Sequence = strings.TrimLeft(m.Sequence, "0") // so that texts sort as numbers, it has twenty digits
	return m
}

func (e event) hello(t *testing.T) *inspector.Hello {
	t.Helper()
	return worlds.Decode[inspector.Hello](t, []byte(e.data))
}

func say(r *rig, id, user, kind, text string) uint64 {
	r.t.Helper()
	return worlds.OK[struct {
		MessageSeq uint64 `json:"messageSeq"`
	}](r.World, "send", fmt.Sprintf(`{"roomID":%q,"userID":%q,"type":%q,"data":%q}`, id, user, kind, text)).MessageSeq
}

// A stream tells each fact and message of a room once, as they come, and goes on where it was.
func TestEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, false)
	const id = "the/lobby 100%"
	before := r.open("events" + param("room", id))
	if h := before.next("hello").hello(t); h.Exists || h.Why != "start" || h.RoomID != id {
		t.Errorf("of a room that is not there: %+v", h)
	}
	enter(r.World, id, "alice")
	h := before.next("hello").hello(t)
	if !h.Exists || h.Why != "instance" || h.InstanceID == "" || h.Sequence != 0 {
		t.Errorf("the room is made: %+v", h)
	}
	if f := before.next("fact").told(t); f.Sequence != "1" || !strings.Contains(f.Type, "room.created") || f.Instance != h.InstanceID {
		t.Errorf("the first fact: %+v", f)
	}
	before.cancel()
	seq := say(r, id, "alice", "text", "early")

	s := r.open("events" + param("room", id))
	first := s.next("hello")
	if h := first.hello(t); !h.Exists || h.Sequence != 1 || h.MessageSeq != seq || h.Revision == 0 || h.Why != "start" {
		t.Errorf("where it begins: %+v, the message is %d", h, seq)
	}
	enter(r.World, id, "bob")
	seq = say(r, id, "bob", "text", "hello\nyou")
	say(r, id, "bob", "barrage", "whoosh")
	if f := s.next("fact").told(t); f.Sequence != "2" {
		t.Errorf("a fact: %+v", f)
	}
	last := s.next("message")
	if m := last.told(t); m.Data.MessageSeq != seq || m.Data.Text != "hello\nyou" || last.id == "" {
		t.Errorf("a message: %+v %s", m, last.id)
	}
	if e := s.next("message"); e.told(t).Data.Text != "whoosh" || e.id != "" || e.told(t).Data.MessageSeq != 0 {
		t.Errorf("a message that is live only: %+v", e)
	}
	s.cancel()
	s.over()

	enter(r.World, id, "carol") // meanwhile
	seq = say(r, id, "carol", "custom", "meanwhile")
	enter(r.World, id, "dave")
	for _, again := range []func(*http.Request){header("Last-Event-ID", last.id), func(q *http.Request) { q.URL.RawQuery += "&lastEventID=" + last.id }} {
		s := r.open("events"+param("room", id), again)
		if f := s.next("fact").told(t); f.Sequence != "3" {
			t.Errorf("the first that was missed: %+v", f)
		}
		if m := s.next("message").told(t); m.Data.MessageSeq != seq || m.Data.Text != "meanwhile" {
			t.Errorf("the message that was missed: %+v", m)
		}
		if f := s.next("fact").told(t); f.Sequence != "4" {
			t.Errorf("the second that was missed: %+v", f)
		}
		s.cancel()
	}

	// The room ends, and another one of its name begins.
	s = r.open("events" + param("room", id))
	last = s.next("hello")
	worlds.OK[struct{}](r.World, "destroy", fmt.Sprintf(`{"roomID":%q}`, id))
	for f := (&told{}); !strings.Contains(f.Type, "room.destroyed"); {
		f = s.next("fact").told(t)
	}
	enter(r.World, id, "erin")
	if h := s.next("hello").hello(t); h.Why != "instance" || h.InstanceID == first.hello(t).InstanceID {
		t.Errorf("another instance: %+v", h)
	}
	if f := s.next("fact").told(t); f.Sequence != "1" {
		t.Errorf("its first fact: %+v", f)
	}
	late := r.open("events"+param("room", id), header("Last-Event-ID", last.id))
	if h := late.next("hello").hello(t); h.Why != "instance" || h.Sequence != 1 {
		t.Errorf("who comes back after that: %+v", h)
	}
}

// Deletions are told.
func TestDeletionIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, false)
	enter(r.World, "lobby", "alice")
	seq := say(r, "lobby", "alice", "text", "oops")
	s := r.open("events?room=lobby")
	s.next("hello")
	r.ok("POST", "command/deleteMessages", fmt.Sprintf(`{"roomID":"lobby","messageSeqs":[%d]}`, seq))
	if m := s.next("message"); !strings.Contains(m.told(t).Type, "message.deleted") || m.id == "" {
		t.Errorf("%+v", m)
	}
}

// What is lost on the way is read from the history: here the inspector's own server link is cut while things happen.
func TestGapIsHealed(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, false)
	enter(r.World, "lobby", "u0")
	s := r.open("events?room=lobby")
	last := s.next("hello").id
	const many = 40
	for n := 1; n <= many; n++ {
		enter(r.World, "lobby", fmt.Sprintf("u%d", n))
		say(r, "lobby", "u0", "text", fmt.Sprint(n))
		if n%10 == 5 { // the inspector's connection comes back within milliseconds, and has heard nothing meanwhile
			cutOff(t, r, "roomd inspector")
		}
	}
	facts, messages := 1, 0
	for facts < many+1 || messages < many {
		select {
		case e, more := <-s.events:
			switch {
			case !more: // its history was on the way when the connection was cut; the page opens it again
				s = r.open("events"+param("room", "lobby"), header("Last-Event-ID", last))
				continue
			case e.name == "fact":
				if facts++; e.told(t).Sequence != fmt.Sprint(facts) {
					t.Fatalf("fact %s comes where %d should", e.told(t).Sequence, facts)
				}
			case e.name == "message":
				if messages++; e.told(t).Data.Text != fmt.Sprint(messages) {
					t.Fatalf("message %s comes where %d should", e.told(t).Data.Text, messages)
				}
			default:
				t.Fatalf("%+v", e)
			}
			last = e.id
		case <-time.After(patience):
			t.Fatalf("%d facts and %d messages have come", facts, messages)
		}
	}
}

// cutOff ends the connections of a name, which come back.
func cutOff(t *testing.T, r *rig, name string) {
	t.Helper()
	conns, err := r.Node.Connz(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range conns.Conns {
		if c.Name == name {
			if err := r.Node.DisconnectClientByID(c.Cid); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Who comes back after too much has happened begins anew.
func TestTooMuchMissed(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{MessagesPerRoom: 5}, false)
	enter(r.World, "lobby", "alice")
	say(r, "lobby", "alice", "text", "0")
	s := r.open("events?room=lobby")
	last := s.next("hello")
	s.cancel()
	seq := uint64(0)
	for n := range 10 {
		seq = say(r, "lobby", "alice", "text", fmt.Sprint(n))
	}
	s = r.open("events?room=lobby", header("Last-Event-ID", last.id))
	if h := s.next("hello").hello(t); h.Why != "gap" || h.MessageSeq != seq {
		t.Errorf("%+v, the newest message is %d", h, seq)
	}
	say(r, "lobby", "alice", "text", "and on")
	if m := s.next("message").told(t); m.Data.Text != "and on" {
		t.Errorf("%+v", m)
	}
}

// A page that does not read holds up nobody: another one hears its room meanwhile, and it is left.
func TestStorm(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, false)
	enter(r.World, "storm", "alice")
	enter(r.World, "quiet", "bob")
	slow := lazy(t, r, "events?room=storm")
	reads := r.open("events?room=storm")
	reads.next("hello")
	s := r.open("events?room=quiet")
	s.next("hello")
	data := strings.Repeat("x", 30_000)
	body, err := json.Marshal(map[string]any{"roomID": "storm", "userID": "alice", "type": "barrage", "data": data})
	if err != nil {
		t.Fatal(err)
	}
	inbox := r.NC.NewInbox()
	answers, err := r.NC.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	_ = answers.SetPendingLimits(-1, -1)
	begun, said := time.Now(), 0
	for over := false; !over; said++ { // until the slow one is left
		if time.Since(begun) > 2*patience {
			t.Fatal("the slow reader stays")
		}
		if err := r.NC.PublishMsg(&nats.Msg{Subject: "room.cmd.send", Reply: inbox, Data: body}); err != nil {
			t.Fatal(err)
		}
		if said%20 == 19 {
			for range 20 {
				if _, err := answers.NextMsg(patience); err != nil {
					t.Fatal(err)
				}
			}
			for len(reads.events) > 0 {
				<-reads.events
			}
		}
		if said%200 == 0 {
			text := fmt.Sprint(said)
			say(r, "quiet", "bob", "text", text)
			if m := s.next("message").told(t); m.Data.Text != text {
				t.Fatalf("the quiet room: %+v", m)
			}
		}
		over = slow()
	}
	say(r, "quiet", "bob", "text", "afterwards")
	s.next("message")
	t.Logf("it was left after %d messages of 30 KB, %v", said, time.Since(begun).Round(time.Second))
}

// lazy asks for a stream and does not read it. What it returns says whether the stream has been ended, as far as
// roomd has: then there is one stream less.
func lazy(t *testing.T, r *rig, path string) (left func() bool) {
	t.Helper()
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	before := r.look.Streams()
	if _, err := fmt.Fprintf(conn, "GET /inspector/api/%s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	r.Until(patience, "the stream", func() bool { return r.look.Streams() == before+1 })
	others := 2 // that the test opens afterwards
	return func() bool { return r.look.Streams() == before+others }
}
