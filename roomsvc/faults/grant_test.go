package faults_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// A join is not refused when the user's grants cannot be read for a moment.
func TestGrantsThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	bad := newProxy(t, w.Node.ClientURL())
	only := w.StartAt(bad.url, roomsvc.Config{Feeds: true})
	if _, err := w.Client.Create(w.Ctx, room.CreateRequest{Caller: as("teacher", ""), RoomID: "exam", Config: &room.RoomConfig{Access: room.AccessToken}}); err != nil {
		t.Fatal(err)
	}
	if err := only.Grant(w.Ctx, "alice", room.Grant{Rooms: []subjects.Room{"exam"}, Until: events.TimeOf(time.Now().Add(time.Hour))}); err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int64
	rules := rule(func(f *frame) fate {
		if f.subject != "$JS.API.STREAM.MSG.GET.KV_room_sessions" || refused.Add(1) > 3 {
			return fate{}
		}
		line, _, _ := strings.Cut(string(f.raw), "\r\n")
		if err := w.NC.Publish(strings.Fields(line)[2], []byte(`{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","error":{"code":503,"err_code":10023,"description":"insufficient resources"}}`)); err != nil {
			t.Error(err)
		}
		return fate{lose: true}
	})
	bad.toServer.Store(&rules)
	alice := client.New(w.NC, client.Config{UserID: "alice", UserForm: true, Once: true})
	if _, err := alice.Join(w.Ctx, room.RoomRequest{RoomID: "exam"}); err != nil {
		t.Errorf("the answer is %v", err)
	}
	if n := refused.Load(); n != 4 {
		t.Errorf("%d reads, want 3 that fail and one", n)
	}
}
