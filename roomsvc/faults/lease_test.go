package faults_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// A session asks one instance for a short lease, and then another for a long one. The other
// instance has not heard of the short lease yet, and takes the lease to be long already. What
// it tells the session must be true.
func TestRenewalBeforeThePreviousOneIsHeard(t *testing.T) {
	w := newWorld(t)
	p := newProxy(t, w.Node.ClientURL())
	far := w.StartAt(p.url, roomsvc.Config{Instance: "far"})
	lease := func(seconds int) room.Caller { return room.Caller{UserID: "alice", LeaseSeconds: &seconds} }
	if _, err := w.Client.Enter(w.Ctx, room.CreateRequest{Caller: lease(3600), RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	near := w.Start(roomsvc.Config{Instance: "near"})
	late := rule(func(f *frame) fate {
		if bytes.Contains(f.raw, []byte("$JS.ACK."+subjects.StreamSessions+".")) {
			return fate{hold: patience}
		}
		return fate{}
	})
	nearOnly := rule(func(f *frame) fate {
		if strings.HasPrefix(f.subject, subjects.Command(string(room.Renew))) {
			return fate{lose: true}
		}
		return late(f)
	})
	p.toClient.Store(&nearOnly)
	c := client.New(w.NC, client.Config{Timeout: 3 * time.Second}) // of a try, which may be lost
	if _, err := c.Renew(w.Ctx, room.RenewRequest{Caller: lease(5)}); err != nil {
		t.Fatal(err)
	}
	p.toClient.Store(&late)
	near.End()
	r, err := c.Renew(w.Ctx, room.RenewRequest{Caller: lease(3600)})
	if err != nil || len(r.Rooms) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	kv, err := w.JS.KeyValue(w.Ctx, subjects.BucketSessions)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(w.Ctx, subjects.SessionKey("alice", room.DefaultSession))
	if err != nil {
		t.Fatal(err)
	}
	var stored struct {
		LeaseSeconds int `json:"leaseSeconds"`
	}
	if err := json.Unmarshal(entry.Value(), &stored); err != nil || stored.LeaseSeconds != 3600 {
		t.Errorf("the session is told that its lease ends at %v, but the bucket has %s", r.ExpiresAt.Time(), entry.Value())
	}
	if err := far.Err(); err != nil {
		t.Error(err)
	}
}
