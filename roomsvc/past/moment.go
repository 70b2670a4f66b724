package past

import (
	"context"
	"strconv"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Moments tells what rooms were at moments in the past.
type Moments struct {
	Journal *journal.Journal
	View    func(subjects.Room, func(*room.State)) // a room as it is now, under its lock; nil: there is none

	known cache[*moment]
}

// Then is a room as it was at a moment.
type Then struct {
	*room.State
	Whole bool // false: what members brought with them, and their attributes, may be unknown
}

// moment is a room after one of its facts.
type moment struct {
	remembered
	then Then // without a state: it has not been read
}

// At is a room as it was at a moment: what the facts up to then made of it. refused says why
// that can't be told.
func (ms *Moments) At(ctx context.Context, id subjects.Room, at events.Time) (then Then, refused *room.Error, err error) {
	if now := events.TimeOf(time.Now()); at > now {
		return then, room.Invalid("at", "is %v, which has not come yet: it is %v; ask for a moment before that, or without at for who is in now", at, now), nil
	}
	s := &search{ctx: ctx, reader: ms.Journal.Reader(subjects.Facts(id))}
	newest, _, _, err := s.reader.Last(ctx)
	if err != nil {
		return then, nil, err
	}
	next, after := s.first(1, max(newest, 1), func(f *events.Fact) bool { return f.Time > at })
	upTo := after - 1
	var last *events.Fact
	if upTo > 0 {
		last = s.at(upTo)
	}
	if s.err != nil || last != nil && s.place != upTo { // it is no longer kept
		return then, nil, lost(s.err, id)
	}
	switch {
	case last != nil && last.Type == events.RoomDestroyed:
		return then, room.Refuse(room.ErrRoomNotExist, "there was no room %q at %v; one had ended at %v, and instances says which there were", id, at, last.Time), nil
	case last == nil:
		since, err := ms.since(ctx)
		if err != nil {
			return then, nil, err
		}
		if at < since {
			return then, room.Invalid("at", "is %v, but facts are kept only since %v; ask for a moment from then on", at, since), nil
		}
		if next == nil || next.Type == events.RoomCreated {
			return then, room.Refuse(room.ErrRoomNotExist, "there was no room %q at %v; instances says which there were", id, at), nil
		}
		last, upTo = next, s.place-1 // it was as it had been before this fact
	}
	then, err = ms.after(s, id, last, upTo)
	return then, nil, err
}

// since is the moment from which on all facts are kept.
func (ms *Moments) since(ctx context.Context) (events.Time, error) {
	extent, err := ms.Journal.Extent(ctx)
	if err != nil || extent.First <= 1 {
		return 0, err
	}
	return events.TimeOf(extent.Since), nil
}

// after is the room after the facts up to a place; known is a fact of the instance that it was
// then.
func (ms *Moments) after(s *search, id subjects.Room, known *events.Fact, upTo uint64) (then Then, err error) {
	m := ms.known.put(&moment{remembered: remembered{room: id, id: strconv.FormatUint(upTo, 10), reading: make(chan struct{}, 1)}})
	if !m.hold(s.ctx.Done()) {
		return then, s.ctx.Err()
	}
	defer m.release()
	if m.then.State != nil {
		return m.then, nil
	}
	first, _ := s.begin(known.InstanceID, s.place)
	begin := s.place
	if s.err != nil || first == nil {
		return then, lost(s.err, id)
	}
	var st *room.State
	if first.Type != events.RoomCreated {
		if st, err = before(s.ctx, ms.Journal, ms.View, first, begin); err != nil {
			return then, err
		}
	}
	if st, err = ms.fold(s.ctx, id, st, begin, upTo); err != nil {
		return then, err
	}
	m.then = Then{st, first.Type == events.RoomCreated}
	m.kept.Store(int64(st.Members))
	ms.known.grown()
	return m.then, nil
}

// fold applies the facts of an instance from one place up to another to the state before them.
func (ms *Moments) fold(ctx context.Context, id subjects.Room, st *room.State, begin, upTo uint64) (*room.State, error) {
	if begin > upTo {
		return st, nil
	}
	var wrong error
	err := ms.Journal.Reader(subjects.Facts(id)).Read(ctx, begin, func(at uint64, data []byte) bool {
		f, err := events.DecodeFact(data)
		if err == nil && at <= upTo {
			st, _, err = room.Apply(st, f, at)
		}
		wrong = err
		return err == nil && at < upTo
	})
	if err == nil && wrong == nil && st == nil {
		err = lost(nil, id)
	}
	if err == nil {
		err = wrong
	}
	return st, err
}
