package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"sync"

	"natsrooms/roomsvc/image"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/projection"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Image is the image that an instance left, and the file where it leaves the next one.
type Image struct {
	image.File
	mu   sync.Mutex // guards kept
	kept chan *restored
}

// restored is a replica made from an image.
type restored struct {
	rep          *replica.Replica
	journal      string
	mark, newest room.Mark
	err          error // why there is none
}

// ReadImage begins to read the image in a file, which may be missing. That takes as long as
// there are members, so it is worth while to begin before there is a server to connect to.
func ReadImage(path string) *Image {
	i := &Image{File: image.File{Path: path}}
	i.read()
	return i
}

func (i *Image) read() {
	kept := make(chan *restored, 1)
	i.kept = kept
	go func() {
		r := &restored{rep: replica.New(0)}
		r.err = i.Read(func(journal string, from *bufio.Reader) (err error) {
			r.journal = journal
			if r.mark, err = replica.ReadMark(from); err == nil {
				r.newest, err = r.rep.Restore(from)
			}
			return err
		})
		kept <- r
	}()
}

// take is what was read. It is given away once; whoever comes next waits for a new one.
func (i *Image) take() *restored {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.kept == nil {
		i.read()
	}
	r := <-i.kept
	i.kept = nil
	return r
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

// Lacks says whether the bucket, which is not read at a start over an image, lacks something that it says
// it has, or still has what is gone. That can only be after a crash of a server's machine.
// written returns when the bucket has what there is now; rest is called now and then, so that
// others can work.
func Lacks(ctx context.Context, b *projection.Bucket, rep *replica.Replica, written, rest func()) (bool, error) {
	seed := maphash.MakeSeed()
	var before map[uint64]uint64
	for range 2 { // what is gone may be on its way out of the bucket, but not for as long as that
		written()
		p, _, err := b.Mark(ctx)
		if err != nil {
			return false, err
		}
		held, err := b.Revisions(ctx, seed, rest)
		if err != nil {
			return false, err
		}
		if !strike(held, rep, seed, p.Revision) {
			return true, nil
		}
		maps.DeleteFunc(held, func(number, _ uint64) bool {
			_, gone := before[number]
			return before != nil && !gone
		})
		if before = held; len(held) == 0 {
			return false, nil
		}
	}
	return true, nil
}

// strike takes what the replica has out of held. It is false if held lacks something that is
// not newer than the mark.
func strike(held map[uint64]uint64, rep *replica.Replica, seed maphash.Seed, mark uint64) bool {
	whole := true
	has := func(key string, revision uint64) {
		number := maphash.String(seed, key)
		whole = whole && (revision > mark || held[number] >= revision)
		delete(held, number)
	}
	for _, known := range rep.All() {
		known.View(func(st *room.State) {
			if st == nil {
				return
			}
			has(subjects.RoomKey(st.Room), st.Revision)
			st.After(0, func(m *room.Member) bool { has(subjects.MemberKey(st.Room, m.User), m.Revision); return true })
			st.Kept(func(k room.Kept) { has(subjects.KeptKey(st.Room, k.User), k.Revision) })
		})
	}
	return whole
}
