package faults_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// pretend answers so many appends of facts, and all questions for a room's newest fact, like
// a deposed leader that knows the room only up to an older fact. It leaves all else to the
// server, and counts the appends.
func (w *world) pretend(p *proxy, id subjects.Room, stale uint64, appends int64) *atomic.Int64 {
	w.T.Helper()
	stream, err := w.JS.Stream(w.Ctx, subjects.StreamRooms)
	if err != nil {
		w.T.Fatal(err)
	}
	old, err := stream.GetMsg(w.Ctx, stale)
	if err != nil {
		w.T.Fatal(err)
	}
	found, err := json.Marshal(map[string]any{
		"type":    "io.nats.jetstream.api.v1.stream_msg_get_response",
		"message": map[string]any{"subject": old.Subject, "seq": stale, "data": old.Data, "time": time.Now()},
	})
	if err != nil {
		w.T.Fatal(err)
	}
	refused := fmt.Appendf(nil, `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: %d"},"stream":"ROOMS","seq":0}`, stale)
	n := &atomic.Int64{}
	answer := func(f *frame, data []byte) (asked bool) {
		line, _, _ := strings.Cut(string(f.raw), "\r\n")
		words := strings.Fields(line)
		if !strings.HasPrefix(words[2], "_INBOX.") {
			return false // the first one of a batch
		}
		if err := w.NC.PublishMsg(&nats.Msg{Subject: words[2], Data: data}); err != nil {
			w.T.Error(err)
		}
		return true
	}
	rules := rule(func(f *frame) fate {
		switch {
		case strings.HasPrefix(f.subject, "room.journal.") && n.Load() < appends:
			if answer(f, refused) {
				n.Add(1)
			}
			return fate{lose: true}
		case f.subject == "$JS.API.STREAM.MSG.GET.ROOMS" && bytes.Contains(f.body, []byte(subjects.Facts(id))):
			return fate{lose: answer(f, found)}
		}
		return fate{}
	})
	p.toServer.Store(&rules)
	return n
}

// A deposed leader of the journal wakes, refuses an append, and says that the room's
// newest fact is an older one. That does not end an instance that is in order.
func TestStaleReadEndsNothing(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(w *world) error{
		"a join": func(w *world) error {
			_, err := client.New(w.NC, client.Config{}).Join(w.Ctx, room.RoomRequest{Caller: as("late", ""), RoomID: "lobby"})
			return err
		},
		"a switch": func(w *world) error {
			_, err := client.New(w.NC, client.Config{}).Switch(w.Ctx, room.SwitchRequest{Caller: as("alice", ""), FromRoomID: "lobby", ToRoomInfo: room.RoomInfo{RoomID: "other"}})
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			bad := newProxy(t, w.Node.ClientURL())
			i := w.StartAt(bad.url, roomsvc.Config{})
			first := w.Create("lobby", 3600)
			w.Create("other", 3600)
			w.Join("lobby", "alice")
			const appends = 3
			n := w.pretend(bad, "lobby", first.Revision, appends)
			if err := change(w); err != nil {
				t.Errorf("the answer is %v\n%s", err, i.Log)
			}
			bad.toServer.Store(nil)
			if n.Load() != appends {
				t.Errorf("%d appends met the deposed leader, want %d", n.Load(), appends)
			}
			w.Check()
		})
	}
}

// If the answer stays the same, the fact is lost.
func TestStaleReadThatStays(t *testing.T) {
	w := newWorld(t)
	bad := newProxy(t, w.Node.ClientURL())
	i := w.StartAt(bad.url, roomsvc.Config{})
	first := w.Create("lobby", 3600)
	w.Join("lobby", "alice")
	w.pretend(bad, "lobby", first.Revision, 1<<32)
	// One command may not last for as many doubts as are needed; the next one goes on from there.
	w.Until(4*patience, "the instance to end", func() bool {
		if _, err := w.Client.Join(w.Ctx, room.RoomRequest{Caller: as("late", ""), RoomID: "lobby"}); !open(err) && !errors.Is(err, client.ErrNoService) {
			t.Fatalf("the answer is %v", err)
		}
		select {
		case <-i.Done():
			return true
		default:
			return false
		}
	})
	if err := i.Err(); err == nil || !strings.Contains(err.Error(), "came back without its newest data") || errors.Is(err, room.ErrBusy) {
		t.Errorf("it ended with %v", err)
	}
}
