package feeds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"natsrooms/events"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/traces"
	"natsrooms/subjects"
)

// change is a fact by which some users join and others leave.
func change(revision uint64, in, out []subjects.User) *room.Change {
	c := &room.Change{Room: "lobby", InstanceID: "1"}
	if len(out) > 0 {
		c.Type = events.MemberLeft
	}
	c.Revision, c.Head, c.Del = revision, &room.Head{InstanceID: "1"}, out
	for _, u := range in {
		c.Put = append(c.Put, &room.Member{User: u, Sessions: []room.MemberSession{{SessionID: "tab"}}})
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

// leading is feeds that lead and have not begun, and what is heard of them on a subject.
func leading(t *testing.T, subject string) (*Feeds, *nats.Subscription) {
	t.Helper()
	nc := roomtest.Conn(t, roomtest.Server(t))
	sub, err := nc.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	f := New(nc, slog.New(slog.DiscardHandler), unmarked)
	lead(f, time.Now().Add(time.Hour))
	return f, sub
}

// unmarked is for feeds of which no test looks at the markers: no fact waits for one.
func unmarked(context.Context, string) error { return errors.New("there is no stream") }

// An instance whose lead has run out publishes nothing, even before it learns that another one
// leads.
func TestLeadIsOver(t *testing.T) {
	f, sub := leading(t, "room.feed.>")
	for n, until := range []time.Time{time.Now().Add(time.Hour), time.Now(), time.Now().Add(time.Hour)} {
		lead(f, until)
		i := item{at: time.Now(), room: "lobby", change: change(uint64(n+1), []subjects.User{"alice"}, nil), header: nats.Header{}, data: []byte{byte('1' + n)}}
		if err := f.pass([]item{i}, false); err != nil {
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
	f, sub := leading(t, "room.feed.>")
	var log bytes.Buffer
	f.log = slog.New(slog.NewTextHandler(&log, nil))
	now, past := time.Now(), time.Now().Add(-2*tooOld)
	for _, i := range []item{
		{at: now, room: "lobby", change: change(1, []subjects.User{"alice", "bob"}, nil), data: []byte("1")},
		{at: past, room: "lobby", change: change(2, []subjects.User{"carol"}, nil), data: []byte("2")},
		{at: past, room: "lobby", change: change(3, nil, []subjects.User{"alice"}), data: []byte("3")},
		{at: now, room: "lobby", change: change(4, nil, []subjects.User{"bob"}), data: []byte("4")},
		{at: now, room: "lobby", said: &events.Accepted{InstanceID: "1"}, data: []byte("said")},
		{at: now, room: "none", said: &events.Accepted{InstanceID: "1"}, data: []byte("said to nobody")},
	} {
		i.header = nats.Header{}
		if err := f.pass([]item{i}, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.nc.Publish("room.feed.end.end", nil); err != nil {
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
	f := New(nc, slog.New(slog.DiscardHandler), unmarked)
	start(t, f)
	lead(f, time.Now().Add(time.Hour))
	d.held.Lock()
	free := sync.OnceFunc(d.held.Unlock)
	t.Cleanup(free)
	taken := make(chan uint64)
	go func() {
		n := uint64(1)
		f.Fact(*change(n, []subjects.User{"alice"}, nil), make([]byte, 128<<10), "")
		for ; n < 2*most; n++ {
			f.Fact(*change(n+1, nil, nil), []byte("much"), "")
			f.hear(message(t, "1", "much", 1))
		}
		f.Fact(*change(n+1, []subjects.User{"bob"}, []subjects.User{"alice"}), []byte("bob"), "")
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
		f.Fact(*change(n+1, nil, nil), []byte("end"), "")
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

// Messages of one room that wait go out together, and each member hears everything in order.
func TestMessagesTogether(t *testing.T) {
	f, sub := leading(t, "room.feed.>")
	var want []string
	fact := func(in ...subjects.User) {
		want = append(want, fmt.Sprint("fact ", len(want)))
		f.Fact(*change(uint64(len(want)), in, nil), []byte(want[len(want)-1]), "")
	}
	say := func(n int) {
		for range n {
			want = append(want, fmt.Sprint("message ", len(want)))
			f.hear(message(t, "1", want[len(want)-1], 1))
		}
	}
	fact("alice", "bob")
	say(atOnce + 8)
	elsewhere := message(t, "1", "elsewhere", 1)
	elsewhere.Subject = "room.msg.hall"
	f.hear(elsewhere)
	say(2)
	fact("carol")
	say(1)
	waits := slices.Clone(f.out)
	for _, together := range []int{1, atOnce, 8, 1, 2, 1, 1, 0} {
		if items, _ := f.next(); len(items) != together {
			t.Errorf("%d go out together, want %d", len(items), together)
		}
	}
	f.out = waits
	wake(f.goes)
	start(t, f)
	heard := map[string][]string{}
	for range 2*len(want) + 2 {
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatalf("%v; heard: %v", err, heard)
		}
		heard[m.Subject] = append(heard[m.Subject], text(m))
	}
	for subject, want := range map[string][]string{aliceHears: want, bobHears: want, "room.feed.carol.lobby": want[len(want)-2:]} {
		if !slices.Equal(heard[subject], want) {
			t.Errorf("%s hears %v, want %v", subject, heard[subject], want)
		}
	}
}

// Of messages that go out together only those are left out that are too old.
func TestOneIsTooLate(t *testing.T) {
	f, sub := leading(t, aliceHears)
	said := func(age time.Duration, text string) item {
		return item{at: time.Now().Add(-age), room: "lobby", said: &events.Accepted{InstanceID: "1"}, header: nats.Header{}, data: []byte(text)}
	}
	err := f.pass([]item{{at: time.Now(), room: "lobby", change: change(1, []subjects.User{"alice"}, nil), header: nats.Header{}, data: []byte("fact")}}, false)
	if err == nil {
		err = f.pass([]item{said(2*tooOld, "old"), said(0, "new"), said(0, "newer")}, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"fact", "new", "newer"} {
		if m, err := sub.NextMsg(10 * time.Second); err != nil || string(m.Data) != want {
			t.Fatalf("%+v, %v; want %s", m, err, want)
		}
	}
	if n := f.Meter.Dropped.Value(); n != 1 {
		t.Errorf("%d are counted as dropped, want 1", n)
	}
}

// A fact that goes to nobody, because too much waits, is no trouble where it is traced.
func TestStripped(t *testing.T) {
	f, _ := leading(t, "room.feed.>")
	f.Traces = traces.New(sdk.NewTracerProvider(), false)
	i := item{at: time.Now(), room: "lobby", change: change(1, []subjects.User{"alice"}, nil), header: nats.Header{}, trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
	i.strip()
	if err := f.pass([]item{i}, false); err != nil || f.Meter.Dropped.Value() != 1 || f.Meter.Copies.Value() != 0 {
		t.Errorf("%v; %d dropped, %d copies", err, f.Meter.Dropped.Value(), f.Meter.Copies.Value())
	}
}

// Where it is known that nobody listens, nothing is published, until somebody does.
func TestNobodyListens(t *testing.T) {
	f, sub := leading(t, "room.feed.>")
	there := map[string]bool{bobHears: true}
	f.Listened = func(subject string) bool { return there[subject] }
	for n := range uint64(3) {
		there[aliceHears] = n == 2
		i := item{at: time.Now(), room: "lobby", change: change(n+1, []subjects.User{"alice", "bob"}, nil), header: nats.Header{}, data: []byte{byte('1' + n)}}
		if err := f.pass([]item{i}, false); err != nil {
			t.Fatal(err)
		}
	}
	heard := map[string]string{}
	for range 4 {
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatalf("%v; heard: %v", err, heard)
		}
		heard[m.Subject] += string(m.Data)
	}
	if heard[bobHears] != "123" || heard[aliceHears] != "3" || f.Meter.Copies.Value() != 4 {
		t.Errorf("%d copies are made; heard: %v", f.Meter.Copies.Value(), heard)
	}
}

// stage is feeds that lead, and what they publish. The test plays the streams.
type stage struct {
	*Feeds
	t       *testing.T
	sub     *nats.Subscription
	markers chan string
	rev     uint64
}

func newStage(t *testing.T) *stage {
	nc := roomtest.Conn(t, roomtest.Server(t))
	s := &stage{t: t, markers: make(chan string)}
	s.Feeds = New(nc, slog.New(slog.DiscardHandler), func(ctx context.Context, text string) error {
		select {
		case s.markers <- text:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	var err error
	if s.sub, err = nc.SubscribeSync("room.>"); err != nil {
		t.Fatal(err)
	}
	start(t, s.Feeds)
	lead(s.Feeds, time.Now().Add(time.Hour))
	return s
}

// fact is the next fact of an instance of the lobby, with some members as they are after it.
func (s *stage) fact(kind, instance string, sequence uint64, config events.Config, put []*room.Member, del ...subjects.User) {
	s.rev++
	c := room.Change{Type: kind, Room: "lobby", InstanceID: instance}
	c.Revision, c.Put, c.Del = s.rev, put, del
	if kind != events.RoomDestroyed {
		c.Head = &room.Head{InstanceID: instance, Config: config, Sequence: sequence}
	}
	s.Fact(c, fmt.Appendf(nil, "%s/%d", instance, sequence), "")
}

// in is a member with sessions.
func in(u subjects.User, sessions ...string) []*room.Member {
	m := &room.Member{User: u}
	for _, id := range sessions {
		m.Sessions = append(m.Sessions, room.MemberSession{SessionID: id})
	}
	return []*room.Member{m}
}

// say is a message that a sender says after the fact at a sequence.
func (s *stage) say(instance string, after uint64, sender, text string) {
	m := message(s.t, instance, text, 1)
	said, err := events.DecodeMessage(m.Data)
	if err == nil {
		said.After, said.Sender = after, sender
		m.Data, err = said.Encode("")
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.hear(m)
}

// passes lets the next marker be heard.
func (s *stage) passes() {
	s.t.Helper()
	select {
	case text := <-s.markers:
		s.hear(&nats.Msg{Subject: subjects.MessagesPoint, Data: []byte(text)})
	case <-time.After(10 * time.Second):
		s.t.Fatal("no marker is stored")
	}
}

// hears checks what is heard next, in any order of subjects: on each the texts in order, each
// with the sessions that it is for.
func (s *stage) hears(want map[string][]string) {
	s.t.Helper()
	n := 0
	for _, list := range want {
		n += len(list)
	}
	for ; n > 0; n-- {
		m, err := s.sub.NextMsg(10 * time.Second)
		if err != nil {
			s.t.Fatalf("%v; still to be heard: %v", err, want)
		}
		got := text(m)
		if whom := m.Header.Get(events.SessionsHeader); whom != "" {
			got += " for " + whom
		}
		if len(want[m.Subject]) == 0 || want[m.Subject][0] != got {
			s.t.Fatalf("%s hears %q, want %v", m.Subject, got, want[m.Subject])
		}
		want[m.Subject] = want[m.Subject][1:]
	}
}

const (
	aliceHears = "room.feed.alice.lobby"
	bobHears   = "room.feed.bob.lobby"
)

// A fact that takes somebody out, and every fact after it, is heard after all messages that
// were stored before a marker that was stored after the fact.
func TestLastWords(t *testing.T) {
	s := newStage(t)
	s.fact(events.MemberJoined, "1", 1, events.Config{}, in("alice", "a"))
	s.fact(events.MemberJoined, "1", 2, events.Config{}, in("bob", "b"))
	s.fact(events.MemberLeft, "1", 3, events.Config{}, nil, "alice")
	s.fact(events.MemberJoined, "1", 4, events.Config{}, in("carol", "c"))
	s.say("1", 2, "alice", "last words")
	s.passes()
	s.hears(map[string][]string{
		aliceHears:              {"1/1 for a", "1/2 for a", "last words for a", "1/3 for a"},
		bobHears:                {"1/2 for b", "last words for b", "1/3 for b", "1/4 for b"},
		"room.feed.carol.lobby": {"1/4 for c"},
	})
	s.fact(events.RoomDestroyed, "1", 5, events.Config{}, nil)
	s.say("1", 4, "bob", "good night")
	s.passes()
	s.hears(map[string][]string{bobHears: {"good night for b", "1/5 for b"}, "room.feed.carol.lobby": {"good night for c", "1/5 for c"}})
}

// A marker that is lost, or cannot be stored, holds facts up only for a while.
func TestMarkerIsLost(t *testing.T) {
	s := newStage(t)
	s.fact(events.MemberJoined, "1", 1, events.Config{}, in("alice", "a"))
	s.fact(events.MemberLeft, "1", 2, events.Config{}, nil, "alice")
	s.hears(map[string][]string{aliceHears: {"1/1 for a"}})
	<-s.markers
	s.hears(map[string][]string{aliceHears: {"1/2 for a"}})
	s.hear(&nats.Msg{Subject: subjects.MessagesPoint, Data: []byte("somebody else's")})
	s.fact(events.MemberJoined, "1", 3, events.Config{}, in("alice", "a"))
	s.hears(map[string][]string{aliceHears: {"1/3 for a"}})
}

// A message waits for the fact that it comes after, and later ones wait behind it. It is for
// those who were in then: not for one who joined later, even if it had been in before, nor for
// another instance of its room.
func TestPlaceOfAMessage(t *testing.T) {
	s := newStage(t)
	s.say("1", 2, "bob", "first")
	s.say("1", 1, "bob", "second")
	s.fact(events.RoomCreated, "1", 1, events.Config{}, in("alice", "a"))
	s.fact(events.MemberJoined, "1", 2, events.Config{}, in("bob", "b"))
	s.hears(map[string][]string{aliceHears: {"1/1 for a", "1/2 for a", "first for a", "second for a"}, bobHears: {"1/2 for b", "first for b"}})
	s.fact(events.MemberLeft, "1", 3, events.Config{}, nil, "alice")
	s.passes()
	s.fact(events.MemberJoined, "1", 4, events.Config{}, in("alice", "a"))
	s.say("1", 3, "bob", "while she was out")
	s.say("1", 4, "bob", "welcome back")
	s.hears(map[string][]string{aliceHears: {"1/3 for a", "1/4 for a", "welcome back for a"}, bobHears: {"1/3 for b", "1/4 for b", "while she was out for b", "welcome back for b"}})
	s.fact(events.RoomDestroyed, "1", 5, events.Config{}, nil)
	s.passes()
	s.fact(events.RoomCreated, "2", 1, events.Config{}, in("alice", "a"))
	s.say("1", 4, "bob", "from the past")
	s.say("2", 1, "alice", "alone")
	s.hears(map[string][]string{aliceHears: {"1/5 for a", "2/1 for a", "alone for a"}, bobHears: {"1/5 for b"}})
}

// A message that crossed its sender's leaving is heard by nobody, in an open room too.
func TestCrossed(t *testing.T) {
	s := newStage(t)
	open := events.Config{Delivery: room.DeliveryOpen}
	s.fact(events.RoomCreated, "1", 1, open, in("alice", "a"))
	s.fact(events.MemberLeft, "1", 2, open, nil, "alice")
	s.passes()
	s.say("1", 1, "alice", "too late")
	s.fact(events.MemberJoined, "1", 3, open, in("alice", "a"))
	s.say("1", 1, "alice", "too late too")
	s.say("1", 3, "alice", "hello")
	s.hears(map[string][]string{"room.open.lobby": {"1/1", "1/2", "1/3", "hello"}})
}

// Each copy names those of a user's sessions that it is for: a session hears its own coming and
// leaving, and what is said in between.
func TestSessions(t *testing.T) {
	s := newStage(t)
	s.fact(events.RoomCreated, "1", 1, events.Config{}, in("alice", "web.1"))
	s.fact(events.SessionJoined, "1", 2, events.Config{}, in("alice", "web.1", "phone"))
	s.say("1", 1, "", "before the phone came")
	s.say("1", 2, "", "to both")
	s.fact(events.SessionLeft, "1", 3, events.Config{}, in("alice", "phone"))
	s.passes()
	s.say("1", 2, "", "crossing")
	s.hears(map[string][]string{aliceHears: {
		"1/1 for web=2E1", "1/2 for web=2E1,phone", "before the phone came for web=2E1", "to both for web=2E1,phone", "1/3 for web=2E1,phone", "crossing for phone",
	}})
}
