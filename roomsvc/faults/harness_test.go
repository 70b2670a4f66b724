package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

const (
	patience = 30 * time.Second // bounds every wait; none is expected to take nearly as long
	look     = 20 * time.Millisecond
	answerBy = 10 * time.Second // the contract's
)

// long says that the tests have time: their long form is for a machine at night.
var long = os.Getenv("NATSROOMS_LONG") != ""

// world is one server with a store that can be taken apart, and a trusted caller.
type world struct {
	t      *testing.T
	node   *roomtest.Node
	store  string
	nc     *nats.Conn
	js     jetstream.JetStream
	client *client.Client
	ctx    context.Context
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return anotherWorld(t)
}

// anotherWorld is a second one in the same test.
func anotherWorld(t *testing.T) *world {
	t.Helper()
	store := filepath.Join(t.TempDir(), "store")
	node := roomtest.Start(t, func(o *server.Options) { o.StoreDir = store })
	w := callerOf(t, node.Server)
	w.node, w.store = node, store
	return w
}

// callerOf is a world on a server that somebody else started.
func callerOf(t *testing.T, s *server.Server) *world {
	t.Helper()
	w := &world{t: t, nc: roomtest.Conn(t, s)}
	var err error
	if w.js, err = jetstream.New(w.nc); err != nil {
		t.Fatal(err)
	}
	w.client = client.New(w.nc, client.Config{Once: true})
	var cancel context.CancelFunc
	w.ctx, cancel = context.WithTimeout(t.Context(), 8*patience)
	t.Cleanup(cancel)
	return w
}

// instance is one running service. What it logs can be read.
type instance struct {
	*roomsvc.Service
	t    *testing.T
	wire wire
	log  *log
}

// log keeps what an instance says.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// wire remembers the TCP connection under a NATS connection.
type wire struct {
	mu   sync.Mutex
	conn net.Conn
}

func (w *wire) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	w.mu.Lock()
	w.conn = conn
	w.mu.Unlock()
	return conn, err
}

// open starts an instance that may refuse to start. Where it connects to is the world's
// server unless url is given.
func (w *world) open(url string, cfg roomsvc.Config, opts ...nats.Option) (*instance, error) {
	w.t.Helper()
	i := &instance{t: w.t, log: &log{}}
	cfg.Logger = slog.New(slog.NewTextHandler(i.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if url == "" {
		url = w.node.ClientURL()
	}
	opts = append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(look), nats.ReconnectJitter(0, 0), nats.IgnoreDiscoveredServers(),
		nats.SetCustomDialer(&i.wire), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}, opts...)
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(nc.Close)
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	i.Service, err = roomsvc.New(ctx, nc, cfg)
	return i, err
}

func (w *world) start(url string, cfg roomsvc.Config, opts ...nats.Option) *instance {
	w.t.Helper()
	i, err := w.open(url, cfg, opts...)
	if err != nil {
		w.t.Fatalf("starting an instance: %v\n%s", err, i.log)
	}
	w.t.Cleanup(func() {
		i.stop()
		if w.t.Failed() {
			w.t.Logf("the instance %q said\n%s", cfg.Instance, i.log)
		}
	})
	return i
}

// refuses starts an instance that must not start, and gives what it says.
func (w *world) refuses(cfg roomsvc.Config, says ...string) {
	w.t.Helper()
	i, err := w.open("", cfg)
	if err == nil {
		i.stop()
		w.t.Fatalf("the service starts; want an error with %q\n%s", says, i.log)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) || strings.Contains(err.Error(), "\n") {
			w.t.Errorf("it says %q; want %q in it, on one line", err, s)
		}
	}
}

// stop ends the instance in order. It may have ended before.
func (i *instance) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case <-i.Done():
	default:
		if err := i.Stop(ctx); err != nil {
			i.t.Logf("stopping an instance: %v", err)
		}
	}
}

// kill cuts the instance's connection for good; it must have been started with
// [nats.NoReconnect].
func (i *instance) kill() {
	i.wire.mu.Lock()
	_ = i.wire.conn.Close()
	i.wire.mu.Unlock()
	select {
	case <-i.Done():
	case <-time.After(patience):
		i.t.Errorf("an instance goes on %v after its connection was cut for good", patience)
	}
}

// until waits for a condition.
func (w *world) until(limit time.Duration, what string, ok func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			w.t.Fatalf("waited %v for %s", limit, what)
		}
	}
}

// brief bounds a question to the cluster: between two leaders it may have no answer at all.
func (w *world) brief() (context.Context, context.CancelFunc) {
	return context.WithTimeout(w.ctx, 2*time.Second)
}

// try makes a condition to wait for of such a question.
func (w *world) try(ask func(context.Context) bool) func() bool {
	return func() bool {
		ctx, cancel := w.brief()
		defer cancel()
		return ask(ctx)
	}
}

// Requests, short.

func as(user, request string) room.Caller { return room.Caller{UserID: user, RequestID: request} }

// create makes a room, in which its creator is, if there is one.
func (w *world) create(id string, delay int64, creator ...string) *room.JoinedReply {
	w.t.Helper()
	r, err := w.client.Create(w.ctx, room.CreateRequest{Caller: as(strings.Join(creator, ""), ""), RoomID: id, Config: &room.RoomConfig{RoomDestroyDelayTime: delay}})
	if err != nil {
		w.t.Fatalf("creating %s: %v", id, err)
	}
	return r
}

func (w *world) join(id, user string) *room.JoinedReply {
	w.t.Helper()
	r, err := w.client.Join(w.ctx, room.RoomRequest{Caller: as(user, ""), RoomID: id})
	if err != nil {
		w.t.Fatalf("%s joining %s: %v", user, id, err)
	}
	return r
}

func (w *world) leave(id, user string) *room.LeftReply {
	w.t.Helper()
	r, err := w.client.Leave(w.ctx, room.RoomRequest{Caller: as(user, ""), RoomID: id})
	if err != nil {
		w.t.Fatalf("%s leaving %s: %v", user, id, err)
	}
	return r
}

// get gives the room after a sync point, nil if there is none.
func (w *world) get(id string) *room.GetReply {
	w.t.Helper()
	r, err := w.client.Get(w.ctx, room.ReadRequest{RoomID: id, Freshness: room.Freshness{Sync: true}})
	if errors.Is(err, room.ErrRoomNotExist) {
		return nil
	}
	if err != nil {
		w.t.Fatalf("get %s: %v", id, err)
	}
	return r
}

// members gives the users in a room after a sync point; ok is false if there is none.
func (w *world) members(id string) (users []string, at room.Position, ok bool) {
	w.t.Helper()
	q := room.MembersRequest{RoomID: id, Freshness: room.Freshness{Sync: true}}
	for {
		page, err := w.client.Members(w.ctx, q)
		if errors.Is(err, room.ErrRoomNotExist) {
			return nil, at, false
		}
		if err != nil {
			w.t.Fatalf("members of %s: %v", id, err)
		}
		for _, m := range page.MemberList {
			for _, s := range m.Sessions {
				users = append(users, m.UserID+"/"+s.SessionID)
			}
		}
		if at = page.Position; page.NextFlag == "" {
			slices.Sort(users)
			return users, at, true
		}
		q.NextFlag = page.NextFlag
	}
}

// stored is a fact and where the journal has it.
type stored struct {
	*events.Fact
	revision uint64
}

// facts reads the journal from its beginning.
func (w *world) facts() (facts []stored) {
	w.t.Helper()
	var cons jetstream.Consumer
	last := uint64(0) // by the word of the stream's leader: a consumer's may be behind, and think that it is through
	w.until(patience, "a consumer of the journal", w.try(func(ctx context.Context) bool {
		stream, err := w.js.Stream(ctx, subjects.StreamRooms)
		if err != nil {
			return false
		}
		m, err := stream.GetLastMsgForSubject(ctx, subjects.FactsPattern)
		if err == nil {
			last = m.Sequence
		} else if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return false
		}
		cons, err = w.js.OrderedConsumer(ctx, subjects.StreamRooms, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subjects.FactsPattern}})
		return err == nil
	}))
	defer func() {
		ctx, cancel := w.brief()
		defer cancel()
		_ = w.js.DeleteConsumer(ctx, subjects.StreamRooms, cons.CachedInfo().Name)
	}()
	if last == 0 {
		return nil
	}
	it, err := cons.Messages()
	if err != nil {
		w.t.Fatal(err)
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(w.ctx))
		if err != nil {
			w.t.Fatalf("reading the journal: %v", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			w.t.Fatal(err)
		}
		f, err := events.DecodeFact(m.Data())
		if err != nil {
			w.t.Fatalf("fact %d: %v", meta.Sequence.Stream, err)
		}
		facts = append(facts, stored{f, meta.Sequence.Stream})
		if meta.Sequence.Stream >= last {
			return facts
		}
	}
}

// roster is a room as its facts say.
type roster struct {
	instance string
	sequence uint64
	users    map[string]bool // user/session
	delay    int64
}

func (r *roster) list() []string { return slices.Sorted(maps.Keys(r.users)) }

// fold makes the rooms of facts, each of which must fit the one before it.
func (w *world) fold(facts []stored) map[string]*roster {
	w.t.Helper()
	rooms := map[string]*roster{}
	ids := map[string]bool{}
	for _, f := range facts {
		id := string(f.Room)
		r := rooms[id]
		if ids[f.ID] {
			w.t.Errorf("%d: the fact %s is stored twice", f.revision, f.ID)
		}
		ids[f.ID] = true
		if f.Type == events.RoomCreated && r == nil {
			r = &roster{instance: f.InstanceID, users: map[string]bool{}, delay: f.Info.Config.RoomDestroyDelayTime}
			rooms[id] = r
		}
		if r == nil || r.instance != f.InstanceID || r.sequence+1 != f.Sequence {
			w.t.Fatalf("%d: %s %d of %s, instance %s, does not follow %+v", f.revision, f.Type, f.Sequence, id, f.InstanceID, r)
		}
		r.sequence = f.Sequence
		for _, j := range f.Joined {
			if key := j.UserID + "/" + j.SessionID; r.users[key] {
				w.t.Errorf("%d: %s joins %s twice", f.revision, key, id)
			} else {
				r.users[key] = true
			}
		}
		for _, l := range f.Left {
			key := l.UserID + "/" + l.SessionID
			if !r.users[key] {
				w.t.Errorf("%d: %s leaves %s and is not in it", f.revision, key, id)
			}
			delete(r.users, key)
		}
		if f.Type == events.RoomDestroyed {
			if len(r.users) > 0 {
				w.t.Errorf("%d: %s ends with %v in it", f.revision, id, r.list())
			}
			delete(rooms, id)
		}
	}
	return rooms
}

// check compares the facts, folded, with what the service answers and with the bucket.
// Nobody may be changing anything.
func (w *world) check() map[string]*roster {
	w.t.Helper()
	w.until(patience, "empty rooms to end", func() bool {
		for _, r := range w.fold(w.facts()) {
			if len(r.users) == 0 && r.delay == 0 {
				return false
			}
		}
		return true
	})
	facts := w.facts()
	rooms := w.fold(facts)
	for id, r := range rooms {
		users, at, ok := w.members(id)
		if !ok || at.InstanceID != r.instance || at.Sequence != r.sequence || !slices.Equal(users, r.list()) {
			w.t.Errorf("members of %s says %s %d %v; the facts make %s %d %v", id, at.InstanceID, at.Sequence, users, r.instance, r.sequence, r.list())
		}
	}
	list, err := w.client.List(w.ctx, room.ListRequest{Freshness: room.Freshness{Sync: true}})
	if err != nil || len(list.RoomList) != len(rooms) {
		w.t.Errorf("list: %v; it names %d rooms, the facts make %d", err, len(list.RoomList), len(rooms))
	}
	if len(facts) > 0 {
		w.projected(facts[len(facts)-1])
	}
	w.checkBucket(rooms)
	return rooms
}

// projected waits until the bucket has got to a fact, the newest one. Its revision alone
// would not do: a bucket that was ahead of a journal without its tail has seen higher ones.
func (w *world) projected(newest stored) {
	w.t.Helper()
	w.until(patience, fmt.Sprintf("the bucket to reach %d", newest.revision), w.try(func(ctx context.Context) bool {
		var v struct {
			FactID string `json:"factID"`
			Torn   bool   `json:"torn"`
		}
		stream, err := w.js.Stream(ctx, subjects.StreamState)
		if err != nil {
			return false
		}
		m, err := stream.GetLastMsgForSubject(ctx, subjects.KV(subjects.BucketState, subjects.KeyProjected))
		return err == nil && json.Unmarshal(m.Data, &v) == nil && v.FactID == newest.ID && !v.Torn
	}))
}

func (w *world) checkBucket(rooms map[string]*roster) {
	w.t.Helper()
	var kv jetstream.KeyValue
	var err error
	w.until(patience, "the bucket to be bound", w.try(func(ctx context.Context) bool {
		kv, err = w.js.KeyValue(ctx, subjects.BucketState)
		return err == nil
	}))
	watch, err := kv.WatchAll(w.ctx, jetstream.IgnoreDeletes())
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = watch.Stop() }()
	heads, users := map[string]room.Head{}, map[string][]string{}
	for e := range watch.Updates() {
		if e == nil {
			break
		}
		r, u, member, ok := subjects.ParseKey(e.Key())
		if !ok {
			continue
		}
		if !member {
			if heads[string(r)], err = room.DecodeHead(e.Value()); err != nil {
				w.t.Errorf("the bucket's %s: %v", e.Key(), err)
			}
			continue
		}
		m, instance, err := room.DecodeMember(e.Value())
		if err != nil || rooms[string(r)] == nil || instance != rooms[string(r)].instance {
			w.t.Errorf("the bucket's %s is of instance %q: %v", e.Key(), instance, err)
			continue
		}
		for _, s := range m.Sessions {
			users[string(r)] = append(users[string(r)], string(u)+"/"+s.SessionID)
		}
	}
	for id, r := range rooms {
		h := heads[id]
		slices.Sort(users[id])
		if h.InstanceID != r.instance || h.Sequence != r.sequence || !slices.Equal(users[id], r.list()) {
			w.t.Errorf("the bucket's %s: %s %d %v; the facts make %s %d %v", id, h.InstanceID, h.Sequence, users[id], r.instance, r.sequence, r.list())
		}
	}
	if len(heads) != len(rooms) {
		w.t.Errorf("the bucket has %d rooms, the facts make %d", len(heads), len(rooms))
	}
}

// leader is the instance that the key of the lead names.
func (w *world) leader() string {
	ctx, cancel := w.brief()
	defer cancel()
	stream, err := w.js.Stream(ctx, subjects.StreamSessions)
	if err != nil {
		return ""
	}
	var v struct {
		Instance string `json:"instance"`
	}
	m, err := stream.GetLastMsgForSubject(ctx, subjects.KV(subjects.BucketSessions, subjects.KeyLeader))
	if err != nil || len(m.Data) == 0 || json.Unmarshal(m.Data, &v) != nil {
		return ""
	}
	return v.Instance
}

// leads waits until an instance other than not leads, and gives its name.
func (w *world) leads(limit time.Duration, not string) (name string) {
	w.t.Helper()
	w.until(limit, "an instance to lead", func() bool { name = w.leader(); return name != "" && name != not })
	return name
}
