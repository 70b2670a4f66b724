package messages

import (
	"context"
	"strconv"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/subjects"
)

// Page is some stored messages of a room, oldest first.
type Page struct {
	Messages []*events.Message
	Next     string // the position that the next page is asked for with, empty at the end
	Complete bool   // nothing that was asked for has been discarded
	Head     uint64 // of the room, now; 0 if nothing is kept
}

// Query asks for messages of one instance of a room.
type Query struct {
	Room       subjects.Room
	InstanceID string
	CreatedAt  events.Time // of the instance
	Since      events.Time // only messages that are no older
	Count      int
	Bytes      int // of all of them, encoded
}

// messageSeqRoom is what a message grows by when it tells its sequence.
const messageSeqRoom = 40

// take adds a stored message to the page; false says that it has no place any more.
func (p *Page) take(q *Query, size *int, at uint64, data []byte) bool {
	m, err := events.DecodeMessage(data)
	if err != nil || m.InstanceID != q.InstanceID || m.Time < q.Since {
		return true // of another instance, or not for the one who asks
	}
	if *size += len(data) + messageSeqRoom; len(p.Messages) > 0 && (len(p.Messages) == q.Count || *size > q.Bytes) {
		return false
	}
	m.Seq = at
	p.Messages = append(p.Messages, m)
	return true
}

// After is the messages behind seq.
func (s *Store) After(ctx context.Context, q Query, seq uint64) (*Page, error) {
	r := s.reader(q.Room)
	p := &Page{}
	size := 0
	err := r.Read(ctx, seq+1, func(at uint64, data []byte) bool {
		ok := p.take(&q, &size, at, data)
		if !ok {
			p.Next = strconv.FormatUint(p.Messages[len(p.Messages)-1].Seq, 10)
		}
		return ok
	})
	if err != nil {
		return nil, err
	}
	// What the room holds is looked at behind the reading: what was discarded before is
	// known then.
	first, err := s.extent(ctx, r, p)
	if err != nil {
		return nil, err
	}
	known := s.known(q.Room)
	if p.Complete = first > 0 && first <= seq || first == 0 && known > 0 && seq >= known; !p.Complete {
		p.Complete, err = s.whole(ctx, &q, r, first)
	}
	return p, err
}

// known is the room's head as this instance knows it, also when nothing is kept any more.
func (s *Store) known(r subjects.Room) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.heads[r].seq
}

// Before is the newest messages in front of seq; 0 is the end.
func (s *Store) Before(ctx context.Context, q Query, seq uint64) (*Page, error) {
	r := s.reader(q.Room)
	p := &Page{}
	first, err := s.extent(ctx, r, p)
	if err != nil || first == 0 {
		if err == nil {
			p.Complete, err = s.whole(ctx, &q, r, first)
		}
		return p, err
	}
	if seq == 0 || seq > p.Head {
		seq = p.Head + 1
	}
	from, err := s.backFrom(ctx, r, first, seq, uint64(q.Count))
	if err != nil {
		return nil, err
	}
	all, sizes, err := s.between(ctx, r, &q, from, seq)
	if err == nil && len(all) == 0 && from > first { // none of this instance, or for who asks, was so near
		from = first
		all, sizes, err = s.between(ctx, r, &q, from, seq)
	}
	if err != nil {
		return nil, err
	}
	size, begin := 0, len(all)
	for begin > 0 && len(all)-begin < q.Count {
		if size += sizes[begin-1]; size > q.Bytes && begin < len(all) {
			break
		}
		begin--
	}
	p.Messages, p.Complete = all[begin:], true
	switch {
	case len(all) > 0 && (begin > 0 || from > first):
		p.Next = strconv.FormatUint(p.Messages[0].Seq, 10)
	default:
		p.Complete, err = s.whole(ctx, &q, r, first)
	}
	return p, err
}

// between reads the messages from one sequence on and in front of another, and how long
// each is in a page.
func (s *Store) between(ctx context.Context, r *journal.Reader, q *Query, from, end uint64) (all []*events.Message, sizes []int, err error) {
	p := &Page{}
	unbounded := Query{Room: q.Room, InstanceID: q.InstanceID, Since: q.Since, Count: -1, Bytes: 1 << 30}
	last := 0
	err = r.Read(ctx, from, func(at uint64, data []byte) bool {
		if at >= end {
			return false
		}
		size := last
		p.take(&unbounded, &size, at, data)
		if size > last {
			sizes = append(sizes, size-last)
		}
		last = size
		return true
	})
	return p.Messages, sizes, err
}

// backFrom is a sequence behind which, and in front of end, there are count messages,
// or somewhat more where that is found sooner, or all.
func (s *Store) backFrom(ctx context.Context, r *journal.Reader, first, end, count uint64) (uint64, error) {
	low, high := first, end
	for low < high {
		mid := low + (high-low)/2
		n, err := r.Count(ctx, mid)
		if err != nil {
			return 0, err
		}
		// Counted after the other, so that what arrives meanwhile makes it too many read, not
		// too few.
		behind, err := r.Count(ctx, end)
		if err != nil {
			return 0, err
		}
		switch n -= min(n, behind); {
		case n < count:
			high = mid
		case n <= 2*count:
			return mid, nil
		default:
			low = mid + 1
		}
	}
	return low, nil
}

func (s *Store) reader(r subjects.Room) *journal.Reader {
	return journal.NewReader(s.journal.JetStream(), s.stream, subjects.Messages(r))
}

// extent is where the room's messages begin; 0 if there are none. It tells the page where they end.
func (s *Store) extent(ctx context.Context, r *journal.Reader, p *Page) (first uint64, err error) {
	if p.Head, _, _, err = r.Last(ctx); err == nil {
		first, _, _, err = r.Next(ctx, 1)
	}
	return first, err
}

// whole says that none of an instance's messages has been discarded, by age or by
// number, as the stream is set up now.
func (s *Store) whole(ctx context.Context, q *Query, r *journal.Reader, first uint64) (bool, error) {
	if first > 0 {
		_, data, ok, err := r.Next(ctx, first)
		if err != nil {
			return false, err
		}
		if m, err := events.DecodeMessage(data); ok && err == nil && m.InstanceID != q.InstanceID {
			return true, nil // even some from before it are there
		}
	}
	info, err := s.stream.Info(ctx)
	if err != nil {
		return false, err
	}
	if time.Since(q.CreatedAt.Time()) >= info.Config.MaxAge {
		return false, nil
	}
	n, err := r.Count(ctx, 1)
	return n < uint64(info.Config.MaxMsgsPerSubject), err
}
