package projection

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// An empty bucket is loaded as nothing and has no mark.
func TestLoadNothing(t *testing.T) {
	w := newWorld(t)
	s, loaded := w.load()
	if s.Projected != (Projected{}) || len(loaded) != 0 {
		t.Errorf("%+v", s)
	}
	if p, seq, err := w.bucket.Mark(w.ctx); p != (Projected{}) || seq != 0 || err != nil {
		t.Errorf("its mark is %+v at %d, %v", p, seq, err)
	}
}

// Foreign keys are skipped; an error names the key that can't be read.
func TestLoadForeignKeys(t *testing.T) {
	for key, c := range map[string]struct{ value, says string }{
		"=foreign":                         {"x", ""},
		"lobby":                            {"x", "the key lobby of the bucket rooms can't be read"},
		"lobby.alice":                      {`{"userID":"alice","sessions":[]}`, "the key lobby.alice of the bucket rooms can't be read"},
		subjects.KeptKey("lobby", "alice"): {"x", "can't be read"},
		subjects.KeyProjected:              {"x", "the key =projected of the bucket rooms can't be read"},
	} {
		t.Run(key, func(t *testing.T) {
			w := newWorld(t)
			if _, err := w.kv.Put(w.ctx, key, []byte(c.value)); err != nil {
				t.Fatal(err)
			}
			s, err := w.bucket.Load(w.ctx)
			switch {
			case c.says == "" && (err != nil || len(s.Keys) != 0):
				t.Errorf("%+v, %v", s, err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("%v does not say %q", err, c.says)
			}
			if err := w.kv.Delete(w.ctx, key); err != nil {
				t.Fatal(err)
			}
			if s, loaded := w.load(); len(loaded) != 0 || s.Projected != (Projected{}) {
				t.Errorf("when it is deleted: %+v", s)
			}
		})
	}
}

// A deleted mark counts as none, but its sequence guards the next one.
func TestDeletedMark(t *testing.T) {
	w := newWorld(t)
	w.mark(Projected{Mark: room.Mark{Revision: 5, FactID: "five"}})
	p, seq, err := w.bucket.Mark(w.ctx)
	if p.Mark != (room.Mark{Revision: 5, FactID: "five"}) || seq != 1 || err != nil {
		t.Errorf("%+v at %d, %v", p, seq, err)
	}
	if err := w.kv.Delete(w.ctx, subjects.KeyProjected); err != nil {
		t.Fatal(err)
	}
	if p, seq, err := w.bucket.Mark(w.ctx); p != (Projected{}) || seq != 2 || err != nil {
		t.Errorf("deleted it is %+v at %d, %v", p, seq, err)
	}
}

// losing is a connection on which the first request for messages of a consumer gets lost.
type losing struct {
	net.Conn
	lost atomic.Bool
}

func (l *losing) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	l.Conn = conn
	return l, err
}

func (l *losing) Write(p []byte) (int, error) {
	next := []byte("$JS.API.CONSUMER.MSG.NEXT." + subjects.StreamState)
	if bytes.Contains(p, next) && l.lost.CompareAndSwap(false, true) {
		p = bytes.Replace(p, next, bytes.Repeat([]byte("x"), len(next)), 1)
	}
	return l.Conn.Write(p)
}

// In a cluster the request for the bucket's messages can get lost. It is made again.
func TestLoadAfterALostRequest(t *testing.T) {
	w := newWorld(t)
	w.mark(Projected{Mark: room.Mark{Revision: 5, FactID: "five"}})
	l := &losing{}
	j, err := journal.Open(w.ctx, roomtest.Conn(t, w.node.Server, nats.SetCustomDialer(l)), journal.Settings{Keep: journal.MinKeep})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	b, err := Open(w.ctx, j, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Load(w.ctx)
	if err != nil || s.Projected.FactID != "five" {
		t.Errorf("%+v, %v", s.Projected, err)
	}
	if !l.lost.Load() {
		t.Error("no request got lost")
	}
}

// Loading while the bucket is being written without a pause finds every room, none older
// than the mark.
func TestLoadWhileItIsWritten(t *testing.T) {
	w := newWorld(t)
	const rooms = 50
	guard := uint64(0) // of the next batch
	of := NewProjector(w.bucket, Projected{}, time.Hour, nil)
	more := func(ctx context.Context, round uint64) error {
		var pending []room.Change
		for r := range uint64(rooms) {
			pending = append(pending, change(subjects.Room(fmt.Sprint(r)), round*rooms+r+1, "x"))
		}
		entries, n := collect(pending)
		batch, err := encode(entries)
		if err != nil || n != rooms {
			return fmt.Errorf("%d changes, %w", n, err)
		}
		of.projected.Mark = pending[n-1].Mark
		guard, err = of.commit(ctx, batch, guard)
		return err
	}
	if err := more(w.ctx, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() {
		for round := uint64(1); ; round++ {
			if err := more(ctx, round); err != nil {
				ended <- err
				return
			}
		}
	}()
	for newest, loads := uint64(0), 0; loads < 30; loads++ {
		s, loaded := w.load()
		mark := s.Projected.Revision
		if len(loaded) != rooms || mark < newest {
			t.Fatalf("load %d has %d rooms, its mark is %d after %d", loads, len(loaded), mark, newest)
		}
		for r := range uint64(rooms) {
			if got, least := s.Heads[subjects.Room(fmt.Sprint(r))].Revision, mark-rooms+r+1; got < least {
				t.Fatalf("at %d room %d is at %d, want %d at least", mark, r, got, least)
			}
		}
		newest = mark
	}
	cancel()
	if err := receive(t, ended, "the writer"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// When the last marker of a deleted key has expired, the bucket's newest message is gone
// without another one in its place.
func TestLoadAfterTheNewestHasExpired(t *testing.T) {
	w := newWorld(t)
	w.mark(Projected{Mark: room.Mark{Revision: 5, FactID: "five"}})
	cfg := w.bucket.stream.CachedInfo().Config
	cfg.SubjectDeleteMarkerTTL = time.Second
	if _, err := w.js.UpdateStream(w.ctx, cfg); err != nil {
		t.Fatal(err)
	}
	gone := nats.Header{journal.OperationHeader: {"DEL"}, jetstream.MsgTTLHeader: {"1s"}}
	if _, err := w.bucket.journal.Store(w.ctx, []journal.Entry{{Subject: subjects.KV(subjects.BucketState, "lobby"), Header: gone}}); err != nil {
		t.Fatal(err)
	}
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for left := uint64(0); left != 1; <-look.C { // the server's own marker has to expire too
		info, err := w.bucket.stream.Info(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		left = info.State.Msgs
	}
	if s, loaded := w.load(); s.Projected.Mark != (room.Mark{Revision: 5, FactID: "five"}) || len(loaded) != 0 {
		t.Errorf("%+v", s)
	}
}

// read is a message as it is read from the bucket.
type read struct {
	jetstream.Msg
	key, value string
	header     nats.Header
}

func (r read) Subject() string      { return subjects.KV(subjects.BucketState, r.key) }
func (r read) Data() []byte         { return []byte(r.value) }
func (r read) Headers() nats.Header { return r.header }

// A key that is deleted while the bucket is read is gone, and no other.
func TestDeletedWhileItIsRead(t *testing.T) {
	w := world{t: t}
	c := crowd("lobby", 1, 2)
	kept := room.Kept{User: "bob", Attributes: map[string]string{"k": "v"}, Revision: 1}
	puts := []read{
		{key: "lobby", value: encoded(t)(c.Head.Record("lobby"))},
		{key: "lobby.u0", value: encoded(t)(c.Put[0].Record("1"))},
		{key: "lobby.u1", value: encoded(t)(c.Put[1].Record("1"))},
		{key: subjects.KeptKey("lobby", "bob"), value: encoded(t)(kept.Record("1"))},
		{key: subjects.KeyProjected, value: `{"revision":1,"factID":"1"}`},
	}
	for i, gone := range puts {
		s := newSnapshot()
		for _, m := range append(slices.Clone(puts), read{key: gone.key, header: deleted}) {
			if err := s.take(m); err != nil {
				t.Fatal(err)
			}
		}
		want := state{}
		for j, put := range puts[:4] {
			if i != j {
				want[put.key] = put.value
			}
		}
		same(t, "without "+gone.key, w.recorded(s), want)
		if none := i == 4; (s.Projected == Projected{}) != none {
			t.Errorf("without %s its mark is %+v", gone.key, s.Projected)
		}
	}
}
