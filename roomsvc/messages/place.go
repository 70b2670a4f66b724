package messages

import (
	"context"
	"slices"
	"sync"
	"time"

	"natsrooms/events"
	"natsrooms/subjects"
)

// settleTime is how long facts wait for messages that the stream does not answer for.
const settleTime = time.Second

// senders is what was accepted and is not known to be stored.
type senders struct {
	lock    sync.Mutex // guards the fields below
	places  map[subjects.Room]map[subjects.User]int
	waiting int           // how many facts wait
	closed  chan struct{} // closed and made anew when a place is closed while facts wait
}

// Place is that of one accepted message among the facts of its room. It is open until it is
// known what became of the message.
type Place struct {
	of     *senders
	room   subjects.Room
	sender subjects.User
	once   sync.Once
}

// Place opens the place of a message; an empty sender is the server itself.
func (s *senders) Place(r subjects.Room, sender subjects.User) *Place {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.places == nil {
		s.places, s.closed = map[subjects.Room]map[subjects.User]int{}, make(chan struct{})
	}
	if s.places[r] == nil {
		s.places[r] = map[subjects.User]int{}
	}
	s.places[r][sender]++
	return &Place{of: s, room: r, sender: sender}
}

// Close closes the place; only the first call counts.
func (p *Place) Close() { p.once.Do(func() { p.of.close(p) }) }

func (s *senders) close(p *Place) {
	s.lock.Lock()
	defer s.lock.Unlock()
	in := s.places[p.room]
	if in[p.sender]--; in[p.sender] == 0 {
		delete(in, p.sender)
	}
	if len(in) == 0 {
		delete(s.places, p.room)
	}
	if s.waiting > 0 {
		close(s.closed)
		s.closed = make(chan struct{})
	}
}

// Settled returns once no message is open of those who leave by the facts, or of anybody in a
// room that one of them ends; some may be nil. It waits for a stream that does not answer no
// longer than a second in all.
func (s *senders) Settled(ctx context.Context, facts []*events.Fact) {
	if !slices.ContainsFunc(facts, s.holds) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	s.wait(1)
	defer s.wait(-1)
	for {
		s.lock.Lock()
		closed := s.closed
		s.lock.Unlock()
		if !slices.ContainsFunc(facts, s.holds) {
			return
		}
		select {
		case <-closed:
		case <-ctx.Done():
			return
		}
	}
}

func (s *senders) wait(n int) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.waiting += n
}

// holds says whether a message is open that the fact has to wait for.
func (s *senders) holds(f *events.Fact) bool {
	if f == nil || len(f.Left) == 0 && f.Type != events.RoomDestroyed {
		return false
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	in := s.places[f.Room]
	if len(in) == 0 || f.Type == events.RoomDestroyed {
		return len(in) > 0
	}
	for i := range f.Left {
		if in[subjects.User(f.Left[i].UserID)] > 0 {
			return true
		}
	}
	return false
}
