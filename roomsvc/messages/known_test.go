package messages

import (
	"fmt"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/life"
	"natsrooms/subjects"
)

// What requests have stored is known to whoever began to learn it earlier or later, and surely so
// after it has caught up.
func TestKnown(t *testing.T) {
	w := newWorld(t, Settings{Keep: time.Hour, PerRoom: 3})
	l := life.New(func(err error) { t.Error(err) })
	t.Cleanup(l.End)
	early := w.Know(l)
	catch := func(k *Known, r subjects.Room) {
		t.Helper()
		if err := k.Catch(w.ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	catch(early, "nowhere")
	say := func(r subjects.Room, n int, digest string) {
		t.Helper()
		id := fmt.Sprint(r, n)
		if _, err := w.append(message(r, "1", id, events.Time(n)), id, digest); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 50 {
		say("lobby", n, "digest")
		catch(early, "lobby")
		if seq := early.Find(fmt.Sprint("lobby", n)); seq != uint64(n)+1 {
			t.Fatalf("%d is known to be at %d", n, seq)
		}
	}
	say("hall", 1, "")
	if err := w.Mark(w.ctx, "a marker"); err != nil {
		t.Fatal(err)
	}
	say("hall", 2, "digest")
	late := w.Know(l)
	for _, k := range []*Known{early, late} {
		catch(k, "hall")
		for id, want := range map[string]uint64{"hall1": 0, "hall2": 53, "lobby49": 50, "none": 0} { // nobody repeats what has no digest
			if seq := k.Find(id); seq != want {
				t.Errorf("%s is known to be at %d, want %d", id, seq, want)
			}
		}
	}
	if seq := late.Find("lobby0"); seq != 0 {
		t.Errorf("what was discarded is known to be at %d", seq)
	}
	var nothing *Known
	nothing.Note("a", 1, time.Now())
	catch(nothing, "lobby")
	if nothing.Find("a") != 0 {
		t.Error("nothing knows something")
	}
}

// It forgets what the stream does not recognise any more.
func TestKnownForgets(t *testing.T) {
	k := &Known{seqs: map[string]uint64{}}
	k.Note("old", 1, time.Now().Add(-Repeats))
	k.Note("new", 2, time.Now())
	if old, fresh := k.Find("old"), k.Find("new"); old != 0 || fresh != 2 || len(k.order) != 1 || len(k.seqs) != 1 {
		t.Errorf("%d, %d, %d in order", old, fresh, len(k.order))
	}
	k.Note("new", 3, time.Now()) // told by the stream too
	if seq := k.Find("new"); seq != 2 || len(k.order) != 1 {
		t.Errorf("%d, %d in order", seq, len(k.order))
	}
}
