package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

// backup is a snapshot of a stream, as the server makes it.
type backup struct {
	stream string
	config json.RawMessage
	state  json.RawMessage
	chunks [][]byte
}

// backUp does what `nats backup stream` does.
func (w *world) backUp(stream string) *backup {
	w.T.Helper()
	inbox := w.NC.NewInbox()
	sub, err := w.NC.SubscribeSync(inbox)
	if err != nil {
		w.T.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	var r struct {
		Error         *jetstream.APIError
		Config, State json.RawMessage
	}
	w.api("STREAM.SNAPSHOT."+stream, map[string]any{"deliver_subject": inbox, "no_consumers": true, "jsck": true}, &r)
	if r.Error != nil {
		w.T.Fatal(r.Error)
	}
	b := &backup{stream: stream, config: r.Config, state: r.State}
	for {
		m, err := sub.NextMsg(patience)
		if err != nil {
			w.T.Fatal(err)
		}
		if len(m.Data) == 0 {
			if status := m.Header.Get("Status"); status != "" && status != "204" {
				w.T.Fatalf("the backup of %s ends with %v", stream, m.Header)
			}
			return b
		}
		b.chunks = append(b.chunks, m.Data)
		if m.Reply == "" { // the server does not wait for word of the last one
			continue
		}
		if err := m.Respond(nil); err != nil {
			w.T.Fatal(err)
		}
	}
}

// bringBack does what `nats backup restore stream` does.
func (w *world) bringBack(b *backup) {
	w.T.Helper()
	var r struct {
		Error   *jetstream.APIError
		Deliver string `json:"deliver_subject"`
	}
	w.api("STREAM.RESTORE."+b.stream, map[string]any{"config": b.config, "state": b.state}, &r)
	if r.Error != nil {
		w.T.Fatal(r.Error)
	}
	var last *nats.Msg
	for _, chunk := range append(b.chunks, nil) {
		var err error
		if last, err = w.NC.Request(r.Deliver, chunk, patience); err != nil {
			w.T.Fatal(err)
		}
	}
	if err := json.Unmarshal(last.Data, &r); err != nil || r.Error != nil {
		w.T.Fatalf("restoring %s ends with %s", b.stream, last.Data)
	}
}

// api asks the server's JetStream.
func (w *world) api(subject string, body, answer any) {
	w.T.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		w.T.Fatal(err)
	}
	m, err := w.NC.Request("$JS.API."+subject, data, patience)
	if err == nil {
		err = json.Unmarshal(m.Data, answer)
	}
	if err != nil {
		w.T.Fatal(err)
	}
}

// comeAndGo has users come and go in many rooms until the returned function is called. It
// returns when they have come often enough.
func (w *world) comeAndGo() (stop func()) {
	w.T.Helper()
	ctx, cancel := context.WithCancel(w.Ctx)
	patient := client.New(w.NC, client.Config{})
	var group sync.WaitGroup
	var done atomic.Int64
	for n := range 8 {
		group.Go(func() {
			user, id := as(fmt.Sprint("guest", n), ""), fmt.Sprint("busy", n)
			for ctx.Err() == nil {
				_, err := patient.Enter(w.Ctx, room.CreateRequest{Caller: user, RoomID: id, Config: &room.RoomConfig{RoomDestroyDelayTime: 3600}})
				if err == nil {
					_, err = patient.Leave(w.Ctx, room.RoomRequest{Caller: user, RoomID: id})
				}
				if err != nil {
					w.T.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	w.Until(patience, "users to come and go", func() bool { return done.Load() >= 40 })
	return func() { cancel(); group.Wait() }
}

// A backup is made while users come and go, the store is lost, and the backup restored. All
// rooms, members, messages and blocks are as they were then, in the same instances of rooms;
// what came later is not there. Whoever has a lease keeps it: the
// leases are made new.
func TestBackup(t *testing.T) {
	w := newWorld(t)
	i := w.Start(roomsvc.Config{}, nats.NoReconnect())
	w.furnish()
	stop := w.comeAndGo()
	var kept []*backup
	for _, name := range []string{subjects.StreamState, subjects.StreamRooms, subjects.StreamMessages, subjects.StreamBlocks} { // this order is that of docs/operations.md
		kept = append(kept, w.backUp(name))
	}
	var state struct {
		Last uint64 `json:"last_seq"`
	}
	if err := json.Unmarshal(kept[1].state, &state); err != nil {
		t.Fatal(err)
	}
	lost := w.Join("lobby", "late")
	w.Create("late", 3600, "late")
	w.Ask("send", `{"roomID":"lobby","userID":"alice","type":"text","data":"late"}`)
	w.Ask("unblock", `{"userID":"eve"}`)
	stop()
	before := w.Check()
	facts := w.Facts()
	w.lose(i)
	for _, b := range kept {
		w.bringBack(b)
	}
	w.Start(roomsvc.Config{})

	n := slices.IndexFunc(facts, func(f worlds.Stored) bool { return f.Revision > state.Last })
	if n < 80 || n == len(facts) {
		t.Fatalf("%d of %d facts are in the backup", n, len(facts))
	}
	now := w.Facts()
	if len(now) < n {
		t.Fatalf("%d facts are there, %d were in the backup", len(now), n)
	}
	for k, f := range now[:n] {
		if f.ID != facts[k].ID || f.Revision != facts[k].Revision {
			t.Fatalf("fact %d is %s at %d, it was %s at %d", k, f.ID, f.Revision, facts[k].ID, facts[k].Revision)
		}
	}
	for id, r := range w.Check() {
		if r.Instance != before[id].Instance && w.Fold(facts[:n])[id] != nil {
			t.Errorf("%s is another instance", id)
		}
	}
	w.furnished()
	if w.Get("late") != nil {
		t.Error("a room is there that was made after the backup")
	}
	w.Refused(room.ErrBlocked, "enter", `{"roomID":"lobby","userID":"eve"}`)
	// The numbers of what was lost are given again: clients that saw it have to begin anew.
	if r := w.Join("lobby", "other"); r.InstanceID != lost.InstanceID || r.Sequence != lost.Sequence {
		t.Errorf("the first join is at %d, the one that was lost was at %d", r.Sequence, lost.Sequence)
	}
	w.Check()
}

// furnish makes what is looked for after a restore.
func (w *world) furnish() {
	w.T.Helper()
	w.Create("lobby", 3600, "alice")
	w.Join("lobby", "bob")
	w.Ask("enter", `{"roomID":"lobby","userID":"leo","leaseSeconds":120}`)
	w.Ask("setAttributes", `{"roomID":"lobby","userID":"alice","set":{"topic":"tea"}}`)
	for n := range 3 {
		w.Ask("send", fmt.Sprintf(`{"roomID":"lobby","userID":"alice","type":"text","data":"%d"}`, n))
	}
	w.Ask("block", `{"userID":"eve"}`)
}

// furnished checks that it is there, and nothing else in that room.
func (w *world) furnished() {
	w.T.Helper()
	users, at, _ := w.Members("lobby")
	if slices.Sort(users); !slices.Equal(users, []string{"alice/default", "bob/default", "leo/default"}) {
		w.T.Errorf("in the lobby are %q", users)
	}
	if topic := w.Get("lobby").Room.Attributes["topic"]; topic != "tea" {
		w.T.Errorf("its topic is %q", topic)
	}
	said := worlds.OK[room.HistoryReply](w.World, "history", fmt.Sprintf(`{"roomID":"lobby","instanceID":%q,"afterMessageSeq":0}`, at.InstanceID))
	done := worlds.OK[room.HistoryReply](w.World, "history", fmt.Sprintf(`{"roomID":"lobby","instanceID":%q,"afterSequence":0}`, at.InstanceID))
	if len(said.Events) != 3 || uint64(len(done.Events)) != at.Sequence || !done.Complete {
		w.T.Errorf("it has %d messages and %d facts, at %d", len(said.Events), len(done.Events), at.Sequence)
	}
}

// lose stops everything and deletes the store, and starts the server alone.
func (w *world) lose(i *instance) {
	w.T.Helper()
	i.End()
	w.Node.Stop()
	if err := os.RemoveAll(w.Store); err != nil {
		w.T.Fatal(err)
	}
	w.Node.Start()
	w.Until(patience, "the caller to connect", w.NC.IsConnected)
}

// Where the journal was copied before the bucket of rooms, while users came and went, the bucket
// knows facts that the journal lacks, and the rooms that they are about go on as new instances.
func TestBackupInTheWrongOrder(t *testing.T) {
	w := newWorld(t)
	i := w.Start(roomsvc.Config{}, nats.NoReconnect())
	w.furnish()
	stop := w.comeAndGo()
	kept := []*backup{w.backUp(subjects.StreamRooms)}
	at := w.Join("lobby", "late")
	stop()
	facts := w.Facts()
	w.Projected(facts[len(facts)-1])
	kept = append(kept, w.backUp(subjects.StreamState))
	w.lose(i)
	for _, b := range kept {
		w.bringBack(b)
	}
	again := w.Start(roomsvc.Config{}, nats.NoReconnect())
	again.Said("the journal lost its newest facts")
	if r := w.Get("lobby"); r == nil || r.InstanceID == at.InstanceID {
		t.Errorf("the lobby, which lost a fact, goes on as %+v", r)
	}
	w.Check()
}

// Leases from an old copy: whoever does not show itself at once is put out, and its lease has
// ended when the copy says that it ended.
func TestOldLeases(t *testing.T) {
	w := newWorld(t)
	i := w.Start(roomsvc.Config{Grace: time.Second}, nats.NoReconnect())
	w.Create("lobby", 3600)
	w.Ask("enter", `{"roomID":"lobby","userID":"leo","leaseSeconds":5}`)
	var kept []*backup
	for _, name := range []string{subjects.StreamSessions, subjects.StreamState, subjects.StreamRooms} {
		kept = append(kept, w.backUp(name))
	}
	copied := time.Now()
	w.Until(patience, "the copy to be older than the lease", func() bool {
		if time.Since(copied) > 7*time.Second {
			return true
		}
		w.Ask("renew", `{"userID":"leo"}`)
		return false
	})
	w.lose(i)
	for _, b := range kept {
		w.bringBack(b)
	}
	w.Start(roomsvc.Config{Grace: time.Second}, nats.NoReconnect())
	began := time.Now()
	w.Until(patience, "leo to be put out", func() bool { users, _, _ := w.Members("lobby"); return len(users) == 0 })
	t.Logf("put out %v after the start", time.Since(began))
	facts := w.Facts()
	left := facts[len(facts)-1].Left
	if len(left) != 1 || left[0].LeftAt.Time().After(copied.Add(6*time.Second)) {
		t.Errorf("leo left like this: %+v", left)
	}
}
