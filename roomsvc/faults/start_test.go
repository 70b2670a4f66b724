package faults_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/journal"
	"natsrooms/subjects"
)

// The journal begins with a marker, which expires while an instance starts. The instance must
// not take it for a fact that is no longer kept.
func TestMarkerExpiresDuringAStart(t *testing.T) {
	w := newWorld(t)
	j, err := journal.Open(w.Ctx, w.NC, journal.Settings{Keep: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	marker := &nats.Msg{Subject: subjects.Sync, Header: nats.Header{jetstream.MsgTTLHeader: {"1s"}}}
	if _, err := w.JS.PublishMsg(w.Ctx, marker); err != nil {
		t.Fatal(err)
	}
	before, err := j.Extent(w.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, w.Node.ClientURL())
	expired := rule(func(f *frame) fate {
		if strings.HasPrefix(f.subject, "$JS.API.CONSUMER.CREATE."+subjects.StreamRooms+".") {
			for now := before; now.First == before.First && w.Ctx.Err() == nil; {
				if now, err = j.Extent(w.Ctx); err != nil {
					t.Error(err)
					break
				}
			}
		}
		return fate{}
	})
	p.toServer.Store(&expired)
	w.StartAt(p.url, roomsvc.Config{Instance: "late"})
	w.Create("lobby", 0)
}
