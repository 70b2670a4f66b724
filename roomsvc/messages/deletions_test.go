package messages

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/subjects"
)

// intent is one to delete messages of the lobby.
func (w *world) intent(id, instance string, seqs ...uint64) *Intent {
	d := &events.Deletion{ID: id, Time: events.TimeOf(time.Now()), Room: "lobby", InstanceID: instance, MessageSeqs: seqs}
	return &Intent{Deletion: d, Key: "key " + id, Digest: "digest " + id}
}

// delete deletes messages of the lobby, and returns the place of the event.
func (w *world) delete(id, instance string, seqs ...uint64) uint64 {
	w.t.Helper()
	i := w.intent(id, instance, seqs...)
	if err := w.Intend(w.ctx, i, ""); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Carry(w.ctx, i); err != nil {
		w.t.Fatal(err)
	}
	return w.Heads(w.ctx, []subjects.Room{"lobby"})["lobby"]
}

// An intent is stored once under its key, and found by it. It may be carried out any number of
// times, also by somebody who has only read it.
func TestIntents(t *testing.T) {
	w := rooms(t, 100)
	i := w.intent("D1", "2", 21, 23)
	if err := w.Intend(w.ctx, i, ""); err != nil {
		t.Fatal(err)
	}
	if err := w.Intend(w.ctx, w.intent("D1", "2", 22), ""); !errors.Is(err, ErrNotIntended) {
		t.Errorf("another one under its key: %v", err)
	}
	if err := w.Intend(w.ctx, w.intent("D2", "1", 1), ""); err != nil {
		t.Fatal(err)
	}
	found, err := w.Intended(w.ctx, "key D1")
	if err != nil || len(found) != 1 || found[0].Digest != "digest D1" || !slices.Equal(found[0].MessageSeqs, []uint64{21, 23}) {
		t.Fatalf("%+v, %v is found", found, err)
	}
	if all, err := w.Intended(w.ctx, "key "); err != nil || len(all) != 2 {
		t.Errorf("%d are found in all, %v", len(all), err)
	}
	if none, err := w.Intended(w.ctx, "key D3"); err != nil || len(none) != 0 {
		t.Errorf("%+v, %v is found", none, err)
	}
	if _, _, err := w.At(w.ctx, 21); err != nil {
		t.Errorf("it is deleted before it is carried out: %v", err)
	}
	for range 3 {
		if err := w.Carry(w.ctx, found[0]); err != nil {
			t.Fatal(err)
		}
	}
	for seq, gone := range map[uint64]bool{21: true, 22: false, 23: true, 24: false} {
		if _, _, err := w.At(w.ctx, seq); errors.Is(err, ErrDiscarded) != gone {
			t.Errorf("message %d: %v", seq, err)
		}
	}
	events := 0
	err = w.on(subjects.Messages("lobby")).Whole(w.ctx, 0, func(_ uint64, m jetstream.Msg) bool {
		if intent(1, m) != nil {
			events++
		}
		return true
	})
	if err != nil || events != 1 {
		t.Errorf("it is told %d times, %v", events, err)
	}
}

// Where the intents are, and how far they have been carried out.
func TestCarried(t *testing.T) {
	w := rooms(t, 100)
	if last, err := w.LastIntent(w.ctx); last != 0 || err != nil {
		t.Errorf("without any, the last one is at %d, %v", last, err)
	}
	if at, err := w.Carried(w.ctx); at != 0 || err != nil {
		t.Errorf("before any, all are carried out up to %d, %v", at, err)
	}
	w.delete("D1", "1", 1)
	last, err := w.LastIntent(w.ctx)
	if err != nil || last <= 30 {
		t.Fatalf("the last one is at %d, %v", last, err)
	}
	if err := w.MarkCarried(w.ctx, last); err != nil {
		t.Fatal(err)
	}
	if at, err := w.Carried(w.ctx); at != last || err != nil {
		t.Errorf("they are carried out up to %d, %v; want %d", at, err, last)
	}
	w.delete("D2", "1", 2)
	var ids []string
	err = w.Intents(w.ctx, last, func(at uint64, i *Intent) bool {
		ids = append(ids, i.ID)
		return true
	})
	if err != nil || !slices.Equal(ids, []string{"D2"}) {
		t.Errorf("after that there are %v, %v", ids, err)
	}
}

// Pages leave out what was deleted and tell of it where its deletion comes, in both directions
// and however small they are.
func TestPagesOfDeletions(t *testing.T) {
	w := rooms(t, 100)
	one := w.delete("D1", "2", 22, 23)
	w.say("lobby", "2", 11, 12)
	two := w.delete("D2", "1", 3)
	three := w.delete("D3", "2", 25)
	p, err := w.After(w.ctx, all("2"), 0)
	page(t, "all", p, err, []string{"1", "4", "6", "7", "8", "9", "10", "11", "12"}, strconv.FormatUint(three, 10), true)
	if !slices.Equal(p.Deleted, []uint64{22, 23, 25}) || p.Head != three {
		t.Errorf("deleted %v, head %d", p.Deleted, p.Head)
	}
	p, err = w.After(w.ctx, all("2"), three)
	page(t, "the rest", p, err, nil, "", true)
	if p, err = w.After(w.ctx, all("1"), 0); err != nil || !slices.Equal(p.Deleted, []uint64{3}) || len(p.Messages) != 9 || p.Next != strconv.FormatUint(two, 10) {
		t.Errorf("of another instance %v, deleted %v, next %s, %v", texts(p), p.Deleted, p.Next, err)
	}
	p, err = w.Before(w.ctx, all("2"), 0)
	page(t, "backwards", p, err, []string{"1", "4", "6", "7", "8", "9", "10", "11", "12"}, "", true)
	if !slices.Equal(p.Deleted, []uint64{22, 23, 25}) {
		t.Errorf("backwards, deleted %v", p.Deleted)
	}
	for _, bytes := range []int{1 << 20, 1} {
		q := all("2")
		q.Count, q.Bytes = 2, bytes
		var forwards, backwards []string
		var deleted, undone []uint64
		for at := uint64(0); ; {
			p, err := w.After(w.ctx, q, at)
			if err != nil || len(p.Messages) > 2 || bytes == 1 && len(p.Messages)+len(p.Deleted) > 2 {
				t.Fatalf("after %d are %v, %v", at, texts(p), err)
			}
			forwards, deleted = append(forwards, texts(p)...), append(deleted, p.Deleted...)
			if p.Next == "" {
				break
			}
			at, _ = strconv.ParseUint(p.Next, 10, 64)
		}
		for at := uint64(0); ; {
			p, err := w.Before(w.ctx, q, at)
			if err != nil || len(p.Messages) > 2 {
				t.Fatalf("before %d are %v, %v", at, texts(p), err)
			}
			backwards, undone = append(texts(p), backwards...), append(p.Deleted, undone...)
			if p.Next == "" {
				break
			}
			at, _ = strconv.ParseUint(p.Next, 10, 64)
		}
		if len(forwards) != 9 || !slices.Equal(forwards, backwards) || !slices.Equal(deleted, []uint64{22, 23, 25}) || !slices.Equal(undone, deleted) {
			t.Errorf("in pages of %d bytes it reads %v and deleted %v; backwards %v and %v", bytes, forwards, deleted, backwards, undone)
		}
	}
	if one <= 30 || three <= one {
		t.Errorf("the deletions are at %d, %d and %d", one, two, three)
	}
}

// A user's messages in all rooms, a part at a time.
func TestBy(t *testing.T) {
	w := rooms(t, 100)
	m := message("hall", "1", "bob's", 1)
	m.Sender = "bob"
	if _, err := w.append(m, "bob's", ""); err != nil {
		t.Fatal(err)
	}
	w.say("lobby", "2", 11, 12)
	var seqs []uint64
	after := uint64(0)
	for parts := 1; ; parts++ {
		list, next, err := w.By(w.ctx, "alice", after, 10)
		if err != nil || len(list) > 10 {
			t.Fatalf("part %d: %d, %v", parts, len(list), err)
		}
		for _, m := range list {
			seqs = append(seqs, m.Seq)
		}
		if after = next; next == 0 {
			break
		}
	}
	if len(seqs) != 32 || !slices.IsSorted(seqs) || slices.Contains(seqs, 31) {
		t.Errorf("alice sent %v", seqs)
	}
	if list, next, err := w.By(w.ctx, "nobody", 0, 10); len(list) != 0 || next != 0 || err != nil {
		t.Errorf("nobody sent %v, %d, %v", list, next, err)
	}
}
