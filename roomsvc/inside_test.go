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
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/projection"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
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

// withRooms is a client whose rooms are there, and how long it may take.
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

// behind keeps whoever follows the journal behind what is stored from here on, by a fact of
// the room "side", until free is called or a history is asked for that waits for it.
func (s *Service) behind(t *testing.T, nc *nats.Conn) (free func()) {
	t.Helper()
	asked := make(chan *nats.Msg, 16)
	if _, err := nc.ChanSubscribe(subjects.Command(string(room.History)), asked); err != nil {
		t.Fatal(err)
	}
	side := s.rep.find("side")
	side.mu.Lock()
	free = sync.OnceFunc(side.mu.Unlock)
	t.Cleanup(free)
	s.elsewhere(t, &events.Fact{ID: "1", Type: events.RoomKept, Room: "side", InstanceID: side.state.InstanceID, Sequence: 2, Time: events.TimeOf(time.Now())}, side.revision)
	go func() {
		var q room.HistoryRequest
		if err := json.Unmarshal((<-asked).Data, &q); err != nil || q.Sync { // else it is answered at once
			free()
		}
	}()
	return free
}

// elsewhere appends a fact as another instance does, and gives its revision.
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

// An instance whose clock is an hour ahead made and ended a room. The next instance of
// the room goes on from there, also where that end has been forgotten.
func TestTimeGoesOnFromInstanceToInstance(t *testing.T) {
	s, nc := inside(t, Config{})
	caller := client.New(nc, client.Config{})
	ahead := events.TimeOf(time.Now().Add(time.Hour))
	for _, id := range []subjects.Room{"known", "forgotten", "switched"} {
		info := &events.Room{RoomID: string(id), InstanceID: "1", CreatedAt: ahead, Sequence: 1}
		seq := s.elsewhere(t, &events.Fact{ID: nuid.Next(), Type: events.RoomCreated, Room: id, InstanceID: "1", Sequence: 1, Time: ahead, Info: info}, 0)
		s.elsewhere(t, &events.Fact{ID: nuid.Next(), Type: events.RoomDestroyed, Room: id, InstanceID: "1", Sequence: 2, Time: ahead, Info: info, Reason: events.DestroyedEmpty}, seq)
	}
	if err := s.sync.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	check := func(id string, r *room.JoinedReply, err error) {
		t.Helper()
		if err != nil || r.Room.CreatedAt < ahead || r.Sequence != 1 {
			t.Errorf("%s: it is made at %v, ended at %v; %v", id, r.Room.CreatedAt.Time(), ahead.Time(), err)
		}
	}
	r, err := caller.Create(t.Context(), room.CreateRequest{Caller: room.Caller{UserID: "alice"}, RoomID: "known"})
	check("known", r, err)
	to := room.SwitchRequest{Caller: room.Caller{UserID: "alice"}, FromRoomID: "known", ToRoomInfo: room.RoomInfo{RoomID: "switched"}, IsCreateWhenRoomNotExisted: true}
	r, err = caller.Switch(t.Context(), to)
	check("switched", r, err)
	s.rep.forget()
	if s.rep.find("forgotten") != nil {
		t.Fatal("it is not forgotten")
	}
	r, err = caller.Create(t.Context(), room.CreateRequest{RoomID: "forgotten"})
	check("forgotten", r, err)
}

// A leaveAll takes the rooms of its own session, however many the user's others are in.
func TestLeaveAllBesideManyRooms(t *testing.T) {
	s := &Service{rep: newReplica(defaultRemember)}
	s.rep.changed = func(projection.Change) {}
	seq := uint64(0)
	enter := func(id string, sessions ...string) {
		t.Helper()
		for i, session := range sessions {
			joined := []events.Joined{{UserID: "alice", SessionID: session}}
			f := &events.Fact{ID: id, Type: events.RoomCreated, Room: subjects.Room(id), InstanceID: id, Sequence: uint64(i) + 1, Joined: joined, MemberCount: 1}
			if i == 0 {
				f.Info = &events.Room{RoomID: id, MemberCount: 1}
			} else {
				f.Type = events.SessionJoined
			}
			data, err := f.Encode("")
			if err != nil {
				t.Fatal(err)
			}
			seq++
			if err := s.rep.pass(journal.Message{Seq: seq, Subject: subjects.Facts(f.Room), Data: data}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range journal.MaxBatch + 1 {
		enter(fmt.Sprintf("r%04d", n), "desk")
	}
	enter("x", "desk", "phone")
	enter("y", "phone")
	of := func(session string) *call {
		return &call{cmd: &room.Command{Verb: room.LeaveAll, User: "alice", Session: session}}
	}
	chosen, ids, rest := s.choose([]*call{of("phone"), of("desk")}, journal.MaxBatch)
	if len(chosen) != 1 || len(rest) != 1 || !slices.Equal(ids, []subjects.Room{"x", "y"}) {
		t.Errorf("of the phone's rooms %d are taken, %.40q, with %d more calls left for later", len(ids), ids, len(rest))
	}
	if _, ids, _ := s.choose(rest, journal.MaxBatch); len(ids) != journal.MaxBatch || ids[0] != "r0000" {
		t.Errorf("of the desk's rooms %d are taken", len(ids))
	}
}

// A room that is being destroyed is gone for leaveAll, though its members are not all out yet.
func TestLeaveAllBesideADestruction(t *testing.T) {
	s := &Service{rep: newReplica(defaultRemember)}
	s.rep.changed = func(projection.Change) {}
	joined := []events.Joined{{UserID: "alice", SessionID: "default"}, {UserID: "bob", SessionID: "default"}}
	for i, f := range []*events.Fact{
		{ID: "1", Type: events.RoomCreated, Sequence: 1, Info: &events.Room{RoomID: "lobby", MemberCount: 2}, Joined: joined},
		{ID: "2", Type: events.MemberLeft, Sequence: 2, MemberCount: 1, Left: []events.Left{{UserID: "bob", SessionID: "default", Reason: events.ReasonDestroyed}}},
	} {
		f.Room, f.InstanceID = "lobby", "1"
		data, err := f.Encode("")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.rep.pass(journal.Message{Seq: uint64(i) + 1, Subject: subjects.Facts(f.Room), Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	c := &room.Command{Verb: room.LeaveAll, User: "alice", Session: room.DefaultSession}
	if _, ids, _ := s.choose([]*call{{cmd: c}}, journal.MaxBatch); len(ids) != 0 {
		t.Errorf("of %q she is to leave", ids)
	}
	mb := s.rep.find("lobby")
	runs := map[subjects.Room]*room.Run{"lobby": room.NewRun("lobby", mb.state, room.Input{})}
	if v := s.addLeaveAll(map[subjects.Room]*mailbox{"lobby": mb}, runs, c); v.Changed || v.Later {
		t.Errorf("she leaves: %+v", v)
	}
}

// An instance that meets a fact it does not know ends, and has passed nothing behind it.
func TestUnknownFact(t *testing.T) {
	s, nc := inside(t, Config{})
	before := s.rep.passed.Seq()
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
	if at := s.rep.passed.Seq(); at > before+1 { // a marker of its own may come first
		t.Errorf("it passed %d, was at %d", at, before)
	}
}

// Whoever asks for all that is stored gets it of an instance that has not got there yet:
// a fact, a message of a room made anew, and where the messages of a new room end.
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
			is := s.rep.head("lobby")
			s.elsewhere(t, &events.Fact{ID: "2", Type: events.RoomKept, Room: "lobby", InstanceID: is.InstanceID, Sequence: 2, Time: now}, is.Revision)
			return is.InstanceID, 2
		}, room.HistoryRequest{AfterSequence: &one}},
		"a message of a room made anew": {[]string{"lobby", "side"}, func(t *testing.T, s *Service) (string, uint64) {
			was := s.rep.head("lobby")
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
			if err := s.sync.pass(ctx); err != nil {
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

// A room that was made a moment ago, by another instance, is not said to be missing.
func TestNothingIsMissingForWhoIsBehind(t *testing.T) {
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
			side := s.rep.find("side")
			side.mu.Lock()
			free := sync.OnceFunc(side.mu.Unlock)
			t.Cleanup(free)
			s.elsewhere(t, &events.Fact{ID: "1", Type: events.RoomKept, Room: "side", InstanceID: side.state.InstanceID, Sequence: 2, Time: events.TimeOf(time.Now())}, side.revision)
			s.elsewhere(t, &events.Fact{ID: "2", Type: events.RoomCreated, Room: "lobby", InstanceID: "I", Sequence: 1, Time: events.TimeOf(time.Now()), Info: &events.Room{RoomID: "lobby", InstanceID: "I", Sequence: 1}}, 0)
			markers, err := nc.SubscribeSync(subjects.Sync)
			if err != nil {
				t.Fatal(err)
			}
			go func() { // who asks for a proof gets it
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

// await waits for something that comes about inside.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("waiting for %s", what)
		}
	}
}

// However many come into a room at once that is not there yet, it counts as one against
// the limit on rooms.
func TestRoomOnItsWayCountsOnce(t *testing.T) {
	s, nc := inside(t, Config{Limits: room.Limits{MaxRooms: 2}})
	caller := client.New(nc, client.Config{Once: true})
	enter := func(id, user string) error {
		_, err := caller.Enter(t.Context(), room.CreateRequest{Caller: room.Caller{UserID: user}, RoomID: id})
		return err
	}
	mb := s.acquire("a")
	users := []string{"alice", "bob", "carol"}
	done := make(chan error, len(users))
	for _, user := range users {
		go func() { done <- enter("a", user) }()
	}
	await(t, "the commands", func() bool { mb.mu.Lock(); defer mb.mu.Unlock(); return len(mb.queue) == 3 })
	mb.mu.Lock()
	_, run := s.decide(mb)
	mb.mu.Unlock()
	if err := enter("b", "dave"); err != nil {
		t.Errorf("the second room of two: %v", err)
	}
	s.unreserve(run)
	mb.mu.Lock()
	mb.queue = append(reopen(run), mb.queue...)
	mb.mu.Unlock()
	s.release(mb)
	for range users {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := s.making.Load(); n != 0 {
		t.Errorf("%d rooms are still being made", n)
	}
}

// Between the moment when a fact is applied and the one when its commands are settled,
// what it brings counts twice. Nobody is refused for that.
func TestLimitsBesideWhatIsBeingSettled(t *testing.T) {
	s, nc := inside(t, Config{Limits: room.Limits{MaxRooms: 2, MaxRoomsPerUser: 2}})
	caller := client.New(nc, client.Config{Once: true})
	enter := func(id, user string) error {
		_, err := caller.Enter(t.Context(), room.CreateRequest{Caller: room.Caller{UserID: user}, RoomID: id})
		return err
	}
	if err := enter("a", "alice"); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		user       string
		take, back func()
	}{
		"rooms":           {"bob", func() { s.making.Add(1) }, func() { s.making.Add(-1) }},
		"rooms of a user": {"alice", func() { s.rep.users.reserve("alice", 2) }, func() { s.rep.users.release("alice") }},
	} {
		c.take()
		before := s.rep.passed.Seq()
		done := make(chan error, 1)
		go func() { done <- enter("b", c.user) }()
		await(t, what, func() bool { return len(done) > 0 || s.rep.passed.Seq() > before+3 })
		c.back()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := caller.Leave(t.Context(), room.RoomRequest{Caller: room.Caller{UserID: c.user}, RoomID: "b"}); err != nil {
			t.Error(err)
		}
		await(t, "the end of b", func() bool { return s.rep.living.Load() == 1 })
	}
}

// A leaveAll does not go by what was known before it came, also where the commands ahead of
// it have run out of time.
func TestLeaveAllBehindOneThatIsTooLate(t *testing.T) {
	s, nc := inside(t, Config{})
	caller := client.New(nc, client.Config{UserID: "alice"})
	if _, err := caller.Enter(t.Context(), room.CreateRequest{RoomID: "known"}); err != nil {
		t.Fatal(err)
	}
	of := func(user subjects.User, left time.Duration) *call {
		return &call{cmd: &room.Command{Verb: room.LeaveAll, User: user, Session: room.DefaultSession}, deadline: time.Now().Add(left)}
	}
	late, fresh := of("bob", -time.Second), of("alice", commandTimeout)
	s.inFlight.Add(2)
	s.timeOut(late)
	again, _ := s.multiStep([]*call{late, fresh}, journal.MaxBatch)
	if len(again) > 0 || fresh.state.Load() != answered || !fresh.synced {
		t.Errorf("answered %v, behind a sync point %v, to be decided again %d", fresh.state.Load() == answered, fresh.synced, len(again))
	}
}

// told is the notices that alice's devices heard so far of a room.
func told(t *testing.T, sub *nats.Subscription) (list []string) {
	t.Helper()
	for {
		n, _, err := sub.Pending()
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return list
		}
		m, err := sub.NextMsg(patient)
		if err != nil {
			t.Fatal(err)
		}
		notice, err := events.DecodeNotice(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprint(notice.State, " ", notice.Event)
		if notice.Error != nil {
			line += " " + notice.Error.Code
		}
		list = append(list, line)
	}
}

// Whatever becomes of a command that the user's devices heard come, the last that they hear
// of it is where the session stands.
func TestLastNoticeIsTrue(t *testing.T) {
	s, nc := inside(t, Config{})
	caller := client.New(nc, client.Config{UserID: "alice", Once: true})
	begin := func(id, request string) (*nats.Subscription, *mailbox, chan error) {
		t.Helper()
		sub, err := nc.SubscribeSync("room.state.alice." + id)
		if err != nil {
			t.Fatal(err)
		}
		mb, done := s.acquire(subjects.Room(id)), make(chan error, 1)
		go func() {
			_, err := caller.Enter(t.Context(), room.CreateRequest{Caller: room.Caller{RequestID: request}, RoomID: id})
			done <- err
		}()
		await(t, "the command", func() bool { mb.mu.Lock(); defer mb.mu.Unlock(); return len(mb.queue) == 1 })
		return sub, mb, done
	}
	end := func(sub *nats.Subscription, want ...string) {
		t.Helper()
		if err := s.nc.FlushTimeout(patient); err != nil {
			t.Fatal(err)
		}
		if err := nc.FlushTimeout(patient); err != nil {
			t.Fatal(err)
		}
		if list := told(t, sub); !slices.Equal(list, want) {
			t.Errorf("the devices hear %q, want %q", list, want)
		}
	}

	// The append takes longer than the command may, and is stored in the end.
	sub, mb, done := begin("slow", "1")
	mb.mu.Lock()
	fact, run := s.decide(mb)
	fl, err := s.launch([]*mailbox{mb}, []*events.Fact{fact})
	mb.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	s.timeOut(run[0].call)
	if err := <-done; !errors.Is(err, room.ErrUnavailable) {
		t.Errorf("what is on its way: %v", err)
	}
	last, err := s.commit(fl)
	if err != nil {
		t.Fatal(err)
	}
	mb.mu.Lock()
	mb.flight = nil
	if err := s.applyOwn([]*mailbox{mb}, []*events.Fact{fact}, last); err != nil {
		t.Fatal(err)
	}
	s.settle(mb, run, fact, last)
	mb.mu.Unlock()
	s.release(mb)
	end(sub, "connecting activeEnter", "disconnected enterFailed UNAVAILABLE", "connected success")

	// Another instance stored it, and died.
	sub, mb, done = begin("repeated", "2")
	s.elsewhere(t, &events.Fact{
		ID: nuid.Next(), Type: events.RoomCreated, Room: "repeated", InstanceID: "1", Sequence: 1, Time: events.TimeOf(time.Now()), Info: &events.Room{RoomID: "repeated", MemberCount: 1},
		Joined: []events.Joined{{UserID: "alice", SessionID: room.DefaultSession, RequestID: "2"}},
	}, 0)
	if err := s.sync.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.release(mb)
	if err := <-done; err != nil {
		t.Error(err)
	}
	end(sub, "connecting activeEnter", "connected success")

	// Its request ID was taken meanwhile.
	sub, mb, done = begin("other", "3")
	if _, err := caller.Enter(t.Context(), room.CreateRequest{Caller: room.Caller{RequestID: "3"}, RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	s.release(mb)
	if err := <-done; !errors.Is(err, room.ErrParamInvalid) {
		t.Error(err)
	}
	end(sub, "connecting activeEnter", "disconnected enterFailed PARAM_INVALID")
}

// Grants stand in the bucket as long as the token that is good for longest, also when
// one that was not is extended.
func TestGrantThatIsExtended(t *testing.T) {
	now := time.Now()
	g := &grants{}
	for _, token := range []tokenGrant{
		{[]string{"b"}, events.TimeOf(now.Add(3 * time.Hour))},
		{[]string{"a"}, events.TimeOf(now.Add(2 * time.Hour))},
		{[]string{"a"}, events.TimeOf(now.Add(4 * time.Hour))},
	} {
		if !g.add(token) {
			t.Errorf("%v is not stored", token)
		}
	}
	if len(g.Tokens) != 2 || g.Tokens[0].Rooms[0] != "a" || g.Tokens[1].Rooms[0] != "b" {
		t.Errorf("the grants are %+v", g.Tokens)
	}
}

// Who asks for rooms that are not there leaves nothing behind.
func TestNothingStaysOfRefusedCommands(t *testing.T) {
	s, nc := inside(t, Config{})
	c, ctx := withRooms(t, nc, "lobby")
	for n := range 100 {
		if _, err := c.Join(ctx, room.RoomRequest{Caller: room.Caller{UserID: "alice"}, RoomID: fmt.Sprint("none-", n)}); !errors.Is(err, room.ErrRoomNotExist) {
			t.Fatal(err)
		}
	}
	await(t, "the rooms to be forgotten", func() bool { return len(s.rep.all()) == 1 })
}

// A bucket that takes nothing is told of, and written once it does again.
func TestBucketThatTakesNothing(t *testing.T) {
	s, nc := inside(t, Config{})
	c, ctx := withRooms(t, nc, "lobby")
	js := s.journal.JetStream()
	await(t, "the bucket to be written", func() bool { return s.projector.Written() == s.rep.passed.Seq() })
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
	await(t, "the bucket to be written again", func() bool { return s.projector.Written() == s.rep.passed.Seq() && s.Check(ctx) == nil })
}

// Of a closed connection it is said that it was closed.
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

// An instance that does not start leaves nothing behind on the connection.
func TestNothingStaysOfAFailedStart(t *testing.T) {
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
