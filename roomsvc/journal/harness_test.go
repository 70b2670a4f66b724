package journal

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// patience bounds every wait of these tests; none is expected to take nearly as long.
const patience = time.Minute

// world is a server with an open journal, and another connection that may do anything.
type world struct {
	*Journal
	t    *testing.T
	ctx  context.Context
	node *roomtest.Node
	conn *nats.Conn
	js   jetstream.JetStream
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	node := roomtest.Start(t)
	conn := roomtest.Conn(t, node.Server)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{nil, t, ctx, node, conn, js}
	w.Journal = w.open(Settings{Keep: MinKeep})
	return w
}

// open opens the journal on a connection of its own.
func (w *world) open(s Settings) *Journal {
	w.t.Helper()
	j, err := Open(w.ctx, roomtest.Conn(w.t, w.node.Server), s)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(j.Close)
	return j
}

// update changes the stream's settings in ways that only a test does.
func (w *world) update(change func(*jetstream.StreamConfig)) {
	w.t.Helper()
	stream, err := w.js.Stream(w.ctx, subjects.StreamRooms)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	change(&cfg)
	if _, err := w.js.UpdateStream(w.ctx, cfg); err != nil {
		w.t.Fatal(err)
	}
}

// until waits for a condition.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-w.ctx.Done():
			w.t.Fatalf("waiting for %s took too long", what)
		}
	}
}

// entry is stored only if its room's newest message is at expect.
func entry(r subjects.Room, expect uint64, data string) Entry {
	return Entry{Subject: subjects.Journal(r), Guarded: true, Expect: expect, Data: []byte(data)}
}

// store appends one message for each room, without conditions.
func (w *world) store(rooms ...subjects.Room) {
	w.t.Helper()
	for _, r := range rooms {
		if _, err := w.Store(w.ctx, []Entry{{Subject: subjects.Journal(r), Data: []byte("of " + r)}}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// held returns what the stream holds: the sequence, subject and data of each message.
func (w *world) held() (list []string) {
	w.t.Helper()
	extent, err := w.Extent(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	for seq := extent.First; seq <= extent.Last; seq++ {
		m, err := w.stream.GetMsg(w.ctx, seq)
		if err == nil {
			list = append(list, fmt.Sprintf("%d %s %s", seq, m.Subject, m.Data))
		}
	}
	return list
}

// created is a fact that can be encoded.
func created(r subjects.Room, name string) *events.Fact {
	info := &events.Room{RoomID: string(r), RoomName: name, InstanceID: "1", CreatedAt: 1, Sequence: 1}
	return &events.Fact{ID: strconv.Quote(name), Type: events.RoomCreated, Room: r, InstanceID: "1", Sequence: 1, Time: 1, Info: info}
}

// receive waits for the next value on a channel.
func receive[T any](t *testing.T, from <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
	}
	return v
}
