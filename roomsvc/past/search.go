package past

import (
	"context"
	"errors"
	"sort"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
)

// search halves a room's part of the journal.
type search struct {
	ctx    context.Context
	reader *journal.Reader
	place  uint64 // of the fact that was read last
	reads  int    // how many facts were read
	err    error
}

// at is the first fact at or after a place; nil if there is none.
func (s *search) at(place uint64) *events.Fact {
	if s.err != nil {
		return nil
	}
	s.reads++
	at, data, ok, err := s.reader.Next(s.ctx, place)
	if err != nil || !ok {
		s.err = err
		return nil
	}
	s.place = at
	f, err := events.DecodeFact(data)
	if !errors.Is(err, events.ErrUnknownType) {
		s.err = err
	}
	return f
}

// first is the first fact between two places that is so, where all after it are, too; and the
// place after the last one that is not so.
func (s *search) first(low, high uint64, so func(*events.Fact) bool) (f *events.Fact, after uint64) {
	after = low + uint64(sort.Search(int(high-low+1), func(i int) bool {
		f := s.at(low + uint64(i))
		return f == nil || so(f)
	}))
	return s.at(after), after
}

// begin is the first fact that is kept of an instance, one of whose facts is at a place; and
// the place after the last fact before it. Most instances are short, so it looks near the place
// first.
func (s *search) begin(id string, place uint64) (f *events.Fact, after uint64) {
	other := func(f *events.Fact) bool { return f == nil || f.InstanceID != id }
	low, high := place, place
	for step := uint64(64); low == high && low > 1 && s.err == nil; step *= 8 {
		low -= min(step, low-1)
		if !other(s.at(low)) {
			high = low
		}
	}
	return s.first(low, high, func(f *events.Fact) bool { return !other(f) })
}
