package roomsvc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/projection"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// errIncomplete says that the bucket and the journal together do not make the rooms.
var errIncomplete = errors.New("the bucket and the journal do not make whole rooms")

// nudge is how often a start that waits for the follower stores another marker, since
// one may expire before it is read.
const nudge = 20 * time.Second

// nothing stands for the mark of a bucket that is not used: no fact has to be handed
// on to it one by one, since all of it is written anew.
const nothing = ^uint64(0)

// load fills the replica: from the bucket and the facts after its mark, or, where the
// bucket can't be trusted, from the journal alone. It leaves the follower running.
func (s *Service) load(ctx context.Context) error {
	for {
		err := s.tryLoad(ctx)
		if !errors.Is(err, journal.ErrAged) || ctx.Err() != nil {
			return err
		}
		// Where the journal began when it was looked at, something has expired meanwhile: a
		// marker, or facts. Looked at again it says which.
		s.rep = newReplica(s.cfg.Remember)
	}
}

// tryLoad does it once.
func (s *Service) tryLoad(ctx context.Context) error {
	snap, err := s.bucket.Load(ctx)
	if err != nil {
		return err
	}
	if id := snap.Projected.Journal; id != "" && id != s.journal.ID {
		return fmt.Errorf("the bucket %s belongs to journal %s, but the stream %s is journal %s: one of them is from another deployment or an old copy; restore the one that fits, or delete the bucket to have it made from the journal",
			subjects.BucketState, id, subjects.StreamRooms, s.journal.ID)
	}
	extent, err := s.journal.Extent(ctx)
	if err != nil {
		return err
	}
	ahead := time.Since(extent.At)
	s.rep.ahead = ahead
	from, tailLost, err := s.judge(ctx, snap.Projected, extent)
	if err != nil {
		return err
	}
	if from > 0 {
		if err = s.fill(snap); err == nil {
			err = s.follow(ctx, from, snap.Projected)
		}
		if err == nil && !s.mirrors(snap) {
			s.log.Warn("the bucket lacked what the journal has; writing it anew")
			s.projector.Rewrite()
		}
		if !errors.Is(err, errIncomplete) && !errors.Is(err, room.ErrDamaged) {
			return err
		}
		s.log.Warn("the bucket has holes; making the rooms from the journal", "because", err)
	}
	s.rep = newReplica(s.cfg.Remember)
	s.rep.ahead = ahead
	s.rep.seek(snap.Heads)
	err = s.follow(ctx, max(extent.First, 1), projection.Projected{Mark: projection.Mark{Revision: nothing}})
	if errors.Is(err, errIncomplete) || errors.Is(err, room.ErrDamaged) {
		return fmt.Errorf("the bucket %s can't be used, and the stream %s does not reach back to the beginning of every room (%w): restore a bucket of journal %s that is newer than revision %d, or start with an empty stream and bucket",
			subjects.BucketState, subjects.StreamRooms, err, s.journal.ID, extent.First)
	}
	if err != nil {
		return err
	}
	s.projector.Rewrite()
	if tailLost {
		s.renewLost(extent)
	}
	return nil
}

// judge says from where the journal must be read over the bucket's content; 0 if that
// content is of no use. tailLost says that the journal lost facts that the bucket has.
func (s *Service) judge(ctx context.Context, p projection.Projected, extent journal.Extent) (from uint64, tailLost bool, err error) {
	if p.Journal == "" || p.Torn || p.Revision == 0 {
		return 0, false, nil
	}
	same, err := s.holds(ctx, p.Mark, extent)
	if err != nil {
		return 0, false, err
	}
	switch {
	case !same:
		s.log.Error("the journal lost its newest facts; rooms go on from what it holds, those that lost facts as new instances", "bucket", p.Revision, "journal", extent.Last)
		return 0, true, nil
	case p.Revision+1 < extent.First:
		s.log.Warn("the journal no longer reaches back to where the bucket ends", "bucket", p.Revision, "journal", extent.First)
		return 0, false, nil
	}
	from = min(p.Safe.Revision, p.Revision) + 1
	recent, err := s.journal.FirstSince(ctx, extent.At.Add(-s.cfg.Remember))
	if err != nil {
		return 0, false, err
	}
	if recent > 0 {
		from = min(from, recent)
	}
	return max(from, extent.First, 1), false, nil
}

// holds says whether the journal has the fact that the mark names, as far as it can
// be told: one that has left it by age is taken on trust.
func (s *Service) holds(ctx context.Context, m projection.Mark, extent journal.Extent) (bool, error) {
	if m.Revision > extent.Last {
		return false, nil
	}
	if m.Revision < extent.First {
		return true, nil
	}
	data, ok, err := s.journal.At(ctx, m.Revision)
	if err != nil || !ok {
		return false, err
	}
	f, err := events.DecodeFact(data)
	if err != nil {
		return false, nil
	}
	return f.ID == m.FactID, nil
}

// fill puts the bucket's rooms into the replica.
func (s *Service) fill(snap *projection.Snapshot) error {
	for r, members := range snap.Members {
		if _, ok := snap.Heads[r]; !ok && len(members) > 0 {
			return fmt.Errorf("%w: %q has members but no record of its own", errIncomplete, r)
		}
	}
	for r, h := range snap.Heads {
		members := make([]*room.Member, 0, len(snap.Members[r]))
		mb := s.rep.locked(r)
		for _, m := range snap.Members[r] {
			if m.InstanceID == h.InstanceID {
				members = append(members, m.Member)
				s.rep.users.move([]move{{m.User, mb, true}})
			}
		}
		var kept []room.Kept
		for _, k := range snap.Kept[r] {
			if k.InstanceID == h.InstanceID {
				kept = append(kept, k.Kept)
			}
		}
		mb.state, mb.revision = room.NewState(r, h, members, kept), h.Revision
		mb.head.Store(&h)
		s.rep.living.Add(1)
		mb.mu.Unlock()
	}
	return nil
}

// follow reads the journal from sequence from over what the replica holds, up to a
// sync point, checks that whole rooms came of it, and goes on following.
func (s *Service) follow(ctx context.Context, from uint64, bucket projection.Projected) error {
	point, err := s.journal.Mark(ctx)
	if err != nil {
		return fmt.Errorf("storing a first marker in the stream %s: %w", subjects.StreamRooms, err)
	}
	rep := s.rep
	loaded := bucket
	if bucket.Revision == nothing {
		loaded = projection.Projected{}
	}
	projector := projection.NewProjector(s.bucket, loaded, s.cfg.Settle, s.everything)
	rep.changed, rep.last = projector.Add, loaded.Mark
	s.projector = projector
	orphans := map[subjects.Room]string{}
	ready, ended := make(chan struct{}), make(chan error, 1)
	live := false
	take := func(m journal.Message) error {
		if live {
			return rep.pass(m)
		}
		if m.Seq <= point {
			if err := rep.replay(m, bucket.Revision, orphans); err != nil || m.Seq < point {
				return err
			}
		}
		if err := rep.whole(orphans); err != nil {
			return err
		}
		live = true
		rep.passed.Reach(point)
		rep.timers = s.timers.changed
		s.startFeeds(rep)
		close(ready)
		if m.Seq > point {
			return rep.pass(m)
		}
		return nil
	}
	followCtx, stop := context.WithCancel(s.life)
	s.workers.Add(1)
	go func() {
		defer s.workers.Done()
		err := s.journal.Follow(followCtx, from, take)
		ended <- err
		select {
		case <-ready:
			if !s.ended() {
				s.fail(fmt.Errorf("following the journal: %w", err))
			}
		default:
		}
	}()
	ticker := time.NewTicker(nudge)
	defer ticker.Stop()
	for {
		select {
		case <-ready:
			context.AfterFunc(s.life, stop)
			return nil
		case err := <-ended:
			stop()
			return err
		case <-ctx.Done():
			stop()
			return fmt.Errorf("reading the journal: %w", ctx.Err())
		case <-ticker.C:
			if _, err := s.journal.Mark(ctx); err != nil {
				stop()
				return fmt.Errorf("reading the journal: %w", err)
			}
		}
	}
}

// whole checks what a start has put together: every room with as many members as it
// counts, and no facts of a living room that is not there.
func (r *replica) whole(orphans map[subjects.Room]string) error {
	for id, instance := range orphans {
		return fmt.Errorf("%w: facts of %q, instance %s, but not its beginning", errIncomplete, id, instance)
	}
	for _, mb := range r.all() {
		mb.mu.Lock()
		ok := mb.state == nil || mb.state.Whole()
		mb.mu.Unlock()
		if !ok {
			return fmt.Errorf("%w: %q does not have the members that it counts", errIncomplete, mb.room)
		}
	}
	return nil
}

// mirrors says whether the bucket held, as far as its mark goes, what the rooms are
// made of. Where reading the journal again mended the rooms, the bucket is still to be mended.
func (s *Service) mirrors(snap *projection.Snapshot) bool {
	mark := snap.Projected.Revision
	for _, mb := range s.rep.all() {
		mb.mu.Lock()
		ok := true
		if st, head := mb.state, snap.Heads[mb.room]; st == nil {
			ok = head.Revision == 0 || mb.revision > mark
		} else {
			ok = st.Revision > mark || st.Revision == head.Revision
			st.After(0, func(m *room.Member) bool {
				if held := snap.Members[mb.room][m.User]; m.Revision <= mark && (held.Member == nil || held.Revision != m.Revision) {
					ok = false
				}
				return ok
			})
		}
		mb.mu.Unlock()
		if !ok {
			return false
		}
	}
	return true
}

// everything is the whole state for the bucket, and a fact that it surely holds.
func (s *Service) everything() (projection.Mark, []projection.Change) {
	mark := s.rep.mark()
	var changes []projection.Change
	for _, mb := range s.rep.all() {
		mb.mu.Lock()
		if st := mb.state; st != nil {
			head := st.Head
			c := projection.Change{Mark: projection.Mark{Revision: st.Revision}, Room: mb.room, InstanceID: st.InstanceID, Changes: room.Changes{Head: &head}}
			st.After(0, func(m *room.Member) bool { c.Put = append(c.Put, m); return true })
			st.Kept(func(k room.Kept) { c.Keep = append(c.Keep, k) })
			changes = append(changes, c)
		}
		mb.mu.Unlock()
	}
	return mark, changes
}

// renewLost gives a new instance to every room that lost facts: its members hear that
// the old one ended, and whoever held a position in it takes a new snapshot.
func (s *Service) renewLost(extent journal.Extent) {
	for _, mb := range s.rep.all() {
		mb.mu.Lock()
		if mb.state == nil || !s.rep.sought[mb.room].lost(mb.state.InstanceID, extent) {
			mb.mu.Unlock()
			continue
		}
		s.log.Warn("a room lost facts and goes on as a new instance", "room", mb.room, "instance", mb.state.InstanceID)
		renewal := room.NewRenewal(mb.state)
		mb.tasks = append(mb.tasks, task(renewal.Next))
		s.begin(mb)
	}
	s.rep.sought = nil
}

// sought is a room as the bucket knew it, to be found again in the journal; nil is a
// room that it did not know.
type sought struct {
	room.Head
	seen  bool // facts of that instance
	found bool // its newest fact
}

func (r *replica) seek(heads map[subjects.Room]room.Head) {
	r.sought = make(map[subjects.Room]*sought, len(heads))
	for id, h := range heads {
		r.sought[id] = &sought{Head: h}
	}
}

func (k *sought) take(f *events.Fact, seq uint64) {
	if k != nil && k.InstanceID == f.InstanceID {
		k.seen, k.found = true, k.found || k.Sequence == f.Sequence && k.Revision == seq
	}
}

// lost says whether a room, now at instance, lost facts: the newest that the bucket
// knew of that instance, or its end. It has been renewed already if another instance
// follows the one that the bucket knew.
func (k *sought) lost(instance string, extent journal.Extent) bool {
	return k == nil || !k.found && k.Revision >= extent.First && (k.InstanceID == instance || !k.seen)
}
