package projection

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// patience bounds every wait of these tests; none is expected to take nearly as long.
const patience = time.Minute

// world is a server with an open bucket, which can also be read as anybody can.
type world struct {
	t      *testing.T
	ctx    context.Context
	node   *roomtest.Node
	conn   *nats.Conn
	js     jetstream.JetStream
	kv     jetstream.KeyValue
	bucket *Bucket
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	node := roomtest.Start(t)
	w := &world{t: t, ctx: ctx, node: node, conn: roomtest.Conn(t, node.Server)}
	w.bucket = w.open()
	var err error
	if w.js, err = jetstream.New(w.conn); err != nil {
		t.Fatal(err)
	}
	if w.kv, err = w.js.KeyValue(ctx, subjects.BucketState); err != nil {
		t.Fatal(err)
	}
	return w
}

// open opens the journal and the bucket as another instance does.
func (w *world) open() *Bucket {
	w.t.Helper()
	j, err := journal.Open(w.ctx, roomtest.Conn(w.t, w.node.Server), journal.Settings{Keep: journal.MinKeep})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(j.Close)
	b, err := Open(w.ctx, j, Settings{})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// lead runs p.Lead until it ends or stop is called, which returns what it ended with.
func (w *world) lead(p *Projector) (ended <-chan error, stop func() error) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	over := make(chan error, 1)
	go func() { over <- p.Lead(ctx) }()
	stop = func() error {
		cancel()
		return receive(w.t, over, "the end")
	}
	w.t.Cleanup(cancel)
	return over, stop
}

// await returns the bucket's mark when it has reached a revision.
func (w *world) await(revision uint64) (p Projected) {
	w.t.Helper()
	p, _ = w.until(func(p Projected) bool { return p.Revision >= revision && !p.Torn })
	return p
}

// until returns the first mark that is wanted, and its sequence in the bucket.
func (w *world) until(wanted func(Projected) bool) (Projected, uint64) {
	w.t.Helper()
	watch, err := w.kv.Watch(w.ctx, subjects.KeyProjected)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = watch.Stop() }()
	for {
		receive(w.t, watch.Updates(), "a mark") // nil at the end of what was there
		p, seq, err := w.bucket.Mark(w.ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		if wanted(p) {
			return p, seq
		}
	}
}

// records returns what the bucket holds under each key except its mark.
func (w *world) records() map[string]string {
	w.t.Helper()
	watch, err := w.kv.WatchAll(w.ctx, jetstream.IgnoreDeletes())
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = watch.Stop() }()
	held := map[string]string{}
	for e := receive(w.t, watch.Updates(), "records"); e != nil; e = receive(w.t, watch.Updates(), "records") {
		held[e.Key()] = string(e.Value())
	}
	delete(held, subjects.KeyProjected)
	return held
}

// load reads the bucket and returns what was read, also as records again.
func (w *world) load() (*Snapshot, map[string]string) {
	w.t.Helper()
	s, err := w.bucket.Load(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return s, w.recorded(s)
}

// recorded turns what was read into records again.
func (w *world) recorded(s *Snapshot) map[string]string {
	w.t.Helper()
	held := map[string]string{}
	for r, h := range s.Heads {
		held[subjects.RoomKey(r)] = encoded(w.t)(h.Record(r))
	}
	for r, members := range s.Members {
		for u, m := range members {
			held[subjects.MemberKey(r, u)] = encoded(w.t)(m.Record(m.InstanceID))
		}
	}
	for r, kept := range s.Kept {
		for u, k := range kept {
			held[subjects.KeptKey(r, u)] = encoded(w.t)(k.Record(k.InstanceID))
		}
	}
	if keys := slices.Sorted(maps.Keys(s.Keys)); !slices.Equal(keys, slices.Sorted(maps.Keys(held))) {
		w.t.Errorf("the keys are %q, the records %q", keys, held)
	}
	return held
}

func encoded(t *testing.T) func([]byte, error) string {
	return func(data []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
}

// same compares records with those that are wanted.
func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for key := range maps.Keys(want) {
		if got[key] != want[key] {
			t.Errorf("%s: under %s there is %q, want %q", what, key, got[key], want[key])
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s: under %s there is %q, want nothing", what, key, got[key])
		}
	}
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

// change is a fact that changes no member.
func change(r subjects.Room, revision uint64, name string) room.Change {
	h := room.Head{Name: name, InstanceID: "1", Sequence: revision, Revision: revision}
	return room.Change{Mark: room.Mark{Revision: revision, FactID: fmt.Sprint("fact ", revision)}, Room: r, InstanceID: "1", Changes: room.Changes{Head: &h}}
}

func member(u subjects.User, revision uint64) *room.Member {
	return &room.Member{User: u, Name: string(u), Since: events.Time(revision), Order: revision, Revision: revision, Sessions: []room.MemberSession{{SessionID: "s", JoinedAt: 1}}}
}

// crowd is a room with many members, as one change.
func crowd(r subjects.Room, revision uint64, members int) room.Change {
	c := change(r, revision, "crowd")
	for i := range members {
		c.Put = append(c.Put, member(subjects.User(fmt.Sprint("u", i)), revision))
	}
	return c
}

// state is a naive model of the bucket: the records that it should hold.
type state map[string]string

func (s state) take(t *testing.T, c room.Change) {
	t.Helper()
	for _, u := range c.Del {
		delete(s, subjects.MemberKey(c.Room, u))
	}
	delete(s, subjects.RoomKey(c.Room))
	if c.Head != nil {
		s[subjects.RoomKey(c.Room)] = encoded(t)(c.Head.Record(c.Room))
	}
	for _, m := range c.Put {
		s[subjects.MemberKey(c.Room, m.User)] = encoded(t)(m.Record(c.InstanceID))
	}
	for _, k := range c.Keep {
		delete(s, subjects.KeptKey(c.Room, k.User))
		if k.Attributes != nil {
			s[subjects.KeptKey(c.Room, k.User)] = encoded(t)(k.Record(c.InstanceID))
		}
	}
}
