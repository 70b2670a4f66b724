package clock

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"natsrooms/roomsvc/health"
	"natsrooms/roomsvc/life"
)

// near says whether two durations differ by less than a slow machine explains.
func near(a, b time.Duration) bool { return (a - b).Abs() < 500*time.Millisecond }

// Whatever happens to the machine's clock, the time goes on.
func TestClockGoesOn(t *testing.T) {
	var off atomic.Int64
	c := New(func() time.Time { return time.Now().Add(time.Duration(off.Load())) })
	moment := time.Now()
	for _, set := range []time.Duration{0, -time.Hour, time.Hour, 300 * 24 * time.Hour} {
		off.Store(int64(set))
		if is := time.Until(c.Now().Time()); !near(is, 0) {
			t.Errorf("set by %v, the time is %v ahead", set, is)
		}
		if is := c.Of(moment).Time().Sub(moment); !near(is, 0) {
			t.Errorf("set by %v, a moment is moved by %v", set, is)
		}
		if !c.Agrees(c.Now(), time.Now()) || c.Agrees(c.Now()-3000, time.Now()) || c.Agrees(c.Now()+3000, time.Now()) {
			t.Errorf("set by %v, it agrees with what it must not, or does not with itself", set)
		}
		if is := c.ahead(); !near(is, set) {
			t.Errorf("set by %v, it says %v", set, is)
		}
	}
	if is := time.Until((*Clock)(nil).Now().Time()); !near(is, 0) {
		t.Errorf("without a clock, the time is %v ahead", is)
	}
}

// That a clock was set, or that the server's is another one, is told, and when it is over.
func TestWatch(t *testing.T) {
	var off, server atomic.Int64
	c := New(func() time.Time { return time.Now().Add(time.Duration(off.Load())) })
	book := health.New(slog.New(slog.DiscardHandler))
	l := life.New(func(err error) { t.Error(err) })
	t.Cleanup(l.End)
	l.Go(func() { c.Watch(l, book, func() (time.Duration, bool) { return time.Duration(server.Load()), true }) })
	says := func(want string) {
		t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for began := time.Now(); time.Since(began) < 20*time.Second; <-tick.C {
			if text := book.Text(); strings.Contains(text, want) && (want != "" || text == "") {
				return
			}
		}
		t.Fatalf("it says %q, want %q", book.Text(), want)
	}
	says("")
	off.Store(int64(-time.Hour))
	says("was set back by 1h0m0s")
	off.Store(int64(time.Hour))
	says("was set forward by 1h0m0s")
	if err := book.Err(); err != nil {
		t.Errorf("not fit: %v", err)
	}
	off.Store(0)
	says("")
	server.Store(int64(-time.Minute))
	says("the NATS server is 1m0s behind")
	server.Store(0)
	says("")
}
