package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// load is a steady rate of work.
type load struct {
	rooms, members, listeners int // listeners: connections, each of which hears a room
	messages, visits          int // a second; a visit is a leave, and the enter that follows
}

var loads = []load{
	{rooms: 100, members: 1000, listeners: 100, messages: 20, visits: 10},
	{rooms: 100, members: 1000, listeners: 1000, messages: 100, visits: 10},
	{rooms: 1000, members: 10_000, listeners: 1000, messages: 100, visits: 50},
	{rooms: 10_000, members: 100_000, listeners: 1000, messages: 100, visits: 50},
	{rooms: 1000, members: 10_000, listeners: 1000, messages: 500, visits: 200},
}

const (
	workers   = 64               // commands in flight while rooms are filled
	flights   = 1000             // and afterwards, at most
	patience  = 20 * time.Second // for an answer, and until all is heard
	warm      = 3 * time.Second  // until it is measured
	dayBytes  = float64(24*time.Hour) / float64(1<<30)
	megabytes = 1 << 20
)

// Row is what a load cost.
type Row struct {
	load
	p50, p99       time.Duration // of a send
	roomd, servers float64       // processor, in parts of one core
	memory         int64
	day            float64 // GiB that are stored
}

const head = `| rooms | members | listeners | messages a second | visits a second | copies heard a second | send p50/p99 | processor: roomd, servers | memory | stored a day |
|---|---|---|---|---|---|---|---|---|---|`

func (r *Row) String() string {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	copies := (r.messages + 2*r.visits) * r.listeners / r.rooms
	return fmt.Sprintf("| %d | %d | %d | %d | %d | %d | %.1f/%.1f ms | %.0f%%, %.0f%% | %d MiB | %.1f GiB |",
		r.rooms, r.members, r.listeners, r.messages, r.visits, copies, ms(r.p50), ms(r.p99), 100*r.roomd, 100*r.servers, r.memory/megabytes, r.day)
}

// driver works a deployment.
type driver struct {
	load
	nc    *nats.Conn
	heard []*listener
	sent  []atomic.Int64 // messages, by room
	moved []atomic.Int64 // facts, by room, since everybody listens

	mu   sync.Mutex
	took []time.Duration
	err  error
}

func newDriver(l load) *driver {
	return &driver{load: l, sent: make([]atomic.Int64, l.rooms), moved: make([]atomic.Int64, l.rooms)}
}

// listener is a connection that hears a room.
type listener struct {
	nc              *nats.Conn
	room            int
	messages, facts atomic.Int64
}

// measure deploys, fills, works, and checks that nothing was lost.
func measure(ctx context.Context, o Options, l load) (*Row, error) {
	d, err := deploy(o)
	if err != nil {
		return nil, err
	}
	defer d.close()
	w := newDriver(l)
	if w.nc, err = nats.Connect(d.url); err != nil {
		return nil, err
	}
	defer w.close()
	for _, step := range []func() error{func() error { return w.replicated(ctx, o.Servers) }, w.fill, func() error { return w.listen(d.url) }} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	r, err := w.cost(ctx, d, o.For)
	if err != nil {
		return nil, err
	}
	return r, w.complete()
}

// cost works for so long, and returns what that takes.
func (w *driver) cost(ctx context.Context, d *deployment, long time.Duration) (*Row, error) {
	stop := w.work(ctx)
	pause(ctx, warm)
	w.mu.Lock()
	w.took = nil
	w.mu.Unlock()
	before, first := d.use()
	stored, one := w.stored(ctx)
	began := time.Now()
	pause(ctx, long)
	long = time.Since(began)
	after, last := d.use()
	more, two := w.stored(ctx)
	stop()
	if err := errors.Join(first, last, one, two, ctx.Err(), w.err); err != nil {
		return nil, err
	}
	slices.Sort(w.took)
	part := func(a, b time.Duration) float64 { return float64(a-b) / float64(long) }
	return &Row{
		load: w.load, p50: w.took[len(w.took)/2], p99: w.took[len(w.took)*99/100], roomd: part(after.roomd, before.roomd), servers: part(after.servers, before.servers),
		memory: after.memory, day: float64(more-stored) / float64(long) * dayBytes,
	}, nil
}

// stored is how many bytes the streams of facts and messages hold, in all replicas. What the
// buckets hold does not grow.
func (w *driver) stored(ctx context.Context) (bytes uint64, err error) {
	js, err := jetstream.New(w.nc)
	if err != nil {
		return 0, err
	}
	for _, name := range []string{subjects.StreamRooms, subjects.StreamMessages} {
		s, err := js.Stream(ctx, name)
		if err != nil {
			return 0, err
		}
		info := s.CachedInfo()
		bytes += info.State.Bytes * uint64(info.Config.Replicas)
	}
	return bytes, nil
}

func (w *driver) close() {
	w.nc.Close()
	for _, l := range w.heard {
		l.nc.Close()
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// replicated checks that the journal has the replicas that the figures are said to be of.
func (w *driver) replicated(ctx context.Context, want int) error {
	js, err := jetstream.New(w.nc)
	if err != nil {
		return err
	}
	s, err := js.Stream(ctx, subjects.StreamRooms)
	if err != nil {
		return err
	}
	if got := s.CachedInfo().Config.Replicas; got != want {
		return fmt.Errorf("the journal has %d replicas instead of %d", got, want)
	}
	return nil
}

func roomID(n int) string { return fmt.Sprintf("room-%d", n) }
func userID(n int) string { return fmt.Sprintf("user-%d", n) }

func (w *driver) ask(verb room.Verb, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	m, err := w.nc.Request(subjects.Command(string(verb)), data, patience)
	if err == nil && m.Header.Get(micro.ErrorHeader) != "" {
		err = fmt.Errorf("%s: %s", verb, m.Data)
	}
	return err
}

func (w *driver) enter(user int) error {
	return w.ask(room.Enter, &room.CreateRequest{
		Caller: room.Caller{UserID: userID(user)}, RoomID: roomID(user % w.rooms), Config: &room.RoomConfig{RoomDestroyDelayTime: room.MaxDestroyDelay},
	})
}

// fill has all members enter.
func (w *driver) fill() error {
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for u := int(next.Add(1) - 1); u < w.members; u = int(next.Add(1) - 1) {
				w.failed(w.enter(u))
			}
		})
	}
	all.Wait()
	return w.err
}

// failed notes the first error.
func (w *driver) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

func (w *driver) listen(url string) error {
	for n := range w.listeners {
		nc, err := nats.Connect(url)
		if err != nil {
			return err
		}
		l := &listener{nc: nc, room: n % w.rooms}
		w.heard = append(w.heard, l)
		r := subjects.Room(roomID(l.room))
		for subject, count := range map[string]*atomic.Int64{subjects.Messages(r): &l.messages, subjects.Facts(r): &l.facts} {
			if _, err := nc.Subscribe(subject, func(*nats.Msg) { count.Add(1) }); err != nil {
				return err
			}
		}
		if err := nc.FlushTimeout(patience); err != nil {
			return err
		}
	}
	return nil
}

// work begins the work; stop ends it, and waits for what is in flight.
func (w *driver) work(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	flying := make(chan struct{}, flights)
	steadily := func(rate int, do func(i int)) {
		all.Go(func() {
			began := time.Now()
			for i := 0; ; i++ {
				pause(ctx, time.Until(began.Add(time.Duration(i)*time.Second/time.Duration(rate))))
				select {
				case flying <- struct{}{}:
				case <-ctx.Done():
				}
				if ctx.Err() != nil {
					return
				}
				all.Go(func() { do(i); <-flying })
			}
		})
	}
	steadily(w.messages, w.say)
	steadily(w.visits, w.visit)
	return func() { cancel(); all.Wait() }
}

// text is what is said, 100 bytes.
var text = strings.Repeat("What a nice room. ", 6)[:100]

// say has a member say something, one of the first half, who stay.
func (w *driver) say(i int) {
	user := i % (w.members / 2)
	began := time.Now()
	err := w.ask(room.Send, &room.SendRequest{Caller: room.Caller{UserID: userID(user)}, RoomID: roomID(user % w.rooms), Type: "text", Data: text})
	took := time.Since(began)
	if w.failed(err); err != nil {
		return
	}
	w.sent[user%w.rooms].Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took = append(w.took, took)
}

// visit has a member of the second half leave and enter again.
func (w *driver) visit(i int) {
	user := w.members/2 + i%(w.members/2)
	err := w.ask(room.Leave, &room.RoomRequest{Caller: room.Caller{UserID: userID(user)}, RoomID: roomID(user % w.rooms)})
	if err == nil {
		err = w.enter(user)
	}
	if w.failed(err); err == nil {
		w.moved[user%w.rooms].Add(2)
	}
}

// complete waits until every listener has heard as much as was said and done in its room.
func (w *driver) complete() error {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(patience); ; <-look.C {
		missing, more := w.missing()
		switch {
		case more != nil:
			return more
		case missing == nil:
			return nil
		case time.Now().After(end):
			return missing
		}
	}
}

// missing is what somebody has not heard, and what somebody heard too often. Several changes may
// share a fact, so of facts there may be fewer.
func (w *driver) missing() (missing, more error) {
	for _, l := range w.heard {
		got, want, facts, most := l.messages.Load(), w.sent[l.room].Load(), l.facts.Load(), w.moved[l.room].Load()
		err := fmt.Errorf("a listener of %s heard %d messages of %d, and %d facts about %d changes", roomID(l.room), got, want, facts, most)
		if got < want || facts == 0 && most > 0 {
			missing = err
		}
		if got > want || facts > most {
			more = err
		}
	}
	return missing, more
}
