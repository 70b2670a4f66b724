package faults_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

// Instances start together in a cluster that has no streams yet: one of them makes each stream,
// and the others wait until the servers know it.
func TestStartTogether(t *testing.T) {
	t.Parallel()
	nodes := roomtest.Nodes(t, 3)
	for _, n := range nodes {
		n.Start()
	}
	w := broken(worlds.On(t, nodes[0]))
	for range 5 {
		var all sync.WaitGroup
		for _, n := range nodes {
			all.Go(func() {
				i, err := w.OpenAt(n.ClientURL(), roomsvc.Config{Replicas: 3})
				if err != nil {
					t.Errorf("it does not start: %v\n%s", err, i.Log)
					return
				}
				i.End()
			})
		}
		all.Wait()
		for _, name := range subjects.Streams {
			if err := w.JS.DeleteStream(w.Ctx, name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Another instance is making the stream of facts: it can't be made any more, but for a moment it
// can't be found either, and then nobody answers for it.
func TestStartWhileAStreamIsMade(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{}).End()
	bad := newProxy(t, w.Node.ClientURL())
	var asked atomic.Int64
	refused := false
	moment := rule(func(f *frame) fate { // the frames of one connection come one by one
		switch f.subject {
		case "$JS.API.STREAM.CREATE." + subjects.StreamRooms:
			refused = true
		case "$JS.API.STREAM.INFO." + subjects.StreamRooms:
			switch n := asked.Add(1); {
			case n == 1: // whether there is another journal
				return fate{}
			case !refused || n == 4:
				w.answer(f, `{"error":{"code":404,"err_code":10059,"description":"stream not found"}}`)
				return fate{lose: true}
			case n == 5:
				return fate{lose: true}
			}
		}
		return fate{}
	})
	bad.toServer.Store(&moment)
	w.StartAt(bad.url, roomsvc.Config{})
	if n := asked.Load(); n < 6 {
		t.Errorf("it asked %d times", n)
	}
}

// answer answers a question in the place of the server.
func (w *world) answer(f *frame, body string) {
	w.T.Helper()
	if err := w.NC.Publish(f.reply(), []byte(body)); err != nil {
		w.T.Error(err)
	}
}
