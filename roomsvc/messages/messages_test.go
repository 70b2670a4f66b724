package messages

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/subjects"
)

// A message is stored under the ID of its request, and heard.
func TestEntry(t *testing.T) {
	w := newWorld(t, Settings{Keep: time.Hour, PerRoom: 10})
	heard, err := w.conn.SubscribeSync(subjects.MessagesPattern)
	if err != nil || w.conn.Flush() != nil {
		t.Fatal(err)
	}
	hello := message("the lobby", "1", "hello", 5)
	for _, c := range []struct {
		text, id, digest string
		seq              uint64
		err              error
	}{
		{"hello", "a", "digest", 1, nil},
		{"hello again", "a", "digest", 1, journal.ErrRepeated},
		{"another request under the ID", "a", "other", 1, journal.ErrRepeated},
		{"bye", "b", "", 2, nil},
	} {
		hello.Data = c.text
		if seq, err := w.append(hello, c.id, c.digest); seq != c.seq || !errors.Is(err, c.err) {
			t.Errorf("%s: %d, %v; want %d, %v", c.text, seq, err, c.seq, c.err)
		}
	}
	for seq, want := range map[uint64][2]string{1: {"hello", "digest"}, 2: {"bye", ""}} {
		m, digest, err := w.At(w.ctx, seq)
		if err != nil || m.Data != want[0] || digest != want[1] || m.Seq != seq || m.Time != 5 || m.Room != "the lobby" || m.Sender != "alice" {
			t.Errorf("at %d there is %+v with %q, %v", seq, m, digest, err)
		}
		live, err := heard.NextMsg(patience)
		if err != nil || live.Subject != "room.msg.the=20lobby" {
			t.Fatalf("%+v, %v", live, err)
		}
	}
	if _, _, err := w.At(w.ctx, 3); !errors.Is(err, ErrDiscarded) {
		t.Errorf("at 3: %v", err)
	}
	over, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, _, err := w.At(over, 1); !errors.Is(err, context.Canceled) || errors.Is(err, ErrDiscarded) {
		t.Errorf("when its time is over: %v", err)
	}
}

// A room keeps its own newest messages and does not affect other rooms'.
func TestDiscarded(t *testing.T) {
	w := newWorld(t, Settings{Keep: time.Hour, PerRoom: 3})
	w.say("lobby", "1", 1, 2)
	w.say("hall", "1", 1, 3)
	w.say("lobby", "1", 3, 5) // 6 to 8
	for seq, want := range map[uint64]string{1: "", 2: "", 3: "1", 4: "2", 5: "3", 6: "3", 7: "4", 8: "5", 9: ""} {
		m, _, err := w.At(w.ctx, seq)
		if want == "" && !errors.Is(err, ErrDiscarded) || want != "" && (err != nil || m.Data != want) {
			t.Errorf("at %d there is %+v, %v; want %q", seq, m, err, want)
		}
	}
	for id, want := range map[string]uint64{"1-lobby-1": 0, "1-lobby-3": 6, "1-lobby-5": 8, "1-hall-1": 0, "none": 0} {
		if seq, err := w.Find(w.ctx, "lobby", id); err != nil || seq != want {
			t.Errorf("%s is at %d in the lobby, %v; want %d", id, seq, err, want)
		}
	}
}

// Opening the stream again changes its limits; an unsuitable stream is reported.
func TestOpen(t *testing.T) {
	w := newWorld(t, Settings{Keep: time.Hour, PerRoom: 10})
	again := w.open(Settings{Keep: 2 * time.Hour, PerRoom: 20})
	cfg := again.stream.CachedInfo().Config
	if cfg.MaxAge != 2*time.Hour || cfg.MaxMsgsPerSubject != 20 || cfg.Replicas != 1 || cfg.Duplicates != Repeats || cfg.DenyDelete || !again.Erases || !cfg.DenyPurge || cfg.Discard != jetstream.DiscardNew {
		t.Errorf("the stream is %+v", cfg)
	}
	if err := w.js.DeleteStream(w.ctx, subjects.StreamMessages); err != nil {
		t.Fatal(err)
	}
	if _, err := w.js.CreateStream(w.ctx, jetstream.StreamConfig{Name: subjects.StreamMessages, Subjects: []string{"theirs"}, Storage: jetstream.MemoryStorage}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(w.ctx, w.journal, Settings{Keep: time.Hour, PerRoom: 10}); err == nil || !strings.Contains(err.Error(), "the stream ROOM_MESSAGES can't be set up as natsrooms needs it") {
		t.Errorf("over another one: %v", err)
	}
}

// A full stream refuses messages rather than discarding other rooms' messages.
func TestFullStream(t *testing.T) {
	w := newWorld(t, Settings{Keep: time.Hour, PerRoom: 10})
	w.say("lobby", "1", 1, 2)
	cfg := w.stream.CachedInfo().Config
	cfg.MaxMsgs = 2
	if _, err := w.js.UpdateStream(w.ctx, cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := w.append(message("hall", "1", "x", 1), "x", ""); !errors.Is(err, journal.ErrRefused) {
		t.Errorf("%v", err)
	}
	if m, _, err := w.At(w.ctx, 1); err != nil || m.Data != "1" {
		t.Errorf("the oldest is %+v, %v", m, err)
	}
}

// same checks the heads of rooms.
func (s *Store) same(ctx context.Context, t *testing.T, want map[subjects.Room]uint64) {
	t.Helper()
	var rooms []subjects.Room
	for r := range want {
		rooms = append(rooms, r)
	}
	if got := s.Heads(ctx, rooms); !maps.Equal(got, want) {
		t.Errorf("the heads are %v, want %v", got, want)
	}
}

// Heads come from the stream, or from what this instance has stored if that is newer or the
// stream does not answer.
func TestHeads(t *testing.T) {
	w := newWorld(t, Settings{Keep: time.Hour, PerRoom: 2})
	other := w.open(Settings{Keep: time.Hour, PerRoom: 2})
	w.same(w.ctx, t, map[subjects.Room]uint64{"lobby": 0, "hall": 0})
	w.say("lobby", "1", 1, 3)
	w.say("hall", "1", 1, 1)
	other.same(w.ctx, t, map[subjects.Room]uint64{"lobby": 3, "hall": 4, "yard": 0})
	w.Said("yard", 9)
	w.Said("yard", 7) // acknowledgements may come in any order
	over, cancel := context.WithCancel(w.ctx)
	cancel()
	w.same(over, t, map[subjects.Room]uint64{"yard": 9, "cellar": 0})
	if w.known("yard") != 9 || w.known("cellar") != 0 {
		t.Errorf("known are %d and %d", w.known("yard"), w.known("cellar"))
	}
	w.Forget(func(r subjects.Room) bool { return r == "yard" })
	if w.known("yard") != 0 || other.known("lobby") != 3 {
		t.Errorf("when one is forgotten, known are %d and %d", w.known("yard"), other.known("lobby"))
	}
}

// The heads of many rooms are asked for concurrently, and none is missed.
func TestManyHeads(t *testing.T) {
	w := newWorld(t, Settings{Keep: time.Hour, PerRoom: 2})
	want := map[subjects.Room]uint64{}
	for i := range 3 * headsAsked {
		r := subjects.Room(strings.Repeat("x", i+1))
		want[r] = w.say(r, "1", 1, 1+i%2)
	}
	w.open(w.Settings).same(w.ctx, t, want)
}

// A head stays known when its message is discarded, until messages that others may have sent
// since could have been discarded too.
func TestHeadOutlivesItsMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Store{Settings: Settings{Keep: time.Hour}, heads: map[subjects.Room]head{}}
		for _, c := range []struct {
			after time.Duration
			asked bool
			seq   uint64
			want  uint64
		}{
			{0, true, 5, 5}, {time.Minute, true, 0, 5}, {0, false, 7, 7}, {0, true, 6, 7},
			{time.Hour - 1, true, 0, 7}, {time.Hour, true, 0, 0}, {0, false, 8, 8}, {time.Minute, true, 9, 9}, {2 * time.Hour, true, 0, 0},
		} {
			time.Sleep(c.after)
			if c.asked {
				s.note("lobby", c.seq, time.Now())
			} else {
				s.Said("lobby", c.seq)
			}
			if got := s.known("lobby"); got != c.want {
				t.Errorf("%+v: it is %d", c, got)
			}
		}
	})
}

// A stored message that can't be read is an error by itself, and is left out of a page.
func TestUnreadable(t *testing.T) {
	w := newWorld(t, Settings{Keep: time.Hour, PerRoom: 10})
	if _, err := w.js.Publish(w.ctx, subjects.MessageJournal("lobby"), []byte("no message")); err != nil {
		t.Fatal(err)
	}
	w.say("lobby", "1", 1, 1)
	if m, _, err := w.At(w.ctx, 1); err == nil || errors.Is(err, ErrDiscarded) {
		t.Errorf("%+v, %v", m, err)
	}
	q := Query{Room: "lobby", InstanceID: "1", CreatedAt: events.TimeOf(time.Now()), Count: 10, Bytes: 1 << 20}
	if p, err := w.After(w.ctx, q, 0); err != nil || len(p.Messages) != 1 || p.Messages[0].Seq != 2 {
		t.Errorf("%+v, %v", p, err)
	}
}
