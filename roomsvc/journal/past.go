package journal

import (
	"context"
	"fmt"
	"slices"

	"natsrooms/events"
	"natsrooms/subjects"
)

// PastQuery asks for facts of one instance of a room.
type PastQuery struct {
	InstanceID string
	After      uint64 // sequence; facts after it
	Newest     uint64 // sequence of the newest fact to give
	At         uint64 // its revision
	Count      int    // at most so many
	Bytes      int    // and about so many of them together; one in any case
}

// Past is stored facts of one instance of a room, oldest first.
type Past struct {
	Facts       [][]byte
	First, Last uint64 // sequences; after First-1 something may have been discarded
}

// Past reads facts of a room by the word of the stream's leader. An error also says that
// none is kept of those asked for.
func (j *Journal) Past(ctx context.Context, r subjects.Room, q PastQuery) (p Past, err error) {
	reader := j.Reader(subjects.Facts(r))
	at, first, err := findFact(ctx, reader, &q)
	if err != nil {
		return p, err
	}
	p.First = first
	size := 0
	err = reader.Read(ctx, at, func(at uint64, data []byte) bool {
		if at > q.At { // newer than what was asked for
			return false
		}
		if size += len(data) + 1; len(p.Facts) > 0 && (len(p.Facts) == q.Count || size > q.Bytes) {
			return false
		}
		if f, err := events.DecodeFact(data); err == nil {
			p.Last = f.Sequence
		}
		p.Facts = append(p.Facts, slices.Clone(data))
		return true
	})
	if err == nil && p.Last == 0 {
		err = fmt.Errorf("the stream %s does not have the facts of %q after %d", subjects.StreamRooms, r, q.After)
	}
	return p, err
}

// findFact finds the first fact of the room's instance after a sequence: its place in the
// journal and its sequence. A room's sequences grow with its places.
func findFact(ctx context.Context, r *Reader, q *PastQuery) (at, sequence uint64, err error) {
	low, high := uint64(1), q.At
	at, sequence = q.At, q.Newest
	// Most who ask have missed a few, so look near the end first.
	for step := uint64(64); low < high; {
		mid := low + (high-low)/2
		if step < high-low {
			mid = high - step
			step *= 8
		}
		place, data, ok, err := r.Next(ctx, mid)
		if err != nil {
			return 0, 0, err
		}
		f, err := events.DecodeFact(data)
		if !ok || err != nil {
			return 0, 0, err
		}
		if f.InstanceID == q.InstanceID && f.Sequence > q.After {
			at, sequence, high = place, f.Sequence, mid
		} else {
			low, step = place+1, high
		}
	}
	return at, sequence, nil
}
