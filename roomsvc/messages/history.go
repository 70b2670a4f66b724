package messages

import (
	"context"
	"errors"
	"strconv"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/subjects"
)

// Page is a page of a room's stored messages, oldest first.
type Page struct {
	Messages []*events.Message
	Deleted  []uint64 // the messages whose deletion comes in this part
	Next     string   // where the next page begins; empty at the end
	Complete bool     // nothing of what was asked for has been discarded
	Head     uint64   // what the room has newest, a message or a deletion; 0 if nothing is kept
	Read     int      // bytes that were read for it
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

// How many bytes of a page a message takes besides itself, and how many the number of a deleted
// message takes.
const (
	messageSeqRoom = 40
	numberRoom     = 21
)

// said is what a place of the stream holds: a message, or the deletion of some.
type said struct {
	at      uint64
	message *events.Message // nil: a deletion
	deleted []uint64
	size    int // bytes in a page
}

// read reads what is stored at a place. It returns false for what is of another instance, or
// not for whoever asks. Who has heard a message may know that it was deleted, and the number
// of one tells nothing to others.
func (p *Page) read(q *Query, at uint64, data []byte) (s said, ok bool) {
	p.Read += len(data)
	m, err := events.DecodeMessage(data)
	if errors.Is(err, events.ErrUnknownType) {
		d, err := events.DecodeDeletion(data)
		if err != nil || d.InstanceID != q.InstanceID {
			return said{}, false
		}
		return said{at: at, deleted: d.MessageSeqs, size: numberRoom * len(d.MessageSeqs)}, true
	}
	if err != nil || m.InstanceID != q.InstanceID || q.Since.after(m) || q.Heard != nil && !q.Heard(m) {
		return said{}, false
	}
	m.Seq = at
	return said{at: at, message: m, size: len(data) + messageSeqRoom}, true
}

// full says whether the page has no room for something more, with which it would have that many
// bytes.
func (p *Page) full(q *Query, s *said, size int) bool {
	if len(p.Messages) == 0 && len(p.Deleted) == 0 {
		return false
	}
	return size > q.Bytes || s.message != nil && len(p.Messages) == q.Count
}

func (p *Page) add(s *said) {
	p.Deleted = append(p.Deleted, s.deleted...)
	if s.message != nil {
		p.Messages = append(p.Messages, s.message)
	}
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

// After returns the messages after seq. A page that ends with a deletion has a Next, so that
// whoever asks goes on after it.
func (s *Store) After(ctx context.Context, q Query, seq uint64) (*Page, error) {
	r := s.reader(q.Room)
	p := &Page{}
	size, looked, last := 0, 0, seq
	err := r.Read(ctx, seq+1, func(at uint64, data []byte) bool {
		looked++
		what, ok := p.read(&q, at, data)
		size += what.size
		enough := p.Read > mostRead || looked == mostLooked
		switch {
		case ok && p.full(&q, &what, size):
			p.Next = strconv.FormatUint(last, 10)
			return false
		case enough || ok && what.message == nil:
			p.Next = strconv.FormatUint(at, 10)
		case ok:
			p.Next = ""
		}
		p.add(&what)
		last = at
		return !enough
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
	all, from, err := s.back(ctx, r, &q, p, first, seq)
	if err != nil {
		return nil, err
	}
	begin := p.newest(&q, all)
	p.Complete = true
	switch {
	case begin > 0:
		p.Next = strconv.FormatUint(all[begin].at, 10)
	case from > first: // there may be none that is nearer
		p.Next = strconv.FormatUint(from, 10)
	default:
		p.Complete, err = s.whole(ctx, &q, r, first)
	}
	return p, err
}

// newest puts the newest onto the page, as many as fit, and returns where they begin.
func (p *Page) newest(q *Query, all []said) (begin int) {
	size, messages := 0, 0
	for begin = len(all); begin > 0; begin-- {
		s := &all[begin-1]
		size += s.size
		if begin < len(all) && size > q.Bytes || s.message != nil && messages == q.Count {
			break
		}
		if s.message != nil {
			messages++
		}
	}
	for i := range all[begin:] {
		p.add(&all[begin+i])
	}
	return begin
}

// back reads back from end until there are enough messages for a page, nothing is left, or
// enough has been read. It returns what it found, and how far it came.
func (s *Store) back(ctx context.Context, r *journal.Reader, q *Query, p *Page, first, end uint64) (all []said, from uint64, err error) {
	size, messages := 0, 0
	for n := firstLook; end > first && messages < q.Count && size <= q.Bytes && p.Read <= mostRead && n < 2*mostLooked; n *= 4 {
		if from, err = s.backFrom(ctx, r, first, end, uint64(min(n, max(q.Count, firstLook)))); err != nil {
			return nil, 0, err
		}
		more, err := between(ctx, r, q, p, from, end)
		if err != nil {
			return nil, 0, err
		}
		for i := range more {
			size += more[i].size
			if more[i].message != nil {
				messages++
			}
		}
		all, end = append(more, all...), from
	}
	return all, end, nil
}

// between reads what is stored from one sequence on and before another.
func between(ctx context.Context, r *journal.Reader, q *Query, p *Page, from, end uint64) (all []said, err error) {
	err = r.Read(ctx, from, func(at uint64, data []byte) bool {
		if at >= end {
			return false
		}
		if s, ok := p.read(q, at, data); ok {
			all = append(all, s)
		}
		return true
	})
	return all, err
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
