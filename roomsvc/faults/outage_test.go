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
