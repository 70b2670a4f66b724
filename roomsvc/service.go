// Package roomsvc is the room service: it takes commands by NATS request-reply, and keeps
// rooms as facts in a JetStream stream, the journal.
//
// One change is one fact, and one fact is one message of the journal. It is appended on the
// condition that the room's previous fact is still its newest. That message is the commit, the
// record and, republished by the server, the live event, so none of the three can exist
// without the others. This is what happens to a join:
//
//  1. The intake takes the request off its subject; the API checks its form, makes a command of
//     it, and gives it its turn among those of its session.
//  2. The committer puts the command into its room's mailbox. Whoever holds the mailbox's
//     baton has the core decide it, together with all that waits there: a run.
//  3. The run's one fact is appended to the journal.
//  4. When the journal acknowledges it, the replica applies it, and the API answers.
//  5. Every instance's follower passes the fact in the journal's order: to the replica where
//     it is not known yet, to the feeds of end users, and to the projection, which the
//     instance that leads writes to the bucket.
//
// If the reply is lost, the caller sends the join again with the same request ID. The fact
// carries that ID, so whichever instance receives the repeat finds the outcome in its replica
// and gives the same answer. If the acknowledgement is lost, the committer sends the same
// bytes again on the same condition, until it sees what became of them.
//
// What no command asks for is upkeep, which the leading instance does: it ends empty rooms,
// and takes out sessions whose leases have ended. Upkeep goes the same way, from the committer
// on. When an instance starts, it loads its replica from an image in a file of its own, or from
// the bucket, and from the journal's facts after that.
//
// Each of these nouns is a package; this one wires them together. Programs that use rooms need
// [natsrooms/roomsvc/client].
package roomsvc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/api"
	"natsrooms/roomsvc/blocks"
	"natsrooms/roomsvc/clock"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/health"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/traces"
	"natsrooms/subjects"
)

// Service is a running instance.
type Service struct {
	assembly
	opened chan struct{} // closed once the assembly is complete, or has failed

	mu        sync.Mutex // guards endpoints and stopping
	endpoints *api.Endpoints
	stopping  bool

	failure error // set once failed
	failed  sync.Once
	done    chan struct{}
}

// New starts an instance on a connection and returns when the instance serves. It checks the
// server, makes missing streams and buckets, and loads every room. It never closes the
// connection. An error is a sentence that says what to do.
func New(ctx context.Context, nc *nats.Conn, cfg Config) (*Service, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Service{opened: make(chan struct{}), done: make(chan struct{})}
	s.assembly = assembly{cfg: cfg, nc: nc, log: cfg.Logger.With("instance", cfg.Instance), life: life.New(s.fail), traces: traces.New(cfg.Tracer, cfg.TraceIDs)}
	s.health, s.clock = health.New(s.log), clock.New(cfg.Wall)
	if err := s.open(ctx); err != nil {
		s.failed.Do(func() { go s.end() })
		<-s.done // nothing is left on the connection
		return nil, cmp.Or(s.failure, err)
	}
	return s, nil
}

// open assembles the service and begins to take commands.
func (s *Service) open(ctx context.Context) error {
	defer close(s.opened)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	err := s.assemble(ctx)
	if err != nil {
		return err
	}
	s.life.Go(func() { s.housekeeping(s.Check) })
	s.life.Go(func() { s.api.Watch(s.woke) })
	s.leases.Serve(ctx, true)
	s.mu.Lock()
	if s.stopping { // it has failed in the meantime
		err = errors.New("the service has ended")
	} else {
		s.endpoints, err = s.api.Listen()
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return errors.Join(s.nc.FlushTimeout(commit.Timeout), s.users.FlushTimeout(commit.Timeout))
}

// fail ends the service because of an error that it can't continue after.
func (s *Service) fail(err error) {
	s.failed.Do(func() {
		if s.nc.IsClosed() { // everything else follows from it
			err = fmt.Errorf("%w (%v)", nats.ErrConnectionClosed, cmp.Or(s.nc.LastError(), err))
		}
		s.failure = err
		s.log.Error("the service ends", "error", err)
		go s.end()
	})
}

// end ends everything, waits for it, and closes done, which everyone who ends the service
// waits for.
func (s *Service) end() {
	s.life.Cancel()
	<-s.opened
	if e := s.stop(); e != nil {
		e.Stop(context.Background())
	}
	s.life.End()
	if s.commit != nil {
		s.commit.End()
	}
	if s.answers != nil {
		s.answers.Close()
	}
	if s.toUsers != nil {
		s.toUsers.Close()
	}
	if s.journal != nil {
		s.journal.Close()
	}
	close(s.done)
}

// stop makes sure that no more endpoints are made, and returns those that exist.
func (s *Service) stop() *api.Endpoints {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if s.leases != nil {
		s.leases.Serve(s.life, false)
	}
	return s.endpoints
}

// Stop ends the instance: it takes no more commands, answers those in flight, gives up the
// lead and returns. ctx limits how long it waits; its error says that the instance is still
// ending on its own. Any other error is the connection's, which did not take the last answers
// within 1 s.
func (s *Service) Stop(ctx context.Context) error {
	if e := s.stop(); e != nil {
		e.Stop(ctx)
	}
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for s.api.InFlight() > 0 && ctx.Err() == nil && !s.life.Over() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	s.failed.Do(func() { go s.end() })
	select {
	case <-s.done:
		return errors.Join(s.users.FlushTimeout(time.Second), s.nc.FlushTimeout(time.Second))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Done is closed when the service has ended, by Stop or on its own.
func (s *Service) Done() <-chan struct{} { return s.done }

// Err is why the service ended on its own; it is nil while the service runs and after Stop.
func (s *Service) Err() error {
	select {
	case <-s.done:
		return s.failure
	default:
		return nil
	}
}

// Grant notes what the token with which a user connects gives it. Until the token expires, the
// user may join those of its rooms whose access is by token, through any instance; rooms of
// several tokens add up. How the user is called, the newest token says. All that ends sooner if
// the token, by [room.Grant.From], is refused or its key is gone. An error says that the grant is
// refused, was not stored, or may not have been.
func (s *Service) Grant(ctx context.Context, u subjects.User, g room.Grant) error {
	limits := s.limits.Load()
	if g.Named = g.Named && limits.TokenNames == 1; g.Named {
		if err := g.Check(limits); err != nil {
			return err
		}
	}
	if !g.Named && len(g.Rooms)+len(g.Hosts) == 0 {
		return nil
	}
	return s.grants.Add(ctx, u, &g, blocks.MarkOf(&g.From))
}

// Admit says why somebody with a token may not have a connection now; nil if it may.
func (s *Service) Admit(ctx context.Context, b room.Bearer) error { return s.door.admit(ctx, b) }

// KeysChanged ends the connections that were let in with tokens of a key that is not
// good any more, on all servers, and returns how many they were. It ends those of which that is not known,
// because they are older than all instances, too: whoever has a good token connects again.
func (s *Service) KeysChanged(ctx context.Context, good func(key uint64) bool) (ended int, err error) {
	return s.door.keysChanged(ctx, good)
}

// Check says why the instance is not ready; nil if it is.
func (s *Service) Check(ctx context.Context) error {
	if s.life.Over() {
		return errors.New("the service has ended")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := s.journal.CheckSubjects(ctx); ctx.Err() == nil || err == nil {
		s.health.Unfit("subjects", err)
	}
	trouble := s.projector.Trouble()
	if trouble != nil {
		trouble = fmt.Errorf("the bucket %s cannot be written, so a start takes longer and longer: %w", subjects.BucketState, trouble)
	}
	s.health.Unfit("bucket", trouble)
	s.health.Unfit("store", s.space.Message()) // as it is now, and not at the guard's last look
	return s.health.Err()
}

// Problems lists what is wrong at the moment with the instance and what surrounds it, the
// oldest first. [Service.Check] looks for more, and says why the instance is not ready.
func (s *Service) Problems() []health.Problem { return s.health.Problems() }

// woke drops all commands that arrived before the process continued after a standstill.
func (s *Service) woke() {
	s.log.Warn("the process stood still; commands that arrived meanwhile are dropped")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || s.life.Over() || s.endpoints == nil { // nil: it is still starting
		return
	}
	old := s.endpoints
	fresh, err := s.api.Listen()
	if err != nil {
		s.fail(fmt.Errorf("listening for commands again: %w", err))
		return
	}
	s.endpoints = fresh
	s.life.Go(func() { old.Stop(s.life) })
}
