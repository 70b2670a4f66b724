package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"natsrooms/cmd/roombench/process"
	"natsrooms/roomsvc/room"
)

// What scale does and waits for.
const (
	scalePrefix  = "scale"
	lastCommands = 1000             // leaves, and as many entries, just before a kill
	serverWithin = 10 * time.Minute // for a NATS server to read its store
	idleWithin   = time.Minute      // for a process to have nothing more to do
	idleLook     = 250 * time.Millisecond
)

// world is a roomd that is killed and started again, with as many memberships as were asked for
// so far. Between measurements its server is apart: in this process.
type world struct {
	o           Options
	ctx         context.Context
	dir         string
	server      *server.Server
	roomd       *process.Roomd
	memberships int
	filling     timing // of the newest step
	empty       int64  // memory of an instance without rooms
	grown       int64  // memory after the newest step
}

// starts is what a round of kills has measured.
type starts struct {
	ready, apart, alone time.Duration
	memory, memoryApart process.Memory
}

// scale measures how long a roomd takes to be ready after a kill, with n memberships, and how
// much memory it has, compared with the NATS server alone, which reads the same store.
func (b *bench) scale(n int) (Result, error) {
	if b.world == nil {
		w, err := newWorld(b.ctx, b.Options)
		if err != nil {
			return Result{}, err
		}
		b.world = w
	}
	w := b.world
	if err := w.fill(n); err != nil {
		return Result{}, err
	}
	s, err := w.round()
	if err != nil {
		return Result{}, err
	}
	each := func(bytes int64) float64 { return float64(bytes) / float64(n) }
	return Result{
		Ops: n, PerSecond: float64(n) / s.ready.Seconds(), Baseline: "the server alone", Base: float64(n) / s.alone.Seconds(),
		Ratio: s.ready.Seconds() / s.alone.Seconds(), Floor: "time to be ready as a multiple; less is better",
		Figures: []Figure{
			{"ready after kill -9", s.ready.Seconds(), "s"},
			{"ready after kill -9, its server apart", s.apart.Seconds(), "s"},
			{"the server alone ready after kill -9", s.alone.Seconds(), "s"},
			{"entries while it was filled", w.filling.perSecond(), "/s"},
			{"memory of an instance when filled, its server apart", each(w.grown - w.empty), "B a membership"},
			{"memory of an instance after a start, its server apart", each(s.memoryApart.Now - w.empty), "B a membership"},
			{"memory with its server after a start", each(s.memory.Now), "B a membership"},
			{"most memory with its server during a start", each(s.memory.Most), "B a membership"},
		},
	}, nil
}

// round kills and starts roomd, with its server apart and with its own, and the server alone.
func (w *world) round() (s starts, err error) {
	if s.apart, s.memoryApart, err = w.killed(w.startApart); err != nil {
		return s, err
	}
	w.roomd.Kill()
	w.stopServer()
	if err := w.startEmbedded(); err != nil {
		return s, err
	}
	if s.ready, s.memory, err = w.killed(w.startEmbedded); err != nil {
		return s, err
	}
	w.roomd.Kill()
	began := time.Now()
	if err := w.startServer(); err != nil {
		return s, err
	}
	s.alone = time.Since(began)
	return s, w.startApart()
}

func newWorld(ctx context.Context, o Options) (*world, error) {
	dir, err := os.MkdirTemp(o.Dir, "roombench")
	if err != nil {
		return nil, err
	}
	w := &world{o: o, ctx: ctx, dir: dir}
	if err = w.startServer(); err == nil {
		err = w.startApart()
	}
	if err == nil {
		var m process.Memory
		m, err = w.memory()
		w.empty = m.Now
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *world) close() {
	if w.roomd != nil {
		w.roomd.Kill()
	}
	w.stopServer()
	_ = os.RemoveAll(w.dir)
}

// startServer starts a server that is set up like the one that roomd embeds.
func (w *world) startServer() error {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, StoreDir: w.dir, JetStream: true, SyncInterval: 2 * time.Minute, NoSublistCache: true,
		DisableJetStreamBanner: true, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return err
	}
	w.server = s
	s.Start()
	if !s.ReadyForConnections(serverWithin) || !s.JetStreamEnabled() {
		return errors.New("the NATS server did not start")
	}
	return nil
}

func (w *world) stopServer() {
	if w.server != nil {
		w.server.Shutdown()
		w.server.WaitForShutdown()
		w.server = nil
	}
}

func (w *world) startApart() error {
	return w.start(append([]string{"--nats", w.server.ClientURL(), "--image", filepath.Join(w.dir, "apart.image")}, w.o.RoomdArgs...))
}

func (w *world) startEmbedded() error { return w.start(embedded(w.o, w.dir)) }

func (w *world) start(args []string) (err error) {
	w.roomd, err = process.Start(w.o.Roomd, args...)
	return err
}

// killed kills roomd in the middle of its work, starts it again, and checks that everybody is
// where the answers say.
func (w *world) killed(start func() error) (ready time.Duration, m process.Memory, err error) {
	if err := w.with(w.change); err != nil {
		return 0, m, err
	}
	w.roomd.Kill()
	if err := start(); err != nil {
		return 0, m, err
	}
	if err := w.with(w.verify); err != nil {
		return 0, m, err
	}
	m, err = w.memory()
	return w.roomd.Ready, m, err
}

// with calls f with connections to the world's service.
func (w *world) with(f func(b *bench) error) error {
	b := &bench{Options: w.o, ctx: w.ctx, run: scalePrefix}
	b.Nats = w.roomd.URL
	defer b.close()
	if err := b.connect(); err != nil {
		return err
	}
	return f(b)
}

// fill adds memberships, each of another user, until there are n.
func (w *world) fill(n int) error {
	if w.memberships >= n {
		return nil
	}
	err := w.with(func(b *bench) (err error) {
		w.filling, err = b.each(n-w.memberships, min(n-w.memberships, b.InFlight), func(k, i int) error { return w.enter(b, k, w.memberships+i) })
		return err
	})
	if err != nil {
		return err
	}
	w.memberships = n
	m, err := w.memory()
	w.grown = m.Now
	return err
}

func (w *world) enter(b *bench, worker, i int) error {
	return b.ask(worker, room.Enter, &room.CreateRequest{
		RoomID: roomName(scalePrefix, i/w.o.PerRoom), Caller: room.Caller{UserID: userName(i)}, Config: &room.RoomConfig{RoomDestroyDelayTime: room.MaxDestroyDelay},
	}, nil)
}

// change lets some leave and enter again, so that the newest facts are only milliseconds old.
func (w *world) change(b *bench) error {
	n := min(lastCommands, w.memberships)
	_, err := b.each(n, min(n, b.InFlight), func(k, i int) error {
		i *= w.memberships / n
		err := b.ask(k, room.Leave, &room.RoomRequest{RoomID: roomName(scalePrefix, i/w.o.PerRoom), Caller: room.Caller{UserID: userName(i)}}, nil)
		if err != nil {
			return err
		}
		return w.enter(b, k, i)
	})
	return err
}

// verify checks the members of every room.
func (w *world) verify(b *bench) error {
	rooms := (w.memberships + w.o.PerRoom - 1) / w.o.PerRoom
	_, err := b.each(rooms, min(rooms, b.InFlight), func(k, r int) error {
		var page room.MembersReply
		if err := b.ask(k, room.Members, &room.MembersRequest{RoomID: roomName(scalePrefix, r)}, &page); err != nil {
			return err
		}
		first := r * w.o.PerRoom
		want := map[string]bool{}
		for i := first; i < min(first+w.o.PerRoom, w.memberships); i++ {
			want[userName(i)] = true
		}
		for i := range page.MemberList {
			delete(want, page.MemberList[i].UserID)
		}
		if len(want) > 0 || page.MemberCount != min(w.o.PerRoom, w.memberships-first) {
			return fmt.Errorf("after a kill %s has %d members, and %d of those who should be in it are not", roomName(scalePrefix, r), page.MemberCount, len(want))
		}
		return nil
	})
	return err
}

// memory is that of roomd, once it has nothing more to do and has rested.
func (w *world) memory() (process.Memory, error) {
	tick := time.NewTicker(idleLook)
	defer tick.Stop()
	end := time.Now().Add(idleWithin)
	last := time.Duration(-1)
	for time.Now().Before(end) {
		used, err := process.CPU(w.roomd.PID)
		if err != nil {
			return process.Memory{}, err
		}
		if used-last <= idleLook/25 { // a hundredth of a second, the least that is counted
			break
		}
		last = used
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			return process.Memory{}, w.ctx.Err()
		}
	}
	rest := time.NewTimer(w.o.Rest)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-w.ctx.Done():
		return process.Memory{}, w.ctx.Err()
	}
	return process.MemoryOf(w.roomd.PID)
}
