package projection

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/room"
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

// Loading while the bucket is being written finds every room, none older than the mark.
func TestLoadWhileItIsWritten(t *testing.T) {
	w := newWorld(t)
	const rooms = 50
	p := NewProjector(w.bucket, Projected{}, time.Hour, func() (room.Mark, []room.Change) { return room.Mark{}, nil })
	w.lead(p)
	revision := uint64(0)
	more := func() {
		for r := range rooms {
			revision++
			p.Add(change(subjects.Room(fmt.Sprint(r)), revision, "x"))
		}
	}
	more()
	w.await(rooms)
	for loads, newest := 0, uint64(0); loads < 10 || newest < revision; loads++ {
		if loads < 10 {
			more()
		}
		s, loaded := w.load()
		if len(loaded) != rooms {
			t.Fatalf("it has %d rooms", len(loaded))
		}
		mark := s.Projected.Revision
		for r := range uint64(rooms) {
			least := mark - (mark-1-r)%rooms // the room's newest fact up to the mark
			if got := s.Heads[subjects.Room(fmt.Sprint(r))].Revision; got < least || got > revision {
				t.Fatalf("at %d room %d is at %d, want %d at least", mark, r, got, least)
			}
		}
		if mark < newest {
			t.Fatalf("its mark went from %d to %d", newest, mark)
		}
		newest = mark
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
