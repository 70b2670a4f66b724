package faults_test

import (
	"strings"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// The service is there, but its bucket of leases cannot be written for longer than a lease
// lasts, so nobody can renew. That counts against nobody: who renews after that stays, and who
// does not is out when the grace time is over.
func TestLeasesCannotBeStored(t *testing.T) {
	w := newWorld(t)
	bad := newProxy(t, w.Node.ClientURL())
	const grace = 6 * time.Second
	w.StartAt(bad.url, roomsvc.Config{Instance: "only", Grace: grace})
	stays := client.New(roomtest.Conn(t, w.Node.Server), leased("stays", room.MinLease))
	t.Cleanup(stays.Close)
	enter(t, stays, w.Ctx, "lobby")
	goes := client.New(roomtest.Conn(t, w.Node.Server), leased("goes", room.MinLease))
	enter(t, goes, w.Ctx, "lobby")
	r, err := goes.Renew(w.Ctx, room.RenewRequest{})
	if err != nil {
		t.Fatal(err)
	}
	goes.Close()
	facts, err := w.NC.SubscribeSync(subjects.Facts("lobby"))
	if err != nil || w.NC.FlushTimeout(patience) != nil {
		t.Fatal(err)
	}
	lost := rule(func(f *frame) fate {
		return fate{lose: strings.HasPrefix(f.subject, subjects.KV(subjects.BucketSessions, ""))}
	})
	bad.toServer.Store(&lost)
	<-time.After(2 * room.MinLease * time.Second)
	if n, _, _ := facts.Pending(); n > 0 {
		t.Errorf("%d facts while nobody could renew", n)
	}
	back := time.Now()
	bad.toServer.Store(nil)
	m, err := facts.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	after := time.Since(back)
	f, err := events.DecodeFact(m.Data)
	if err != nil || len(f.Left) != 1 || f.Left[0].UserID != "goes" || f.Left[0].LeftAt < r.ExpiresAt || f.Left[0].LeftAt > r.ExpiresAt+100 {
		t.Errorf("%+v, %v; want the one that went, at %v", f, err, r.ExpiresAt)
	}
	roomtest.Figure(t, "out %v after the return", after)
	if after < grace || !w.late.Within(after, grace+4*time.Second, back) { // a write that was lost is tried again after 2 s
		t.Errorf("it is out %v after the return", after)
	}
	if r, err := stays.Renew(w.Ctx, room.RenewRequest{}); err != nil || len(r.Rooms) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	w.Check()
}

// Two of three servers are away for longer than a lease lasts. The service runs on, but nothing
// can be stored. Nobody is put out for that who shows itself within the grace time.
func TestNoQuorum(t *testing.T) {
	nodes := roomtest.Cluster(t, 3)
	w := callerOf(t, nodes[0].ClientURL())
	const grace = 12 * time.Second
	w.StartAt(nodes[0].ClientURL(), roomsvc.Config{Instance: "only", Replicas: 3, Grace: grace})
	alice := client.New(roomtest.Conn(t, nodes[0].Server), leased("alice", room.MinLease))
	enter(t, alice, w.Ctx, "lobby")
	alice.Close() // so that she does not renew by herself
	nodes[1].Stop()
	nodes[2].Stop()
	<-time.After(2 * room.MinLease * time.Second)
	nodes[1].Start()
	nodes[2].Start()
	w.Until(patience, "the service to be back", func() bool {
		_, err := w.Client.Enter(w.Ctx, room.CreateRequest{Caller: as("bob", ""), RoomID: "lobby"})
		return err == nil
	})
	<-time.After(grace / 2)
	r, err := w.Client.Renew(w.Ctx, room.RenewRequest{Caller: room.Caller{UserID: "alice", SessionID: client.DefaultSession}})
	if err != nil || len(r.Rooms) != 1 {
		t.Errorf("alice is in %+v, %v", r, err)
	}
	for _, f := range w.Facts() {
		if len(f.Left) > 0 {
			t.Errorf("%+v", f)
		}
	}
	w.Check()
}
