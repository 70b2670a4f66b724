package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// A reader sees the messages of its subject only.
func TestReader(t *testing.T) {
	w := newWorld(t)
	w.store("hall", "lobby", "hall", "lobby", "yard") // the lobby has 2 and 4
	lobby, none := w.Reader(subjects.Facts("lobby")), w.Reader(subjects.Facts("cellar"))
	for _, c := range []struct{ from, at, count uint64 }{{0, 2, 2}, {1, 2, 2}, {2, 2, 2}, {3, 4, 1}, {4, 4, 1}, {5, 0, 0}, {100, 0, 0}} {
		at, data, ok, err := lobby.Next(w.ctx, c.from)
		if err != nil || at != c.at || ok != (c.at > 0) || ok && string(data) != "of lobby" {
			t.Errorf("from %d the next is %d %q, %v, %v; want %d", c.from, at, data, ok, err, c.at)
		}
		if n, err := lobby.Count(w.ctx, c.from); err != nil || n != c.count {
			t.Errorf("from %d there are %d, %v; want %d", c.from, n, err, c.count)
		}
	}
	if at, data, ok, err := lobby.Last(w.ctx); at != 4 || string(data) != "of lobby" || !ok || err != nil {
		t.Errorf("the last is %d %q, %v, %v", at, data, ok, err)
	}
	if at, _, ok, err := none.Next(w.ctx, 1); at != 0 || ok || err != nil {
		t.Errorf("the next of none is %d, %v, %v", at, ok, err)
	}
	if at, _, ok, err := none.Last(w.ctx); at != 0 || ok || err != nil {
		t.Errorf("the last of none is %d, %v, %v", at, ok, err)
	}
	if data, ok, err := w.At(w.ctx, 5); string(data) != "of yard" || !ok || err != nil {
		t.Errorf("at 5 there is %q, %v, %v", data, ok, err)
	}
	if data, ok, err := w.At(w.ctx, 6); data != nil || ok || err != nil {
		t.Errorf("at 6 there is %q, %v, %v", data, ok, err)
	}
	over, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, _, ok, err := lobby.Next(over, 1); ok || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "room.evt.lobby") {
		t.Errorf("when its time is over: %v, %v", ok, err)
	}
}

// Reading takes as many chunks as necessary and stops where it is told to. It leaves no
// consumer behind.
func TestRead(t *testing.T) {
	w := newWorld(t)
	const many = 2*chunk + 5
	var batch []Entry
	for i := range many {
		batch = append(batch, Entry{Subject: subjects.Journal("lobby"), Data: fmt.Append(nil, i+1)}, Entry{Subject: subjects.Journal("hall")})
	}
	if _, err := w.Store(w.ctx, batch); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		from, stop uint64 // sequences; the lobby's are odd
		want       []uint64
	}{
		{"all", 0, 0, odd(1, 2*many-1)},
		{"from one that is there", 7, 0, odd(7, 2*many-1)},
		{"from one that is not", 8, 0, odd(9, 2*many-1)},
		{"two chunks and one more", 2*many - 4*chunk - 1, 0, odd(2*many-4*chunk-1, 2*many-1)},
		{"until it is enough", 3, 9, odd(3, 9)},
		{"after the last one", 2 * many, 0, nil},
	} {
		var got []uint64
		err := w.Reader(subjects.Facts("lobby")).Read(w.ctx, c.from, func(at uint64, data []byte) bool {
			if string(data) != fmt.Sprint(at/2+1) {
				t.Errorf("%s: at %d there is %q", c.name, at, data)
			}
			got = append(got, at)
			return at != c.stop
		})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
	w.until("no consumer to be left", func() bool {
		info, err := w.stream.Info(w.ctx)
		return err == nil && info.State.Consumers == 0
	})
}

// odd is the odd numbers from first to last.
func odd(first, last uint64) (list []uint64) {
	for n := first; n <= last; n += 2 {
		list = append(list, n)
	}
	return list
}

// A message is found by its ID on its own subject, if it was stored recently enough.
func TestFind(t *testing.T) {
	w := newWorld(t)
	for i, r := range []subjects.Room{"lobby", "hall", "lobby"} {
		e := Entry{Subject: subjects.Journal(r), Header: nats.Header{jetstream.MsgIDHeader: {fmt.Sprintf("id-%d", i+1)}}}
		if _, err := w.Store(w.ctx, []Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := w.stream.GetMsg(w.ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id    string
		since time.Time
		want  uint64
	}{
		{"id-1", time.Time{}, 1}, {"id-3", time.Time{}, 3}, {"id-2", time.Time{}, 0}, {"id-4", time.Time{}, 0}, {"id", time.Time{}, 0},
		{"id-1", first.Time, 1}, {"id-1", first.Time.Add(time.Nanosecond), 0}, {"id-3", first.Time.Add(time.Nanosecond), 3}, {"id-3", first.Time.Add(time.Hour), 0},
	} {
		if got, err := w.Reader(subjects.Facts("lobby")).Find(w.ctx, c.id, c.since); err != nil || got != c.want {
			t.Errorf("%s since %v is at %d, %v; want %d", c.id, c.since, got, err, c.want)
		}
	}
}

// The first message since a moment, even if the moment is exactly that of a message.
func TestFirstSince(t *testing.T) {
	w := newWorld(t)
	if seq, err := w.FirstSince(w.ctx, time.Time{}); seq != 0 || err != nil {
		t.Errorf("in an empty stream it is %d, %v", seq, err)
	}
	w.store("lobby", "hall", "lobby")
	second, err := w.stream.GetMsg(w.ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		since time.Time
		want  uint64
	}{{time.Time{}, 1}, {second.Time, 2}, {second.Time.Add(time.Nanosecond), 3}, {second.Time.Add(time.Hour), 0}} {
		if seq, err := w.FirstSince(w.ctx, c.since); err != nil || seq != c.want {
			t.Errorf("since %v it is %d, %v; want %d", c.since, seq, err, c.want)
		}
	}
}

// A consumer that was just made may be unknown yet to the server that is asked for its messages.
// From each server of a cluster, whatever is there is found at every try.
func TestReadInACluster(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var journals []*Journal
	for _, node := range roomtest.Cluster(t, 3) {
		j, err := Open(ctx, roomtest.Conn(t, node.Server), Settings{Keep: MinKeep, Replicas: 3})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(j.Close)
		journals = append(journals, j)
	}
	if _, err := journals[0].Store(ctx, []Entry{{Subject: subjects.Journal("hall")}, {Subject: subjects.Journal("lobby")}}); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for n := range 12 * len(journals) {
		group.Go(func() {
			j := journals[n%len(journals)]
			for range 10 {
				if seq, err := j.FirstSince(ctx, time.Time{}); seq != 1 || err != nil {
					t.Errorf("the first is %d, %v", seq, err)
				}
				var got []uint64
				err := j.Reader(subjects.Facts("lobby")).Read(ctx, 1, func(at uint64, _ []byte) bool {
					got = append(got, at)
					return true
				})
				if err != nil || !slices.Equal(got, []uint64{2}) {
					t.Errorf("the lobby has %v, %v", got, err)
				}
			}
		})
	}
	group.Wait()
}

// A waiter continues when the message it waits for, or a later one, was taken, and not before.
func TestPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Passed
		if err := p.Wait(t.Context(), 0); err != nil || p.Seq() != 0 {
			t.Errorf("before it began: %v, %d", err, p.Seq())
		}
		waits := func(ctx context.Context, seq uint64) chan error {
			ended := make(chan error, 1)
			go func() { ended <- p.Wait(ctx, seq) }()
			return ended
		}
		ended := map[uint64]chan error{3: waits(t.Context(), 3), 5: waits(t.Context(), 5), 9: waits(t.Context(), 9)}
		ctx, cancel := context.WithCancel(t.Context())
		given := waits(ctx, 9)
		synctest.Wait()
		cancel()
		if err := <-given; !errors.Is(err, context.Canceled) {
			t.Errorf("one that gave up: %v", err)
		}
		for _, c := range []struct {
			reach uint64
			goes  []uint64
		}{{2, nil}, {5, []uint64{3, 5}}, {8, nil}, {100, []uint64{9}}} {
			p.Reach(c.reach)
			synctest.Wait()
			for seq, e := range ended {
				select {
				case err := <-e:
					if !slices.Contains(c.goes, seq) || err != nil {
						t.Errorf("%d goes on at %d with %v", seq, c.reach, err)
					}
				default:
					if slices.Contains(c.goes, seq) {
						t.Errorf("%d does not go on at %d", seq, c.reach)
					}
				}
			}
			if p.Seq() != c.reach {
				t.Errorf("at %d it says %d", c.reach, p.Seq())
			}
		}
		if err := p.Wait(t.Context(), 100); err != nil || len(p.waiting) != 0 {
			t.Errorf("for what was taken: %v; %d still wait", err, len(p.waiting))
		}
	})
}
