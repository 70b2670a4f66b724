package faults_test

import (
	"log/slog"
	"regexp"
	"strings"
	"sync"
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
