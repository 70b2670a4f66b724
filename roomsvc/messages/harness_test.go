package messages

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// patience bounds every wait of these tests; none is expected to take nearly as long.
const patience = time.Minute

// world is a server with an open store.
type world struct {
	*Store
	t    *testing.T
	ctx  context.Context
	conn *nats.Conn
	js   jetstream.JetStream
}

func newWorld(t *testing.T, s Settings) *world {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, conn: roomtest.Conn(t, roomtest.Server(t))}
	var err error
	if w.js, err = jetstream.New(w.conn); err != nil {
		t.Fatal(err)
	}
	w.Store = w.open(s)
	return w
}

// open opens the store as another instance does.
func (w *world) open(s Settings) *Store {
	w.t.Helper()
	j, err := journal.Open(w.ctx, w.conn, journal.Settings{Keep: journal.MinKeep})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(j.Close)
	m, err := Open(w.ctx, j, s)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// message is a message in one instance of a room.
func message(r subjects.Room, instance, text string, at events.Time) *events.Message {
	return &events.Message{ID: "id of " + text, Time: at, Room: r, InstanceID: instance, Sender: "alice", Type: events.Text, Data: text, Priority: events.Low}
}

// append stores a message under an ID and returns the stream's answer.
func (w *world) append(m *events.Message, id, digest string) (uint64, error) {
	w.t.Helper()
	e, err := w.Entry(m, "", id, digest)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.journal.Store(w.ctx, []journal.Entry{e})
}

// say stores the messages first to last in an instance of a room. The text and the time of
// each are its number.
func (w *world) say(r subjects.Room, instance string, first, last int) (seq uint64) {
	w.t.Helper()
	for n := first; n <= last; n++ {
		text := fmt.Sprint(n)
		var err error
		if seq, err = w.append(message(r, instance, text, events.Time(n)), instance+"-"+string(r)+"-"+text, ""); err != nil {
			w.t.Fatal(err)
		}
	}
	return seq
}

// texts returns the texts of a page's messages.
func texts(p *Page) (list []string) {
	for _, m := range p.Messages {
		list = append(list, m.Data)
	}
	return list
}
