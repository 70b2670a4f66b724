package messages

import (
	"context"
	"slices"
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
	p, first, err := s.begin(ctx, r, q.Room)
	if err != nil {
		return nil, err
	}
	known := s.known(q.Room)
	if p.Complete = first > 0 && first <= seq || first == 0 && known > 0 && seq >= known; !p.Complete {
		if p.Complete, err = s.whole(ctx, &q, r, first); err != nil {
			return nil, err
		}
	}
	size := 0
	err = r.Read(ctx, seq+1, func(at uint64, data []byte) bool {
		ok := p.take(&q, &size, at, data)
		if !ok {
			p.Next = strconv.FormatUint(p.Messages[len(p.Messages)-1].Seq, 10)
		}
		return ok
	})
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
	p, first, err := s.begin(ctx, r, q.Room)
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
	all := &Page{}
	size := 0
	wide := Query{Room: q.Room, InstanceID: q.InstanceID, Since: q.Since, Count: -1, Bytes: 1 << 30}
	if err = r.Read(ctx, from, func(at uint64, data []byte) bool { return at < seq && all.take(&wide, &size, at, data) }); err != nil {
		return nil, err
	}
	size = 0
	for _, m := range slices.Backward(all.Messages) {
		if size += len(m.Data) + len(m.Extended) + 1<<10; len(p.Messages) > 0 && (len(p.Messages) == q.Count || size > q.Bytes) {
			break
		}
		p.Messages = append(p.Messages, m)
	}
	slices.Reverse(p.Messages)
	p.Complete = true
	switch n := len(p.Messages); {
	case n > 0 && n < len(all.Messages), n > 0 && from > first:
		p.Next = strconv.FormatUint(p.Messages[0].Seq, 10)
	case from == first:
		p.Complete, err = s.whole(ctx, &q, r, first)
	}
	return p, err
}

// backFrom is a sequence behind which, and in front of end, there are count messages,
// or somewhat more where that is found sooner, or all.
func (s *Store) backFrom(ctx context.Context, r *journal.Reader, first, end, count uint64) (uint64, error) {
	behind, err := r.Count(ctx, end)
	if err != nil {
		return 0, err
	}
	low, high := first, end
	for low < high {
		mid := low + (high-low)/2
		n, err := r.Count(ctx, mid)
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

// begin is where the room's messages begin and end; 0 and 0 if there are none.
func (s *Store) begin(ctx context.Context, r *journal.Reader, room subjects.Room) (p *Page, first uint64, err error) {
	p = &Page{}
	if p.Head, _, _, err = r.Last(ctx); err == nil {
		first, _, _, err = r.Next(ctx, 1)
	}
	return p, first, err
}

// whole says that none of an instance's messages has been discarded, by age or by number.
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
	if time.Since(q.CreatedAt.Time()) >= s.Keep {
		return false, nil
	}
	n, err := r.Count(ctx, 1)
	return n < uint64(s.PerRoom), err
}
