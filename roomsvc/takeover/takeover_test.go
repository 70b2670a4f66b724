package takeover

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

const patience = time.Minute

// settings are those of the stream as it should be.
func settings(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: subjects.StreamMessages, Subjects: []string{subjects.MessagesTaken},
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: subjects.MessagesTaken, Destination: subjects.MessagesHeard},
		RePublish:        &jetstream.RePublish{Source: subjects.MessagesHeard, Destination: subjects.MessagesHeard},
		Discard:          jetstream.DiscardNew, MaxAge: time.Hour, MaxMsgsPerSubject: 7, Replicas: replicas, DenyPurge: true, Duplicates: 2 * time.Minute,
	}
}

// world is a server with a stream as an earlier version made it.
type world struct {
	t   *testing.T
	ctx context.Context
	js  jetstream.JetStream
	nc  *nats.Conn
	cfg jetstream.StreamConfig
}

func newWorld(t *testing.T, nc *nats.Conn, replicas int) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, nc: nc, cfg: settings(replicas)}
	var err error
	if w.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	old := w.cfg
	old.DenyDelete = true
	if _, err := w.js.CreateStream(ctx, old); err != nil {
		t.Fatal(err)
	}
	for n := range 40 { // the rooms keep 7 each
		w.say(fmt.Sprintf("room%d", n%4), fmt.Sprint("message ", n))
	}
	return w
}

func (w *world) say(id, text string) *jetstream.PubAck {
	w.t.Helper()
	m := &nats.Msg{Subject: "room.msgjournal." + id, Header: nats.Header{"Room-Request": {text}}, Data: []byte(text)}
	ack, err := w.js.PublishMsg(w.ctx, m, jetstream.WithMsgID(id+text))
	if err != nil {
		w.t.Fatal(err)
	}
	return ack
}

// stored is everything in the stream.
func (w *world) stored() (list []string) {
	w.t.Helper()
	s, err := w.js.Stream(w.ctx, subjects.StreamMessages)
	if err != nil {
		w.t.Fatal(err)
	}
	info := s.CachedInfo().State
	for seq := info.FirstSeq; seq <= info.LastSeq; seq++ {
		m, err := s.GetMsg(w.ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if m.Subject != subjects.MessagesPoint {
			list = append(list, fmt.Sprintf("%d %s %v %s %s", m.Sequence, m.Subject, m.Header, m.Time.Format(time.RFC3339Nano), m.Data))
		}
	}
	return list
}

// check checks that the stream has been taken over with everything in it, and works.
func (w *world) check(was []string) {
	w.t.Helper()
	if now := w.stored(); !reflect.DeepEqual(now, was) {
		w.t.Errorf("the stream has\n%s\nit had\n%s", strings.Join(now, "\n"), strings.Join(was, "\n"))
	}
	s, err := w.js.Stream(w.ctx, subjects.StreamMessages)
	if err != nil {
		w.t.Fatal(err)
	}
	last := s.CachedInfo().State.LastSeq
	sub, err := w.nc.SubscribeSync("room.msg.room1")
	if err != nil {
		w.t.Fatal(err)
	}
	// A server of a cluster forgets which message IDs it has seen.
	if w.cfg.Replicas == 1 {
		if ack := w.say("room3", "message 39"); !ack.Duplicate || ack.Sequence != 40 {
			w.t.Errorf("what was stored before is stored again: %+v", ack)
		}
	}
	ack := w.say("room1", "another")
	m, err := sub.NextMsg(patience)
	if ack.Sequence != last+1 || err != nil || string(m.Data) != "another" {
		w.t.Errorf("it goes on at %d after %d, and %v, %v is heard", ack.Sequence, last, m, err)
	}
	if err := s.SecureDeleteMsg(w.ctx, 40); err != nil {
		w.t.Errorf("deleting a message: %v", err)
	}
	if _, err := w.js.Stream(w.ctx, subjects.StreamAside); !errors.Is(err, jetstream.ErrStreamNotFound) {
		w.t.Errorf("the copy is still there: %v", err)
	}
	if denies, err := Prepare(w.ctx, w.js, w.cfg, false); denies || err != nil {
		w.t.Errorf("afterwards: %v, %v", denies, err)
	}
}

func TestTakeOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, roomtest.Conn(t, roomtest.Server(t)), 1)
	old, err := w.js.Stream(w.ctx, subjects.StreamMessages)
	if err != nil {
		t.Fatal(err)
	}
	if denies, err := Prepare(w.ctx, w.js, w.cfg, false); !denies || err != nil {
		t.Errorf("if it may not: %v, %v", denies, err)
	}
	// A pipeline has read up to some message, another one has not begun, and one is pushed to.
	read, err := old.CreateConsumer(w.ctx, jetstream.ConsumerConfig{Durable: "archive", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "room.msg.room2"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := read.Next()
	if err == nil {
		err = m.DoubleAck(w.ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	first, _ := m.Metadata()
	if _, err := old.CreateConsumer(w.ctx, jetstream.ConsumerConfig{Durable: "new", AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverNewPolicy}); err != nil {
		t.Fatal(err)
	}
	pushed := w.nc.NewInbox()
	if _, err := w.js.CreatePushConsumer(w.ctx, subjects.StreamMessages, jetstream.ConsumerConfig{Durable: "pushed", AckPolicy: jetstream.AckExplicitPolicy, DeliverSubject: pushed, FilterSubject: "room.msg.room1"}); err != nil {
		t.Fatal(err)
	}
	was := w.stored()
	if denies, err := Prepare(w.ctx, w.js, w.cfg, true); denies || err != nil {
		t.Fatalf("%v, %v", denies, err)
	}
	w.check(was)
	again, err := w.js.Consumer(w.ctx, subjects.StreamMessages, "archive")
	if err != nil {
		t.Fatal(err)
	}
	m, err = again.Next()
	if err != nil {
		t.Fatal(err)
	}
	if next, _ := m.Metadata(); next.Sequence.Stream != first.Sequence.Stream+4 {
		t.Errorf("after %d the pipeline reads %d", first.Sequence.Stream, next.Sequence.Stream)
	}
	for _, name := range []string{"new", "pushed"} {
		if c, err := w.js.Stream(w.ctx, subjects.StreamMessages); err != nil {
			t.Error(err)
		} else if list := consumers(w.ctx, c); list[name] == nil || list[name].Paused {
			t.Errorf("the consumer %s is %+v", name, list[name])
		}
	}
	if n, err := w.js.Consumer(w.ctx, subjects.StreamMessages, "new"); err != nil || n.CachedInfo().NumPending > 2 {
		t.Errorf("one for what is new has %+v, %v", n, err)
	}
}

func consumers(ctx context.Context, s jetstream.Stream) map[string]*jetstream.ConsumerInfo {
	all := map[string]*jetstream.ConsumerInfo{}
	for info := range s.ListConsumers(ctx).Info() {
		all[info.Name] = info
	}
	return all
}

// However often it is interrupted, and wherever, it goes on; and nobody makes an empty stream
// meanwhile.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, roomtest.Conn(t, roomtest.Server(t)), 1)
	was := w.stored()
	refused := false
	for patience := time.Millisecond; w.ctx.Err() == nil; patience += time.Millisecond {
		ctx, cancel := context.WithTimeout(w.ctx, patience)
		denies, err := Prepare(ctx, w.js, w.cfg, true)
		cancel()
		if err == nil {
			if denies {
				t.Error("it still denies deletion")
			}
			break
		}
		if denies, err := Prepare(w.ctx, w.js, w.cfg, false); err != nil {
			refused = refused || strings.Contains(err.Error(), "--take-over")
		} else if !denies {
			break
		}
	}
	if !refused {
		t.Error("it was never interrupted half-way")
	}
	if _, err := Prepare(w.ctx, w.js, w.cfg, true); err != nil {
		t.Fatal(err)
	}
	w.check(was)
}

// Nothing is left of what was said, but the numbers go on.
func TestEmptyStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, roomtest.Conn(t, roomtest.Server(t)), 1)
	old := w.cfg
	old.DenyDelete, old.MaxAge, old.Duplicates = true, 100*time.Millisecond, 100*time.Millisecond
	s, err := w.js.UpdateStream(w.ctx, old)
	if err != nil {
		t.Fatal(err)
	}
	for s.CachedInfo().State.Msgs > 0 {
		if _, err = s.Info(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Prepare(w.ctx, w.js, w.cfg, true); err != nil {
		t.Fatal(err)
	}
	if ack := w.say("room1", "goes on"); ack.Sequence <= 40 {
		t.Errorf("after 40 comes %d", ack.Sequence)
	}
}

func TestTakeOverInACluster(t *testing.T) {
	t.Parallel()
	nodes := roomtest.Cluster(t, 3)
	w := newWorld(t, roomtest.Conn(t, nodes[0].Server), 3)
	was := w.stored()
	if denies, err := Prepare(w.ctx, w.js, w.cfg, true); denies || err != nil {
		t.Fatalf("%v, %v", denies, err)
	}
	w.check(was)
}
