package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// talk is the messages sent in a room while the process was killed: what was answered,
// and what a client heard.
type talk struct {
	room string
	nc   *nats.Conn

	mu       sync.Mutex
	answered map[string]*room.SendReply // by the message's text

	over      chan struct{}     // closed when nothing more is heard
	heard     map[uint64]string // by messageSeq
	recovered int
}

const talkers = 2

// newTalk makes a room and makes everybody join who will talk.
func newTalk(ctx context.Context, nc *nats.Conn) (*talk, error) {
	k := &talk{room: "talk", nc: nc, answered: map[string]*room.SendReply{}, heard: map[uint64]string{}, over: make(chan struct{})}
	for n := range talkers {
		c := client.New(nc, client.Config{UserID: k.user(n)})
		if _, err := c.Enter(ctx, room.CreateRequest{RoomID: k.room, Config: &room.RoomConfig{RoomDestroyDelayTime: room.MaxDestroyDelay}}); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func (k *talk) user(n int) string { return fmt.Sprintf("talker-%d", n) }

// say sends numbered messages until stop, each again until its outcome is known.
func (k *talk) say(ctx context.Context, n int, stop <-chan struct{}) error {
	c := client.New(k.nc, client.Config{UserID: k.user(n), Timeout: 500 * time.Millisecond})
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		q := room.SendRequest{RoomID: k.room, Type: string(events.Text), Data: fmt.Sprintf("%s says %d", k.user(n), i)}
		r, err := c.Send(ctx, q)
		if err != nil {
			return fmt.Errorf("%s: %w", q.Data, err)
		}
		k.mu.Lock()
		k.answered[q.Data] = r
		k.mu.Unlock()
	}
}

// listen hears messages, until the room's last one, on a connection that reconnects
// slowly, so that it misses some after each kill.
func (k *talk) listen(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	nc, err := nats.Connect(url, patientDial, nats.MaxReconnects(-1), nats.ReconnectWait(1500*time.Millisecond), nats.ReconnectJitter(0, 0), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	listening := make(chan struct{})
	go func() {
		defer close(k.over)
		for h, err := range client.New(nc, client.Config{}).Messages(ctx, client.MessagesRequest{RoomID: k.room, Every: time.Second, Note: func(n client.Note) {
			if n.Kind == client.NoteListening {
				close(listening)
			}
		}}) {
			switch {
			case err != nil || h.Lost:
				t.Errorf("after %d, lost %v: %v", h.After, h.Lost, err)
				return
			case h.Message.Data == lastWords:
				return
			case h.Recovered:
				k.recovered++
			}
			if k.heard[h.Message.Seq] != "" || h.Message.Seq <= h.After {
				t.Errorf("%d comes after %d", h.Message.Seq, h.After)
			}
			k.heard[h.Message.Seq] = h.Message.Data
		}
	}()
	select {
	case <-listening:
	case <-k.over:
		t.Fatal("nothing is heard")
	}
}

// lastWords is the message that ends the listening.
const lastWords = "that is all"

// verify compares what was answered, and what was heard, with what is stored.
func (k *talk) verify(ctx context.Context, t *testing.T) {
	t.Helper()
	if _, err := client.New(k.nc, client.Config{}).Send(ctx, room.SendRequest{RoomID: k.room, Type: string(events.Text), Data: lastWords}); err != nil {
		t.Fatal(err)
	}
	<-k.over
	js, err := jetstream.New(k.nc)
	if err != nil {
		t.Fatal(err)
	}
	cons, err := js.OrderedConsumer(ctx, subjects.StreamMessages, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	stored, at := map[string]uint64{}, map[uint64]string{}
	it, err := cons.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer it.Stop()
	for left := cons.CachedInfo().NumPending; left > 0; left-- {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		said, err := events.DecodeMessage(m.Data())
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := stored[said.Data]; twice {
			t.Errorf("%q is stored at %d and at %d", said.Data, other, meta.Sequence.Stream)
		}
		if said.Data == lastWords {
			continue
		}
		stored[said.Data], at[meta.Sequence.Stream] = meta.Sequence.Stream, said.Data
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for data, r := range k.answered {
		if stored[data] != r.MessageSeq {
			t.Errorf("%q was answered with %d, but is stored at %d", data, r.MessageSeq, stored[data])
		}
	}
	for seq, data := range at {
		if k.heard[seq] != data {
			t.Errorf("message %d is %q, but %q was heard", seq, data, k.heard[seq])
		}
	}
	if len(k.heard) != len(at) || len(k.answered) == 0 {
		t.Errorf("%d messages stored, %d heard, %d answered", len(at), len(k.heard), len(k.answered))
	}
	if k.recovered == 0 {
		t.Error("the listener missed nothing")
	}
	roomtest.Figure(t, "%d messages answered, %d stored, %d missed and recovered", len(k.answered), len(at), k.recovered)
}
