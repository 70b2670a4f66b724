package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

// outcome is what a command came to: the part that must be the same however often the
// request is sent.
type outcome struct {
	instance string
	sequence uint64
	created  bool
	left     string
}

// command is one request with its ID. It can be sent again.
type command struct {
	verb     room.Verb
	caller   room.Caller
	room, to string
	config   *room.RoomConfig
	got      outcome
}

func (c *command) send(ctx context.Context, by *client.Client) (o outcome, err error) {
	joined := func(r *room.JoinedReply, err error) {
		if err == nil {
			o = outcome{r.InstanceID, r.Sequence, r.Created != nil && *r.Created, ""}
			if r.Left != nil {
				o.left = fmt.Sprint(*r.Left)
			}
		}
	}
	switch c.verb {
	case room.Create:
		r, e := by.Create(ctx, room.CreateRequest{Caller: c.caller, RoomID: c.room, Config: c.config})
		err = e
		joined(r, e)
	case room.Join:
		r, e := by.Join(ctx, room.RoomRequest{Caller: c.caller, RoomID: c.room})
		err = e
		joined(r, e)
	case room.Enter:
		r, e := by.Enter(ctx, room.CreateRequest{Caller: c.caller, RoomID: c.room, Config: c.config})
		err = e
		joined(r, e)
	case room.Switch:
		r, e := by.Switch(ctx, room.SwitchRequest{Caller: c.caller, FromRoomID: c.room, ToRoomInfo: room.RoomInfo{RoomID: c.to}, IsCreateWhenRoomNotExisted: true, Config: c.config})
		err = e
		joined(r, e)
	case room.Leave:
		r, e := by.Leave(ctx, room.RoomRequest{Caller: c.caller, RoomID: c.room})
		if err = e; e == nil {
			o = outcome{instance: r.InstanceID, sequence: r.Sequence}
		}
	case room.LeaveAll:
		r, e := by.LeaveAll(ctx, room.LeaveAllRequest{Caller: c.caller})
		if err = e; e == nil {
			slices.Sort(r.RoomIDList)
			o.left = fmt.Sprint(r.RoomIDList)
		}
	}
	return o, err
}

// open says whether an answer leaves the outcome open, or says that nothing happened.
func open(err error) bool {
	return errors.Is(err, room.ErrUnavailable) || errors.Is(err, room.ErrBusy)
}

// settle sends the command until its outcome is known. Unless instances may die, every
// attempt must be answered, and in time.
func (c *command) settle(w *world, mayDie bool) (err error) {
	for w.Ctx.Err() == nil {
		began := time.Now()
		c.got, err = c.send(w.Ctx, w.Client)
		if took := time.Since(began); !mayDie && !w.late.Within(took, answerBy, began) {
			w.T.Errorf("%s of %s was answered after %v: %v", c.verb, c.caller.UserID, took, err)
		}
		if mayDie && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, client.ErrNoService)) {
			continue
		}
		if !open(err) {
			return err
		}
		var refused *room.Error
		if errors.As(err, &refused) && (refused.Outcome == room.Unknown) != errors.Is(err, room.ErrUnavailable) {
			w.T.Errorf("%v says that its outcome is %q", err, refused.Outcome)
		}
	}
	return w.Ctx.Err()
}

// storm lets users change where they are for a while. Every user has one command at a
// time, so it is known what each must come to: none may be refused. It returns the commands.
func (w *world) storm(users, rooms int, d time.Duration, mayDie bool) (done []*command) {
	w.T.Helper()
	for i := range rooms {
		w.Create(fmt.Sprintf("r%d", i), 3600)
	}
	over, cancel := context.WithTimeout(w.Ctx, d)
	defer cancel()
	var mu sync.Mutex
	var group sync.WaitGroup
	for u := range users {
		group.Go(func() {
			user, in := fmt.Sprintf("u%d", u), []string{}
			rng := rand.New(rand.NewPCG(1, uint64(u)))
			for n := 0; over.Err() == nil; n++ {
				c := next(rng, user, n, in, rooms)
				if err := c.settle(w, mayDie); err != nil {
					w.T.Errorf("%s of %s, who is in %v: %v", c.verb, user, in, err)
					return
				}
				in = after(c, in)
				mu.Lock()
				done = append(done, c)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return done
}

// repeat sends all commands once more, and checks that each comes to the same outcome as
// before, and has its effect once.
func (w *world) repeat(done []*command) {
	w.T.Helper()
	again := make(chan *command)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for c := range again {
				if o, err := c.send(w.Ctx, w.Client); err != nil || o != c.got {
					w.T.Errorf("%s of %s, sent again: %+v, %v; at first it was %+v", c.verb, c.caller.UserID, o, err, c.got)
				}
			}
		})
	}
	for _, c := range done {
		again <- c
	}
	close(again)
	group.Wait()
	checkEffects(w.T, w.Facts(), done)
}

// The server's answers get lost or come late, and so do appends.
func TestLostAcks(t *testing.T) {
	w := newWorld(t)
	bad := newProxy(t, w.Node.ClientURL())
	far := w.StartAt(bad.url, roomsvc.Config{Instance: "far"})
	w.Start(roomsvc.Config{Instance: "near"})
	bad.on(func(*frame) fate { return chance(rand.Float64(), 0.3, 0.2, 600*time.Millisecond) },
		func(f *frame) fate { return chance(batchOr(f, rand.Float64()), 0.04, 0.08, 1500*time.Millisecond) })
	duration := 5 * time.Second
	if long {
		duration = 30 * time.Second
	}
	done := w.storm(24, 5, duration, false)
	bad.on(nil, nil)
	far.End()
	roomtest.Figure(t, "%d commands; %d frames lost, %d held up", len(done), bad.lost.Load(), bad.held.Load())
	if bad.lost.Load() == 0 || bad.held.Load() == 0 {
		t.Error("nothing was lost or held up")
	}
	w.repeat(done)
	w.Check()
}

// The bucket keeps up although the leader misses most of what it is told about it.
func TestLostAcksOfTheBucket(t *testing.T) {
	w := newWorld(t)
	bad := newProxy(t, w.Node.ClientURL())
	w.StartAt(bad.url, roomsvc.Config{})
	w.Create("lobby", 3600)
	n := 0
	lossy := rule(func(f *frame) fate {
		if !bytes.Contains(f.body, []byte(`"stream":"KV_rooms"`)) {
			return fate{}
		}
		n++
		return fate{lose: n%3 != 0}
	})
	bad.toClient.Store(&lossy)
	for n := range 5 {
		w.Join("lobby", fmt.Sprintf("u%d", n))
		w.Check()
	}
	if bad.lost.Load() == 0 {
		t.Error("nothing was lost")
	}
}

// A start asks the journal how far back requests may be repeated. Silence never counts as
// an answer: "nothing since" has effects.
func TestRecentFactsAreLost(t *testing.T) {
	w := newWorld(t)
	bad := newProxy(t, w.Node.ClientURL())
	j := w.journalAt(bad.url)
	since := func(when string, t0 time.Time, want uint64) {
		t.Helper()
		if seq, err := j.FirstSince(w.Ctx, t0); err != nil || seq != want {
			t.Errorf("%s: %d, %v; want %d", when, seq, err, want)
		}
	}
	began := time.Now().Add(-time.Minute)
	since("nothing there", began, 0)
	w.mark("5s") // for a slow machine to see it
	since("a marker", began, 1)
	w.expire()
	since("an expired one", began, 0)
	if _, err := w.JS.Publish(w.Ctx, subjects.Sync, nil); err != nil {
		t.Fatal(err)
	}
	since("a new one", began, 2)
	since("later", time.Now().Add(time.Minute), 0)
	deaf := rule(func(f *frame) fate { return fate{lose: f.subject == subjects.Sync} })
	bad.toClient.Store(&deaf)
	if seq, err := j.FirstSince(w.Ctx, began); err == nil {
		t.Errorf("a lost marker: %d, and no error", seq)
	}
}

// next makes a command that must succeed.
func next(rng *rand.Rand, user string, n int, in []string, rooms int) *command {
	c := &command{caller: as(user, fmt.Sprintf("%s-%d", user, n)), config: &room.RoomConfig{RoomDestroyDelayTime: 3600}}
	var out []string
	for i := range rooms {
		if id := fmt.Sprintf("r%d", i); !slices.Contains(in, id) {
			out = append(out, id)
		}
	}
	switch pick := rng.IntN(10); {
	case len(in) == 0 || len(out) > 0 && pick < 3:
		c.verb, c.room = []room.Verb{room.Join, room.Enter}[rng.IntN(2)], out[rng.IntN(len(out))]
	case len(out) > 0 && pick < 7:
		c.verb, c.room, c.to = room.Switch, in[rng.IntN(len(in))], out[rng.IntN(len(out))]
	case pick == 9:
		c.verb = room.LeaveAll
	default:
		c.verb, c.room = room.Leave, in[rng.IntN(len(in))]
	}
	return c
}

// after is where the user is when the command is done.
func after(c *command, in []string) []string {
	in = slices.DeleteFunc(slices.Clone(in), func(id string) bool { return id == c.room })
	switch c.verb {
	case room.Join, room.Enter:
		return append(in, c.room)
	case room.Switch:
		return append(in, c.to)
	case room.LeaveAll:
		return nil
	}
	return in
}

// checkEffects checks that every command has exactly the entries in the journal that it must have.
func checkEffects(t *testing.T, facts []worlds.Stored, done []*command) {
	t.Helper()
	type effect struct{ joined, left int }
	effects := map[string]*effect{}
	of := func(id string) *effect {
		if effects[id] == nil {
			effects[id] = &effect{}
		}
		return effects[id]
	}
	for _, f := range facts {
		for _, j := range f.Joined {
			of(j.RequestID).joined++
		}
		for _, l := range f.Left {
			of(l.RequestID).left++
		}
	}
	for _, c := range done {
		want := effect{1, 0}
		switch c.verb {
		case room.Leave:
			want = effect{0, 1}
		case room.Switch:
			want = effect{1, 1}
		case room.LeaveAll:
			want = effect{0, len(strings.Fields(strings.Trim(c.got.left, "[]")))}
		}
		if got := *of(c.caller.RequestID); got != want {
			t.Errorf("%s of %s has %+v in the journal, want %+v", c.verb, c.caller.UserID, got, want)
		}
	}
}

func chance(x, lose, hold float64, most time.Duration) fate {
	switch {
	case x < lose:
		return fate{lose: true}
	case x < lose+hold:
		return fate{hold: time.Duration((x - lose) / hold * float64(most))}
	}
	return fate{}
}

// batchOr is the same number for every message of a batch, since TCP loses no single
// messages from the middle; otherwise it is x.
func batchOr(f *frame, x float64) float64 {
	_, id, ok := bytes.Cut(f.body, []byte("Nats-Batch-Id:"))
	if !ok {
		return x
	}
	id, _, _ = bytes.Cut(id, []byte("\r\n"))
	h := fnv.New32a()
	_, _ = h.Write(id)
	return float64(h.Sum32()) / (1 << 32)
}

// asked is a command on its way.
type asked struct {
	*command
	err   error
	began time.Time
	took  time.Duration
}

// ask sends commands at the same time and returns their answers.
func ask(w *world, commands []*command) []*asked {
	var group sync.WaitGroup
	all := make([]*asked, len(commands))
	for i, c := range commands {
		all[i] = &asked{command: c}
		group.Go(func() {
			all[i].began = time.Now()
			all[i].got, all[i].err = c.send(w.Ctx, w.Client)
			all[i].took = time.Since(all[i].began)
		})
	}
	group.Wait()
	return all
}

// stuckAppends are appends, each with commands behind it that depend on whether it is stored.
// Until its fate is known nothing can be said about these either.
var stuckAppends = map[string]struct {
	first  command
	behind []command
}{
	"one room": {
		command{verb: room.Join, caller: as("alice", "first"), room: "from"},
		[]command{
			{verb: room.Create, caller: as("bob", "b1"), room: "from"},
			{verb: room.Join, caller: as("old", "b2"), room: "from"},
			{verb: room.Leave, caller: as("stranger", "b3"), room: "from"},
			{verb: room.Enter, caller: as("carol", "b4"), room: "from"},
			{verb: room.Join, caller: as("alice", "first"), room: "from"},
		},
	},
	"switch": {
		command{verb: room.Switch, caller: as("old", "first"), room: "from", to: "to"},
		[]command{
			{verb: room.Switch, caller: as("stranger", "b1"), room: "from", to: "to"},
			{verb: room.Create, caller: as("bob", "b2"), room: "to"},
			{verb: room.Join, caller: as("old", "b3"), room: "from"},
			{verb: room.LeaveAll, caller: as("old", "b4")},
			{verb: room.Switch, caller: as("old", "first"), room: "from", to: "to"},
		},
	},
	"leaveAll": {
		command{verb: room.LeaveAll, caller: as("both", "first")},
		[]command{
			{verb: room.LeaveAll, caller: as("both", "first")},
			{verb: room.Switch, caller: as("both", "b1"), room: "to", to: "from"},
		},
	},
}

// stuckWays are how an append gets stuck, and how that ends.
var stuckWays = map[string]struct {
	stick     func(*proxy) (appends *atomic.Bool) // set once an append is stuck
	otherLast bool                                // the append gets through before the other instance is asked
	stored    bool                                // it has been stored all along
}{
	"never left, gets through later": {stick: loseAppends, otherLast: true},
	"never left, another is faster":  {stick: loseAppends},
	"stored, and nothing is heard": {stored: true, stick: func(p *proxy) *atomic.Bool {
		var appends atomic.Bool // set by the first append; until then the instance hears everything
		watch := rule(func(f *frame) fate {
			if strings.HasPrefix(f.subject, "room.journal.") {
				appends.Store(true)
			}
			return fate{}
		})
		p.toServer.Store(&watch)
		deaf := rule(func(f *frame) fate {
			if !appends.Load() || strings.HasPrefix(f.subject, "room.cmd.") || !bytes.Contains(f.body, []byte(`"stream":"ROOMS"`)) && !strings.HasPrefix(f.subject, "room.evt.") && f.subject != "room.sync" {
				return fate{}
			}
			return fate{lose: true}
		})
		p.toClient.Store(&deaf)
		return &appends
	}},
}

// loseAppends loses appends, and questions about streams, as when a stream has no leader.
// Markers get through.
func loseAppends(p *proxy) *atomic.Bool {
	var appends atomic.Bool
	lose := rule(func(f *frame) fate {
		if strings.HasPrefix(f.subject, "room.journal.") {
			appends.Store(true)
			return fate{lose: true}
		}
		return fate{lose: strings.HasPrefix(f.subject, "$JS.API.STREAM.INFO.")}
	})
	p.toServer.Store(&lose)
	return &appends
}

// While an append's fate is open, the commands waiting behind it are neither refused nor said
// to be without effect, and everything can be repeated elsewhere.
func TestStuckAppends(t *testing.T) {
	t.Parallel()
	for what, c := range stuckAppends {
		for how, way := range stuckWays {
			t.Run(what+", "+how, func(t *testing.T) {
				w := newWorld(t)
				bad := newProxy(t, w.Node.ClientURL())
				far := w.StartAt(bad.url, roomsvc.Config{Instance: "far"})
				w.Create("from", 3600)
				w.Create("to", 3600)
				w.Join("from", "old")
				w.Join("from", "both")
				w.Join("to", "both")
				before := len(w.Facts())

				stuck := way.stick(bad)
				first := c.first
				answered := make(chan []*asked, 1)
				go func() { answered <- ask(w, []*command{&first}) }()
				w.Until(patience, "the append to get stuck", stuck.Load)
				var behind []*command
				for _, b := range c.behind {
					behind = append(behind, &b)
				}
				for _, a := range append(ask(w, behind), <-answered...) {
					if !errors.Is(a.err, room.ErrUnavailable) {
						t.Errorf("%s of %s (%s): %v, %+v; want UNAVAILABLE", a.verb, a.caller.UserID, a.caller.RequestID, a.err, a.got)
					}
					if !w.late.Within(a.took, answerBy, a.began) {
						t.Errorf("%s of %s was answered after %v", a.verb, a.caller.UserID, a.took)
					}
				}
				if stored := len(w.Facts()) > before; stored != way.stored {
					t.Errorf("something is stored: %v", stored)
				}
				if way.otherLast {
					bad.on(nil, nil)
					w.Until(patience, "the append to get through", func() bool { return len(w.Facts()) > before })
				}
				// From here on the instance behind the proxy can't answer what it gets.
				bad.pause()
				w.Start(roomsvc.Config{Instance: "near"})
				outcomes := map[string]outcome{}
				quick := client.New(w.NC, client.Config{Timeout: 2 * time.Second, Once: true})
				again := func(c *command) {
					t.Helper()
					w.Until(patience, "the other instance's answer", func() bool {
						o, err := c.send(w.Ctx, quick)
						if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, room.ErrBusy) { // one that has not heard from the journal for long answers at once
							return false
						}
						if err != nil {
							t.Errorf("%s of %s, sent again: %v", c.verb, c.caller.UserID, err)
						}
						if had, ok := outcomes[c.caller.RequestID]; ok && had != o {
							t.Errorf("%s of %s came to %+v, and then to %+v", c.verb, c.caller.UserID, had, o)
						}
						outcomes[c.caller.RequestID] = o
						return true
					})
				}
				again(&first)
				again(&first)
				bad.on(nil, nil)
				bad.resume()
				again(&first)
				w.Until(patience, "the instance behind the proxy to be in order", func() bool {
					_, err := w.Client.Get(w.Ctx, room.ReadRequest{RoomID: "from", Freshness: room.Freshness{Sync: true}})
					return err == nil
				})
				again(&first)
				far.End()
				again(&first)
				w.Check()
				count := 0
				for _, f := range w.Facts() {
					for _, j := range f.Joined {
						count += btoi(j.RequestID == "first")
					}
					for _, l := range f.Left {
						count += btoi(l.RequestID == "first" && l.Reason != events.ReasonSwitched)
					}
				}
				if want := 1 + btoi(first.verb == room.LeaveAll); count != want {
					t.Errorf("the first command has %d effects, want %d", count, want)
				}
			})
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// journalAt opens the journal on a connection of its own.
func (w *world) journalAt(url string) *journal.Journal {
	w.T.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(nc.Close)
	j, err := journal.Open(w.Ctx, nc, journal.Settings{Keep: 168 * time.Hour})
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(j.Close)
	return j
}

// mark stores a marker that expires after a while.
func (w *world) mark(ttl string) {
	w.T.Helper()
	marker := nats.NewMsg(subjects.Sync)
	marker.Header.Set(jetstream.MsgTTLHeader, ttl)
	if _, err := w.JS.PublishMsg(w.Ctx, marker); err != nil {
		w.T.Fatal(err)
	}
}

// expire waits until the stream, which holds only markers, is empty.
func (w *world) expire() {
	w.T.Helper()
	w.Until(patience, "markers to expire", w.Try(func(ctx context.Context) bool {
		stream, err := w.JS.Stream(ctx, subjects.StreamRooms)
		return err == nil && stream.CachedInfo().State.Msgs == 0
	}))
}

// A follower of the journal that finds something missing asks whether facts were among it,
// until it gets an answer.
func TestLostAnswerAboutAGap(t *testing.T) {
	w := newWorld(t)
	bad := newProxy(t, w.Node.ClientURL())
	j := w.journalAt(bad.url)
	w.mark("1s")
	w.expire()
	if _, err := w.JS.Publish(w.Ctx, subjects.Sync, nil); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	unanswered := rule(func(f *frame) fate {
		return fate{lose: f.subject == "$JS.API.STREAM.INFO.ROOMS" && asked.Add(1) == 1}
	})
	bad.toServer.Store(&unanswered)
	taken := errors.New("taken")
	if err := j.Follow(w.Ctx, 1, func(journal.Message) error { return taken }); !errors.Is(err, journal.ErrAged) { // the stream begins after 1
		t.Errorf("it ends with %v", err)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("it asked %d times", n)
	}
}

// A deposed leader of the leases' bucket knows nothing of a lease that lives. That does not
// make the service forget the lease.
func TestLeaseThatIsSaidToBeGone(t *testing.T) {
	w := newWorld(t)
	bad := newProxy(t, w.Node.ClientURL())
	w.StartAt(bad.url, roomsvc.Config{})
	w.Create("lobby", 3600)
	alice, seconds := as("alice", ""), 20
	alice.LeaseSeconds = &seconds
	if _, err := w.Client.Join(w.Ctx, room.RoomRequest{Caller: alice, RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	var lied atomic.Bool
	lie := rule(func(f *frame) fate {
		if f.subject != "$JS.API.STREAM.MSG.GET."+subjects.StreamSessions || lied.Swap(true) {
			return fate{}
		}
		w.answer(f, `{"error":{"code":404,"err_code":10037,"description":"no message found"}}`)
		return fate{lose: true}
	})
	bad.toServer.Store(&lie)
	renew := func() (*room.RenewReply, error) {
		return w.Client.Renew(w.Ctx, room.RenewRequest{Caller: as("alice", "")})
	}
	r, err := renew()
	if errors.Is(err, room.ErrBusy) { // the instance does not know which answer is right
		r, err = renew()
	}
	if err != nil || r.ExpiresAt == 0 || len(r.Rooms) != 1 {
		t.Errorf("renewed: %+v, %v", r, err)
	}
	if !lied.Load() {
		t.Error("nobody asked")
	}
}
