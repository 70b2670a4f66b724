// Package roomsvc is the room service: it takes commands by NATS request-reply, and
// keeps rooms as facts in a JetStream stream, the journal.
//
// One change is one fact, and one fact is one message of the journal, appended under
// the condition that the room's fact before it is still the newest. That message is
// the commit, the record and, republished by the server, the live event, so none of
// the three can be there without the others. What happens to a join:
//
//  1. endpoints.go takes it off room.cmd.join, checks its form and hands it to the
//     room's mailbox.
//  2. mailbox.go decides it together with all that waits there ([room.Run]), and appends
//     the one fact that they make (append.go).
//  3. replica.go applies the fact when it is acknowledged, answers.go answers.
//  4. The journal's follower, in replica.go, passes the same fact in the journal's order
//     and hands it to the projection, which the leading instance (leader.go) writes
//     to the bucket `rooms`.
//
// If the reply is lost, the caller sends the join again with the same request ID. The
// fact carries that ID, so whichever instance gets it finds the outcome (requests.go)
// and says it again. If the acknowledgement is lost, append.go sends the same bytes
// again under the same condition, until it sees what became of them.
//
// Callers in Go use the package client, below this one.
package roomsvc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/feeds"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/messages"
	"natsrooms/roomsvc/projection"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Version is the version of the service, as its micro service tells it.
const Version = "0.1.0"

// Service is a running instance.
type Service struct {
	cfg Config
	nc  *nats.Conn
	log *slog.Logger

	journal   *journal.Journal
	bucket    *projection.Bucket
	projector *projection.Projector
	rep       *replica
	messages  *messages.Store
	leases    *leases.Book
	feeds     *feeds.Feeds // nil: no end users connect as themselves
	sayings   sayings
	sync      syncer
	multi     multi
	timers    timers
	pulse     *pulse
	limits    atomic.Pointer[room.Limits]
	making    atomic.Int64 // rooms being created
	inFlight  atomic.Int64
	share     share
	unfit     atomic.Pointer[string] // why this instance is not ready, "" if it is

	tracked  tracked
	listenMu sync.Mutex
	gen      *generation
	stopping bool

	life    *life.Life // ends with the service
	workers sync.WaitGroup
	failure error
	failed  sync.Once
	done    chan struct{}
}

// New starts an instance on a connection and returns when it serves. It checks the
// server, makes streams and buckets where they are missing, and loads every room. It
// never closes the connection. An error is a sentence that says what to do.
func New(ctx context.Context, nc *nats.Conn, cfg Config) (*Service, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, nc: nc, log: cfg.Logger.With("instance", cfg.Instance), rep: newReplica(cfg.Remember), done: make(chan struct{})}
	s.multi.wake = make(chan struct{}, 1)
	s.timers.init()
	s.sync.s = s
	s.life = life.New(s.fail)
	if err := s.open(ctx); err != nil {
		s.failed.Do(func() { go s.end() })
		<-s.done // nothing stays behind on the connection
		return nil, err
	}
	return s, nil
}

const (
	settingsRefresh = 10 * time.Second
	checkEvery      = 30 * time.Second
	sweepEvery      = 250 * time.Millisecond
	forgetEvery     = time.Minute
)

func (s *Service) open(ctx context.Context) (err error) {
	s.journal, err = journal.Open(ctx, s.nc, journal.Settings{
		Keep: s.cfg.FactsKeep, Replicas: s.cfg.Replicas,
		Shared: s.shared(),
	})
	if err != nil {
		return err
	}
	if s.bucket, err = projection.Open(ctx, s.journal, s.cfg.Replicas); err != nil {
		return err
	}
	if s.messages, err = messages.Open(ctx, s.journal, messages.Settings{Keep: s.cfg.MessagesKeep, PerRoom: s.cfg.MessagesPerRoom, Replicas: s.cfg.Replicas}); err != nil {
		return err
	}
	shared, err := s.readSettings(ctx)
	if err != nil {
		return err
	}
	if shared[sharedFeeds] != 0 && !s.cfg.Feeds {
		s.log.Warn("end users connect to this deployment as themselves, so this instance has feeds too, although it was not told to")
		s.cfg.Feeds = true
	}
	if err = s.load(ctx); err != nil {
		return err
	}
	if s.leases, err = leases.Open(ctx, s.life, s.journal, s.cfg.Replicas, s.cfg.Grace, s.log); err != nil {
		return err
	}
	if err := s.hearDisconnects(); err != nil {
		return fmt.Errorf("listening to the system account: %w", err)
	}
	known, know := context.WithCancel(s.life)
	election := &election{s, s.leases.Stream(), know}
	s.timers.start(s)
	s.pulse = newPulse() // not before: a start that takes long is no standstill
	s.workers.Add(3)
	go s.runMulti()
	go s.sweeping()
	go s.housekeeping()
	go s.pulse.run(s.life, s.woke)
	s.workers.Add(1)
	go func() { defer s.workers.Done(); election.run() }()
	select { // whoever is answered hears what comes of it
	case <-known.Done():
	case <-ctx.Done():
		return fmt.Errorf("standing for the lead: %w", ctx.Err())
	}
	s.listenMu.Lock()
	if s.stopping { // it has failed meanwhile
		err = s.failure
	} else {
		s.gen, err = s.listen()
	}
	s.listenMu.Unlock()
	if err != nil {
		return err
	}
	return s.nc.FlushTimeout(commandTimeout)
}

// sharedFeeds is a shared setting: some instance has been told that end users connect as
// themselves. From then on none may answer as if everybody were trusted.
const sharedFeeds = "feeds"

// shared is the settings that this instance wants all to have.
func (s *Service) shared() map[string]int {
	table := s.cfg.Limits.Table()
	if s.cfg.Feeds {
		table[sharedFeeds] = 1
	}
	return table
}

func (s *Service) readSettings(ctx context.Context) (map[string]int, error) {
	shared, err := s.journal.Shared(ctx)
	if err == nil {
		s.limits.Store(room.LimitsOf(shared))
	}
	return shared, err
}

// sweeping answers calls that run out of time. It asks nobody anything, so that a
// server that does not answer holds no answer up.
func (s *Service) sweeping() {
	defer s.workers.Done()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case now := <-sweep.C:
			s.sweep(now)
			s.repeatSayings(now)
		}
	}
}

// housekeeping does what else comes round by the clock.
func (s *Service) housekeeping() {
	defer s.workers.Done()
	settings, check, forget := time.NewTicker(settingsRefresh), time.NewTicker(checkEvery), time.NewTicker(forgetEvery)
	defer settings.Stop()
	defer check.Stop()
	defer forget.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case <-settings.C:
			shared, err := s.readSettings(s.life)
			if err != nil && !s.ended() {
				s.log.Warn("reading the shared settings", "error", err)
			}
			if err == nil && shared[sharedFeeds] != 0 && !s.cfg.Feeds {
				s.fail(errors.New("another instance has been started with feeds for end users, and this one would still trust everybody; start it again, with the same settings"))
			}
			s.checkTail()
			s.leases.Check(s.life)
		case <-check.C:
			if err := s.Check(s.life); err != nil && !s.ended() {
				s.log.Error("not ready", "error", err)
			}
		case <-forget.C:
			s.rep.forget()
			s.messages.Forget(func(r subjects.Room) bool { return s.rep.head(r) == nil })
			s.forgetPaces()
			s.leases.Forget()
		}
	}
}

// checkTail notices a journal that went back while nobody asked for anything. The
// extent may be a deposed leader's word; the sync point then proves it, or ends the service.
func (s *Service) checkTail() {
	seen := s.rep.passed.Seq()
	if extent, err := s.journal.Extent(s.life); err == nil && extent.Last < seen {
		go func() { _ = s.sync.pass(s.life) }()
	}
}

// Check says why the instance is not ready; nil if it is.
func (s *Service) Check(ctx context.Context) error {
	if s.ended() {
		return errors.New("the service has ended")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := s.journal.CheckSubjects(ctx)
	if trouble := s.projector.Trouble(); err == nil && trouble != nil {
		err = fmt.Errorf("the bucket %s cannot be written, so a start takes longer and longer: %w", subjects.BucketState, trouble)
	}
	why := ""
	if err != nil {
		why = err.Error()
	}
	s.unfit.Store(&why)
	return err
}

// stats is what the micro service tells under "data" when it is asked for statistics.
func (s *Service) stats() any {
	why := ""
	if p := s.unfit.Load(); p != nil {
		why = *p
	}
	return map[string]any{
		"instance": s.cfg.Instance, "ready": why == "" && !s.ended(), "problem": why, "rooms": s.rep.living.Load(),
		"inFlight": s.inFlight.Load(), "revision": s.rep.passed.Seq(), "projected": s.projector.Written(),
	}
}

// woke drops all commands that came before the process went on after a standstill.
func (s *Service) woke() {
	s.log.Warn("the process stood still; commands that came meanwhile are dropped")
	s.listenMu.Lock()
	defer s.listenMu.Unlock()
	if s.stopping || s.ended() || s.gen == nil { // nil: it still starts
		return
	}
	old := s.gen
	gen, err := s.listen()
	if err != nil {
		s.fail(fmt.Errorf("listening for commands again: %w", err))
		return
	}
	s.gen = gen
	if err := old.svc.Stop(); err != nil {
		s.log.Warn("stopping the old endpoints", "error", err)
	}
}

// fail ends the service because of an error that it can't go on with.
func (s *Service) fail(err error) {
	s.failed.Do(func() {
		if s.nc.IsClosed() { // all else comes of it
			err = fmt.Errorf("%w (%v)", nats.ErrConnectionClosed, cmp.Or(s.nc.LastError(), err))
		}
		s.failure = err
		s.log.Error("the service ends", "error", err)
		go s.end()
	})
}

func (s *Service) end() {
	s.life.Cancel()
	s.listenMu.Lock()
	s.stopping = true
	if s.gen != nil {
		_ = s.gen.svc.Stop()
	}
	s.listenMu.Unlock()
	s.workers.Wait()
	s.life.End()
	s.refuseAll()
	if s.journal != nil {
		s.journal.Close()
	}
	close(s.done)
}

// Stop ends the instance: it takes no more commands, answers those in flight, gives
// up the lead and returns. ctx bounds how long it waits; its error says that the instance
// ends on its own meanwhile. Another error is of the connection, which did not take the
// last answers within 1 s.
func (s *Service) Stop(ctx context.Context) error {
	s.listenMu.Lock()
	first := !s.stopping
	s.stopping = true
	s.listenMu.Unlock()
	if first && s.gen != nil {
		_ = s.gen.svc.Stop()
		s.drain(ctx)
	}
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for s.inFlight.Load() > 0 && ctx.Err() == nil && !s.ended() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	s.failed.Do(func() { go s.end() })
	select {
	case <-s.done:
		return s.nc.FlushTimeout(time.Second)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain waits until all commands that the server handed to this instance are taken:
// none comes after the flush, and the barrier stands behind those that wait.
func (s *Service) drain(ctx context.Context) {
	taken := make(chan struct{})
	if s.nc.FlushTimeout(time.Second) != nil || s.nc.Barrier(func() { close(taken) }) != nil {
		return
	}
	select {
	case <-taken:
	case <-ctx.Done():
	case <-s.life.Done():
	}
}

// Done is closed when the service has ended, by Stop or by itself.
func (s *Service) Done() <-chan struct{} { return s.done }

// Err is why the service ended by itself; nil while it runs and after Stop.
func (s *Service) Err() error {
	select {
	case <-s.done:
		return s.failure
	default:
		return nil
	}
}

func (s *Service) ended() bool { return s.life.Err() != nil }
