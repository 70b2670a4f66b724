package plain

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/roomsvc/roomtest"
)

var sizes = Sizes{Fact: 560, More: 60, Reply: 420}

const within = 20 * time.Second

// world is a stream, and a service that learns of acknowledgements when the test says so.
type world struct {
	t       *testing.T
	nc      *nats.Conn
	stream  jetstream.Stream
	s       *Service
	acks    *nats.Subscription
	answers *nats.Subscription
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, nc: roomtest.Conn(t, roomtest.Server(t))}
	js, err := jetstream.New(w.nc)
	w.no(err)
	w.stream, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "PLAIN", Subjects: []string{"in.*"}})
	w.no(err)
	w.s = newService(w.nc, "in.", sizes)
	w.acks, err = w.nc.SubscribeSync(w.s.acks + "*")
	w.no(err)
	w.answers, err = w.nc.SubscribeSync("answer.*")
	w.no(err)
	return w
}

func (w *world) no(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// ask has users of a room ask the service for something.
func (w *world) ask(room string, users ...string) {
	for _, u := range users {
		w.s.take(&nats.Msg{Reply: "answer." + u, Data: fmt.Appendf(nil, `{"roomID":"%s","userID":"%s"}`, room, u)})
	}
}

// ack is the next acknowledgement.
func (w *world) ack() *nats.Msg { return w.next(w.acks) }

func (w *world) next(sub *nats.Subscription) *nats.Msg {
	w.t.Helper()
	m, err := sub.NextMsg(within)
	w.no(err)
	return m
}

// answered checks that these users are answered next, and says the same to all.
func (w *world) answered(want string, users ...string) {
	w.t.Helper()
	for _, u := range users {
		if m := w.next(w.answers); m.Subject != "answer."+u || !strings.Contains(string(m.Data), want) {
			w.t.Errorf("the answer on %s is %.100q; want %q for %s", m.Subject, m.Data, want, u)
		}
	}
}

// stored checks the message at a sequence of the stream.
func (w *world) stored(seq uint64, room string, sequence uint64, users ...string) {
	w.t.Helper()
	m, err := w.stream.GetMsg(w.t.Context(), seq)
	w.no(err)
	text := string(m.Data)
	if m.Subject != "in."+room || !strings.Contains(text, fmt.Sprintf(`"sequence":%d,`, sequence)) || strings.Count(text, `"userID":`) != len(users) {
		w.t.Errorf("message %d, on %s, is %s", seq, m.Subject, text)
	}
	for _, u := range users {
		if !strings.Contains(text, `"userID":"`+u+`"`) {
			w.t.Errorf("%s is not in message %d: %s", u, seq, text)
		}
	}
	if want := sizes.Fact + (len(users)-1)*sizes.More; len(text) != want {
		w.t.Errorf("message %d has %d bytes, want %d", seq, len(text), want)
	}
}

func (w *world) count(want uint64) {
	w.t.Helper()
	info, err := w.stream.Info(w.t.Context())
	w.no(err)
	if info.State.Msgs != want {
		w.t.Errorf("the stream has %d messages, want %d", info.State.Msgs, want)
	}
}

// TestGroupCommit has requests arrive while the append of another one is in flight.
func TestGroupCommit(t *testing.T) {
	w := newWorld(t)
	w.ask("a", "u1")
	first := w.ack()
	w.ask("a", "u2", "u3", "u4")
	w.ask("b", "u5")  // another room has nothing in flight
	second := w.ack() // its own
	w.stored(1, "a", 1, "u1")
	w.stored(2, "b", 1, "u5")
	w.s.acknowledged(second)
	w.answered(`{"sequence":1 `, "u5")
	w.s.acknowledged(first)
	w.answered(`{"sequence":1 `, "u1")
	w.s.acknowledged(w.ack())
	w.answered(`{"sequence":2 `, "u2", "u3", "u4")
	w.stored(3, "a", 2, "u2", "u3", "u4")
	w.ask("a", "u6") // nothing is in flight any more
	w.s.acknowledged(w.ack())
	w.answered(`{"sequence":3 `, "u6")
	w.stored(4, "a", 3, "u6")
	w.count(4)
}

// TestMost has more wait than one message may carry.
func TestMost(t *testing.T) {
	w := newWorld(t)
	w.ask("a", "first")
	first := w.ack()
	var users []string
	for i := range most + 2 {
		users = append(users, fmt.Sprintf("u%d", i))
	}
	w.ask("a", users...)
	w.s.acknowledged(first)
	w.answered(`{"sequence":1 `, "first")
	w.s.acknowledged(w.ack())
	w.answered(`{"sequence":2 `, users[:most]...)
	w.s.acknowledged(w.ack())
	w.answered(`{"sequence":3 `, users[most:]...)
	w.stored(3, "a", 3, users[most:]...)
	w.count(3)
}

// TestNotStored has somebody else append to the room, which the service does not know.
func TestNotStored(t *testing.T) {
	w := newWorld(t)
	w.no(w.nc.PublishMsg(&nats.Msg{Subject: "in.a", Reply: "answer.other"}))
	w.answered(`"seq":1`, "other")
	w.ask("a", "u1")
	w.s.acknowledged(w.ack())
	m := w.next(w.answers)
	if m.Header.Get(micro.ErrorHeader) == "" || !strings.Contains(string(m.Data), "wrong last sequence") {
		t.Errorf("%v, %s", m.Header, m.Data)
	}
	w.count(1)
}

// TestStart asks over the wire.
func TestStart(t *testing.T) {
	w := newWorld(t)
	subject, err := Start(w.nc, "in.", sizes)
	w.no(err)
	m, err := w.nc.Request(subject, []byte(`{"roomID":"a","userID":"u1"}`), within)
	w.no(err)
	if len(m.Data) != sizes.Reply || !strings.HasPrefix(string(m.Data), `{"sequence":1 `) {
		t.Errorf("%q", m.Data)
	}
	w.stored(1, "a", 1, "u1")
	m, err = w.nc.Request(subject, []byte(`{"roomID":"no.stream.takes.this","userID":"u1"}`), within)
	w.no(err)
	if !strings.Contains(string(m.Data), "there is no stream") {
		t.Errorf("%q", m.Data)
	}
}
