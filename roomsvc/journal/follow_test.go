package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/subjects"
)

// delivered is a message as a consumer delivers it.
type delivered struct {
	jetstream.Msg
	seq uint64
}

func (d delivered) Metadata() (*jetstream.MsgMetadata, error) {
	if d.seq == 0 {
		return nil, errors.New("no metadata")
	}
	return &jetstream.MsgMetadata{Sequence: jetstream.SequencePair{Stream: d.seq}}, nil
}
func (delivered) Headers() nats.Header { return nil }
func (delivered) Subject() string      { return "room.evt.lobby" }
func (delivered) Data() []byte         { return nil }

// Messages that a consumer has already delivered still arrive after one that could not be
// taken. None of them may be taken, or the failed one would be skipped.
func TestFollowerStopsWhereItFails(t *testing.T) {
	unknown := errors.New("not to be taken")
	for _, c := range []struct {
		name      string
		delivered []uint64
		taken     []uint64
		err       error
	}{
		{"one can't be taken", []uint64{3, 4, 5, 6}, []uint64{3, 4, 5}, unknown},
		{"a gap of facts", []uint64{3, 8, 9}, []uint64{3}, ErrAged},
		{"one without its sequence", []uint64{3, 0, 4}, []uint64{3}, nil},
		{"one that comes twice", []uint64{3, 4, 3, 4}, []uint64{3, 4}, nil},
	} {
		var taken []uint64
		f := &follower{next: 3, failed: make(chan error, 1), gap: func(uint64) error { return ErrAged }, take: func(m Message) error {
			taken = append(taken, m.Seq)
			if m.Seq == 5 {
				return unknown
			}
			return nil
		}}
		for _, seq := range c.delivered {
			f.message(delivered{seq: seq})
		}
		if !slices.Equal(taken, c.taken) {
			t.Errorf("%s: %v are taken, want %v", c.name, taken, c.taken)
		}
		if c.err == nil {
			continue
		}
		select {
		case err := <-f.failed:
			if !errors.Is(err, c.err) {
				t.Errorf("%s: it fails with %v", c.name, err)
			}
		default:
			t.Errorf("%s: it does not fail", c.name)
		}
	}
}

// followed is what a follower has taken and how it ended.
type followed struct {
	taken chan Message
	stop  context.CancelFunc
	ended chan error
}

func (w *world) follow(from uint64) *followed {
	ctx, cancel := context.WithCancel(w.ctx)
	w.t.Cleanup(cancel)
	f := &followed{make(chan Message, 1000), cancel, make(chan error, 1)}
	go func() {
		f.ended <- w.Follow(ctx, from, func(m Message) error {
			f.taken <- m
			return nil
		})
	}()
	return f
}

// next checks which sequences are taken next.
func (f *followed) next(t *testing.T, want ...uint64) {
	t.Helper()
	for _, seq := range want {
		if m := receive(t, f.taken, fmt.Sprintf("message %d", seq)); m.Seq != seq {
			t.Fatalf("%d is taken, want %d", m.Seq, seq)
		}
	}
}

// A follower takes everything from where it begins, stored already or not, in order and
// once, and can tell a batch from its neighbours.
func TestFollow(t *testing.T) {
	w := newWorld(t)
	w.store("lobby", "hall")
	early, late := w.follow(0), w.follow(3)
	early.next(t, 1, 2)
	header := nats.Header{DigestHeader: {"d"}}
	if _, err := w.Store(w.ctx, []Entry{{Subject: subjects.Journal("lobby"), Header: header, Data: []byte("a")}, entry("yard", 0, "b"), entry("cellar", 0, "c")}); err != nil {
		t.Fatal(err)
	}
	mark, err := w.Mark(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	batch := ""
	for i, want := range []Message{
		{Seq: 3, Subject: "room.evt.lobby", Digests: "d", Data: []byte("a"), More: true},
		{Seq: 4, Subject: "room.evt.yard", Data: []byte("b"), More: true},
		{Seq: 5, Subject: "room.evt.cellar", Data: []byte("c")},
		{Seq: mark, Subject: "room.sync"},
	} {
		m := receive(t, late.taken, want.Subject)
		if time.Since(m.Time).Abs() > patience || (m.Batch != "") != (i < 3) {
			t.Errorf("%+v", m)
		}
		if i == 0 {
			batch = m.Batch
		}
		if i < 3 && m.Batch != batch {
			t.Errorf("%d is of batch %s, want %s", m.Seq, m.Batch, batch)
		}
		m.Time, m.Batch = time.Time{}, ""
		if !slices.Equal(m.Data, want.Data) || m.Seq != want.Seq || m.Subject != want.Subject || m.Digests != want.Digests || m.More != want.More {
			t.Errorf("%+v, want %+v", m, want)
		}
	}
	early.next(t, 3, 4, 5, 6)
	early.stop()
	if err := receive(t, early.ended, "the end"); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
}

// A follower survives a restart of the server and takes nothing twice.
func TestFollowOverARestart(t *testing.T) {
	w := newWorld(t)
	w.store("lobby", "hall")
	f := w.follow(1)
	f.next(t, 1, 2)
	w.node.Restart()
	if seq, err := w.Commit(w.ctx, []Entry{entry("lobby", 1, "next")}, w.quick("lobby")); seq != 3 || err != nil {
		t.Fatalf("%d, %v", seq, err)
	}
	f.next(t, 3)
}

// A follower ends if facts that it needs have been removed from the front of the stream. A
// gap that has facts before it was left by something else.
func TestFollowOverAGap(t *testing.T) {
	for name, c := range map[string]struct {
		rooms  []subjects.Room
		change func(*jetstream.StreamConfig)
		from   uint64
		taken  []uint64
		err    error
	}{
		"facts have gone":               {[]subjects.Room{"a", "b", "c", "d"}, func(cfg *jetstream.StreamConfig) { cfg.Discard, cfg.MaxMsgs = jetstream.DiscardOld, 2 }, 1, nil, ErrAged},
		"facts have gone before it":     {[]subjects.Room{"a", "b", "c", "d"}, func(cfg *jetstream.StreamConfig) { cfg.Discard, cfg.MaxMsgs = jetstream.DiscardOld, 2 }, 3, []uint64{3, 4}, nil},
		"something has gone in between": {[]subjects.Room{"a", "b", "b", "d"}, func(cfg *jetstream.StreamConfig) { cfg.MaxMsgsPerSubject = 1 }, 2, []uint64{3, 4}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.store(c.rooms...)
			w.update(c.change)
			f := w.follow(c.from)
			f.next(t, c.taken...)
			if c.err != nil {
				if err := receive(t, f.ended, "the end"); !errors.Is(err, c.err) || len(f.taken) != 0 {
					t.Errorf("it ends with %v, and %d more", err, len(f.taken))
				}
			}
		})
	}
}

// A gap ends a follower if the stream is no longer the one it follows.
func TestGapInAnotherStream(t *testing.T) {
	w := newWorld(t)
	if err := w.js.DeleteStream(w.ctx, subjects.StreamRooms); err != nil {
		t.Fatal(err)
	}
	if err := w.checkGap(w.ctx, 1); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("in none: %v", err)
	}
	w.open(Settings{Keep: MinKeep})
	if err := w.checkGap(w.ctx, 1); !errors.Is(err, ErrAnother) {
		t.Errorf("in another one: %v", err)
	}
	over, cancel := context.WithCancel(w.ctx)
	cancel()
	if err := w.checkGap(over, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("when its time is over: %v", err)
	}
}

// However Follow ends, nothing is being taken when it returns, and nothing is taken later.
func TestFollowEnds(t *testing.T) {
	w := newWorld(t)
	w.store("lobby", "hall", "yard")
	failed := errors.New("not this one")
	var taken []uint64
	err := w.Follow(w.ctx, 1, func(m Message) error {
		if taken = append(taken, m.Seq); m.Seq == 2 {
			return failed
		}
		return nil
	})
	if !errors.Is(err, failed) || !slices.Equal(taken, []uint64{1, 2}) {
		t.Errorf("%v are taken, then %v", taken, err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	began, ended := make(chan struct{}), make(chan struct{})
	free := make(chan struct{})
	returned := false // unguarded: Follow promises that take and the write below do not overlap
	go func() {
		_ = w.Follow(ctx, 1, func(Message) error {
			close(began)
			<-free
			if returned {
				t.Error("it has returned")
			}
			return failed
		})
		returned = true
		close(ended)
	}()
	receive(t, began, "the first message")
	cancel()
	close(free)
	receive(t, ended, "the end")
}

// A marker is stored after everything that was acknowledged before.
func TestMark(t *testing.T) {
	w := newWorld(t)
	acks := make(chan uint64, 100)
	for i := range cap(acks) {
		go func() {
			last, err := w.Store(w.ctx, []Entry{{Subject: subjects.Journal(subjects.Room(fmt.Sprint(i)))}})
			if err != nil {
				t.Error(err)
			}
			acks <- last
		}()
	}
	for range cap(acks) {
		last := receive(t, acks, "an acknowledgement")
		if mark, err := w.Mark(w.ctx); err != nil || mark <= last {
			t.Fatalf("a marker is at %d, %v, something stored before it at %d", mark, err, last)
		}
	}
	m, err := w.stream.GetLastMsgForSubject(w.ctx, subjects.Sync)
	if err != nil || m.Header.Get(jetstream.MsgTTLHeader) != MarkerTTL.String() {
		t.Errorf("the last one is %+v, %v", m, err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := w.Mark(ctx); err != context.Canceled {
		t.Errorf("when its time is over: %v", err)
	}
}
