package roomsvc

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/answers"
	"natsrooms/roomsvc/api"
	"natsrooms/roomsvc/blocks"
	"natsrooms/roomsvc/clock"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/conns"
	"natsrooms/roomsvc/departed"
	"natsrooms/roomsvc/erase"
	"natsrooms/roomsvc/feeds"
	"natsrooms/roomsvc/guard"
	"natsrooms/roomsvc/health"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/lead"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/load"
	"natsrooms/roomsvc/messages"
	"natsrooms/roomsvc/meter"
	"natsrooms/roomsvc/past"
	"natsrooms/roomsvc/projection"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/space"
	"natsrooms/roomsvc/talk"
	"natsrooms/roomsvc/traces"
	"natsrooms/roomsvc/upkeep"
	"natsrooms/roomsvc/verbs"
	"natsrooms/roomsvc/webhooks"
	"natsrooms/subjects"
)

// assembly holds the parts of a service, in the order in which they are made.
type assembly struct {
	cfg    Config
	nc     *nats.Conn
	log    *slog.Logger
	life   *life.Life
	health *health.Book
	clock  *clock.Clock
	begin  *start
	limits atomic.Pointer[room.Limits] // the limits of all instances
	leads  atomic.Bool                 // this instance leads

	unread, unmeasured meter.Counter // times that the shared settings, or what a stream holds, could not be read

	journal   *journal.Journal
	bucket    *projection.Bucket
	messages  *messages.Store
	rep       *replica.Replica
	sync      *replica.Sync
	projector *projection.Projector
	feeds     *feeds.Feeds // nil: no end users connect as themselves
	departed  *departed.Departed
	empty     *upkeep.EmptyRooms
	leases    *leases.Book
	grants    *leases.Grants
	commit    *commit.Committer
	expiry    *upkeep.Leases
	election  *lead.Election
	outbox    *messages.Outbox
	talk      *talk.Talk
	erase     *erase.Eraser
	space     *space.Guard
	warden    *blocks.Warden     // keeps out whom back ends block
	answers   *answers.Leave     // nil: nobody connects with permissions that would matter
	users     *nats.Conn         // for commands of end users
	toUsers   *answers.Leave     // to those commands
	door      *userDoor          // for end users
	hooks     *hooks.Hooks       // nil: the application is asked nothing
	webhooks  *webhooks.Webhooks // nil: there are none
	traces    *traces.Tracer     // nil: nothing is traced
	api       *api.API
}

// assemble makes the parts and loads the rooms. When it returns, this instance leads or knows
// that it does not.
func (s *assembly) assemble(ctx context.Context) error {
	if err := s.openStreams(ctx); err != nil {
		return err
	}
	var loaded *load.Replica
	var found load.Found
	if err := s.begin.again(ctx, func(ctx context.Context) (err error) {
		loaded, found, err = load.Load(ctx, load.Config{
			Life: s.life, Log: s.log, Journal: s.journal, Bucket: s.bucket, Remember: s.cfg.Remember, Image: s.cfg.Image, Live: s.live,
		})
		return err
	}); err != nil {
		return err
	}
	if err := s.begin.patiently(ctx, s.journal.MarkStore); err != nil {
		return err
	}
	s.keepImage(found)
	if found.Rewrite {
		s.projector.Rewrite()
	}
	sessions := leases.Settings{Replicas: s.cfg.Replicas, MaxBytes: s.cfg.StateBytes, Clock: s.clock, Grace: s.cfg.Grace}
	if err := s.begin.patiently(ctx, func(ctx context.Context) error { return leases.Make(ctx, s.journal, sessions) }); err != nil {
		return err
	}
	if err := s.begin.again(ctx, func(ctx context.Context) (err error) {
		s.leases, err = leases.Open(ctx, s.life, s.journal, sessions, s.log)
		return err
	}); err != nil {
		return err
	}
	s.life.Go(func() {
		if err := s.journal.Streams.Run(s.life, s.nc, s.log, s.health); err != nil {
			s.life.Fail(err)
		}
	})
	s.life.Go(func() { s.clock.Watch(s.life, s.health, s.leases.Ahead) })
	s.empty.Book = s.leases
	s.warden = blocks.NewWarden()
	if err := s.begin.again(ctx, func(ctx context.Context) (err error) {
		s.warden.Book, err = blocks.Open(ctx, s.life, s.journal, s.cfg.Replicas, s.cfg.StateBytes, s.log, s.warden.Look)
		return err
	}); err != nil {
		return err
	}
	if err := s.openWebhooks(ctx); err != nil {
		return err
	}
	if err := s.openDoors(); err != nil {
		return err
	}
	if err := s.door.hearConnections(); err != nil {
		return fmt.Errorf("listening to the system account: %w", err)
	}
	if s.cfg.System != nil && s.cfg.Server != "" {
		s.leases.Left(s.cfg.Server)
	}
	s.wire(loaded.Replica)
	s.renewLost(found.Lost)
	known := s.start()
	select { // once commands are answered, somebody acts on what they bring about
	case <-known:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("standing for the lead: %w", ctx.Err())
	}
}

// openWebhooks makes ready to ask and to deliver over HTTP, if that is wanted.
func (s *assembly) openWebhooks(ctx context.Context) error {
	if err := s.cfg.Hooks.Open(); err != nil {
		return err
	}
	return s.begin.patiently(ctx, func(ctx context.Context) (err error) {
		s.webhooks, err = webhooks.Open(ctx, webhooks.Config{
			Settings: s.cfg.Webhooks, Bucket: webhooks.Bucket{Replicas: s.cfg.Replicas, MaxBytes: s.cfg.StateBytes},
			Life: s.life, Log: s.log, Journal: s.journal, Source: s.cfg.SourcePrefix,
		})
		if err != nil || s.webhooks == nil {
			return err
		}
		return s.webhooks.Listen(s.nc)
	})
}

// openDoors makes ready where commands arrive.
func (s *assembly) openDoors() (err error) {
	s.door = &userDoor{
		life: s.life, log: s.log, nc: s.nc, system: s.cfg.System, only: s.cfg.Server, end: s.cfg.EndConnection, limits: s.limits.Load, closed: s.leases.Closed, warden: s.warden, goodKey: s.cfg.GoodKey,
	}
	s.leases.Refuses = s.door.refuses
	if s.users = s.nc; !s.cfg.Feeds {
		return nil
	}
	if s.answers, err = answers.New(s.nc, subjects.RespondWithin); err != nil {
		return err
	}
	if s.toUsers = s.answers; s.cfg.UsersConn != nil {
		s.users = s.cfg.UsersConn
		if s.toUsers, err = answers.New(s.users, subjects.RespondWithin); err != nil {
			return err
		}
	}
	s.door.guard = guard.New(guard.Config{Log: s.log, Limits: s.limits.Load, Waiting: max(s.cfg.MaxInFlight/shareOfOne, leastShare), End: s.door.endConnections, Tell: s.door.tellCutOff})
	if err := s.door.hearLetIn(); err != nil {
		return err
	}
	return s.door.hearCutOffs()
}

// One user may have one in shareOfOne of the commands in flight, and always leastShare, where
// the limit is not set.
const (
	shareOfOne = 64
	leastShare = 8
)

// openStreams opens what is stored, and reads the settings that all instances share.
func (s *assembly) openStreams(ctx context.Context) (err error) {
	s.begin = &start{s.life, s.log, s.nc, s.cfg.Wait, time.Now().Add(s.cfg.Wait), s.cfg.Store != nil}
	if err = s.begin.patiently(ctx, func(ctx context.Context) (err error) {
		s.journal, err = journal.Open(ctx, s.nc, journal.Settings{Domain: s.cfg.JSDomain, Keep: s.cfg.FactsKeep, Replicas: s.cfg.Replicas, MaxBytes: s.cfg.FactsBytes, Shared: s.cfg.shared(), Version: s.cfg.Build})
		return err
	}); err != nil {
		return err
	}
	s.life.Go(func() {
		if err := s.journal.Guard(s.life); err != nil {
			s.life.Fail(err)
		}
	})
	s.life.Go(func() { s.begin.unstuck(ctx, s.journal) })
	if err = s.begin.patiently(ctx, func(ctx context.Context) (err error) {
		s.bucket, err = projection.Open(ctx, s.journal, projection.Settings{Replicas: s.cfg.Replicas, MaxBytes: s.cfg.StateBytes})
		return err
	}); err != nil {
		return err
	}
	if err = s.begin.patiently(ctx, func(ctx context.Context) (err error) {
		s.messages, err = messages.Open(ctx, s.journal, messages.Settings{Keep: s.cfg.MessagesKeep, PerRoom: s.cfg.MessagesPerRoom, Replicas: s.cfg.Replicas, TakeOver: s.cfg.TakeOver, MaxBytes: s.cfg.MessagesBytes})
		return err
	}); err != nil {
		return err
	}
	if s.journal.Adopted != "" {
		s.log.Warn(s.journal.Adopted)
	}
	if !s.messages.Erases {
		s.log.Warn("the stream of messages was made by an earlier version, so deleteMessages and eraseUser are refused; start one roomd with --take-over, alone, to change that", "stream", subjects.StreamMessages)
	}
	shared, err := s.readSettings(ctx)
	if err == nil && shared[sharedFeeds] != 0 && !s.cfg.Feeds {
		s.log.Warn("end users connect to this deployment as themselves, so this instance has feeds too, although it was not told to")
		s.cfg.Feeds = true
	}
	return err
}

// keepImage leaves images from now on. After a start from one, it is found out afterwards
// whether the bucket has what it should have.
func (s *assembly) keepImage(found load.Found) {
	if image := s.cfg.Image; image != nil {
		s.life.Go(func() {
			image.Keep(s.life, s.log, s.journal.ID, found.Image, func() uint64 { return s.rep.Mark().Revision }, s.rep.Save)
		})
	}
	if found.Image == 0 {
		return
	}
	s.life.Go(func() {
		lacks, err := load.Lacks(s.life, s.bucket, s.rep, s.written, func() { s.life.Pause(bucketRest) })
		s.log.Debug("compared the bucket", "lacks", lacks, "error", err)
		switch {
		case s.life.Over():
		case err != nil:
			s.log.Warn("looking whether the bucket has everything", "error", err)
		case lacks:
			s.log.Warn("the bucket lacked what the journal has; writing it again from scratch")
			s.projector.Rewrite()
		}
	})
}

// written returns when the bucket has what there is now, or the instance ends.
func (s *assembly) written() {
	for newest := s.rep.Mark().Revision; s.projector.Written() < newest && !s.life.Over(); {
		s.life.Pause(bucketRest)
	}
}

// bucketRest is the pause between parts of the bucket when it is read besides other work.
const bucketRest = 30 * time.Millisecond

// live connects everything that is told of facts to the replica, before the first fact is
// passed live.
func (s *assembly) live(loaded *load.Replica) {
	s.rep = loaded.Replica
	s.sync = replica.NewSync(s.life, s.journal.Mark, &s.rep.Passed)
	s.projector = projection.NewProjector(s.bucket, loaded.Projected, s.cfg.Settle, s.rep.Everything)
	for _, c := range loaded.Pending {
		s.projector.Add(c)
	}
	s.rep.Changed = s.projector.Add
	s.departed = departed.New(s.journal, s.rep)
	s.rep.Leaving = s.departed.Note
	s.empty = upkeep.NewEmptyRooms(func(id subjects.Room, t commit.Task) { s.commit.AssignOnce(id, t) })
	s.rep.Due, s.empty.Clock = s.empty.Changed, s.clock
	if !s.cfg.Feeds {
		return
	}
	var rooms []*room.State
	for _, known := range s.rep.All() {
		known.View(func(st *room.State) { // nobody else is at work yet
			if st != nil {
				rooms = append(rooms, st)
			}
		})
	}
	s.feeds = feeds.New(cmp.Or(s.cfg.FeedsConn, s.nc), s.log, s.messages.Mark)
	s.feeds.Traces, s.feeds.Listened = s.traces, s.cfg.Listened
	s.feeds.Start(s.life, rooms)
	s.rep.Heard = func(c room.Change, m *journal.Message) { s.feeds.Fact(c, m.Data, m.Trace) }
}

// wire makes the parts that need the replica.
func (s *assembly) wire(rep *replica.Replica) {
	limits := s.limits.Load
	s.outbox = messages.NewOutbox(s.life, s.journal)
	s.grants = &leases.Grants{Book: s.leases}
	s.commit = commit.New(commit.Config{
		Life: s.life, Log: s.log, Clock: s.clock, Journal: s.journal, Replica: rep, Sync: s.sync, Source: s.cfg.SourcePrefix, Limits: limits, Prove: s.prove,
		PutOut: func(st *room.State, f *events.Fact) func() { return s.api.PutOut(st, f) },
		Said:   s.outbox.Settled,
		Settle: func(results []commit.Result) { s.api.Settle(results) },
	})
	s.space = space.New(space.Config{Life: s.life, Health: s.health, Journal: s.journal, Store: s.cfg.Store, Messages: s.cfg.MessagesUntil})
	s.messages.May = s.space.Message
	s.expiry = &upkeep.Leases{Life: s.life, Log: s.log, Book: s.leases, Replica: rep, Sync: s.sync, Commit: s.commit, Limits: limits}
	if s.cfg.System != nil {
		s.leases.Ask()
		s.expiry.Servers = conns.New(s.cfg.System, s.nc, s.cfg.Server)
	}
	s.cfg.Hooks.Conn = cmp.Or(s.cfg.Hooks.Conn, s.nc)
	s.hooks = hooks.New(s.cfg.Hooks, s.life, s.log)
	var known *messages.Known
	if s.cfg.Hooks.Subjects[room.Send] != "" {
		known = s.messages.Know(s.life)
	}
	s.talk = talk.New(talk.Config{
		Life: s.life, Log: s.log, Clock: s.clock, Conn: s.nc, Replica: rep, Sync: s.sync, Commit: s.commit,
		Messages: s.messages, Outbox: s.outbox, Limits: limits, Prove: s.prove, Source: s.cfg.SourcePrefix, Known: known,
	})
	s.erase = erase.New(erase.Config{Life: s.life, Log: s.log, Replica: rep, Messages: s.messages, Limits: limits, Source: s.cfg.SourcePrefix})
	s.warden.Start(blocks.Config{Life: s.life, Log: s.log, Replica: rep, Sync: s.sync, Commit: s.commit, End: s.door.endBarred, EndAll: s.door.endAllBarred})
	s.api = api.New(api.Config{
		Verbs: verbs.Table, Life: s.life, Log: s.log, Clock: s.clock, Conn: s.nc, Users: s.users, Replica: rep, Sync: s.sync, Commit: s.commit,
		Past: &past.Reader{
			Journal: s.journal, Messages: s.messages, Recent: &rep.Recent, Source: s.cfg.SourcePrefix,
			Moments: past.Moments{Journal: s.journal, View: rep.View},
		},
		Messages: s.messages, Talk: s.talk, Eraser: s.erase, Leases: s.leases, Departed: s.departed, Expire: s.expiry.Expire, Space: s.space, Blocks: s.warden, Limits: limits,
		Answers: s.answers, UserAnswers: s.toUsers, Guard: s.door.guard, Feeds: s.cfg.Feeds, Source: s.cfg.SourcePrefix, MaxInFlight: s.cfg.MaxInFlight, Listened: s.cfg.Listened, Version: Version, Hooks: s.hooks, Traces: s.traces, Stats: s.stats,
	})
}

// prove checks whether a token of the call's user names its room, and makes the user a host of
// it, where that matters: for a verb that no room's access concerns, only the second does.
func (s *assembly) prove(ctx context.Context, c *commit.Call) error {
	head := s.rep.Head(c.Cmd.Room)
	byToken := head != nil && head.Config.Access == room.AccessToken
	if !c.Cmd.OwnForm || head == nil || c.Cmd.Verb.Info().Brings() && !byToken {
		c.Cmd.Granted = false
		return nil
	}
	granted, host, err := s.grants.Names(ctx, c.Cmd.User, c.Cmd.Room)
	if err == nil {
		c.Cmd.Granted, c.Cmd.HostByToken = granted && byToken, host
	}
	return err
}

// renewLost gives a new instance to rooms that lost facts: their members are told that the old
// one ended, and everyone who held a position in it takes a new snapshot.
func (s *assembly) renewLost(ids []subjects.Room) {
	for _, id := range ids {
		var renewal *room.Renewal
		s.rep.View(id, func(st *room.State) {
			if st != nil {
				s.log.Warn("a room lost facts and goes on as a new instance", "room", id, "instance", st.InstanceID)
				renewal = room.NewRenewal(st)
			}
		})
		if renewal != nil {
			s.commit.Assign(id, renewal.Next)
		}
	}
}

// start starts what the service does on its own. The channel that it returns is closed once
// this instance knows whether it leads.
func (s *assembly) start() (known <-chan struct{}) {
	for _, r := range s.rep.All() {
		s.empty.Resume(r.ID, r.Head())
	}
	s.life.Go(func() { s.empty.Run(s.life) })
	s.life.Go(s.space.Run)
	s.election = lead.New(lead.Config{
		Life: s.life, Log: s.log, Journal: s.journal, Stream: s.leases.Stream(), Instance: s.cfg.Instance, Duties: s.duties(),
		Between: func(ctx context.Context) {
			if err := s.projector.Follow(ctx); err != nil && !s.life.Over() {
				s.log.Debug("reading how far the bucket has got", "error", err)
			}
		},
	})
	s.life.Go(s.election.Run)
	return s.election.Known()
}

// duties are what this instance does while it leads.
func (s *assembly) duties() []lead.Duty {
	list := []lead.Duty{
		s.showLead,
		upkeep.Projection(s.projector, s.life, s.log), s.expiry.Lead, s.empty.Lead, upkeep.QuietRooms(s.rep, s.commit, s.clock, s.journal.Keeps), s.erase.Lead,
	}
	if s.feeds != nil {
		list = append(list, upkeep.Feeds(s.feeds, s.life))
	}
	if s.webhooks != nil {
		list = append(list, s.webhooks.Lead)
	}
	return list
}

// readSettings reads the settings that all instances share.
func (s *assembly) readSettings(ctx context.Context) (map[string]int, error) {
	shared, err := s.journal.Shared(ctx)
	if err == nil {
		s.limits.Store(room.LimitsOf(shared))
	}
	return shared, err
}

// SetLimits changes the limits of all instances, as a start with them does: this one has them when
// it returns, the others within ten seconds. Other shared settings stay. If it returns an error, they may have changed.
func (s *assembly) SetLimits(ctx context.Context, l room.Limits) error {
	if err := l.Check(); err != nil {
		return err
	}
	if err := s.journal.Share(ctx, l.Table()); err != nil {
		return err
	}
	_, err := s.readSettings(ctx)
	return err
}

// stats is what the micro service returns under "data" when it is asked for statistics.
func (s *assembly) stats() any {
	stats := map[string]any{
		"instance": s.cfg.Instance, "version": s.cfg.Build, "ready": s.health.Err() == nil && !s.life.Over(), "problem": s.health.Text(), "problems": s.health.Problems(), "rooms": s.rep.Living(),
		"inFlight": s.api.InFlight(), "revision": s.rep.Passed.Seq(), "projected": s.projector.Written(), "leads": s.leads.Load(),
	}
	if s.hooks != nil {
		stats["hooks"] = s.hooks.Counts()
	}
	if s.webhooks != nil {
		stats["webhooks"] = s.webhooks.Counts()
	}
	return stats
}

// showLead is the duty that says that this instance leads.
func (s *assembly) showLead(ctx context.Context, t *lead.Term) error {
	s.leads.Store(true)
	defer s.leads.Store(false)
	t.Begun()
	<-ctx.Done()
	return nil
}
