package contract

import (
	"bytes"
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

// Watch checks the facts, messages and notices that nc hears until the test ends, all of
// them or, in a storm, a [Sample] of each type, and fails the test at the first that no
// schema accepts.
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
	sample Sample
}

func (w *watch) take(m *nats.Msg) {
	if w.failed.Load() || !w.sample.Takes(kind(m.Data)) {
		return
	}
	err := Event(m.Data)
	if got := m.Header.Get("Content-Type"); err == nil && got != events.ContentType {
		err = fmt.Errorf("the Content-Type is %q", got)
	}
	if err != nil && w.failed.CompareAndSwap(false, true) {
		w.t.Errorf("on %s: %v", m.Subject, err)
	}
}

// kind is an event's type, found without reading it all.
func kind(data []byte) string {
	_, rest, _ := bytes.Cut(data, []byte(`"type":"`+events.TypePrefix))
	name, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(name)
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
			w.t.Errorf("the events heard are not checked %v after the test", patience)
			return
		}
	}
}
