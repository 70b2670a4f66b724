package commit

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// patience bounds every wait in these tests; no wait should take nearly as long.
const patience = 30 * time.Second

// rig is a committer on a server, with a replica that follows the journal.
type rig struct {
	*testing.T
	*Committer
	ctx     context.Context
	nc      *nats.Conn // of a listener, and of another instance
	other   *journal.Journal
	gate    sync.Mutex    // held while the follower takes a message
	changed chan struct{} // sent to after each change that the follower passes
}

// asked is a call with the results that it gets.
type asked struct {
	*Call
	results chan settled
}

// settled is a result, with what is true only while it is being settled.
type settled struct {
	Result
	in bool // its session is in its room
}

func newRig(t *testing.T, limits room.Limits, change ...func(*Config)) *rig {
	t.Helper()
	t.Parallel()
	server := roomtest.Server(t)
	r := &rig{T: t, nc: roomtest.Conn(t, server), changed: make(chan struct{}, 1)}
	var cancel context.CancelFunc
	r.ctx, cancel = context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	l := life.New(func(err error) { t.Errorf("it failed: %v", err) })
	open := func(nc *nats.Conn) *journal.Journal {
		j, err := journal.Open(r.ctx, nc, journal.Settings{Keep: journal.MinKeep})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(j.Close)
		return j
	}
	own := open(roomtest.Conn(t, server))
	r.other = open(r.nc)
	rep := replica.New(3 * time.Minute)
	rep.Changed = func(room.Change) {
		select {
		case r.changed <- struct{}{}:
		default:
		}
	}
	l.Go(func() {
		if err := own.Follow(l, 1, r.take); !l.Over() {
			t.Errorf("following the journal: %v", err)
		}
	})
	c := Config{
		Life: l, Log: slog.New(slog.DiscardHandler), Journal: own, Replica: rep, Sync: replica.NewSync(l, own.Mark, &rep.Passed),
		Limits: func() *room.Limits { return &limits },
		Prove:  func(context.Context, *Call) error { return nil },
		PutOut: func(*room.State, *events.Fact) func() { return nil },
		Said:   func(context.Context, []*events.Fact) {},
		Settle: r.settle,
	}
	for _, f := range change {
		f(&c)
	}
	r.Committer = New(c)
	t.Cleanup(r.end)
	return r
}

// end ends the committer and returns when nothing of it is running any more.
func (r *rig) end() {
	r.Life.End()
	r.End()
}

func (r *rig) take(m journal.Message) error {
	r.gate.Lock()
	defer r.gate.Unlock()
	return r.Replica.Pass(m)
}

// hold keeps the follower from taking anything until free is called.
func (r *rig) hold() (free func()) {
	r.gate.Lock()
	free = sync.OnceFunc(r.gate.Unlock)
	r.Cleanup(free)
	return free
}

func (r *rig) settle(results []Result) {
	for _, res := range results {
		select {
		case res.From.(chan settled) <- settled{res, res.State.Has(res.Cmd)}:
		default:
			r.Errorf("%s of %q is settled too often", res.Cmd.Verb, res.Cmd.User)
		}
	}
}

// call makes the call of a command.
func call(c *room.Command) *asked {
	if c.Session == "" {
		c.Session = room.DefaultSession
	}
	results := make(chan settled, 2) // one may be settled late
	return &asked{&Call{Cmd: c, Deadline: time.Now().Add(Timeout), From: results}, results}
}

// ask has a command carried out.
func (r *rig) ask(c *room.Command) *asked {
	a := call(c)
	r.Track(a.Call)
	r.Enqueue(a.Call)
	return a
}

// result waits for the next result of a call.
func (r *rig) result(a *asked) (res settled) {
	r.Helper()
	select {
	case res = <-a.results:
	case <-r.ctx.Done():
		r.Fatalf("%s of %q is not settled", a.Cmd.Verb, a.Cmd.User)
	}
	return res
}

// accepted waits for the result of a call that is not to be refused.
func (r *rig) accepted(a *asked) settled {
	r.Helper()
	res := r.result(a)
	if res.Refused != nil {
		r.Fatalf("%s of %q: %v", a.Cmd.Verb, a.Cmd.User, res.Refused)
	}
	return res
}

// do has a command carried out that is not to be refused, and returns its result.
func (r *rig) do(c *room.Command) settled {
	r.Helper()
	return r.accepted(r.ask(c))
}

// refused has a command carried out that is to be refused with a code.
func (r *rig) refused(c *room.Command, code *room.Code) settled {
	r.Helper()
	res := r.result(r.ask(c))
	if res.Refused == nil || res.Refused.Code != code {
		r.Fatalf("%s of %q: %v, want %s", c.Verb, c.User, res.Refused, code.Name)
	}
	return res
}

// pass returns when the replica has everything that is stored.
func (r *rig) pass() {
	r.Helper()
	if err := r.Sync.Pass(r.ctx); err != nil {
		r.Fatal(err)
	}
}

// until waits until something is true that facts bring about.
func (r *rig) until(what string, ok func() bool) {
	r.Helper()
	for !ok() {
		select {
		case <-r.changed:
		case <-r.ctx.Done():
			r.Fatalf("waiting for %s", what)
		}
	}
}

// elsewhere stores a fact as another instance does, to follow the room's newest fact, which is
// at expect, and returns its revision.
func (r *rig) elsewhere(f *events.Fact, expect uint64) uint64 {
	r.Helper()
	f.ID = nuid.Next()
	entry, err := journal.Fact(f, "", expect)
	if err != nil {
		r.Fatal(err)
	}
	last, err := r.other.Store(r.ctx, []journal.Entry{entry})
	if err != nil {
		r.Fatal(err)
	}
	return last
}

// joinedElsewhere stores that a user has joined a room through another instance.
func (r *rig) joinedElsewhere(id subjects.Room, user string) {
	r.Helper()
	h := r.Replica.Head(id)
	r.elsewhere(&events.Fact{
		Type: events.MemberJoined, Room: id, InstanceID: h.InstanceID, Sequence: h.Sequence + 1, Time: h.FactAt, MemberCount: h.Members + 1,
		Joined: []events.Joined{{UserID: user, SessionID: room.DefaultSession, JoinedAt: h.FactAt, Via: events.ViaJoin}},
	}, h.Revision)
}

// createdElsewhere stores that another instance created a room for a user's request.
func (r *rig) createdElsewhere(id subjects.Room, user, request string) {
	r.Helper()
	now := events.TimeOf(time.Now())
	r.elsewhere(&events.Fact{
		Type: events.RoomCreated, Room: id, InstanceID: "1", Sequence: 1, Time: now,
		Info:   &events.Room{RoomID: string(id), InstanceID: "1", CreatedAt: now, Sequence: 1, MemberCount: 1, Config: events.Config{RoomDestroyDelayTime: 600}},
		Joined: []events.Joined{{UserID: user, SessionID: room.DefaultSession, JoinedAt: now, Via: events.ViaEnter, RequestID: request}},
	}, 0)
}

// listen returns what is sent to a subject from here on.
func (r *rig) listen(subject string) <-chan *nats.Msg {
	r.Helper()
	sent := make(chan *nats.Msg, 1000)
	if _, err := r.nc.ChanSubscribe(subject, sent); err != nil {
		r.Fatal(err)
	}
	if err := r.nc.FlushTimeout(patience); err != nil {
		r.Fatal(err)
	}
	return sent
}

// next waits for what is sent next.
func (r *rig) next(sent <-chan *nats.Msg) *nats.Msg {
	r.Helper()
	select {
	case m := <-sent:
		return m
	case <-r.ctx.Done():
		r.Fatal("nothing was sent")
	}
	return nil
}

// facts reads the facts of a room that are stored.
func (r *rig) facts(id subjects.Room) (facts []*events.Fact) {
	r.Helper()
	err := r.other.Reader(subjects.Facts(id)).Read(r.ctx, 1, func(_ uint64, data []byte) bool {
		f, err := events.DecodeFact(data)
		if err != nil {
			r.Fatal(err)
		}
		facts = append(facts, f)
		return true
	})
	if err != nil {
		r.Fatal(err)
	}
	return facts
}

// at is the position that a room has reached.
func (r *rig) at(id subjects.Room) replica.Place {
	r.Helper()
	h := r.Replica.Head(id)
	if h == nil {
		r.Fatalf("there is no room %q", id)
	}
	return replica.Place{Room: id, Position: h.Position()}
}

// Commands for the tests. Rooms that they create outlast their members.

func about(v room.Verb, user subjects.User, id subjects.Room) *room.Command {
	return &room.Command{Verb: v, User: user, Room: id, Config: events.Config{RoomDestroyDelayTime: 600}}
}

func create(user subjects.User, id subjects.Room) *room.Command { return about(room.Create, user, id) }
func enter(user subjects.User, id subjects.Room) *room.Command  { return about(room.Enter, user, id) }
func join(user subjects.User, id subjects.Room) *room.Command   { return about(room.Join, user, id) }
func leave(user subjects.User, id subjects.Room) *room.Command  { return about(room.Leave, user, id) }
func leaveAll(user subjects.User) *room.Command                 { return about(room.LeaveAll, user, "") }

func change(user subjects.User, from, to subjects.Room) *room.Command {
	c := about(room.Switch, user, to)
	c.From, c.CreateMissing = from, true
	return c
}

// requested gives a command a request ID.
func requested(c *room.Command, id string) *room.Command {
	c.RequestID = id
	return c
}
