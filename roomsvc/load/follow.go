package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// nudge is how often a start that waits for the follower stores another marker, since a marker
// may expire before it is read.
const nudge = 20 * time.Second

// nothing stands for the mark of a bucket that is not used: no fact has to be passed on to it
// one by one, since all of it is written again from scratch.
const nothing = ^uint64(0)

// following is the journal's follower, first while it catches up and then live.
type following struct {
	*loading
	point   uint64 // of the marker up to which facts are replayed
	bucket  uint64 // the revision that the bucket is as of
	sought  map[subjects.Room]*sought
	orphans map[subjects.Room]string // instances of rooms whose beginning is missing
	live    bool
	ready   chan struct{} // closed once it is live
}

// follow reads the journal from a sequence, over what the replica holds, up to a marker,
// checks that the result is whole rooms, and keeps following.
func (l *loading) follow(ctx context.Context, from, bucket uint64, sought map[subjects.Room]*sought) error {
	point, err := l.Journal.Mark(ctx)
	if err != nil {
		return fmt.Errorf("storing a first marker in the stream %s: %w", subjects.StreamRooms, err)
	}
	f := &following{loading: l, point: point, bucket: bucket, sought: sought, orphans: map[subjects.Room]string{}, ready: make(chan struct{})}
	followCtx, stop := context.WithCancel(l.Life)
	ended := make(chan error, 1)
	l.Life.Go(func() {
		defer stop()
		err := later(l.Journal.Follow(followCtx, from, f.take))
		ended <- err
		select {
		case <-f.ready:
			if !l.Life.Over() {
				l.Life.Fail(fmt.Errorf("following the journal: %w", err))
			}
		default:
		}
	})
	if err := f.wait(ctx, ended); err != nil {
		stop()
		return err
	}
	return nil
}

// later explains why a fact can't be read that this version does not know.
func later(err error) error {
	if !errors.Is(err, events.ErrUnknownType) {
		return err
	}
	return fmt.Errorf("the stream %s has a fact that a later version of natsrooms stored and this one does not know (%w); start that version, or restore a backup from before it", subjects.StreamRooms, err)
}

// wait returns when the follower is live.
func (f *following) wait(ctx context.Context, ended <-chan error) error {
	ticker := time.NewTicker(nudge)
	defer ticker.Stop()
	for {
		select {
		case <-f.ready:
			return nil
		case err := <-ended:
			return err
		case <-ctx.Done():
			return fmt.Errorf("reading the journal: %w", ctx.Err())
		case <-ticker.C:
			_, _ = f.Journal.Mark(ctx) // or the next time
		}
	}
}

// take takes the next stored message.
func (f *following) take(m journal.Message) error {
	if f.live {
		return f.rep.Pass(m)
	}
	if m.Seq <= f.point {
		if err := f.replay(m); err != nil || m.Seq < f.point {
			return err
		}
	}
	if err := f.whole(f.orphans); err != nil {
		return err
	}
	f.live = true
	f.rep.Passed.Reach(f.point)
	f.Live(f.rep)
	close(f.ready)
	if m.Seq > f.point {
		return f.rep.Pass(m)
	}
	return nil
}

// replay applies a stored message to what the bucket held.
func (f *following) replay(m journal.Message) error {
	id, ok := subjects.RoomOfFacts(m.Subject)
	if !ok {
		return nil
	}
	fact, ch, known, err := f.rep.Replay(m, m.Time.Add(f.ahead))
	if err != nil {
		return err
	}
	f.sought[id].take(fact, m.Seq)
	if !known {
		f.orphans[id] = fact.InstanceID
	}
	if fact.Type == events.RoomDestroyed || fact.Type == events.RoomCreated {
		delete(f.orphans, id)
	}
	if m.Seq > f.bucket || f.bucket == nothing {
		f.rep.Reached(room.Mark{Revision: m.Seq, FactID: fact.ID})
	}
	if m.Seq > f.bucket && m.Seq <= f.image { // the image may have the change, and the bucket lacks it
		f.rep.View(id, func(st *room.State) { ch = st.Touched(fact) })
	}
	if m.Seq > f.bucket {
		f.rep.Pending = append(f.rep.Pending, room.ChangeOf(fact, ch, m.Seq))
	}
	return nil
}
