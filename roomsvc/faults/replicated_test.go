package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// stepDown asks for another leader of the journal: the preferred one, if it is not empty.
func (w *world) stepDown(preferred string) error {
	var body []byte
	if preferred != "" {
		body = fmt.Appendf(nil, `{"placement":{"preferred":%q}}`, preferred)
	}
	_, err := w.NC.Request("$JS.API.STREAM.LEADER.STEPDOWN."+subjects.StreamRooms, body, 2*time.Second)
	return err
}

// There are three replicas whose leader changes every second, and one node goes away and
// comes back.
func TestStepDowns(t *testing.T) {
	t.Parallel()
	nodes := roomtest.Cluster(t, 3)
	w := callerOf(t, nodes[0].ClientURL())
	for i, n := range nodes {
		// An instance that loses its node connects to the first one.
		w.StartAt(n.ClientURL()+","+nodes[0].ClientURL(), roomsvc.Config{Instance: fmt.Sprintf("i%d", i), Replicas: 3}, nats.DontRandomize())
	}
	duration := 8 * time.Second
	if long {
		duration = 60 * time.Second
	}
	over, cancel := context.WithTimeout(w.Ctx, duration)
	defer cancel()
	var group sync.WaitGroup
	changes := 0
	group.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if w.stepDown("") == nil {
					changes++
				}
			case <-over.Done():
				return
			}
		}
	})
	group.Go(func() {
		<-time.After(duration / 4)
		nodes[2].Stop()
		<-time.After(duration / 4)
		nodes[2].Start()
	})
	done := w.storm(24, 5, duration, true)
	group.Wait()
	nodes[2].WaitCurrent()
	roomtest.Figure(t, "%d commands, %d changes of the leader", len(done), changes)
	if changes == 0 {
		t.Error("the leader never changed")
	}
	w.repeat(done)
	w.Check()
}

// The leader of the journal is stopped, another one acknowledges a fact, and the old
// one wakes with a question for that fact in its socket.
func TestDeposedLeader(t *testing.T) {
	t.Parallel()
	var routes []string
	ports := roomtest.Ports(t, 3)
	for _, p := range ports {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", p))
	}
	of := func(i int) *member {
		return &member{fmt.Sprintf("n%d", i), filepath.Join(t.TempDir(), "store"), ports[i], routes}
	}
	config, err := json.Marshal(of(2))
	if err != nil {
		t.Fatal(err)
	}
	old := spawn(t, "server", string(config))
	a, b := roomtest.Start(t, of(0).join), roomtest.Start(t, of(1).join)
	w := callerOf(t, a.ClientURL())
	w.Until(patience, "the cluster to take streams", w.Try(func(ctx context.Context) bool {
		_, err := w.JS.CreateStream(ctx, jetstream.StreamConfig{Name: "T", Replicas: 3})
		return err == nil
	}))
	w.StartAt(a.ClientURL(), roomsvc.Config{Instance: "a", Replicas: 3})
	w.StartAt(old.says, roomsvc.Config{Instance: "old", Replicas: 3}, nats.MaxPingsOutstanding(100))
	w.Create("before", 3600)
	w.Until(patience, "the child to lead", func() bool { return leaderIs(w, "n2") || w.stepDown("n2") == nil && leaderIs(w, "n2") })
	near, err := nats.Connect(old.says, nats.IgnoreDiscoveredServers())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(near.Close)
	w.Until(patience, "the instance at the child to serve", func() bool {
		_, err := client.New(near, client.Config{Timeout: time.Second, Once: true}).Join(w.Ctx, room.RoomRequest{Caller: as("first", "first"), RoomID: "before"})
		return err == nil
	})

	const asks = 40
	rounds := 1
	if long {
		rounds = 5
	}
	for round := range rounds {
		w.Until(patience, "the old leader to lead again", func() bool { return leaderIs(w, "n2") || w.stepDown("n2") == nil && leaderIs(w, "n2") })
		id := fmt.Sprintf("made%d", round)
		old.pause()
		began := time.Now()
		w.Until(patience, "another leader", func() bool {
			return a.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, subjects.StreamRooms) || b.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, subjects.StreamRooms)
		})
		made := &command{verb: room.Create, caller: as("maker", id), room: id, config: &room.RoomConfig{RoomDestroyDelayTime: 3600}}
		// Nobody answers what is sent to the instance at the stopped server.
		w.Until(patience, "a room to be made", func() bool {
			_, err := made.send(w.Ctx, client.New(w.NC, client.Config{Timeout: 500 * time.Millisecond, Once: true}))
			return err == nil
		})
		t.Logf("another leader acknowledged after %v", time.Since(began))
		inbox := near.NewInbox()
		answers, err := near.SubscribeSync(inbox)
		if err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		for n := range asks {
			if n == asks/2 {
				old.wake()
			}
			if err := near.PublishRequest("room.cmd.join", inbox, fmt.Appendf(nil, `{"roomID":%q,"userID":"late%d"}`, id, n)); err != nil {
				t.Fatal(err)
			}
			_ = near.FlushTimeout(time.Duration(max(1, 50*(n-asks/2+1))) * time.Millisecond)
		}
		in := 0
		for n := range asks {
			m, err := answers.NextMsg(answerBy + 5*time.Second)
			if err != nil {
				t.Logf("%d of %d are answered: %v", n, asks, err)
				break
			}
			switch code := m.Header.Get("Nats-Service-Error"); code {
			case "":
				in++
			case "BUSY", "UNAVAILABLE":
			default:
				t.Errorf("a room that was acknowledged: %s %s", code, m.Data)
			}
		}
		t.Logf("%d of %d joined, in %v", in, asks, time.Since(began))
		if in == 0 {
			t.Error("the instance at the old leader does not come round")
		}
	}
	w.Check()
	if s := old.log.String(); strings.Contains(s, "panic") {
		t.Error(s)
	}
}

func leaderIs(w *world, name string) bool {
	ctx, cancel := w.Brief()
	defer cancel()
	s, err := w.JS.Stream(ctx, subjects.StreamRooms)
	return err == nil && s.CachedInfo().Cluster.Leader == name
}
