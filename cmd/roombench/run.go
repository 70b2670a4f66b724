package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"golang.org/x/term"

	"natsrooms/cmd/roombench/process"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

const requestTimeout = 15 * time.Second

// bench is one run of the program.
type bench struct {
	Options
	ctx      context.Context
	conns    []*nats.Conn
	js       []jetstream.JetStream // one per connection
	run      string                // in every name that this run uses
	progress func(string)
	roomd    *service  // the roomd that was started for the run; nil without --roomd
	key      []byte    // what end users' tokens are signed with; nil without --key
	big      *bigRooms // nil until they are needed
	world    *world    // likewise
}

// Result is one line of the table.
type Result struct {
	Scenario  string   `json:"scenario"`
	Ops       int      `json:"operations"`
	PerSecond float64  `json:"perSecond"`
	P50       float64  `json:"p50Ms"`
	P99       float64  `json:"p99Ms"`
	Facts     int      `json:"facts,omitempty"`
	Baseline  string   `json:"baseline,omitempty"`
	Base      float64  `json:"baselinePerSecond,omitempty"`
	Ratio     float64  `json:"ratio"`
	Floor     string   `json:"meaning,omitempty"`
	Figures   []Figure `json:"figures,omitempty"`
}

// Figure is something else that a scenario measures.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
}

// Run measures what o asks for and prints it. An error is a sentence for people.
func Run(ctx context.Context, o Options, stdout, stderr io.Writer) error {
	list, err := chosen(o)
	if err != nil {
		return err
	}
	b := &bench{Options: o, ctx: ctx, run: nuid.Next()[16:], progress: func(string) {}}
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.progress = func(s string) { fmt.Fprintf(f, "\r\033[K%s", s) }
	}
	defer b.close()
	if err := b.begin(); err != nil {
		return err
	}
	feeds := func(s scenario) bool { return s.feeds }
	if slices.ContainsFunc(list, feeds) && !b.hasFeeds() {
		if len(o.Scenarios) > 0 {
			return errors.New("the service was started without --feeds or --auth, and a scenario that is named needs feeds")
		}
		fmt.Fprintln(stderr, "scenarios of end users are left out: the service was started without --feeds or --auth")
		list = slices.DeleteFunc(list, feeds)
	}
	results, err := b.measure(list)
	b.progress("")
	if err != nil {
		return err
	}
	return b.print(stdout, results)
}

// begin starts what is to be started, and connects.
func (b *bench) begin() (err error) {
	if b.Key != "" {
		if b.key, err = os.ReadFile(b.Key); err != nil {
			return fmt.Errorf("--key cannot be read: %w", err)
		}
	}
	if b.Roomd != "" {
		if b.roomd, err = startRoomd(b.Options); err != nil {
			return err
		}
		b.Nats, b.PID = b.roomd.URL, b.roomd.PID
	}
	if b.PID > 0 {
		if _, err := process.CPU(b.PID); err != nil {
			return fmt.Errorf("--pid: %w", err)
		}
	}
	return b.connect()
}

func (b *bench) measure(list []scenario) (results []Result, err error) {
	for _, s := range list {
		var tries []Result
		for i := range b.Runs {
			b.progress(fmt.Sprintf("%s, run %d of %d", s.name, i+1, b.Runs))
			r, err := s.measure(b, fmt.Sprintf("%s%s%d", b.run, s.name, i))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			r.Scenario = s.name
			tries = append(tries, r)
		}
		results = append(results, median(tries))
	}
	return results, nil
}

func chosen(o Options) ([]scenario, error) {
	if o.Connections < 1 || o.InFlight < o.Connections {
		return nil, fmt.Errorf("--in-flight is %d and --connections is %d: every connection needs a request in flight", o.InFlight, o.Connections)
	}
	if o.Count < o.InFlight || o.Runs < 1 || o.Rooms < 2 || o.Subscribers < 1 || o.Members < 2*smallRoom {
		return nil, fmt.Errorf("--count must be at least --in-flight, --rooms at least 2, --members at least %d, --runs and --subscribers at least 1", 2*smallRoom)
	}
	if o.Clients < 1 || o.Listeners < 1 || o.Audience < 1 || o.PerRoom < 1 || slices.Min(append(o.Storm, 1)) < 1 || slices.Min(append(o.Memberships, 1)) < 1 {
		return nil, errors.New("--clients, --listeners, --audience, --storm, --memberships and --per-room must be at least 1")
	}
	if !slices.IsSorted(o.Memberships) {
		return nil, errors.New("--memberships must be in rising order: each step adds to the one before")
	}
	names := o.Scenarios
	if len(names) == 0 {
		names = []string{o.Shape}
	}
	var list []scenario
	for _, name := range names {
		found := slices.DeleteFunc(scenarios(o), func(s scenario) bool { return s.name != name && !slices.Contains(s.groups, name) })
		if len(found) == 0 {
			return nil, fmt.Errorf("there is no scenario %q; the scenarios and groups are %s", name, scenarioNames(o))
		}
		for _, s := range found {
			if slices.ContainsFunc(list, func(t scenario) bool { return s.name == t.name }) {
				return nil, fmt.Errorf("%s is named twice; --runs 2 runs it twice", s.name)
			}
			if slices.Contains(s.groups, groupScale) && o.Roomd == "" {
				return nil, fmt.Errorf("%s kills and starts a roomd; name the program with --roomd", s.name)
			}
		}
		list = append(list, found...)
	}
	return list, nil
}

func (b *bench) connect() error {
	for range b.Connections {
		nc, err := nats.Connect(b.Nats, nats.Name("roombench"))
		if err != nil {
			return fmt.Errorf("there is no NATS server at %s (%w); start one with a room service: roomd", b.Nats, err)
		}
		b.conns = append(b.conns, nc)
		js, err := jetstream.New(nc)
		if err != nil {
			return err
		}
		b.js = append(b.js, js)
	}
	if _, err := b.conns[0].Request(subjects.Command("list"), []byte(`{"count":1}`), requestTimeout); err != nil {
		if errors.Is(err, nats.ErrNoResponders) {
			return fmt.Errorf("there is a NATS server at %s, but no room service answers; start one: roomd --nats %s", b.Nats, b.Nats)
		}
		return err
	}
	return nil
}

// hasFeeds reports whether the service has feeds for end users. Whoever asks as one gets a lease, and is
// out of all its rooms when that ends, so it is nobody that a scenario knows.
func (b *bench) hasFeeds() bool {
	const user = "curious"
	var r room.JoinedReply
	err := b.askAs(0, room.Enter, user, &room.CreateRequest{RoomID: roomName(b.run, 0)}, &r)
	return err == nil && slices.Contains(r.Subscribe, subjects.Feed(user, subjects.Room(r.Room.RoomID)))
}

func (b *bench) close() {
	for _, nc := range b.conns {
		nc.Close()
	}
	if b.world != nil {
		b.world.close()
	}
	if b.roomd != nil {
		b.roomd.close()
	}
}

// timing is how fast many operations went.
type timing struct {
	n       int
	seconds float64
	took    []time.Duration // sorted
}

func (t timing) perSecond() float64 { return float64(t.n) / t.seconds }

func (t timing) at(share float64) float64 {
	if len(t.took) == 0 {
		return 0
	}
	return float64(t.took[int(share*float64(len(t.took)-1))].Microseconds()) / 1000
}

// each does n operations, inFlight at a time; the goroutines share out the connections.
// The first error ends it.
func (b *bench) each(n, inFlight int, op func(worker, i int) error) (timing, error) {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	took := make([][]time.Duration, inFlight)
	began := time.Now()
	for w := range inFlight {
		wg.Go(func() {
			for failed.Load() == nil && b.ctx.Err() == nil {
				i := int(next.Add(1) - 1)
				if i >= n {
					return
				}
				at := time.Now()
				if err := op(w, i); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				took[w] = append(took[w], time.Since(at))
			}
		})
	}
	wg.Wait()
	t := timing{n: n, seconds: time.Since(began).Seconds(), took: slices.Concat(took...)}
	slices.Sort(t.took)
	if err := failed.Load(); err != nil {
		return t, *err
	}
	return t, b.ctx.Err()
}

func (b *bench) conn(worker int) *nats.Conn { return b.conns[worker%len(b.conns)] }

func median(tries []Result) Result {
	slices.SortFunc(tries, func(a, b Result) int {
		if a.Ratio < b.Ratio {
			return -1
		}
		return 1
	})
	return tries[len(tries)/2]
}

// scenarioNames is what may be named: scenarios, and the groups of those that depend on options.
func scenarioNames(o Options) string {
	names := []string{}
	for _, s := range scenarios(o) {
		names = append(names, s.name)
	}
	return strings.Join(append(names, shapeRequests, shapeClients, groupStorm, groupLarge, groupScale), " ")
}
