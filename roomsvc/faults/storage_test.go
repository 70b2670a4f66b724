package faults_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/health"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

// account sets the limits of the account that everything is in.
func (w *world) account(limits server.JetStreamAccountLimits) {
	w.T.Helper()
	for _, n := range []*int64{&limits.MaxMemory, &limits.MaxStore} {
		if *n == 0 {
			*n = -1
		}
	}
	for _, n := range []*int{&limits.MaxStreams, &limits.MaxConsumers} {
		if *n == 0 {
			*n = -1
		}
	}
	if err := w.Node.GlobalAccount().UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{"": limits}); err != nil {
		w.T.Fatal(err)
	}
}

// busyAt does something again and again until it is refused as BUSY. If the answer to the first
// try of an append is late, a refusal of the next one proves nothing, and that is answered.
func (w *world) busyAt(what string, do func(n int) error) {
	w.T.Helper()
	for n := range 2000 {
		err := do(n)
		if errors.Is(err, room.ErrBusy) {
			return
		}
		if err != nil && !errors.Is(err, room.ErrUnavailable) {
			w.T.Fatalf("%s: %v", what, err)
		}
	}
	w.T.Fatalf("%s is never refused", what)
}

func (w *world) say(size int) func(int) error {
	return func(int) error {
		_, err := w.Client.Send(w.Ctx, room.SendRequest{Caller: as("alice", ""), RoomID: "lobby", Type: "text", Data: strings.Repeat("x", size)})
		return err
	}
}

// attribute changes the room by a fact of about 30 KiB.
func (w *world) attribute(n int) error {
	set := map[string]string{}
	for k := range 8 {
		set[fmt.Sprint("k", k)] = strings.Repeat(string(rune('a'+n%26)), 3800)
	}
	_, err := w.Client.SetAttributes(w.Ctx, room.SetAttributesRequest{Caller: as("alice", ""), RoomID: "lobby", Set: set, IsForce: true})
	return err
}

// told waits until a problem is known to whoever asks, and was logged once.
func (w *world) told(i *instance, name string, says ...string) {
	w.T.Helper()
	stats := ""
	w.Until(patience, name+" to be told", func() bool {
		m, err := w.NC.Request("$SRV.STATS.rooms", nil, patience)
		if err != nil {
			w.T.Fatal(err)
		}
		stats = string(m.Data)
		for _, s := range says {
			if !strings.Contains(stats, s) {
				return false
			}
		}
		return strings.Contains(stats, `"ready":false`) && strings.Contains(stats, `"name":"`+name+`"`)
	})
	if err := i.Check(w.Ctx); err == nil || !strings.Contains(err.Error(), says[0]) {
		w.T.Errorf("ready although %s: %v", name, err)
	}
	if log := i.Log.String(); strings.Count(log, "problem="+name+" error=") != 1 || !strings.Contains(log, "level=WARN msg=\"a problem\"") {
		w.T.Errorf("%s is told in the log as\n%s", name, log)
	}
}

// over waits until it is not known any more.
func (w *world) over(i *instance, name string) {
	w.T.Helper()
	w.Until(patience, name+" to be over", func() bool {
		for _, p := range i.Problems() {
			if p.Name == name {
				return false
			}
		}
		return true
	})
	if !strings.Contains(i.Log.String(), "problem="+name+" after=") {
		w.T.Errorf("that %s is over is not logged:\n%s", name, i.Log)
	}
}

// A stream is full by its own limit.
func TestFullStreamIsTold(t *testing.T) {
	w := newWorld(t)
	i := w.Start(roomsvc.Config{})
	w.Create("lobby", 3600, "alice")
	w.roomFor(1)
	join := func(n int) error {
		_, err := w.Client.Join(w.Ctx, room.RoomRequest{Caller: as(fmt.Sprint("u", n), ""), RoomID: "lobby"})
		return err
	}
	w.busyAt("joining", join)
	w.told(i, "full:ROOMS", "the stream ROOMS takes nothing more", "max_msgs", "--facts-bytes")
	w.busyAt("joining", join)
	w.roomFor(0)
	w.over(i, "full:ROOMS")
	if err := i.Check(w.Ctx); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	w.Check()
}

// The account is full.
func TestFullAccountIsTold(t *testing.T) {
	w := newWorld(t)
	i := w.Start(roomsvc.Config{})
	w.Create("lobby", 3600, "alice")
	w.account(server.JetStreamAccountLimits{MaxStore: 2 << 20})
	w.busyAt("changing attributes", w.attribute)
	w.told(i, "full:ROOMS", "raise the storage of the account")
	w.account(server.JetStreamAccountLimits{})
	w.over(i, "full:ROOMS")
	w.Until(patience, "it to be ready", func() bool { return i.Check(w.Ctx) == nil })
	if err := w.attribute(1); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// The server is full, by a stream of somebody else's.
func TestFullServerIsTold(t *testing.T) {
	t.Parallel()
	w := broken(worlds.On(t, roomtest.Start(t, func(o *server.Options) { o.JetStreamMaxStore = 4 << 20 })))
	ballast, err := w.JS.CreateStream(w.Ctx, jetstream.StreamConfig{Name: "BALLAST", Subjects: []string{"ballast"}})
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		if _, err := w.JS.Publish(w.Ctx, "ballast", make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
	}
	i := w.Start(roomsvc.Config{})
	w.Create("lobby", 3600, "alice")
	w.busyAt("talking", w.say(30<<10))
	w.told(i, "full:ROOMS", "the stream ROOMS takes nothing more", "max_file_store") // as all streams of that server
	if err := ballast.Purge(w.Ctx); err != nil {
		t.Fatal(err)
	}
	for _, stream := range subjects.Streams {
		w.Until(patience, stream+" to have space", func() bool { return !strings.Contains(fmt.Sprint(i.Problems()), "full:"+stream+" ") })
	}
	w.over(i, "full:ROOMS")
	if err := w.say(30 << 10)(0); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// An account whose streams must say how much they store: without the flags the service says
// which ones to give, with them it runs, and again without them.
func TestBytesRequired(t *testing.T) {
	w := newWorld(t)
	w.account(server.JetStreamAccountLimits{MaxStore: 1 << 30, MaxBytesRequired: true})
	w.Refuses(roomsvc.Config{}, "--facts-bytes, --messages-bytes and --state-bytes")
	given := roomsvc.Config{FactsBytes: 1 << 20, MessagesBytes: 2 << 20, StateBytes: 3 << 20}
	for _, cfg := range []roomsvc.Config{given, {}} {
		i := w.Start(cfg)
		if _, err := w.Client.Enter(w.Ctx, room.CreateRequest{Caller: as("alice", ""), RoomID: "lobby"}); err != nil {
			t.Fatal(err)
		}
		for stream, most := range map[string]int64{subjects.StreamRooms: 1 << 20, subjects.StreamMessages: 2 << 20, subjects.StreamState: 3 << 20, subjects.StreamSessions: 3 << 20} {
			if is := w.settings(stream).MaxBytes; is != most {
				t.Errorf("%s has max_bytes %d", stream, is)
			}
		}
		if err := w.JS.DeleteStream(w.Ctx, subjects.StreamState); err != nil {
			t.Fatal(err)
		}
		w.Until(patience, "the bucket to be made again", w.bucketIsThere)
		w.Check()
		i.End()
	}
}

func (w *world) bucketIsThere() bool {
	_, err := w.JS.Stream(w.Ctx, subjects.StreamState)
	return err == nil
}

// Messages have used up theirs: people still come and go.
func TestFullMessages(t *testing.T) {
	w := newWorld(t)
	i := w.Start(roomsvc.Config{MessagesBytes: 256 << 10})
	w.Create("lobby", 3600, "alice")
	w.busyAt("talking", w.say(10<<10))
	w.told(i, "full:ROOM_MESSAGES", "--messages-bytes")
	w.Join("lobby", "bob")
	w.edit(subjects.StreamMessages, func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 })
	w.over(i, "full:ROOM_MESSAGES")
	if err := w.say(10 << 10)(0); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	w.Check()
}

// Facts have used up theirs: nothing changes, people talk and read.
func TestFullFacts(t *testing.T) {
	w := newWorld(t)
	i := w.Start(roomsvc.Config{FactsBytes: 256 << 10})
	w.Create("lobby", 3600, "alice")
	w.busyAt("changing attributes", w.attribute)
	w.told(i, "full:ROOMS", "--facts-bytes")
	if err := w.say(1000)(0); err != nil {
		t.Errorf("talking: %v", err)
	}
	w.Get("lobby")
	w.edit(subjects.StreamRooms, func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 })
	w.over(i, "full:ROOMS")
	if err := w.attribute(1); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	w.Check()
}

// The bucket of rooms has used up its bytes: everything is served, and once there is space the
// bucket catches up.
func TestFullState(t *testing.T) {
	w := newWorld(t)
	i := w.Start(roomsvc.Config{StateBytes: 100 << 10})
	w.Create("lobby", 3600, "alice")
	has := func(name string) bool {
		return slices.ContainsFunc(i.Problems(), func(p health.Problem) bool { return p.Name == name && p.Unfit })
	}
	n := 0
	w.Until(patience, "the bucket to be full", func() bool {
		n++
		_, err := w.Client.Enter(w.Ctx, room.CreateRequest{Caller: as("alice", ""), RoomID: fmt.Sprint("room-", n), Config: &room.RoomConfig{RoomAttributes: map[string]string{"a": strings.Repeat("x", 4000)}}})
		if err != nil {
			t.Fatal(err)
		}
		return has("full:KV_rooms")
	})
	w.told(i, "full:KV_rooms", "the bucket falls behind", "--state-bytes")
	w.Until(patience, "it to be told that the bucket can't be written", func() bool { return i.Check(w.Ctx) != nil && has("bucket") })
	w.Join("lobby", "bob")
	w.edit(subjects.StreamState, func(c *jetstream.StreamConfig) { c.MaxBytes = 10 << 20 })
	w.over(i, "full:KV_rooms")
	w.Until(patience, "it to be ready", func() bool { return i.Check(w.Ctx) == nil && !has("bucket") })
	w.Check()
}

// The bucket of leases has used up its bytes: whoever has a lease keeps it, nobody new gets one,
// and those without one come and go.
func TestFullSessions(t *testing.T) {
	w := newWorld(t)
	i := w.Start(roomsvc.Config{})
	w.Create("lobby", 3600, "alice")
	lease := func(user string) error {
		_, err := worlds.Once[room.JoinedReply](w.World, room.Verb("enter."+user), room.CreateRequest{Caller: room.Caller{LeaseSeconds: &[]int{5}[0]}, RoomID: "lobby"})
		return err
	}
	if err := lease("first"); err != nil {
		t.Fatal(err)
	}
	stream, err := w.JS.Stream(w.Ctx, subjects.StreamSessions)
	if err != nil {
		t.Fatal(err)
	}
	w.edit(subjects.StreamSessions, func(c *jetstream.StreamConfig) { c.MaxBytes = int64(stream.CachedInfo().State.Bytes) + 4000 })
	w.busyAt("coming in with a lease", func(n int) error { return lease(fmt.Sprint("u", n)) })
	w.told(i, "full:KV_room_sessions", "leases can't be written", "--state-bytes")
	w.Join("lobby", "bob")
	began := time.Now()
	w.edit(subjects.StreamSessions, func(c *jetstream.StreamConfig) { c.MaxBytes = 10 << 20 })
	w.over(i, "full:KV_room_sessions")
	if err := lease("later"); err != nil {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

// The bucket of blocks has used up its bytes: nobody is blocked any more, those who are stay so,
// and the service says it, until there is space.
func TestFullBlocks(t *testing.T) {
	w := newWorld(t)
	i := w.Start(roomsvc.Config{})
	w.Create("lobby", 3600, "alice")
	block := func(n int) error {
		_, err := worlds.Once[room.BlockReply](w.World, "block", room.BlockRequest{Caller: room.Caller{UserID: fmt.Sprint("u", n)}, Reason: strings.Repeat("x", 200)})
		return err
	}
	stream, err := w.JS.Stream(w.Ctx, subjects.StreamBlocks)
	if err != nil {
		t.Fatal(err)
	}
	w.edit(subjects.StreamBlocks, func(c *jetstream.StreamConfig) { c.MaxBytes = int64(stream.CachedInfo().State.Bytes) + 4000 })
	w.busyAt("blocking", block)
	w.told(i, "full:KV_room_blocks", "block and unblock are refused", "--state-bytes")
	w.Join("lobby", "bob")
	w.edit(subjects.StreamBlocks, func(c *jetstream.StreamConfig) { c.MaxBytes = 10 << 20 })
	w.over(i, "full:KV_room_blocks")
	if err := block(9999); err != nil {
		t.Error(err)
	}
}

// A start has to store something. If nothing is stored, it says which limit is reached, and is over
// soon.
func TestStartOnAFullStream(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{}).End()
	w.account(server.JetStreamAccountLimits{MaxStore: 1})
	began := time.Now()
	w.Refuses(roomsvc.Config{Wait: time.Second}, "a start has to store something, and the stream ROOMS takes nothing", "account", "raise the limit that is reached")
	if took := time.Since(began); !w.late.Within(took, 20*time.Second, began) {
		t.Errorf("it says so after %v", took)
	}
	w.account(server.JetStreamAccountLimits{})
	w.Start(roomsvc.Config{})
	w.Create("lobby", 3600, "alice")
}

// A single server keeps nothing three times, and a start that is asked for that says so.
func TestReplicasWithoutACluster(t *testing.T) {
	newWorld(t).Refuses(roomsvc.Config{Replicas: 3}, "the stream ROOMS can't be made", "replicas > 1 not supported in non-clustered mode")
}

// How many streams and consumers an account must allow, as docs/operations.md says.
func TestAccountCounts(t *testing.T) {
	w := newWorld(t)
	w.account(server.JetStreamAccountLimits{MaxStreams: 4})
	w.Refuses(roomsvc.Config{}, "max_streams", "natsrooms needs 5")
	const instances, others = 2, 2
	w.account(server.JetStreamAccountLimits{MaxStreams: 5, MaxConsumers: instances + others})
	for n := range instances {
		w.Start(roomsvc.Config{Instance: fmt.Sprint("i", n), Feeds: true})
	}
	r := w.Create("lobby", 3600, "alice")
	for n := range 300 {
		if err := w.say(10)(n); err != nil {
			t.Fatal(err)
		}
		w.Join("lobby", fmt.Sprint("u", n))
	}
	for range 20 {
		for _, q := range []room.HistoryRequest{{RoomID: "lobby", InstanceID: r.InstanceID, AfterSequence: &[]uint64{0}[0]}, {RoomID: "lobby", InstanceID: r.InstanceID, AfterMessageSeq: &[]uint64{0}[0]}} {
			if _, err := w.Client.History(w.Ctx, q); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.Start(roomsvc.Config{Instance: "i2", Feeds: true}).End()
	w.account(server.JetStreamAccountLimits{MaxStreams: 5, MaxConsumers: instances})
	w.Refuses(roomsvc.Config{Instance: "i3", Feeds: true}, "maximum consumers limit reached")
}
