package messages

import (
	"context"
	"strconv"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/subjects"
)

// Page is a page of a room's stored messages, oldest first.
type Page struct {
	Messages []*events.Message
	Next     string // where the next page begins; empty at the end
	Complete bool   // nothing of what was asked for has been discarded
	Head     uint64 // the room's newest message now; 0 if nothing is kept
	Read     int    // bytes that were read for it
}

// Query asks for messages of one instance of a room.
type Query struct {
	Room       subjects.Room
	InstanceID string
	CreatedAt  events.Time // of the instance
	Since      Since       // only messages that are not older than this
	Ended      bool        // messages of later instances may follow; CreatedAt is from when on something is asked for

	Heard func(*events.Message) bool // only messages for which it is true; nil: all
	Count int
	Bytes int // of all messages together, encoded
}

// A page ends early, whatever was found, when so many bytes have been read for it, or so many
// messages.
const (
	mostRead   = 1 << 20
	mostLooked = 2048
	firstLook  = 128 // messages back, at the first look for the newest
)

// messageSeqRoom is how many bytes a message may grow when its sequence is added.
const messageSeqRoom = 40

// take adds a stored message to the page; it returns false if the page is full.
func (p *Page) take(q *Query, size *int, at uint64, data []byte) bool {
	p.Read += len(data)
	m, err := events.DecodeMessage(data)
	if err != nil || m.InstanceID != q.InstanceID || q.Since.after(m) || q.Heard != nil && !q.Heard(m) {
		return true // it is of another instance, or not for whoever asks
	}
	if *size += len(data) + messageSeqRoom; len(p.Messages) > 0 && (len(p.Messages) == q.Count || *size > q.Bytes) {
		return false
	}
	m.Seq = at
	p.Messages = append(p.Messages, m)
	return true
}

// Since is from when on a user may read a room's messages: the time and the sequence of the
// fact by which it came. It is zero if the user may read all.
type Since struct {
	At   events.Time
	Fact uint64
}

// after says whether a message is older. Messages that do not name the fact that they come
// after, as those stored by earlier versions, are judged by their time.
func (s Since) after(m *events.Message) bool {
	if m.After > 0 {
		return m.After < s.Fact
	}
	return m.Time < s.At
}

// After returns the messages after seq.
func (s *Store) After(ctx context.Context, q Query, seq uint64) (*Page, error) {
	r := s.reader(q.Room)
	p := &Page{}
	size, looked := 0, 0
	err := r.Read(ctx, seq+1, func(at uint64, data []byte) bool {
		ok := p.take(&q, &size, at, data)
		if looked++; !ok {
			p.Next = strconv.FormatUint(p.Messages[len(p.Messages)-1].Seq, 10)
		} else if p.Read > mostRead || looked == mostLooked {
			p.Next, ok = strconv.FormatUint(at, 10), false
		}
		return ok
	})
	if err != nil {
		return nil, err
	}
	// The room's extent is read after the messages, so that it shows what was discarded before
	// they were read.
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

// known returns the room's head as this instance knows it, even if nothing is kept any more.
func (s *Store) known(r subjects.Room) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.heads[r].seq
}

// Before returns the newest messages before seq; 0 stands for the end.
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
	all, sizes, from, err := s.back(ctx, r, &q, p, first, seq)
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
	case begin > 0:
		p.Next = strconv.FormatUint(p.Messages[0].Seq, 10)
	case from > first: // there may be none that is nearer
		p.Next = strconv.FormatUint(from, 10)
	default:
		p.Complete, err = s.whole(ctx, &q, r, first)
	}
	return p, err
}

// back reads back from end until there are enough for a page, nothing is left, or enough has
// been read. It returns what it found, how long each is in a page, and how far it came.
func (s *Store) back(ctx context.Context, r *journal.Reader, q *Query, p *Page, first, end uint64) (all []*events.Message, sizes []int, from uint64, err error) {
	size := 0
	for n := firstLook; end > first && len(all) < q.Count && size <= q.Bytes && p.Read <= mostRead && n < 2*mostLooked; n *= 4 {
		if from, err = s.backFrom(ctx, r, first, end, uint64(min(n, max(q.Count, firstLook)))); err != nil {
			return nil, nil, 0, err
		}
		more, lengths, err := s.between(ctx, r, q, p, from, end)
		if err != nil {
			return nil, nil, 0, err
		}
		for _, n := range lengths {
			size += n
		}
		all, sizes, end = append(more, all...), append(lengths, sizes...), from
	}
	return all, sizes, end, nil
}

// between reads the messages from one sequence on that are before another, and returns with
// them how long each is in a page.
func (s *Store) between(ctx context.Context, r *journal.Reader, q *Query, p *Page, from, end uint64) (all []*events.Message, sizes []int, err error) {
	found := &Page{}
	unbounded := *q
	unbounded.Count, unbounded.Bytes = -1, 1<<30
	last := 0
	err = r.Read(ctx, from, func(at uint64, data []byte) bool {
		if at >= end {
			return false
		}
		size := last
		found.take(&unbounded, &size, at, data)
		if size > last {
			sizes = append(sizes, size-last)
		}
		last = size
		return true
	})
	p.Read += found.Read
	return found.Messages, sizes, err
}

// backFrom returns a sequence such that from it on, and before end, there are count messages,
// or somewhat more if such a sequence is found sooner, or all of them.
func (s *Store) backFrom(ctx context.Context, r *journal.Reader, first, end, count uint64) (uint64, error) {
	low, high := first, end
	for low < high {
		mid := low + (high-low)/2
		n, err := r.Count(ctx, mid)
		if err != nil {
			return 0, err
		}
		// This is counted after n, so that what arrives in between makes us read too many, not
		// too few.
		later, err := r.Count(ctx, end)
		if err != nil {
			return 0, err
		}
		switch n -= min(n, later); {
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

// extent returns where the room's messages begin, 0 if there are none, and sets the page's Head
// to where they end.
func (s *Store) extent(ctx context.Context, r *journal.Reader, p *Page) (first uint64, err error) {
	if p.Head, _, _, err = r.Last(ctx); err == nil {
		first, _, _, err = r.Next(ctx, 1)
	}
	return first, err
}

// whole reports whether none of an instance's messages has been discarded, by age or by
// number, judged by the stream's current settings.
func (s *Store) whole(ctx context.Context, q *Query, r *journal.Reader, first uint64) (bool, error) {
	if first > 0 {
		_, data, ok, err := r.Next(ctx, first)
		if err != nil {
			return false, err
		}
		m, err := events.DecodeMessage(data)
		if ok && err == nil && (!q.Ended && m.InstanceID != q.InstanceID || q.Ended && m.Time < q.CreatedAt) {
			return true, nil // even some from before are kept
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
