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

// patience is how long a watch may take at its end to check what it has heard.
const patience = time.Minute

// Watch checks the facts, messages and notices that nc hears until the test ends: all of
// them or, in a storm, a [Sample] of each type. It fails the test at the first one that
// does not fit its schema.
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

// kind is an event's type, found without parsing the event.
func kind(data []byte) string {
	_, rest, _ := bytes.Cut(data, []byte(`"type":"`+events.TypePrefix))
	name, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(name)
}

// end checks what is still pending, unless the test has stopped the server.
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
			w.t.Errorf("the events heard were not all checked within %v of the test's end", patience)
			return
		}
	}
}
