package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

// copies says where a stream is kept: its leader, and the other servers that have all of it.
func copies(ctx context.Context, js jetstream.JetStream, stream string) (replicas int, leader string, others []string) {
	s, err := js.Stream(ctx, stream)
	if err != nil || s.CachedInfo().Cluster == nil {
		return 0, "", nil
	}
	for _, peer := range s.CachedInfo().Cluster.Replicas {
		if peer.Current && !peer.Offline {
			others = append(others, peer.Name)
		}
	}
	return s.CachedInfo().Config.Replicas, s.CachedInfo().Cluster.Leader, others
}

// copied waits until every stream is on a number of servers, and returns who leads which.
func copied(w *worlds.World, n int) (leaders map[string]string) {
	w.T.Helper()
	leaders = map[string]string{}
	w.Until(worlds.Patience, fmt.Sprintf("%d copies of every stream", n), w.Try(func(ctx context.Context) bool {
		for _, stream := range subjects.Streams {
			replicas, leader, others := copies(ctx, w.JS, stream)
			if replicas != n || leader == "" || len(others) != n-1 {
				return false
			}
			leaders[stream] = leader
		}
		return true
	}))
	return leaders
}

// On a cluster where everything is kept once, one roomd is started again with --replicas 3, while commands
// go on. Then everything is kept three times, nothing that was acknowledged is lost with the server that had
// it alone, and a start that does not say how many changes nothing.
func TestReplicasRaised(t *testing.T) {
	t.Parallel()
	nodes := roomtest.Cluster(t, 3)
	var urls []string
	for _, n := range nodes {
		urls = append(urls, n.ClientURL())
	}
	cluster := strings.Join(urls, ",")
	first, second := start(t, "--nats", cluster), start(t, "--nats", cluster)
	w := worlds.At(t, cluster)
	w.Create("lobby", 3600)
	alone := copied(w, 1)[subjects.StreamRooms]

	stop, done := make(chan struct{}), make(chan error, 1)
	var users []string // that were told that they are in
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			user := fmt.Sprintf("user-%04d", i)
			if _, err := worlds.Request[room.JoinedReply](w, room.Join, room.RoomRequest{Caller: worlds.As(user, user), RoomID: "lobby"}, 12*time.Second); err != nil {
				done <- err
				return
			}
			users = append(users, user)
		}
	}()
	first.end(t)
	first = start(t, "--nats", cluster, "--replicas", "3")
	copied(w, 3)
	close(stop)
	if err := <-done; err != nil {
		t.Fatalf("after %d commands: %v", len(users), err)
	}
	second.end(t)
	second = start(t, "--nats", cluster)
	copied(w, 3)

	i := slices.IndexFunc(nodes, func(n *roomtest.Node) bool { return n.Name() == alone })
	nodes[i].Stop()
	if _, err := worlds.Request[room.JoinedReply](w, room.Join, room.RoomRequest{Caller: worlds.As("late", "late"), RoomID: "lobby"}, 12*time.Second); err != nil {
		t.Fatalf("without %s: %v", alone, err)
	}
	sessions, _, _ := w.Members("lobby")
	for _, user := range append(users, "late") {
		if !slices.Contains(sessions, user+"/default") {
			t.Errorf("%s was told that it is in, and is not", user)
		}
	}
	if len(sessions) != len(users)+1 {
		t.Errorf("%d sessions, of %d users", len(sessions), len(users)+1)
	}
	w.Check()
	roomtest.Figure(t, "%d commands while copies were made", len(users))
	first.end(t)
	second.end(t)
}
