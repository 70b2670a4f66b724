// Package load makes the replica at a start: from an image that this instance left, or from
// the bucket, and the facts after that or, where the bucket cannot be trusted, from the journal
// alone. It checks that the result is whole rooms, finds rooms that lost facts, and leaves the
// journal's follower running.
//
// The facts before a first marker are replayed over what there was; from there on each
// is passed as it happens. In between, once, the caller is told ([Config.Live]): what it
// connects to the replica then misses nothing and hears nothing twice.
package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/projection"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Load makes the replica. An error is a sentence that says what to do.
func Load(ctx context.Context, c Config) (*Replica, Found, error) {
	for {
		l := &loading{Config: c}
		found, err := l.load(ctx)
		if !errors.Is(err, journal.ErrAged) || ctx.Err() != nil {
			return l.rep, found, err
		}
		// Something has expired since the journal's beginning was looked at: a marker, or
		// facts. Another look says which.
	}
}

// load loads once.
func (l *loading) load(ctx context.Context) (found Found, err error) {
	if found.Image, err = l.overImage(ctx); found.Image > 0 || err != nil {
		return found, err
	}
	if err := l.look(ctx); err != nil {
		return found, err
	}
	from, tailLost, err := l.judge(ctx, l.snap.Projected)
	if err != nil {
		return found, err
	}
	if from > 0 {
		err := l.overBucket(ctx, from)
		if err == nil && !l.mirrors() {
			l.Log.Warn("the bucket lacked what the journal has; writing it again from scratch")
			found.Rewrite = true
		}
		if !errors.Is(err, errIncomplete) && !errors.Is(err, room.ErrDamaged) {
			return found, err
		}
		l.Log.Warn("the bucket has holes; making the rooms from the journal", "because", err)
	}
	sought := seek(l.snap.Heads)
	if err := l.fromJournal(ctx, sought); err != nil {
		return found, err
	}
	found.Rewrite = true
	if tailLost {
		found.Lost = l.lost(sought)
	}
	return found, nil
}

// look reads the bucket, and how far the journal reaches.
func (l *loading) look(ctx context.Context) (err error) {
	if l.snap, err = l.Bucket.Load(ctx); err != nil {
		return err
	}
	return l.lookAround(ctx, l.snap.Projected)
}

// lookAround looks how far the journal reaches, and whether a bucket with that mark is its.
func (l *loading) lookAround(ctx context.Context, p projection.Projected) (err error) {
	if id := p.Journal; id != "" && id != l.Journal.ID {
		return fmt.Errorf("the bucket %s belongs to journal %s, but the stream %s is journal %s: one of them is from another deployment or an old copy; restore the one that fits, or delete the bucket to have it made from the journal",
			subjects.BucketState, id, subjects.StreamRooms, l.Journal.ID)
	}
	if l.extent, err = l.Journal.Extent(ctx); err != nil {
		return err
	}
	l.ahead = time.Since(l.extent.At)
	return nil
}

// overBucket makes the replica from the bucket and the facts from a sequence on.
func (l *loading) overBucket(ctx context.Context, from uint64) error {
	l.begin(l.snap.Projected)
	if err := l.fill(); err != nil {
		return err
	}
	return l.follow(ctx, from, l.snap.Projected.Revision, nil)
}

// fromJournal makes the replica from the journal alone, and looks in the journal for what the
// bucket knew.
func (l *loading) fromJournal(ctx context.Context, sought map[subjects.Room]*sought) error {
	l.begin(projection.Projected{})
	err := l.follow(ctx, max(l.extent.First, 1), nothing, sought)
	if errors.Is(err, errIncomplete) || errors.Is(err, room.ErrDamaged) {
		return fmt.Errorf("the bucket %s can't be used, and the stream %s does not reach back to the beginning of every room (%w): restore a bucket of journal %s that is newer than revision %d, or start with an empty stream and bucket",
			subjects.BucketState, subjects.StreamRooms, err, l.Journal.ID, l.extent.First)
	}
	return err
}

func (l *loading) begin(p projection.Projected) {
	l.rep = &Replica{Replica: replica.New(l.Remember), Projected: p}
	l.rep.Reached(p.Mark)
}

// judge says from which sequence the journal must be read over the bucket's content; 0 means
// that the content is of no use. tailLost says that the journal lost facts that the bucket
// has.
func (l *loading) judge(ctx context.Context, p projection.Projected) (from uint64, tailLost bool, err error) {
	if p.Journal == "" || p.Torn || p.Revision == 0 {
		return 0, false, nil
	}
	same, err := l.holds(ctx, p.Mark)
	if err != nil {
		return 0, false, err
	}
	switch {
	case !same:
		l.Log.Error("the journal lost its newest facts; rooms go on from what it holds, those that lost facts as new instances", "bucket", p.Revision, "journal", l.extent.Last)
		return 0, true, nil
	case p.Revision+1 < l.extent.First:
		l.Log.Warn("the journal no longer reaches back to where the bucket ends", "bucket", p.Revision, "journal", l.extent.First)
		return 0, false, nil
	}
	from = min(p.Safe.Revision, p.Revision) + 1
	recent, err := l.Journal.FirstSince(ctx, l.extent.At.Add(-l.Remember))
	if err != nil {
		return 0, false, err
	}
	if recent > 0 {
		from = min(from, recent)
	}
	return max(from, l.extent.First, 1), false, nil
}

// holds says whether the journal has the fact that the mark names, as far as that can be told:
// a fact that has left the journal by age is taken on trust.
func (l *loading) holds(ctx context.Context, m room.Mark) (bool, error) {
	if m.Revision > l.extent.Last {
		return false, nil
	}
	if m.Revision < l.extent.First {
		return true, nil
	}
	data, ok, err := l.Journal.At(ctx, m.Revision)
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
func (l *loading) fill() error {
	for r, members := range l.snap.Members {
		if _, ok := l.snap.Heads[r]; !ok && len(members) > 0 {
			return fmt.Errorf("%w: %q has members but no record of its own", errIncomplete, r)
		}
	}
	for r, h := range l.snap.Heads {
		members := make([]*room.Member, 0, len(l.snap.Members[r]))
		for _, m := range l.snap.Members[r] {
			if m.InstanceID == h.InstanceID {
				members = append(members, m.Member)
			}
		}
		var kept []room.Kept
		for _, k := range l.snap.Kept[r] {
			if k.InstanceID == h.InstanceID {
				kept = append(kept, k.Kept)
			}
		}
		l.rep.Fill(r, h, members, kept)
	}
	return nil
}

// errNotWorth says that an image is of no use: the journal does not go on from it, or is so far
// ahead that reading the bucket is faster.
var errNotWorth = errors.New("the image is of no use")

// overImage makes the replica from an image of this instance and the facts after it, or after
// the bucket's mark if that is older. It returns the image's revision; 0 if there is no such
// image, or if anything about the bucket or the journal is not as it should be: then everything
// is to be read.
func (l *loading) overImage(ctx context.Context) (revision uint64, err error) {
	if l.Image == nil {
		return 0, nil
	}
	kept := l.Image.take()
	p, _, err := l.Bucket.Mark(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading how far the bucket has got: %w", err)
	}
	if err := l.lookAround(ctx, p); err != nil {
		return 0, err
	}
	if err = l.fits(ctx, kept, p); err == nil {
		l.rep, l.image = &Replica{Replica: kept.rep, Projected: p}, kept.newest.Revision
		l.rep.Outcomes.Keep(l.Remember)
		l.rep.Reached(p.Mark)
		err = l.follow(ctx, min(kept.mark.Revision, p.Revision)+1, p.Revision, nil)
	}
	if err == nil {
		l.Log.Debug("starting over an image", "revision", kept.mark.Revision)
		return kept.mark.Revision, nil
	}
	if ctx.Err() != nil || errors.Is(err, journal.ErrAged) {
		return 0, err
	}
	l.image = 0
	l.Log.Debug("starting without an image", "because", err)
	return 0, nil
}

// fits says whether the journal goes on from an image, and from a bucket, whose mark says what
// it has.
func (l *loading) fits(ctx context.Context, kept *restored, p projection.Projected) error {
	switch {
	case kept.err != nil:
		return kept.err
	case kept.journal != l.Journal.ID:
		return fmt.Errorf("%w: it is of journal %s", errNotWorth, kept.journal)
	case p.Journal == "" || p.Torn:
		return fmt.Errorf("%w: the bucket is not whole", errNotWorth)
	case kept.mark.Revision+farBehind < p.Safe.Revision:
		return fmt.Errorf("%w: it ends at %d, the bucket at %d", errNotWorth, kept.mark.Revision, p.Revision)
	}
	for _, m := range []room.Mark{kept.mark, kept.newest, p.Mark} {
		if same, err := l.holds(ctx, m); err != nil {
			return err
		} else if !same || m.Revision == 0 || m.Revision+1 < l.extent.First {
			return fmt.Errorf("%w: the journal does not go on from %d", errNotWorth, m.Revision)
		}
	}
	return nil
}

// farBehind is how many facts more than over the bucket are worth not reading the bucket.
const farBehind = 200_000
