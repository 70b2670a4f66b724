package leases

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/roomtest"
)

// patience bounds every wait of these tests; none is expected to take nearly as long.
const patience = time.Minute

func openBook(t *testing.T) (*Book, *life.Life) {
	t.Helper()
	nc := roomtest.Conn(t, roomtest.Server(t))
	j, err := journal.Open(t.Context(), nc, journal.Settings{Keep: journal.MinKeep})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	l := life.New(func(err error) { t.Error(err) })
	t.Cleanup(l.End)
	b, err := Open(t.Context(), l, j, Settings{Grace: time.Minute}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return b, l
}

// touched is the answer to a touch.
type touched struct {
	Grant
	err error
}

func (b *Book) touchAs(t *testing.T, session string, a Ask) <-chan touched {
	t.Helper()
	answers := make(chan touched, 2)
	b.Touch(Session{"u", session}, a, time.Now().Add(patience), func(g Grant, err error) { answers <- touched{g, err} })
	return answers
}

func answered(t *testing.T, answers <-chan touched) touched {
	t.Helper()
	select {
	case a := <-answers:
		return a
	case <-time.After(patience):
		t.Fatal("a touch is not answered")
		return touched{}
	}
}

// Touches of one session are answered one after the other, each once, with what the bucket
// has by then.
func TestTouches(t *testing.T) {
	b, _ := openBook(t)
	five, sixty := 5, 60
	first, second := b.touchAs(t, "s", Ask{Seconds: &five}), b.touchAs(t, "s", Ask{Seconds: &sixty})
	if a := answered(t, first); a.err != nil || a.Seconds != 5 || a.EndAt == 0 || a.Ended {
		t.Errorf("the first: %+v", a)
	}
	if a := answered(t, second); a.err != nil || a.Seconds != 60 || a.EndAt == 0 || a.Ended {
		t.Errorf("the second: %+v", a)
	}
	if s := b.Of(Session{"u", "s"}); !s.Live || s.Seconds != 60 {
		t.Errorf("known is %+v", s)
	}
	if ended := b.End(t.Context(), []Ending{{Session: Session{"u", "s"}, Seq: b.Of(Session{"u", "s"}).Seq}}); len(ended) != 1 {
		t.Errorf("ended are %+v", ended)
	}
	if a := answered(t, b.touchAs(t, "s", Ask{Renewal: true})); a.err != nil || !a.Ended {
		t.Errorf("after its end: %+v", a)
	}
	if a := answered(t, b.touchAs(t, "other", Ask{Default: 5, Most: 1})); a.err != ErrTooMany {
		t.Errorf("one too many: %+v", a)
	}
}

// Touches of one session go on in the order in which they came, also those that come while one
// is answered that others waited for.
func TestTouchesInOrder(t *testing.T) {
	b, _ := openBook(t)
	const burst = 200
	for round := range 50 {
		session := Session{"u", fmt.Sprint(round)}
		order := make(chan int, burst)
		for i := range burst {
			b.Touch(session, Ask{Default: 60}, time.Now().Add(patience), func(Grant, error) { order <- i })
			for range rand.N(40) { // the burst takes longer than a write
				runtime.Gosched()
			}
		}
		for i := range burst {
			if got := <-order; got != i {
				t.Fatalf("round %d: %d comes at %d", round, got, i)
			}
		}
	}
}

// When the instance's life is over, every touch is answered: those that come later, and those
// that were waiting for a write that was under way.
func TestTouchesAtTheEnd(t *testing.T) {
	b, l := openBook(t)
	var waiting []<-chan touched
	for range 10 {
		waiting = append(waiting, b.touchAs(t, "s", Ask{Default: 60}))
	}
	l.End()
	waiting = append(waiting, b.touchAs(t, "s", Ask{Renewal: true}), b.touchAs(t, "late", Ask{Default: 60}), b.touchAs(t, "late", Ask{Default: 60}))
	for i, w := range waiting {
		if a := answered(t, w); i > 10 && a.err == nil {
			t.Errorf("touch %d was stored: %+v", i, a)
		}
	}
	for i, w := range waiting {
		if len(w) != 0 {
			t.Errorf("touch %d is answered twice", i)
		}
	}
}
