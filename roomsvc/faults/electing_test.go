package faults_test

import (
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

// An instance is started beside a cluster that has no leader: one server of three runs. It waits
// and says for what, gives up when its time is over, and starts when there is a leader.
func TestStartBesideAnElection(t *testing.T) {
	t.Parallel()
	nodes := roomtest.Nodes(t, 3)
	nodes[0].Start()
	w := broken(worlds.On(t, nodes[0]))
	began := time.Now()
	w.Refuses(roomsvc.Config{Wait: 3 * time.Second}, "could not answer within 3s", "have a leader")
	if took := time.Since(began); took < 3*time.Second || !w.late.Within(took, 15*time.Second, began) {
		t.Errorf("it gives up after %v", took)
	}
	log := new(worlds.Log)
	started := make(chan error, 1)
	go func() {
		i, err := w.Open(roomsvc.Config{Replicas: 3, Logger: slog.New(slog.NewTextHandler(log, nil))})
		if err == nil {
			defer i.End()
			_, err = w.JS.AccountInfo(w.Ctx)
		}
		started <- err
	}()
	w.Until(patience, "it to say that it waits", func() bool { return strings.Contains(log.String(), "waiting for the NATS server") })
	if said := log.String(); !strings.Contains(said, "gives up in") || !strings.Contains(said, "because=") {
		t.Errorf("it says\n%s", said)
	}
	nodes[1].Start()
	nodes[2].Start()
	select {
	case err := <-started:
		if err != nil {
			t.Errorf("with a leader: %v\n%s", err, log)
		}
	case <-time.After(2 * patience):
		t.Fatalf("it does not start although there is a cluster\n%s", log)
	}
}

// While an instance starts, leaders change under it: the first answer to each kind of question
// about each stream is that nobody leads. It starts all the same, and knows all that is stored.
func TestStartWhileLeadersChange(t *testing.T) {
	w := newWorld(t)
	i := w.Start(roomsvc.Config{})
	w.Create("lobby", 3600, "alice", "bob")
	i.End()
	bad := newProxy(t, w.Node.ClientURL())
	var mu sync.Mutex
	asked, refused := map[string]bool{}, map[string]string{} // refused: questions, by where the answer goes
	question := regexp.MustCompile(`^\$JS\.API\.(STREAM\.INFO|STREAM\.MSG\.GET|CONSUMER\.CREATE)\.\w+`)
	bad.toServer.Store(only(func(f *frame) fate {
		mu.Lock()
		defer mu.Unlock()
		if q := question.FindString(f.subject); !asked[q] {
			asked[q], refused[f.reply()] = true, q
		}
		return fate{}
	}, func(f *frame) bool { return question.MatchString(f.subject) }))
	bad.toClient.Store(only(func(*frame) fate {
		return fate{instead: `{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`}
	}, func(f *frame) bool {
		mu.Lock()
		defer mu.Unlock()
		return refused[f.subject] != ""
	}))
	w.StartAt(bad.url, roomsvc.Config{})
	w.Check()
	mu.Lock()
	defer mu.Unlock()
	for _, stream := range []string{subjects.StreamRooms, subjects.StreamState, subjects.StreamSessions, subjects.StreamBlocks} {
		if q := "$JS.API.CONSUMER.CREATE." + stream; !asked[q] {
			t.Errorf("%s is never asked", q)
		}
	}
}

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

// A header may be written in lower case, as many libraries do.
func TestRequestIDInAnyCase(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{})
	w.Create("lobby", 3600, "alice")
	for user, header := range map[string]string{"bob": "nats-msg-id", "carol": "NATS-MSG-ID", "dave": "Nats-Msg-Id"} {
		for n := range 2 { // the second time it is the same request, and not a second try to join
			m := w.Ask("join", `{"roomID":"lobby","userID":"`+user+`"}`, header, "the same")
			if e := worlds.Refusal(m); e != nil {
				t.Errorf("%s, %s, time %d: %v", user, header, n+1, e)
			}
		}
	}
}
