package roomsvc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/talk"
	"natsrooms/subjects"
)

// patient bounds every wait of the tests that look inside; none is expected to take nearly as long.
const patient = 30 * time.Second

// inside starts an instance whose insides can be looked at, and a caller.
func inside(t *testing.T, cfg Config) (*Service, *nats.Conn) {
	t.Helper()
	t.Parallel()
	server := roomtest.Server(t)
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	s, err := New(ctx, roomtest.Conn(t, server), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		select {
		case <-s.Done():
		default:
			if err := s.Stop(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	return s, roomtest.Conn(t, server)
}

// withRooms makes rooms, and returns their client and a context with the test's time limit.
func withRooms(t *testing.T, nc *nats.Conn, ids ...string) (*client.Client, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	t.Cleanup(cancel)
	c := client.New(nc, client.Config{})
	for _, id := range ids {
		if _, err := c.Create(ctx, room.CreateRequest{RoomID: id}); err != nil {
			t.Fatal(err)
		}
	}
	return c, ctx
}

// hold keeps a room's lock until free is called, and returns where the room is meanwhile.
func (s *Service) hold(t *testing.T, id subjects.Room) (at room.Position, free func()) {
	t.Helper()
	held, over := make(chan struct{}), make(chan struct{})
	free = sync.OnceFunc(func() { close(over) })
	t.Cleanup(free)
	go s.rep.View(id, func(st *room.State) {
		at = st.Position()
		close(held)
		<-over
	})
	<-held
	return at, free
}

// delay keeps everything that follows the journal from passing what is stored from here on,
// by a fact of the room "side", until free is called.
func (s *Service) delay(t *testing.T) (free func()) {
	t.Helper()
	side, free := s.hold(t, "side")
	s.elsewhere(t, &events.Fact{ID: "1", Type: events.RoomKept, Room: "side", InstanceID: side.InstanceID, Sequence: 2, Time: events.TimeOf(time.Now())}, side.Revision)
	return free
}

// behind does the same until somebody asks for a history that waits for what is stored.
func (s *Service) behind(t *testing.T, nc *nats.Conn) (free func()) {
	t.Helper()
	asked := make(chan *nats.Msg, 16)
	if _, err := nc.ChanSubscribe(subjects.Command(string(room.History)), asked); err != nil {
		t.Fatal(err)
	}
	free = s.delay(t)
	go func() {
		var q room.HistoryRequest
		if err := json.Unmarshal((<-asked).Data, &q); err != nil || q.Sync { // otherwise it is answered at once
			free()
		}
	}()
	return free
}

// elsewhere appends a fact as another instance does, and returns its revision.
func (s *Service) elsewhere(t *testing.T, f *events.Fact, expect uint64) uint64 {
	t.Helper()
	entry, err := journal.Fact(f, "", expect)
	if err != nil {
		t.Fatal(err)
	}
	last, err := s.journal.Store(t.Context(), []journal.Entry{entry})
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// An instance that meets a fact it does not know ends, and has passed nothing after it.
func TestUnknownFact(t *testing.T) {
	s, nc := inside(t, Config{})
	before := s.rep.Passed.Seq()
	unknown := []byte(`{"specversion":"1.0","id":"1","source":"/rooms/lobby/1","type":"io.natsrooms.room.painted.v1","subject":"lobby","time":"2026-01-01T00:00:00Z",
		"datacontenttype":"application/json","sequence":"00000000000000000001","roominstance":"1","partitionkey":"lobby","data":{"roomID":"lobby","instanceID":"1","sequence":1}}`)
	for n := range 500 {
		subject, body := subjects.Sync, []byte(nil)
		if n == 0 {
			subject, body = subjects.Journal("lobby"), unknown
		}
		if err := nc.Publish(subject, body); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-s.Done():
	case <-time.After(patient):
		t.Fatal("it goes on")
	}
	if err := s.Err(); !errors.Is(err, events.ErrUnknownType) {
		t.Errorf("it ended with %v", err)
	}
	if at := s.rep.Passed.Seq(); at > before+1 { // a marker of its own may come first
		t.Errorf("it passed %d, was at %d", at, before)
	}
}

// A caller that asks for all that is stored gets it even from an instance that lags behind:
// a fact, a message of a room created again, and where the messages of a new room end.
func TestHistoryOfAnInstanceThatIsBehind(t *testing.T) {
	now := events.TimeOf(time.Now())
	made := func(id string) *events.Fact {
		info := &events.Room{RoomID: "lobby", InstanceID: id, CreatedAt: now, Sequence: 1}
		return &events.Fact{ID: id, Type: events.RoomCreated, Room: "lobby", InstanceID: id, Sequence: 1, Time: now, Info: info}
	}
	say := func(t *testing.T, s *Service, id string) uint64 {
		t.Helper()
		m := &events.Message{ID: "hello", Room: "lobby", InstanceID: id, Time: now, Type: events.Text, Data: "hello"}
		data, err := m.Encode("")
		if err != nil {
			t.Fatal(err)
		}
		ack, err := s.journal.JetStream().Publish(t.Context(), subjects.MessageJournal("lobby"), data)
		if err != nil {
			t.Fatal(err)
		}
		return ack.Sequence
	}
	one, none := uint64(1), uint64(0)
	for name, c := range map[string]struct {
		rooms []string
		store func(*testing.T, *Service) (id string, head uint64)
		ask   room.HistoryRequest
	}{
		"a fact": {[]string{"lobby", "side"}, func(t *testing.T, s *Service) (string, uint64) {
			is := s.rep.Head("lobby")
			s.elsewhere(t, &events.Fact{ID: "2", Type: events.RoomKept, Room: "lobby", InstanceID: is.InstanceID, Sequence: 2, Time: now}, is.Revision)
			return is.InstanceID, 2
		}, room.HistoryRequest{AfterSequence: &one}},
		"a message of a room created anew": {[]string{"lobby", "side"}, func(t *testing.T, s *Service) (string, uint64) {
			was := s.rep.Head("lobby")
			info := &events.Room{RoomID: "lobby", InstanceID: was.InstanceID, CreatedAt: was.CreatedAt, Sequence: 2}
			end := &events.Fact{ID: "2", Type: events.RoomDestroyed, Room: "lobby", InstanceID: was.InstanceID, Sequence: 2, Time: now, Info: info, Reason: events.DestroyedEmpty}
			s.elsewhere(t, made("anew"), s.elsewhere(t, end, was.Revision))
			return "anew", say(t, s, "anew")
		}, room.HistoryRequest{AfterMessageSeq: &none}},
		"the end of a new room's messages": {[]string{"side"}, func(t *testing.T, s *Service) (string, uint64) {
			s.elsewhere(t, made("new"), 0)
			return "new", say(t, s, "new")
		}, room.HistoryRequest{BeforeMessageSeq: &none, Count: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s, nc := inside(t, Config{})
			caller, ctx := withRooms(t, nc, c.rooms...)
			if err := s.sync.Pass(ctx); err != nil {
				t.Fatal(err)
			}
			free := s.behind(t, nc)
			q := c.ask
			id, head := c.store(t, s)
			q.RoomID, q.InstanceID, q.Sync = "lobby", id, true
			page, err := caller.History(ctx, q)
			free()
			if err != nil || page.InstanceID != id || len(page.Events) != 1 || !page.Complete {
				t.Fatalf("it gives %+v: %v", page, err)
			}
			if at := cmp.Or(page.Sequence, *cmp.Or(page.MessageSeq, new(uint64))); at != head {
				t.Errorf("it is at %d, want %d", at, head)
			}
		})
	}
}

// A room that was created a moment ago, by another instance, is not said to be missing.
func TestNothingIsMissingWhereAnInstanceIsBehind(t *testing.T) {
	after := uint64(0)
	for name, ask := range map[string]func(context.Context, *client.Client) error{
		"get": func(ctx context.Context, c *client.Client) error {
			_, err := c.Get(ctx, room.ReadRequest{RoomID: "lobby"})
			return err
		},
		"history": func(ctx context.Context, c *client.Client) error {
			_, err := c.History(ctx, room.HistoryRequest{RoomID: "lobby", InstanceID: "I", AfterSequence: &after})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, nc := inside(t, Config{})
			c, ctx := withRooms(t, nc, "side")
			free := s.delay(t)
			s.elsewhere(t, &events.Fact{ID: "2", Type: events.RoomCreated, Room: "lobby", InstanceID: "I", Sequence: 1, Time: events.TimeOf(time.Now()), Info: &events.Room{RoomID: "lobby", InstanceID: "I", Sequence: 1}}, 0)
			markers, err := nc.SubscribeSync(subjects.Sync)
			if err != nil {
				t.Fatal(err)
			}
			go func() { // an instance that asks for proof gets it
				if _, err := markers.NextMsgWithContext(ctx); err == nil {
					free()
				}
			}()
			if err := ask(ctx, c); err != nil {
				t.Error(err)
			}
		})
	}
}

// await waits for something that happens inside.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("waiting for %s", what)
		}
	}
}

// notices is what a user's devices hear about a room.
type notices struct {
	*testing.T
	s    *Service
	nc   *nats.Conn
	sub  *nats.Subscription
	list []string
}

func (s *Service) notices(t *testing.T, nc *nats.Conn, user subjects.User, id subjects.Room) *notices {
	t.Helper()
	sub, err := nc.SubscribeSync(subjects.UserState(user, id))
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(patient); err != nil {
		t.Fatal(err)
	}
	return &notices{t, s, nc, sub, nil}
}

// next waits for the next notice.
func (n *notices) next() {
	n.Helper()
	m, err := n.sub.NextMsg(patient)
	if err != nil {
		n.Fatalf("after %q: %v", n.list, err)
	}
	notice, err := events.DecodeNotice(m.Data)
	if err != nil {
		n.Fatal(err)
	}
	line := fmt.Sprint(notice.State, " ", notice.Event)
	if notice.Error != nil {
		line += " " + notice.Error.Code
	}
	n.list = append(n.list, line)
}

// are checks all notices that have been sent so far.
func (n *notices) are(want ...string) {
	n.Helper()
	for _, nc := range []*nats.Conn{n.s.nc, n.nc} {
		if err := nc.FlushTimeout(patient); err != nil {
			n.Fatal(err)
		}
	}
	for {
		pending, _, err := n.sub.Pending()
		if err != nil {
			n.Fatal(err)
		}
		if pending == 0 {
			break
		}
		n.next()
	}
	if !slices.Equal(n.list, want) {
		n.Errorf("the devices hear %q, want %q", n.list, want)
	}
}

// Whatever becomes of a command that the user's devices were told about, the last notice they
// hear says where the session really is.
func TestLastNoticeIsTrue(t *testing.T) {
	// enter begins to enter a room, and returns when the devices have heard of it.
	enter := func(t *testing.T, s *Service, nc *nats.Conn, id subjects.Room, request string) (*client.Client, *notices, <-chan error) {
		t.Helper()
		c, done := client.New(nc, client.Config{UserID: "alice", Once: true, Unordered: true}), make(chan error, 1)
		n := s.notices(t, nc, "alice", id)
		go func() {
			_, err := c.Enter(t.Context(), room.CreateRequest{Caller: room.Caller{RequestID: request}, RoomID: string(id)})
			done <- err
		}()
		n.next()
		return c, n, done
	}
	// stall keeps the commands of a room from being decided until free is called.
	stall := func(t *testing.T, s *Service, id subjects.Room) (free func()) {
		t.Helper()
		begun, over := make(chan struct{}), make(chan struct{})
		free = sync.OnceFunc(func() { close(over) })
		t.Cleanup(free)
		s.commit.Assign(id, func(*room.State, room.Input) *events.Fact {
			close(begun)
			<-over
			return nil
		})
		<-begun
		return free
	}
	t.Run("an append that takes longer than its command may", func(t *testing.T) {
		s, nc := inside(t, Config{})
		withRooms(t, nc, "side")
		if err := s.sync.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		free := s.delay(t)
		s.journal.Close() // no acknowledgement arrives from here on
		sent, err := nc.SubscribeSync(subjects.Journal("slow"))
		if err != nil {
			t.Fatal(err)
		}
		_, n, done := enter(t, s, nc, "slow", "1")
		if _, err := sent.NextMsg(patient); err != nil {
			t.Fatal(err)
		}
		s.commit.End() // the time of all commands is over
		if err := <-done; !errors.Is(err, room.ErrUnavailable) {
			t.Errorf("while it is on its way: %v", err)
		}
		n.are("connecting activeEnter", "disconnected enterFailed UNAVAILABLE")
		free()
		n.next()
		n.are("connecting activeEnter", "disconnected enterFailed UNAVAILABLE", "connected success")
	})
	t.Run("another instance stored it and died", func(t *testing.T) {
		s, nc := inside(t, Config{})
		free := stall(t, s, "repeated")
		_, n, done := enter(t, s, nc, "repeated", "2")
		s.elsewhere(t, &events.Fact{
			ID: nuid.Next(), Type: events.RoomCreated, Room: "repeated", InstanceID: "1", Sequence: 1, Time: events.TimeOf(time.Now()), Info: &events.Room{RoomID: "repeated", MemberCount: 1},
			Joined: []events.Joined{{UserID: "alice", SessionID: room.DefaultSession, Via: events.ViaEnter, RequestID: "2"}},
		}, 0)
		free()
		if err := <-done; err != nil {
			t.Error(err)
		}
		n.are("connecting activeEnter", "connected success")
	})
	t.Run("its request ID was taken meanwhile", func(t *testing.T) {
		s, nc := inside(t, Config{})
		free := stall(t, s, "other")
		c, n, done := enter(t, s, nc, "other", "3")
		if _, err := c.Enter(t.Context(), room.CreateRequest{Caller: room.Caller{RequestID: "3"}, RoomID: "lobby"}); err != nil {
			t.Fatal(err)
		}
		free()
		if err := <-done; !errors.Is(err, room.ErrParamInvalid) {
			t.Error(err)
		}
		n.are("connecting activeEnter", "disconnected enterFailed PARAM_INVALID")
	})
}

// A bucket that takes nothing is reported, and written once it does again.
func TestBucketThatTakesNothing(t *testing.T) {
	s, nc := inside(t, Config{})
	c, ctx := withRooms(t, nc, "lobby")
	js := s.journal.JetStream()
	await(t, "the bucket to be written", func() bool { return s.projector.Written() == s.rep.Passed.Seq() })
	stream, err := js.Stream(ctx, subjects.StreamState)
	if err != nil {
		t.Fatal(err)
	}
	info := stream.CachedInfo()
	full := info.Config
	full.MaxMsgs = int64(info.State.Msgs)
	if _, err := js.UpdateStream(ctx, full); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(ctx, room.CreateRequest{RoomID: "hall"}); err != nil {
		t.Fatal(err)
	}
	await(t, "somebody to be told", func() bool {
		err := s.Check(ctx)
		return err != nil && strings.Contains(err.Error(), "cannot be written")
	})
	if _, err := js.UpdateStream(ctx, info.Config); err != nil {
		t.Fatal(err)
	}
	await(t, "the bucket to be written again", func() bool { return s.projector.Written() == s.rep.Passed.Seq() && s.Check(ctx) == nil })
}

// An instance whose connection was closed ends and says so.
func TestClosedConnection(t *testing.T) {
	s, _ := inside(t, Config{})
	s.nc.Close()
	select {
	case <-s.Done():
	case <-time.After(patient):
		t.Fatal("it goes on")
	}
	if !errors.Is(s.Err(), nats.ErrConnectionClosed) {
		t.Errorf("it ends with %v", s.Err())
	}
}

// An instance that does not start leaves nothing on the connection.
func TestFailedStartLeavesNothing(t *testing.T) {
	t.Parallel()
	server := roomtest.Server(t)
	nc, system := roomtest.Conn(t, server), roomtest.Conn(t, server)
	system.Close()
	_, _ = nc.Request("nobody", nil, patient) // the connection's own subscription for answers
	before := nc.NumSubscriptions()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if _, err := New(ctx, nc, Config{System: system, Logger: slog.New(slog.DiscardHandler)}); err == nil {
		t.Fatal("it starts without the system account")
	}
	await(t, "the end of its subscriptions", func() bool { return nc.NumSubscriptions() == before })
}

// A host by a token speaks where only hosts do, through an instance that has not heard of the token
// yet.
func TestHostByTokenSpeaksAnywhere(t *testing.T) {
	s, nc := inside(t, Config{Feeds: true})
	client, ctx := withRooms(t, nc)
	if _, err := client.Create(ctx, room.CreateRequest{RoomID: "hall", Config: &room.RoomConfig{Speakers: room.SpeakersHosts}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Grant(ctx, "alice", room.Grant{Hosts: []subjects.Room{"hall"}, Until: events.TimeOf(time.Now().Add(time.Hour))}); err != nil {
		t.Fatal(err)
	}
	if m, err := nc.Request("room.cmd.enter.alice", []byte(`{"roomID":"hall"}`), patient); err != nil || m.Header.Get("Nats-Service-Error") != "" {
		t.Fatalf("%v, %+v", err, m)
	}
	cmd := &room.Command{Verb: room.Send, User: "alice", Session: room.DefaultSession, Room: "hall", UserForm: true, OwnForm: true}
	m, refused := cmd.Say(&room.SendRequest{RoomID: "hall", Type: "barrage", Data: "hello"}, s.limits.Load())
	if refused != nil {
		t.Fatal(refused)
	}
	said := make(chan *room.SendReply, 1)
	s.talk.Say(&talk.Saying{Call: &commit.Call{Cmd: cmd, Deadline: time.Now().Add(patient)}, Message: m, Said: func(r *room.SendReply) { said <- r }})
	select {
	case <-said:
	case <-time.After(patient):
		t.Error("nothing is said")
	}
}

// A token that makes its user a host of rooms does so on every command about them, and lets it in.
func TestHostByToken(t *testing.T) {
	s, nc := inside(t, Config{Feeds: true})
	client, ctx := withRooms(t, nc, "other")
	if _, err := client.Create(ctx, room.CreateRequest{RoomID: "exam", Config: &room.RoomConfig{Access: room.AccessToken}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Grant(ctx, "alice", room.Grant{Hosts: []subjects.Room{"exam"}, Until: events.TimeOf(time.Now().Add(time.Hour))}); err != nil {
		t.Fatal(err)
	}
	if err := s.Grant(ctx, "bob", room.Grant{Hosts: []subjects.Room{"exam"}, Until: events.TimeOf(time.Now().Add(-time.Second))}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user    subjects.User
		room    subjects.Room
		verb    room.Verb
		ownForm bool
		host    bool
	}{
		{"alice", "exam", room.Join, true, true}, {"alice", "exam", room.Kick, true, true}, {"alice", "exam", room.Kick, false, false},
		{"alice", "other", room.Kick, true, false}, {"bob", "exam", room.Join, true, false}, {"carol", "exam", room.Kick, true, false},
	} {
		cmd := &room.Command{Verb: c.verb, User: c.user, Room: c.room, OwnForm: c.ownForm}
		if err := s.prove(ctx, &commit.Call{Cmd: cmd}); err != nil || cmd.HostByToken != c.host || cmd.Granted != c.host {
			t.Errorf("%+v: %+v, %v", c, cmd, err)
		}
		if c.ownForm && s.leases.HostOf(c.user, c.room) != c.host {
			t.Errorf("%+v: the book says otherwise", c)
		}
	}
	m, err := nc.Request("room.cmd.join.alice", []byte(`{"roomID":"exam"}`), patient)
	if err != nil || m.Header.Get("Nats-Service-Error") != "" {
		t.Errorf("a host may not join: %v, %+v", err, m)
	}
}
