package journal

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/subjects"
)

// answer is the answer to a try and when it comes; without a fate there is none.
type answer struct {
	after time.Duration
	fate  *Fate
}

func after(d time.Duration, last uint64, err error) answer { return answer{d, &Fate{last, err}} }

// Which answers end a commit and which ones it waits out, and for how long: 1 s after the
// first try and 2 s after each later one, unless a pause is set.
func TestCommit(t *testing.T) {
	none := answer{}
	stored := func(last uint64) answer { return after(0, last, nil) }
	refused, unknown, conflict := after(0, 0, ErrRefused), after(0, 0, ErrUnknown), after(0, 0, ErrConflict)
	const pause = 100 * time.Millisecond
	for name, c := range map[string]struct {
		resend  Resend
		answers []answer
		known   answer
		last    uint64
		err     error
		tries   int
		took    time.Duration
	}{
		"stored":                                  {answers: []answer{stored(7)}, last: 7, tries: 1},
		"stored by the second try":                {answers: []answer{none, stored(7)}, last: 7, tries: 2, took: time.Second},
		"stored by the third try":                 {answers: []answer{none, none, stored(7)}, last: 7, tries: 3, took: 3 * time.Second},
		"each try waits longer than the last":     {resend: Resend{Most: 5 * time.Second}, answers: []answer{none, none, none, stored(7)}, last: 7, tries: 4, took: 7 * time.Second},
		"none waits longer than the most":         {resend: Resend{Most: 3 * time.Second}, answers: []answer{none, none, none, stored(7)}, last: 7, tries: 4, took: 6 * time.Second},
		"an answer that proves nothing":           {answers: []answer{unknown, stored(7)}, last: 7, tries: 2, took: time.Second},
		"a pause after it":                        {resend: Resend{Pause: pause}, answers: []answer{unknown, unknown, stored(7)}, last: 7, tries: 3, took: 2 * pause},
		"no pause without an answer":              {resend: Resend{Pause: pause}, answers: []answer{none, stored(7)}, last: 7, tries: 2, took: time.Second},
		"the first try is refused":                {answers: []answer{refused}, err: ErrRefused, tries: 1},
		"a later try is refused":                  {answers: []answer{none, refused, stored(7)}, last: 7, tries: 3, took: 3 * time.Second},
		"a later try is refused and that ends it": {resend: Resend{Refusal: RefusalAlways}, answers: []answer{none, refused}, err: ErrRefused, tries: 2, took: time.Second},
		"no refusal ends it":                      {resend: Resend{Refusal: RefusalNever}, answers: []answer{refused, refused, stored(7)}, last: 7, tries: 3, took: 3 * time.Second},
		"stored before under the same ID":         {answers: []answer{none, after(0, 5, ErrRepeated)}, last: 5, err: ErrRepeated, tries: 2, took: time.Second},
		"a conflict":                              {answers: []answer{conflict}, err: ErrConflict, tries: 1},
		"a conflict with an earlier try":          {resend: Resend{Conflict: func() (uint64, error) { return 9, nil }}, answers: []answer{none, conflict}, last: 9, tries: 2, took: time.Second},
		"a conflict with an explanation":          {resend: Resend{Conflict: func() (uint64, error) { return 0, ErrAnother }}, answers: []answer{conflict}, err: ErrAnother, tries: 1},
		"a conflict that is not understood":       {resend: Resend{Conflict: func() (uint64, error) { return 0, ErrUnknown }}, answers: []answer{conflict, stored(7)}, last: 7, tries: 2, took: time.Second},
		"an answer to a try that was given up":    {answers: []answer{after(1500*time.Millisecond, 3, nil), after(time.Second, 8, nil)}, last: 8, tries: 2, took: 2 * time.Second},
		"known in another way":                    {known: after(1500*time.Millisecond, 4, nil), last: 4, tries: 2, took: 1500 * time.Millisecond},
		"known before the answer":                 {known: after(0, 4, ErrConflict), answers: []answer{stored(7)}, last: 4, err: ErrConflict, tries: 1},
		"never known":                             {err: ErrUnknown, tries: 6, took: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				known := make(chan Fate, 1)
				c.resend.First, c.resend.Next, c.resend.Known = time.Second, 2*time.Second, known
				if c.known.fate != nil {
					time.AfterFunc(c.known.after, func() { known <- *c.known.fate })
				}
				synctest.Wait()
				began, tries, waiting := time.Now(), 0, 0
				last, err := c.resend.commit(ctx, func() (<-chan Fate, func()) {
					answers := make(chan Fate, 1)
					if tries < len(c.answers) && c.answers[tries].fate != nil {
						a := c.answers[tries]
						time.AfterFunc(a.after, func() { answers <- *a.fate })
						synctest.Wait()
					}
					tries, waiting = tries+1, waiting+1
					return answers, func() { waiting-- }
				})
				if last != c.last || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
					t.Errorf("its fate is %d, %v; want %d, %v", last, err, c.last, c.err)
				}
				if c.err == ErrUnknown && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v does not say why", err)
				}
				if took := time.Since(began); tries != c.tries || took != c.took || waiting != 0 {
					t.Errorf("%d tries in %v, %d still wait; want %d in %v", tries, took, waiting, c.tries, c.took)
				}
			})
		})
	}
}

// quick resends soon; what is in the way of the append must be an earlier try of it.
func (w *world) quick(r subjects.Room) Resend {
	return Resend{First: 50 * time.Millisecond, Next: 50 * time.Millisecond, Conflict: func() (uint64, error) {
		m, err := w.LastOf(w.ctx, r)
		return m.Seq, err
	}}
}

// An append over a restart of the server is stored once.
func TestCommitOverARestart(t *testing.T) {
	w := newWorld(t)
	w.store("lobby")
	gone := w.nc.StatusChanged(nats.RECONNECTING)
	w.node.Stop()
	receive(t, gone, "the connection to be lost")
	fate := make(chan Fate, 1)
	tries := make(chan struct{}, 1000)
	go func() {
		r := w.quick("lobby")
		last, err := r.commit(w.ctx, func() (<-chan Fate, func()) {
			tries <- struct{}{}
			return w.try([]Entry{entry("lobby", 1, "next")})
		})
		fate <- Fate{last, err}
	}()
	for range 3 { // they wait in the connection and all reach the server
		receive(t, tries, "a try")
	}
	w.node.Start()
	if f := receive(t, fate, "the fate"); f != (Fate{2, nil}) {
		t.Errorf("it is %+v", f)
	}
	if _, err := w.Mark(w.ctx); err != nil { // stored after all tries
		t.Fatal(err)
	}
	if got, want := w.held(), []string{"1 room.evt.lobby of lobby", "2 room.evt.lobby next", "3 room.sync "}; !slices.Equal(got, want) {
		t.Errorf("stored are %q, want %q", got, want)
	}
}

// An append waits for a stream that does not exist.
func TestCommitWaitsForTheStream(t *testing.T) {
	w := newWorld(t)
	sent, err := w.conn.SubscribeSync(subjects.Journal("lobby"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.conn.Flush(), w.js.DeleteStream(w.ctx, subjects.StreamRooms)); err != nil {
		t.Fatal(err)
	}
	fate := make(chan Fate, 1)
	go func() {
		last, err := w.Commit(w.ctx, []Entry{entry("lobby", 0, "first")}, w.quick("lobby"))
		fate <- Fate{last, err}
	}()
	for range 2 {
		m, err := sent.NextMsg(patience)
		if err != nil || string(m.Data) != "first" || m.Header.Get("Nats-Expected-Last-Subject-Sequence") != "0" {
			t.Fatalf("%+v, %v", m, err)
		}
	}
	w.open(Settings{Keep: MinKeep})
	if f := receive(t, fate, "the fate"); f != (Fate{1, nil}) {
		t.Errorf("it is %+v", f)
	}
}

// Store tries once and does not find out what remains unknown.
func TestStoreIsOneTry(t *testing.T) {
	w := newWorld(t)
	sent, err := w.conn.SubscribeSync(subjects.Journal("lobby"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.conn.Flush(), w.js.DeleteStream(w.ctx, subjects.StreamRooms)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	go func() {
		_, _ = sent.NextMsg(patience)
		cancel()
	}()
	if _, err := w.Store(ctx, []Entry{entry("lobby", 0, "x")}); !errors.Is(err, ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	if n, _, _ := sent.Pending(); n != 0 {
		t.Errorf("it was sent %d more times", n)
	}
	if err := sent.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	if err := w.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Store(w.ctx, []Entry{entry("lobby", 0, "x")}); !errors.Is(err, ErrUnknown) {
		t.Errorf("without a stream it ends with %v", err)
	}
	if n := len(w.acks.waiting); n != 0 {
		t.Errorf("it still waits for %d answers", n)
	}
}
