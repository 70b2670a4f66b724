package faults_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
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

// What a read has asked the server for does not come, and neither does the server's word that it
// has put away what the read needed. The read is answered in time all the same.
func TestReadWithoutItsConsumer(t *testing.T) {
	w := newWorld(t)
	p := newProxy(t, w.Node.ClientURL())
	w.StartAt(p.url, roomsvc.Config{})
	at := w.Create("lobby", 3600, "alice")
	w.Ask("send", `{"roomID":"lobby","userID":"alice","type":"text","data":"hello"}`)
	mute := rule(func(f *frame) fate {
		return fate{lose: strings.HasPrefix(f.subject, "$JS.API.CONSUMER.DELETE.ROOM_MESSAGES.") || strings.HasPrefix(f.subject, "$JS.API.CONSUMER.MSG.NEXT.ROOM_MESSAGES.")}
	})
	p.toServer.Store(&mute)
	sent := time.Now()
	m := w.Ask("history", fmt.Sprintf(`{"roomID":"lobby","instanceID":%q,"afterMessageSeq":0}`, at.InstanceID))
	if took := time.Since(sent); worlds.Refusal(m) == nil || !w.late.Within(took, answerBy, sent) {
		t.Errorf("history is answered after %v: %.200s", took, m.Data)
	}
	if p.lost.Load() < 2 {
		t.Errorf("%d questions were lost", p.lost.Load())
	}
}

// Of a cluster of three processes the one that leads a stream is killed, while many ask for
// everything there is. Each answer comes in time, also to those whose own server was the one that
// was killed.
func TestLeaderIsKilled(t *testing.T) {
	streams := []string{subjects.StreamRooms}
	if long {
		streams = append(streams, subjects.StreamMessages, subjects.StreamSessions, subjects.StreamState)
	}
	for _, stream := range streams {
		t.Run(stream, func(t *testing.T) { testLeaderIsKilled(t, stream) })
	}
}

func testLeaderIsKilled(t *testing.T, stream string) {
	// It does not run in parallel: its ports are chosen before its servers take them.
	servers := spawnCluster(t, 3)
	w := callerOf(t, servers[0].says)
	w.takesStreams()
	all := servers[0].says + "," + servers[1].says + "," + servers[2].says
	for n := range 2 {
		w.StartAt(all, roomsvc.Config{Instance: fmt.Sprint("i", n), Replicas: 3}, nats.MaxReconnects(-1))
	}
	w.Create("lobby", 3600)
	ctx, cancel := context.WithCancel(w.Ctx)
	defer cancel()
	var answered, unanswered atomic.Int64
	var mu sync.Mutex
	longest := map[string]time.Duration{}
	var group sync.WaitGroup
	for n := range 2 * len(pursuits) {
		nc, err := nats.Connect(servers[n%3].says, nats.MaxReconnects(-1), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		pursuit := pursuits[n%len(pursuits)]
		group.Go(func() {
			for round := 0; ctx.Err() == nil; round++ {
				verb, body, _ := strings.Cut(pursuit[round%len(pursuit)], " ")
				sent := time.Now()
				_, err := nc.Request("room.cmd."+verb, []byte(strings.ReplaceAll(body, "USER", fmt.Sprint("u", n))), 20*time.Second)
				switch {
				case err == nil:
					answered.Add(1)
					mu.Lock()
					longest[verb] = max(longest[verb], time.Since(sent))
					mu.Unlock()
				case errors.Is(err, nats.ErrNoResponders):
				default: // what was on its way to the server that died is lost
					unanswered.Add(1)
				}
			}
		})
	}
	<-time.After(2 * time.Second)
	killed := time.Now()
	victim := w.leaderOf(stream)
	_ = servers[victim].cmd.Process.Kill()
	<-time.After(25 * time.Second)
	cancel()
	group.Wait()
	for verb, took := range longest {
		if !w.late.Within(took, answerBy, killed) {
			t.Errorf("%s was answered after %v", verb, took)
		}
	}
	roomtest.Figure(t, "%d answers, the longest after %v; %d requests were lost", answered.Load(), slices.Max(slices.Collect(maps.Values(longest))), unanswered.Load())
	t.Logf("the longest of each verb: %v", longest)
	if answered.Load() < 100 {
		t.Errorf("%d answers", answered.Load())
	}
	if n := unanswered.Load(); n > int64(2*len(pursuits)) {
		t.Errorf("%d requests were lost", n)
	}
}

// pursuits are what callers do again and again: commands of every kind. USER is the caller.
var pursuits = [][]string{
	{`enter {"roomID":"lobby","userID":"USER"}`, `leave {"roomID":"lobby","userID":"USER"}`},
	{`enter {"roomID":"lobby","userID":"USER","leaseSeconds":60}`, `renew {"userID":"USER"}`, `leaveAll {"userID":"USER"}`},
	{`enter {"roomID":"lobby","userID":"USER"}`, `send {"roomID":"lobby","userID":"USER","type":"text","data":"hello"}`},
	{`enter {"roomID":"of-USER","userID":"USER"}`, `switch {"userID":"USER","fromRoomID":"of-USER","toRoomInfo":{"roomID":"to-USER"},"isCreateWhenRoomNotExisted":true}`, `leaveAll {"userID":"USER"}`},
	{`setAttributes {"roomID":"lobby","userID":"USER","set":{"topic":"USER"},"isForce":true}`, `get {"roomID":"lobby","sync":true}`},
	{`get {"roomID":"lobby"}`, `members {"roomID":"lobby","sync":true}`, `list {"sync":true}`, `rooms {"userID":"USER"}`, `instances {"roomID":"lobby"}`},
	{`block {"userID":"none-USER","seconds":60}`, `blocked {}`, `unblock {"userID":"none-USER"}`},
	{`send {"roomID":"lobby","type":"text","data":"gone"}`, `deleteMessages {"roomID":"lobby","beforeMessageSeq":1}`},
	{`history {"roomID":"lobby","instanceID":"none","afterSequence":0}`, `history {"roomID":"lobby","instanceID":"none","afterMessageSeq":0}`},
}
