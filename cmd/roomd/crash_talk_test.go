package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// talk is what was said in a room while the process was killed: what was answered, and
// what one who listened, and filled holes by history, got to know.
type talk struct {
	room     string
	instance string
	nc       *nats.Conn

	mu       sync.Mutex
	answered map[string]*room.SendReply // by what was said
	heard    map[uint64]string          // by messageSeq
	last     uint64
	holes    int
}

const talkers = 2

// newTalk makes a room and lets everybody in who will talk.
func newTalk(ctx context.Context, nc *nats.Conn) (*talk, error) {
	k := &talk{room: "talk", nc: nc, answered: map[string]*room.SendReply{}, heard: map[uint64]string{}}
	for n := range talkers {
		c := roomsvc.NewClient(nc, roomsvc.ClientConfig{UserID: k.user(n)})
		r, err := c.Enter(ctx, room.CreateRequest{RoomID: k.room, Config: &room.RoomConfig{RoomDestroyDelayTime: room.MaxDestroyDelay}})
		if err != nil {
			return nil, err
		}
		k.instance = r.InstanceID
	}
	return k, nil
}

func (k *talk) user(n int) string { return fmt.Sprintf("talker-%d", n) }

// say sends numbered messages until stop; each until its outcome is known.
func (k *talk) say(ctx context.Context, n int, stop <-chan struct{}) error {
	c := roomsvc.NewClient(k.nc, roomsvc.ClientConfig{UserID: k.user(n), Timeout: 500 * time.Millisecond})
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		q := room.SendRequest{Caller: room.Caller{RequestID: strconv.Itoa(i)}, RoomID: k.room, Type: string(events.Text), Data: fmt.Sprintf("%s says %d", k.user(n), i)}
		for {
			r, err := c.Send(ctx, q)
			if err == nil {
				k.mu.Lock()
				k.answered[q.Data] = r
				k.mu.Unlock()
				break
			}
			var refused *room.Error
			if errors.As(err, &refused) && refused.Code != room.ErrBusy && refused.Code != room.ErrUnavailable || ctx.Err() != nil {
				return fmt.Errorf("%s: %w", q.Data, err)
			}
		}
	}
}

// listen hears live copies on a connection that is slow to come back, so that it misses
// some after each death. A copy that does not follow the last one shows the hole, and
// history fills it.
func (k *talk) listen(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(1500*time.Millisecond), nats.ReconnectJitter(0, 0), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	_, err = nc.Subscribe(subjects.Messages(subjects.Room(k.room)), func(m *nats.Msg) {
		seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		before, err2 := strconv.ParseUint(m.Header.Get("Nats-Last-Sequence"), 10, 64)
		said, err3 := events.DecodeMessage(m.Data)
		if err := errors.Join(err, err2, err3); err != nil {
			t.Errorf("a live copy: %v", err)
			return
		}
		k.mu.Lock()
		hole := before > k.last
		if !hole && seq > k.last {
			k.heard[seq], k.last = said.Data, seq
		}
		k.mu.Unlock()
		if hole && k.fill(ctx) == nil { // else the next copy shows it again
			k.mu.Lock()
			k.holes++
			k.mu.Unlock()
		}
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fill reads by history what is behind the last message that was heard without a hole.
func (k *talk) fill(ctx context.Context) error {
	c := roomsvc.NewClient(k.nc, roomsvc.ClientConfig{})
	for {
		k.mu.Lock()
		after := k.last
		k.mu.Unlock()
		page, err := c.History(ctx, room.HistoryRequest{RoomID: k.room, InstanceID: k.instance, AfterMessageSeq: &after})
		if err != nil {
			return err
		}
		if !page.Complete {
			return fmt.Errorf("history behind %d is not complete", after)
		}
		k.mu.Lock()
		for _, raw := range page.Events {
			m, err := events.DecodeMessage(raw)
			if err != nil {
				k.mu.Unlock()
				return err
			}
			k.heard[m.Seq], k.last = m.Data, max(k.last, m.Seq)
		}
		k.mu.Unlock()
		if page.NextFlag == "" {
			return nil
		}
	}
}

// verify holds what was answered, and what was heard, against what is stored.
func (k *talk) verify(ctx context.Context, t *testing.T) {
	t.Helper()
	if err := k.fill(ctx); err != nil { // the last ones may be missing, and nothing behind them shows it
		t.Fatal(err)
	}
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
		stored[said.Data], at[meta.Sequence.Stream] = meta.Sequence.Stream, said.Data
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for data, r := range k.answered {
		if stored[data] != r.MessageSeq {
			t.Errorf("%q was answered with %d, and is stored at %d", data, r.MessageSeq, stored[data])
		}
	}
	for seq, data := range at {
		if k.heard[seq] != data {
			t.Errorf("message %d is %q, heard was %q", seq, data, k.heard[seq])
		}
	}
	if len(k.heard) != len(at) || len(k.answered) == 0 {
		t.Errorf("%d messages stored, %d heard, %d answered", len(at), len(k.heard), len(k.answered))
	}
	if k.holes == 0 {
		t.Error("the listener missed nothing")
	}
	t.Logf("%d messages answered, %d stored, %d holes filled", len(k.answered), len(at), k.holes)
}
