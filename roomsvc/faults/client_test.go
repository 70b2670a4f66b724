package faults_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

// stepping returns an iterator's steps one at a time.
func stepping[T any](t *testing.T, seq iter.Seq2[T, error]) func() T {
	next, stop := iter.Pull2(seq)
	t.Cleanup(stop)
	return func() T {
		t.Helper()
		v, err, ok := next()
		if err != nil || !ok {
			t.Fatalf("it ends with %v", err)
		}
		return v
	}
}

// listener is a client behind a proxy that loses what it is told to.
type listener struct {
	*client.Client
	p    *proxy
	nc   *nats.Conn
	deaf atomic.Pointer[string] // subjects that begin with this are lost
}

func (w *world) listener(cfg client.Config, opts ...nats.Option) *listener {
	w.T.Helper()
	l := &listener{p: newProxy(w.T, w.Node.ClientURL())}
	lose := rule(func(f *frame) fate {
		prefix := l.deaf.Load()
		return fate{lose: prefix != nil && strings.HasPrefix(f.subject, *prefix)}
	})
	l.p.toClient.Store(&lose)
	var err error
	opts = append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(look), nats.ReconnectJitter(0, 0), nats.IgnoreDiscoveredServers()}, opts...)
	if l.nc, err = nats.Connect(l.p.url, opts...); err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(l.nc.Close)
	l.Client = client.New(l.nc, cfg)
	w.T.Cleanup(l.Close)
	return l
}

// loses sets which copies are lost from now on: those on subjects that begin so; none for "".
func (l *listener) loses(prefix string) {
	if l.deaf.Store(&prefix); prefix == "" {
		l.deaf.Store(nil)
	}
}

const (
	factsOf    = "room.evt."
	messagesOf = "room.msg."
)

func leased(user string, seconds int) client.Config {
	return client.Config{UserID: user, SessionID: client.DefaultSession, LeaseSeconds: &seconds}
}

func enter(t *testing.T, c *client.Client, ctx context.Context, id string) *room.JoinedReply {
	t.Helper()
	r, err := c.Enter(ctx, room.CreateRequest{RoomID: id, Config: &room.RoomConfig{RoomDestroyDelayTime: 3600}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The last fact before a silence is lost on its way. A member learns of it from the next
// renewal of its lease, everybody else by asking now and then.
func TestLostLastFact(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{Instance: "only"})
	member, guest := w.listener(leased("alice", 5)), w.listener(client.Config{})
	enter(t, member.Client, w.Ctx, "lobby")
	const asks = 300 * time.Millisecond
	steps := map[string]func() client.Update{
		"member": stepping(t, member.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby", Every: time.Hour})),
		"guest":  stepping(t, guest.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby", Every: asks})),
	}
	for _, step := range steps {
		step()
	}
	member.loses(factsOf)
	guest.loses(factsOf)
	w.Join("lobby", "bob")
	began := time.Now()
	for name, limit := range map[string]time.Duration{"guest": asks, "member": 5 * time.Second / 3} {
		u := steps[name]()
		if took := time.Since(began); !w.late.Within(took, limit+3*time.Second, began) {
			t.Errorf("the %s knows after %v, want %v", name, took, limit)
		}
		if u.Fact == nil || !u.Recovered || u.Fact.Type != events.MemberJoined || u.Roster.Len() != 2 || u.Fresh != "" {
			t.Errorf("the %s gets %+v", name, u)
		}
		if _, in := u.Roster.Member("bob"); !in {
			t.Errorf("the %s does not see bob", name)
		}
	}
	if member.p.lost.Load() != 1 || guest.p.lost.Load() != 1 {
		t.Errorf("%d and %d copies were lost, want one each", member.p.lost.Load(), guest.p.lost.Load())
	}
}

// A room that ended and was made again while nothing arrived is told apart from the old one,
// even if it has reached the same sequence.
func TestWatchTellsInstancesApart(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{Instance: "only"})
	old := w.Create("lobby", 3600, "alice")
	l := w.listener(client.Config{})
	step := stepping(t, l.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby", Every: 200 * time.Millisecond}))
	step()
	l.loses(factsOf)
	if _, err := w.Client.Destroy(w.Ctx, room.DestroyRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	w.Until(patience, "the old room to end", func() bool { return w.Fold(w.Facts())["lobby"] == nil })
	young := w.Create("lobby", 3600, "bob")
	for _, want := range []string{events.MemberLeft, events.RoomDestroyed} {
		if u := step(); u.Fact == nil || u.Fact.Type != want || u.Fact.InstanceID != old.InstanceID || !u.Recovered {
			t.Fatalf("the end of the old one is %+v, want %s", u, want)
		}
	}
	u := step()
	if u.Fresh != client.FreshInstance || u.Fact != nil || u.Roster == nil || u.Roster.InstanceID() != young.InstanceID {
		t.Fatalf("it goes on with %+v", u)
	}
	if _, in := u.Roster.Member("bob"); !in || u.Roster.Len() != 1 {
		t.Errorf("its members are %v", slices.Collect(u.Roster.All()))
	}
	h, err := w.Client.History(w.Ctx, room.HistoryRequest{RoomID: "lobby", InstanceID: old.InstanceID, AfterSequence: new(uint64)})
	if err != nil || !h.Complete || h.InstanceID != old.InstanceID || len(h.Events) != 3 {
		t.Errorf("the history of the old one: %+v, %v", h, err)
	}
	// The watch goes on live.
	l.loses("")
	w.Join("lobby", "carol")
	if u := step(); u.Fact == nil || u.Recovered || u.Roster.Len() != 2 {
		t.Errorf("the next step is %+v", u)
	}
}

// A room whose end was not heard ends for the watch all the same.
func TestWatchMissesTheEnd(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{Instance: "only"})
	w.Create("lobby", 3600, "alice")
	l := w.listener(client.Config{})
	step := stepping(t, l.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby", Every: 200 * time.Millisecond}))
	step()
	l.loses(factsOf)
	if _, err := w.Client.Destroy(w.Ctx, room.DestroyRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{events.MemberLeft, events.RoomDestroyed} {
		if u := step(); u.Fact == nil || u.Fact.Type != want || !u.Recovered || (u.Roster == nil) != (want == events.RoomDestroyed) {
			t.Errorf("the end is %+v, want %s", u, want)
		}
	}
	l.loses("")
	w.Create("lobby", 3600, "bob")
	if u := step(); u.Fresh != client.FreshInstance || u.Roster == nil || u.Roster.Len() != 1 {
		t.Errorf("the next room is %+v", u)
	}
	// This time the facts of the room's end are late, and not taken for lost.
	late := rule(func(f *frame) (at fate) {
		if strings.HasPrefix(f.subject, factsOf) {
			at.hold = time.Second
		}
		return at
	})
	l.p.toClient.Store(&late)
	if _, err := w.Client.Destroy(w.Ctx, room.DestroyRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{events.MemberLeft, events.RoomDestroyed} {
		if u := step(); u.Fact == nil || u.Fact.Type != want || u.Recovered {
			t.Fatalf("its end is %+v, want %s", u, want)
		}
	}
}

// A room ends, and the first of its last facts is lost: it and those after it, which were
// heard, are given. The watch goes on, and can be ended.
func TestWatchHearsTheEndAfterAHole(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{Instance: "only"})
	w.Create("lobby", 0, "alice")
	l := w.listener(client.Config{})
	n, last := 0, []string{events.MemberJoined, events.MemberLeft, events.MemberLeft, events.RoomDestroyed}
	for u, err := range l.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby"}) {
		switch n++; {
		case n == 1 && err == nil:
			l.loses(factsOf)
			w.Join("lobby", "bob")
			w.Until(patience, "a copy to be lost", func() bool { return l.p.lost.Load() == 1 })
			l.loses("")
			w.Leave("lobby", "alice")
			w.Leave("lobby", "bob")
			w.Until(patience, "the room to end", func() bool { return w.Fold(w.Facts())["lobby"] == nil })
			if err := l.nc.Flush(); err != nil {
				t.Fatal(err)
			}
		case n <= 5 && err == nil && u.Fact != nil && u.Fact.Type == last[n-2]:
			if n == 5 {
				l.Close()
			}
		case n != 6 || !errors.Is(err, client.ErrClosed):
			t.Fatalf("step %d is %+v, %v", n, u, err)
		}
	}
}

// Every stored message comes once and in order, in spite of losses at the end and in the
// middle; a message that is not stored and gets lost stays lost.
func TestMessagesThroughLosses(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{Instance: "only"})
	w.Create("lobby", 3600, "alice")
	say := func(text string, kind events.MessageType) uint64 {
		t.Helper()
		r, err := w.Client.Send(w.Ctx, room.SendRequest{Caller: as("alice", ""), RoomID: "lobby", Type: string(kind), Data: text})
		if err != nil {
			t.Fatal(err)
		}
		return r.MessageSeq
	}
	say("before", events.Text)
	l := w.listener(client.Config{})
	// This client does not ask by itself, so only what it hears decides what it gives.
	step := worlds.Hear(t, w.Ctx, l.Client, client.MessagesRequest{RoomID: "lobby", Every: time.Hour})
	all := worlds.Hear(t, w.Ctx, l.Client, client.MessagesRequest{RoomID: "lobby", AfterMessageSeq: new(uint64)})
	if h := all(); h.Message == nil || h.Message.Data != "before" || !h.Recovered {
		t.Fatalf("the first message is %+v", h)
	}
	last := uint64(0)
	expect := func(text string, recovered bool) {
		t.Helper()
		h := step()
		if h.Message == nil || h.Message.Data != text || h.Recovered != recovered || h.Lost || h.Message.Seq > 0 && h.Message.Seq <= last {
			t.Errorf("it gives %+v, want %q, recovered %v", h, text, recovered)
			return
		}
		last = max(last, h.Message.Seq)
	}
	say("one", events.Text)
	expect("one", false)
	say("look", events.Signal)
	expect("look", false)
	lost := l.p.lost.Load()
	l.loses(messagesOf)
	say("two", events.Text)
	say("gone", events.Barrage)
	say("three", events.Custom)
	w.Until(patience, "the copies for both to be lost", func() bool { return l.p.lost.Load() >= lost+6 })
	l.loses("")
	say("four", events.Text) // this one shows the hole
	expect("two", true)
	expect("three", true)
	expect("four", false)
	l.loses(messagesOf)
	step = worlds.Hear(t, w.Ctx, l.Client, client.MessagesRequest{RoomID: "lobby", AfterMessageSeq: &last, Every: 300 * time.Millisecond})
	say("five", events.Text) // found only by asking
	expect("five", true)
	l.loses("")
	old := w.Fold(w.Facts())["lobby"].Instance
	step = worlds.Hear(t, w.Ctx, l.Client, client.MessagesRequest{RoomID: "lobby", AfterMessageSeq: &last, InstanceID: old, Every: time.Hour})
	// The room is made again: messages go on in the same order.
	if _, err := w.Client.Destroy(w.Ctx, room.DestroyRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	w.Until(patience, "the old room to end", func() bool { return w.Fold(w.Facts())["lobby"] == nil })
	w.Create("lobby", 3600, "alice")
	say("six", events.Text)
	if h := step(); h.Note != client.NoteEnded {
		t.Errorf("the end of the room is %+v", h)
	}
	expect("six", false)
}

// Messages that are no longer kept are said to be lost.
func TestMessagesThatAreDiscarded(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{Instance: "only", MessagesPerRoom: 3})
	w.Create("lobby", 3600, "alice")
	l := w.listener(client.Config{})
	step := worlds.Hear(t, w.Ctx, l.Client, client.MessagesRequest{RoomID: "lobby", Every: 300 * time.Millisecond})
	l.loses(messagesOf)
	for n := range 8 {
		if _, err := w.Client.Send(w.Ctx, room.SendRequest{Caller: as("alice", ""), RoomID: "lobby", Type: "text", Data: fmt.Sprint(n)}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	lost := false
	for len(got) == 0 || got[len(got)-1] != "7" {
		switch h := step(); {
		case h.Note == client.NoteLost:
			lost = true
		default:
			got = append(got, h.Message.Data)
		}
	}
	if !lost || !slices.IsSorted(got) {
		t.Errorf("lost %v, heard %v", lost, got)
	}
}

// An instance stores a join and dies before it can say so; the next one answers the retry,
// and the request has one effect.
func TestRetryThroughADeath(t *testing.T) {
	w := newWorld(t)
	p := newProxy(t, w.Node.ClientURL())
	first := w.StartAt(p.url, roomsvc.Config{Instance: "first"}, nats.NoReconnect())
	w.Create("lobby", 3600)
	mute := rule(func(f *frame) fate { return fate{lose: strings.HasPrefix(f.subject, "_INBOX.")} })
	p.toServer.Store(&mute)
	c := client.New(w.NC, client.Config{UserID: "alice", Timeout: 500 * time.Millisecond})
	joined := make(chan error, 1)
	go func() {
		_, err := c.Join(w.Ctx, room.RoomRequest{RoomID: "lobby"})
		joined <- err
	}()
	w.Until(patience, "the join to be stored", func() bool { return len(w.Facts()) == 2 })
	first.Kill()
	w.Start(roomsvc.Config{Instance: "second"})
	if err := <-joined; err != nil {
		t.Errorf("the join: %v", err)
	}
	if facts := w.Facts(); len(facts) != 2 {
		t.Errorf("%d facts", len(facts))
	}
	w.Check()
}

// While no service runs, a patient client waits for one, and a client that asks once says so.
func TestClientWithoutService(t *testing.T) {
	w := newWorld(t)
	if _, err := w.Client.Enter(w.Ctx, room.CreateRequest{Caller: as("alice", ""), RoomID: "lobby"}); !errors.Is(err, client.ErrNoService) {
		t.Errorf("once: %v", err)
	}
	patient := client.New(w.NC, client.Config{})
	short, cancel := context.WithTimeout(w.Ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := patient.Enter(short, room.CreateRequest{Caller: as("alice", ""), RoomID: "lobby"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a deadline: %v", err)
	}
	entered := make(chan error, 1)
	go func() {
		_, err := patient.Enter(w.Ctx, room.CreateRequest{Caller: as("alice", ""), RoomID: "lobby"})
		entered <- err
	}()
	w.Start(roomsvc.Config{Instance: "late"})
	if err := <-entered; err != nil {
		t.Errorf("patiently: %v", err)
	}
}

// notices takes what States gives.
type notices struct {
	t    *testing.T
	step func() *events.Notice
}

func (n *notices) expect(id string, state events.State, event events.Event) *client.Notice {
	n.t.Helper()
	got := n.step()
	if string(got.Room) != id || got.State != state || got.Event != event {
		n.t.Fatalf("%s: %v, %v; want %s: %v, %v", got.Room, got.State, got.Event, id, state, event)
	}
	return got
}

// What a device is told while its connection is away, row by row of the table of States.
func TestReconnect(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{Instance: "only"})
	for _, c := range []struct {
		name  string
		away  func(t *testing.T, id string) // what happens while the connection is away
		state events.State
		event events.Event
	}{
		{"still in", func(*testing.T, string) {}, events.Connected, events.Success},
		{"left elsewhere", func(_ *testing.T, id string) { w.Leave(id, id) }, events.Disconnected, events.Success},
		{"kicked", func(t *testing.T, id string) {
			if _, err := w.Client.Kick(w.Ctx, room.KickRequest{RoomID: id, UserIDs: []string{id}, Reason: "enough"}); err != nil {
				t.Error(err)
			}
		}, events.Disconnected, events.KickedOut},
		{"the room is gone", func(t *testing.T, id string) {
			if _, err := w.Client.Destroy(w.Ctx, room.DestroyRequest{RoomID: id}); err != nil {
				t.Error(err)
			}
		}, events.Disconnected, events.RoomNotExist},
		{"the room is another one", func(t *testing.T, id string) {
			if _, err := w.Client.Destroy(w.Ctx, room.DestroyRequest{RoomID: id}); err != nil {
				t.Error(err)
			}
			w.Create(id, 3600)
		}, events.Disconnected, events.RoomNotExist},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := strings.ReplaceAll(c.name, " ", "-")
			w.Create(id, 3600)
			d := w.device(t, id)
			back := d.net.cut()
			d.States.expect(id, events.Connecting, events.NetworkInterrupted)
			c.away(t, id)
			back()
			d.States.expect(id, events.Connecting, events.NetworkInterrupted)
			n := d.States.expect(id, c.state, c.event)
			if want := map[events.Event]string{events.KickedOut: "enough"}[c.event]; n.ReasonText != want || (n.InstanceID != "") != (c.state == events.Disconnected) {
				t.Errorf("%+v", n)
			}
		})
	}
	t.Run("attempts that fail", func(t *testing.T) {
		w.Create("far", 3600)
		d := w.device(t, "far")
		d.net.fail.Store(30) // more notices than a reader who does not look gets to see
		d.net.cut()()
		d.States.expect("far", events.Connecting, events.NetworkInterrupted)
		w.Until(patience, "the connection to be back", func() bool { return d.net.fail.Load() < 0 && d.nc.IsConnected() })
		d.States.expect("far", events.Connecting, events.NetworkInterrupted)
		d.States.expect("far", events.Connected, events.Success)
	})
	t.Run("closed for good", func(t *testing.T) {
		w.Create("closed", 3600)
		d := w.device(t, "closed")
		d.nc.Close()
		d.States.expect("closed", events.Disconnected, events.NetworkDisconnected)
	})
}

// A user who is no longer in a room for members only may not ask about it, and learns all the
// same why.
func TestReconnectOutsideAMembersOnlyRoom(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{Instance: "only", Feeds: true})
	d := &device{}
	cfg := leased("alice", 60)
	cfg.UserForm = true
	d.listener = w.listener(cfg, nats.SetCustomDialer(&d.net))
	w.enters(t, d, "alice")
	w.Join("alice", "bob")
	back := d.net.cut()
	d.States.expect("alice", events.Connecting, events.NetworkInterrupted)
	if _, err := w.Client.Kick(w.Ctx, room.KickRequest{RoomID: "alice", UserIDs: []string{"alice"}}); err != nil {
		t.Error(err)
	}
	back()
	d.States.expect("alice", events.Connecting, events.NetworkInterrupted)
	d.States.expect("alice", events.Disconnected, events.KickedOut)
}

// The client also reports whatever else keeps it from learning what became of its session,
// and takes that back when all turns out well.
func TestReconnectToTrouble(t *testing.T) {
	w := newWorld(t)
	only := w.Start(roomsvc.Config{Instance: "only"})
	w.Create("alice", 3600)
	d := w.device(t, "alice")
	back := d.net.cut()
	d.States.expect("alice", events.Connecting, events.NetworkInterrupted)
	only.End()
	body, err := json.Marshal(room.Refuse(room.ErrNotAllowed, "not you").Body())
	if err != nil {
		t.Fatal(err)
	}
	refuses, err := w.NC.Subscribe(subjects.Command(string(room.Renew)), func(m *nats.Msg) {
		code := room.ErrNotAllowed
		_ = m.RespondMsg(&nats.Msg{Data: body, Header: nats.Header{micro.ErrorHeader: {code.Name}, micro.ErrorCodeHeader: {strconv.Itoa(code.Number)}}})
	})
	if err == nil {
		err = w.NC.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	back()
	d.States.expect("alice", events.Connecting, events.NetworkInterrupted)
	d.States.expect("alice", events.Disconnected, events.NetworkDisconnected)
	if err := refuses.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	w.Start(roomsvc.Config{Instance: "next"})
	back = d.net.cut() // which makes it renew at once
	back()
	d.States.expect("alice", events.Connected, events.Success)
}

// The server itself goes away and comes back, and the service with it.
func TestReconnectToARestartedServer(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{Instance: "only"})
	d := w.device(t, "alice")
	w.Node.Stop()
	d.States.expect("alice", events.Connecting, events.NetworkInterrupted)
	w.Node.Start()
	d.States.expect("alice", events.Connecting, events.NetworkInterrupted)
	d.States.expect("alice", events.Connected, events.Success)
}

// device is a user in the room that has its name.
type device struct {
	*listener
	States *notices
	net    network
}

// network is the device's network, which can go away.
type network struct {
	worlds.Wire
	away atomic.Bool
	fail atomic.Int64 // how many connections it loses as soon as they are made
}

func (n *network) Dial(kind, address string) (net.Conn, error) {
	if n.away.Load() {
		return nil, errors.New("there is no network")
	}
	conn, err := n.Wire.Dial(kind, address)
	if err == nil && n.fail.Add(-1) >= 0 {
		_ = conn.Close()
	}
	return conn, err
}

// cut takes the network away until back is called.
func (n *network) cut() (back func()) {
	n.away.Store(true)
	n.Cut()
	return func() { n.away.Store(false) }
}

// device makes a device that enters its room and hears its notices.
func (w *world) device(t *testing.T, user string) *device {
	t.Helper()
	d := &device{}
	d.listener = w.listener(leased(user, 60), nats.SetCustomDialer(&d.net))
	w.enters(t, d, user)
	return d
}

// enters lets a device enter its room.
func (w *world) enters(t *testing.T, d *device, user string) {
	t.Helper()
	states, err := d.Client.States(w.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	d.States = &notices{t, stepping(t, states)}
	if _, err := d.Enter(w.Ctx, room.CreateRequest{RoomID: user}); err != nil {
		t.Fatal(err)
	}
	d.States.expect(user, events.Connecting, events.ActiveEnter)
	d.States.expect(user, events.Connected, events.Success)
}
