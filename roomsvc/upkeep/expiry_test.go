package upkeep

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// patience bounds every wait of these tests; none is expected to take nearly as long.
const patience = 30 * time.Second

// leading is what a leader has for its work with leases, on a server.
type leading struct {
	*testing.T
	*Leases
	ctx     context.Context
	journal *journal.Journal
	told    chan struct{} // sent to after each fact

	mu    sync.Mutex // guards lines
	lines []string   // what the facts say, one after the other
}

func newLeading(t *testing.T) *leading {
	t.Helper()
	t.Parallel()
	r := &leading{T: t, told: make(chan struct{}, 1)}
	var cancel context.CancelFunc
	r.ctx, cancel = context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	l, log := life.New(func(err error) { t.Errorf("it fails: %v", err) }), slog.New(slog.DiscardHandler)
	var err error
	if r.journal, err = journal.Open(r.ctx, roomtest.Conn(t, roomtest.Server(t)), journal.Settings{Keep: journal.MinKeep}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.journal.Close)
	t.Cleanup(l.End)
	book, err := leases.Open(r.ctx, l, r.journal, leases.Settings{Grace: time.Second}, log)
	if err != nil {
		t.Fatal(err)
	}
	rep := replica.New(3 * time.Minute)
	rep.Changed = func(room.Change) {}
	rep.Heard = r.heard
	l.Go(func() {
		if err := r.journal.Follow(l, 1, rep.Pass); !l.Over() {
			t.Errorf("following the journal: %v", err)
		}
	})
	limits := func() *room.Limits { return &room.Limits{} }
	sync := replica.NewSync(l, r.journal.Mark, &rep.Passed)
	k := commit.New(commit.Config{
		Life: l, Log: log, Journal: r.journal, Replica: rep, Sync: sync, Limits: limits,
		Prove:  func(context.Context, *commit.Call) error { return nil },
		PutOut: func(*room.State, *events.Fact) func() { return nil },
		Said:   func(context.Context, []*events.Fact) {},
		Settle: func(results []commit.Result) {
			for _, res := range results {
				res.From.(chan *room.Error) <- res.Refused
			}
		},
	})
	r.Leases = &Leases{Life: l, Log: log, Book: book, Replica: rep, Sync: sync, Commit: k, Limits: limits}
	return r
}

// heard takes what a fact says.
func (r *leading) heard(_ room.Change, m *journal.Message) {
	f, err := events.DecodeFact(m.Data)
	if err != nil {
		r.Error(err)
		return
	}
	typ := strings.TrimSuffix(strings.TrimPrefix(f.Type, events.TypePrefix), ".v1")
	r.mu.Lock()
	for _, j := range f.Joined {
		r.lines = append(r.lines, fmt.Sprintf("%s %s in %s", typ, j.UserID, f.Room))
	}
	for _, l := range f.Left {
		r.lines = append(r.lines, fmt.Sprintf("%s %s in %s %s", typ, l.UserID, f.Room, l.Reason))
	}
	r.mu.Unlock()
	select {
	case r.told <- struct{}{}:
	default:
	}
}

// story waits until the facts say so.
func (r *leading) story(want ...string) {
	r.Helper()
	for {
		r.mu.Lock()
		got := slices.Clone(r.lines)
		r.mu.Unlock()
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-r.told:
		case <-r.ctx.Done():
			r.Fatalf("%q\nwant %q", got, want)
		}
	}
}

// pass returns when everything that is stored is known.
func (r *leading) pass() {
	r.Helper()
	if err := r.Sync.Pass(r.ctx); err != nil {
		r.Fatal(err)
	}
}

func session(user subjects.User) leases.Session {
	return leases.Session{User: user, ID: room.DefaultSession}
}

// enter brings a user into a room, by a lease that may begin afresh.
func (r *leading) enter(user subjects.User, id subjects.Room) {
	r.Helper()
	c := &room.Command{Verb: room.Enter, User: user, Session: room.DefaultSession, Room: id, Config: events.Config{RoomDestroyDelayTime: 600}}
	if user != "" {
		granted := make(chan error, 1)
		r.Book.Touch(session(user), leases.Ask{Default: 60, Afresh: true}, time.Now().Add(patience), func(g leases.Grant, err error) {
			c.Lease = g.Seconds
			granted <- err
		})
		if err := <-granted; err != nil {
			r.Fatal(err)
		}
	} else {
		c.Verb = room.Create
	}
	settled := make(chan *room.Error, 1)
	r.Commit.Enqueue(&commit.Call{Cmd: c, Deadline: time.Now().Add(commit.Timeout), From: settled})
	if refused := <-settled; refused != nil {
		r.Fatal(refused)
	}
}

// mark ends a lease in the bucket and does no more, like a leader that dies just then.
func (r *leading) mark(user subjects.User) leases.Ending {
	r.Helper()
	if _, err := r.Book.Still(r.ctx, nil); err != nil {
		r.Fatal(err)
	}
	known := r.Book.Of(session(user))
	ended := r.Book.End(r.ctx, []leases.Ending{{Session: session(user), At: known.EndAt, Seq: known.Seq}})
	if !known.Live || len(ended) != 1 {
		r.Fatalf("the lease of %s is not ended: %+v", user, known)
	}
	return ended[0]
}

// A session's last command was on its way when its lease ended, and is stored after the
// marker. Whoever leads looks once more.
func TestStoredAfterTheMarker(t *testing.T) {
	r := newLeading(t)
	r.enter("alice", "lobby")
	r.enter("", "side")
	r.pass()
	e := r.mark("alice")
	x := &term{r.Leases, map[leases.Session]look{}}
	x.end(r.ctx, []leases.Ending{e}, false)
	gone := []string{"room.created alice in lobby", "member.left alice in lobby expired"}
	r.story(gone...)
	if l := x.later[e.Session]; !l.last || time.Until(l.at) < commit.Timeout {
		t.Errorf("it is looked at again: %+v", l)
	}
	head, now := r.Replica.Head("side"), events.TimeOf(time.Now())
	late, err := journal.Fact(&events.Fact{
		ID: "late", Type: events.MemberJoined, Room: "side", InstanceID: head.InstanceID, Sequence: head.Sequence + 1, Time: now, MemberCount: 1,
		Joined: []events.Joined{{UserID: "alice", SessionID: room.DefaultSession, JoinedAt: now, Via: events.ViaJoin, LeaseSeconds: 60}},
	}, "", head.Revision)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.journal.Store(r.ctx, []journal.Entry{late}); err != nil {
		t.Fatal(err)
	}
	l := x.later[e.Session]
	l.at = time.Now()
	x.later[e.Session] = l
	x.lookAgain(r.ctx)
	if len(x.later) != 0 {
		t.Errorf("it is looked at for ever: %+v", x.later)
	}
	r.story(append(gone, "member.joined alice in side", "member.left alice in side expired")...)
}

// A leader that looks at everything takes out who was left in a room after its lease had ended,
// and nobody who has begun anew.
func TestCompare(t *testing.T) {
	r := newLeading(t)
	for _, user := range []subjects.User{"alice", "bob", "carol"} {
		r.enter(user, "lobby")
	}
	r.pass()
	ended := r.mark("alice")
	r.expired(ended)
	r.enter("alice", "lobby")
	r.mark("bob")
	story := []string{"room.created alice in lobby", "member.joined bob in lobby", "member.joined carol in lobby", "member.left alice in lobby expired", "member.joined alice in lobby"}
	r.story(story...)
	x := &term{r.Leases, map[leases.Session]look{}}
	x.compare(r.ctx)
	x.end(r.ctx, []leases.Ending{ended}, false) // what it was to look at once more
	r.idle("lobby")
	r.pass()
	r.story(append(story, "member.left bob in lobby expired")...)
	if len(x.later) != 0 {
		t.Errorf("they are looked at again: %+v", x.later)
	}
}

// expired has a lease ended, and returns when its session is out of its rooms.
func (r *leading) expired(e leases.Ending) {
	r.Helper()
	done, ended := r.Expire(r.ctx, []leases.Ending{e})
	if len(done) != 1 || len(ended) != 1 {
		r.Errorf("%+v are ended, in %d rooms", ended, len(done))
	}
	for _, out := range done {
		<-out
	}
}

// idle returns when the service's own work in a room, as far as it was assigned, is done.
func (r *leading) idle(id subjects.Room) {
	done := make(chan struct{})
	r.Commit.Assign(id, func(*room.State, room.Input) *events.Fact { close(done); return nil })
	<-done
}
