package feeds

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// change is a fact by which some users join and others leave.
func change(revision uint64, in, out []subjects.User) *room.Change {
	c := &room.Change{Room: "lobby", InstanceID: "1"}
	c.Revision, c.Head, c.Del = revision, &room.Head{InstanceID: "1"}, out
	for _, u := range in {
		c.Put = append(c.Put, &room.Member{User: u})
	}
	return c
}

// message is a message in an instance of the lobby.
func message(t *testing.T, instance, text string, at events.Time) *nats.Msg {
	t.Helper()
	m := &events.Message{ID: text, Time: at, Room: "lobby", InstanceID: instance, Type: events.Text, Data: text, Priority: events.Low}
	data, err := m.Encode("")
	if err != nil {
		t.Fatal(err)
	}
	return &nats.Msg{Subject: "room.msg.lobby", Data: data}
}

// text is the content of a copy: a message's text, or what stands for a fact here.
func text(m *nats.Msg) string {
	if said, err := events.DecodeMessage(m.Data); err == nil {
		return said.Data
	}
	return string(m.Data)
}

// lead puts f into the state that it has while its instance leads.
func lead(f *Feeds, until time.Time) {
	at := func() time.Time { return until }
	f.until.Store(&at)
}

// start runs f without rooms until the test ends.
func start(t *testing.T, f *Feeds) {
	t.Helper()
	l := life.New(func(err error) { t.Error(err) })
	t.Cleanup(l.End)
	f.Start(l, nil)
}

// proof is a sync point that tells when it begins and ends as it is told.
func proof(begins chan<- struct{}, told <-chan error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case begins <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case err := <-told:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// An instance whose lead has run out publishes nothing, even before it learns that another one
// leads.
func TestLeadIsOver(t *testing.T) {
	nc := roomtest.Conn(t, roomtest.Server(t))
	sub, err := nc.SubscribeSync("room.feed.>")
	if err != nil {
		t.Fatal(err)
	}
	f := New(nc, slog.New(slog.DiscardHandler), func(context.Context) error { return nil })
	for n, until := range []time.Time{time.Now().Add(time.Hour), time.Now(), time.Now().Add(time.Hour)} {
		lead(f, until)
		i := item{at: time.Now(), room: "lobby", change: change(uint64(n+1), []subjects.User{"alice"}, nil), data: []byte{byte('1' + n)}}
		if err := f.pass(&i, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"1", "3"} {
		if m, err := sub.NextMsg(10 * time.Second); err != nil || string(m.Data) != want {
			t.Fatalf("%+v, %v; want %s", m, err, want)
		}
	}
}

// What comes too late goes to nobody, but still changes who hears what comes next.
func TestTooLate(t *testing.T) {
	nc := roomtest.Conn(t, roomtest.Server(t))
	sub, err := nc.SubscribeSync("room.feed.>")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	f := New(nc, slog.New(slog.NewTextHandler(&log, nil)), func(context.Context) error { return nil })
	lead(f, time.Now().Add(time.Hour))
	now, past := time.Now(), time.Now().Add(-2*tooOld)
	for _, i := range []item{
		{at: now, room: "lobby", change: change(1, []subjects.User{"alice", "bob"}, nil), data: []byte("1")},
		{at: past, room: "lobby", change: change(2, []subjects.User{"carol"}, nil), data: []byte("2")},
		{at: past, room: "lobby", change: change(3, nil, []subjects.User{"alice"}), data: []byte("3")},
		{at: now, room: "lobby", change: change(4, nil, []subjects.User{"bob"}), data: []byte("4")},
		{at: now, room: "lobby", data: []byte("said")},
		{at: now, room: "none", data: []byte("said to nobody")},
	} {
		if err := f.pass(&i, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Publish("room.feed.end.end", nil); err != nil {
		t.Fatal(err)
	}
	heard := map[string]string{}
	for {
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject == "room.feed.end.end" {
			break
		}
		heard[m.Subject] += string(m.Data) + " "
	}
	for subject, want := range map[string]string{"room.feed.alice.lobby": "1 ", "room.feed.bob.lobby": "1 4 ", "room.feed.carol.lobby": "4 said "} {
		if heard[subject] != want {
			t.Errorf("%s hears %q, want %q", subject, heard[subject], want)
		}
	}
	if len(heard) != 3 || strings.Count(log.String(), "dropped") != 1 {
		t.Errorf("heard are %v; the log says %s", heard, log.String())
	}
}

// stuck is a connection that can't write while a test holds the mutex.
type stuck struct {
	net.Conn
	held *sync.Mutex
}

func (c stuck) Write(b []byte) (int, error) {
	c.held.Lock()
	defer c.held.Unlock()
	return c.Conn.Write(b)
}

// dialer makes connections that can be stuck.
type dialer struct{ held sync.Mutex }

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return stuck{conn, &d.held}, err
}

// A server that takes no copies does not hold up whoever passes the facts on, and the audience
// is still kept up to date.
func TestNobodyWaitsForCopies(t *testing.T) {
	var d dialer
	server := roomtest.Server(t)
	nc := roomtest.Conn(t, server, nats.SetCustomDialer(&d))
	sub, err := roomtest.Conn(t, server).SubscribeSync("room.feed.*.lobby")
	if err != nil {
		t.Fatal(err)
	}
	f := New(nc, slog.New(slog.DiscardHandler), func(context.Context) error { return nil })
	start(t, f)
	lead(f, time.Now().Add(time.Hour))
	d.held.Lock()
	free := sync.OnceFunc(d.held.Unlock)
	t.Cleanup(free)
	taken := make(chan uint64)
	go func() {
		n := uint64(1)
		f.Fact(*change(n, []subjects.User{"alice"}, nil), make([]byte, 128<<10))
		for ; n < 2*most; n++ {
			f.Fact(*change(n+1, nil, nil), []byte("much"))
			f.message(message(t, "1", "much", 1))
		}
		f.Fact(*change(n+1, []subjects.User{"bob"}, []subjects.User{"alice"}), []byte("bob"))
		taken <- n + 1
	}()
	var n uint64
	select {
	case n = <-taken:
	case <-time.After(time.Minute):
		t.Fatal("it waits")
	}
	free()
	for began := time.Now(); ; n++ {
		f.Fact(*change(n+1, nil, nil), []byte("end"))
		m, err := sub.NextMsg(20 * time.Millisecond)
		for ; err == nil && text(m) != "end"; m, err = sub.NextMsg(20 * time.Millisecond) {
		}
		if err == nil && m.Subject != "room.feed.bob.lobby" {
			t.Fatalf("%s hears what comes after her leaving", m.Subject)
		}
		if err == nil {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatal("bob hears nothing")
		}
	}
}

// A message waits for a sync point that began after it was heard. If that fails, the message
// is dropped.
func TestMessagesWaitForAProof(t *testing.T) {
	nc := roomtest.Conn(t, roomtest.Server(t))
	proofs, ask := make(chan error), make(chan struct{})
	f := New(nc, slog.New(slog.DiscardHandler), proof(ask, proofs))
	start(t, f)
	lead(f, time.Now().Add(time.Hour))
	sub, err := nc.SubscribeSync("room.feed.>")
	if err != nil {
		t.Fatal(err)
	}
	hear := func(text string) {
		f.message(message(t, "1", text, 1))
	}
	f.Fact(*change(1, []subjects.User{"alice", "bob"}, nil), []byte("in"))
	hear("lost")
	<-ask
	proofs <- context.DeadlineExceeded
	hear("early")
	<-ask
	hear("late") // the proof under way is none of this one
	f.Fact(*change(2, nil, []subjects.User{"bob"}), []byte("bob is out"))
	proofs <- nil
	<-ask
	proofs <- nil
	want := map[string][]string{"room.feed.alice.lobby": {"in", "bob is out", "early", "late"}, "room.feed.bob.lobby": {"in", "bob is out"}}
	for n := 0; n < 6; n++ {
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if len(want[m.Subject]) == 0 || want[m.Subject][0] != text(m) {
			t.Fatalf("%s hears %q, want %v", m.Subject, text(m), want[m.Subject])
		}
		want[m.Subject] = want[m.Subject][1:]
	}
}

// A message is for those who could hear it when it was sent: not for another instance of its
// room that was created since, nor, if only those who were there may read it, for users who
// joined after it.
func TestMessagesOfThePast(t *testing.T) {
	nc := roomtest.Conn(t, roomtest.Server(t))
	proofs, ask := make(chan error), make(chan struct{})
	f := New(nc, slog.New(slog.DiscardHandler), proof(ask, proofs))
	start(t, f)
	lead(f, time.Now().Add(time.Hour))
	sub, err := nc.SubscribeSync("room.>")
	if err != nil {
		t.Fatal(err)
	}
	fact := func(instance, what string, config events.Config, in ...*room.Member) {
		c := room.Change{Room: "lobby", InstanceID: instance}
		c.Head, c.Put = &room.Head{InstanceID: instance, Config: config}, in
		f.Fact(c, []byte(what))
	}
	end := func(instance string) { f.Fact(room.Change{Room: "lobby", InstanceID: instance}, []byte("end")) }
	open, hidden := events.Config{Delivery: room.DeliveryOpen}, events.Config{HistoryForJoiners: new(bool)}

	fact("1", "made", events.Config{}, &room.Member{User: "alice"})
	f.message(message(t, "1", "among us", 10))
	<-ask
	end("1")
	fact("2", "open", open)
	proofs <- nil
	f.message(message(t, "2", "to all", 20))
	<-ask
	end("2")
	fact("3", "hidden", hidden, &room.Member{User: "alice", Since: 30})
	proofs <- nil
	f.message(message(t, "3", "early", 40))
	<-ask
	fact("3", "bob", hidden, &room.Member{User: "bob", Since: 50})
	proofs <- nil
	f.message(message(t, "3", "late", 60))
	<-ask
	proofs <- nil
	want := map[string][]string{
		"room.feed.alice.lobby": {"made", "end", "hidden", "bob", "early", "late"},
		"room.open.lobby":       {"open", "end"},
		"room.feed.bob.lobby":   {"bob", "late"},
	}
	for n := 0; n < 10; n++ {
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if len(want[m.Subject]) == 0 || want[m.Subject][0] != text(m) {
			t.Fatalf("%s hears %q, want %v", m.Subject, text(m), want[m.Subject])
		}
		want[m.Subject] = want[m.Subject][1:]
	}
}
