package faults_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
)

// The journal is silent. Whoever asks later, as a client does that had to find another server
// first, is answered by when those are who asked at the beginning, or soon.
func TestAnswersWhileTheJournalIsSilent(t *testing.T) {
	w := newWorld(t)
	p := newProxy(t, w.Node.ClientURL())
	w.StartAt(p.url, roomsvc.Config{})
	w.Create("lobby", 3600, "alice")
	p.on(nil, func(f *frame) fate { return fate{lose: strings.HasPrefix(f.subject, "room.journal.")} })
	began := time.Now()
	var group sync.WaitGroup
	for second := range 13 {
		group.Go(func() {
			<-time.After(time.Duration(second) * time.Second)
			sent := time.Now()
			m, err := w.NC.Request("room.cmd.enter", fmt.Appendf(nil, `{"roomID":"room-%d","userID":"bob"}`, second), patience)
			if err != nil {
				t.Errorf("after %d s: %v", second, err)
				return
			}
			if e := worlds.Refusal(m); e == nil {
				t.Errorf("after %d s it is stored", second)
			}
			most := max(answerBy-sent.Sub(began), 3*time.Second)
			if took := time.Since(sent); !w.late.Within(took, most, sent) {
				t.Errorf("after %d s an answer takes %v, and may take %v", second, took, most)
			}
		})
	}
	group.Wait()
}

// Of a cluster of three processes the one that leads the journal is killed, while many ask. Each
// answer comes in time, also to those whose own server was the one that was killed.
func TestLeaderIsKilled(t *testing.T) {
	// It does not run in parallel: its ports are chosen before its servers take them.
	var routes []string
	ports := freePorts(t, 3)
	for _, p := range ports {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", p))
	}
	var servers []*child
	for i := range 3 {
		config, err := json.Marshal(&member{fmt.Sprintf("n%d", i), filepath.Join(t.TempDir(), "store"), ports[i], routes})
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, spawn(t, "server", string(config)))
	}
	w := callerOf(t, servers[0].says)
	w.Until(patience, "the cluster to take streams", w.Try(func(ctx context.Context) bool {
		_, err := w.JS.CreateStream(ctx, jetstream.StreamConfig{Name: "T", Replicas: 3})
		return err == nil
	}))
	all := servers[0].says + "," + servers[1].says + "," + servers[2].says
	for n := range 2 {
		w.StartAt(all, roomsvc.Config{Instance: fmt.Sprint("i", n), Replicas: 3}, nats.MaxReconnects(-1))
	}
	w.Create("lobby", 3600)
	ctx, cancel := context.WithCancel(w.Ctx)
	defer cancel()
	var answered, unanswered atomic.Int64
	var longest atomic.Int64
	var group sync.WaitGroup
	for n := range 12 {
		nc, err := nats.Connect(servers[n%3].says, nats.MaxReconnects(-1), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		group.Go(func() {
			for round := 0; ctx.Err() == nil; round++ {
				sent := time.Now()
				verb := []string{"enter", "leave"}[round%2]
				_, err := nc.Request("room.cmd."+verb, fmt.Appendf(nil, `{"roomID":"lobby","userID":"u%d"}`, n), 20*time.Second)
				switch {
				case err == nil:
					answered.Add(1)
					for took := int64(time.Since(sent)); ; {
						if was := longest.Load(); took <= was || longest.CompareAndSwap(was, took) {
							break
						}
					}
				case errors.Is(err, nats.ErrNoResponders):
				default: // what was on its way to the server that died is lost
					unanswered.Add(1)
				}
			}
		})
	}
	<-time.After(2 * time.Second)
	killed := time.Now()
	for i, s := range servers {
		if leaderIs(w, fmt.Sprint("n", i)) {
			_ = s.cmd.Process.Kill()
			break
		}
	}
	<-time.After(25 * time.Second)
	cancel()
	group.Wait()
	roomtest.Figure(t, "%d answers, the longest after %v; %d requests were lost", answered.Load(), time.Duration(longest.Load()), unanswered.Load())
	if took := time.Duration(longest.Load()); answered.Load() < 100 || !w.late.Within(took, answerBy, killed) {
		t.Errorf("%d answers, the longest took %v", answered.Load(), took)
	}
	if n := unanswered.Load(); n > 12 {
		t.Errorf("%d requests were lost", n)
	}
}
