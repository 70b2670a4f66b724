package contract

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/subjects"
)

// patience is how long a watch may take to get through what it has heard, at its end.
const patience = time.Minute

// Watch checks every fact, message and notice that nc hears until the test ends, and
// fails the test at the first that no schema accepts. What it has heard by then is all
// checked.
func Watch(t testing.TB, nc *nats.Conn) {
	t.Helper()
	w := &watch{t: t, nc: nc, ended: make(chan struct{}, 3)}
	var subs []*nats.Subscription
	for _, subject := range []string{subjects.FactsPattern, subjects.MessagesPattern, subjects.StatesPattern} {
		sub, err := nc.Subscribe(subject, w.take)
		if err == nil {
			err = sub.SetPendingLimits(-1, -1)
		}
		if err != nil {
			t.Fatalf("watching %s: %v", subject, err)
		}
		sub.SetClosedHandler(func(string) { w.ended <- struct{}{} })
		subs = append(subs, sub)
	}
	if err := nc.Flush(); err != nil {
		t.Fatalf("watching: %v", err)
	}
	t.Cleanup(func() { w.end(subs) })
}

type watch struct {
	t      testing.TB
	nc     *nats.Conn
	ended  chan struct{} // one for each subscription
	failed atomic.Bool
	heard  atomic.Int64
}

func (w *watch) take(m *nats.Msg) {
	if w.failed.Load() {
		return
	}
	err := Event(m.Data)
	if got := m.Header.Get("Content-Type"); err == nil && got != events.ContentType {
		err = fmt.Errorf("the Content-Type is %q", got)
	}
	if err != nil && w.failed.CompareAndSwap(false, true) {
		w.t.Errorf("on %s: %v", m.Subject, err)
	}
	w.heard.Add(1)
}

// end gets through what was heard, unless the test has taken the server away.
func (w *watch) end(subs []*nats.Subscription) {
	defer w.failed.Store(true)
	if !w.nc.IsConnected() {
		return
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for _, sub := range subs {
		if err := sub.Drain(); err != nil {
			return // closed
		}
	}
	for range subs {
		select {
		case <-w.ended:
		case <-late.C:
			w.t.Errorf("%d events are checked, and not all that were heard", w.heard.Load())
			return
		}
	}
}
