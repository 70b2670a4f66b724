package past

import (
	"context"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// instance is what is kept of an instance of a room.
type instance struct {
	remembered
	made        events.Time
	first, last fact
	ended       bool
	config      *events.Config // nil: no fact that has it is kept
	stays       map[subjects.User][]stay
}

// fact is where a fact is: its place in the journal, and its sequence.
type fact struct{ at, sequence uint64 }

// stay is a user's time in an instance, from one fact to another.
type stay struct {
	from, to     fact        // that brought it in, and that put it out; to is the newest if none did
	since, until events.Time // their times; until is 0 if the stay ended with the room
	cut          bool        // the fact that brought it in is no longer kept
}

// heard says whether a message was said during the stay. One that does not name the fact that it
// comes after is judged by its time: in the millisecond of the fact that put the user out it may
// have come after it, so it is left out; but nothing is said after a room's end.
func (s *stay) heard(m *events.Message) bool {
	if m.After == 0 { // it was stored by an earlier version
		return m.Time >= s.since && (s.until == 0 || m.Time < s.until)
	}
	came := m.After >= s.from.sequence || s.cut && m.Time >= s.since
	return came && (s.until == 0 || m.After < s.to.sequence)
}

// find looks for what is kept of an instance; it is nil if nothing is.
func find(ctx context.Context, j *journal.Journal, r subjects.Room, id string) (*instance, error) {
	made, ok := room.MadeAt(id)
	if !ok {
		return nil, nil
	}
	reader := j.Reader(subjects.Facts(r))
	newest, _, ok, err := reader.Last(ctx)
	if err != nil || !ok {
		return nil, err
	}
	in := &instance{remembered: remembered{room: r, id: id, reading: make(chan struct{}, 1)}, made: made}
	s := &search{ctx: ctx, reader: reader}
	begin, _ := s.first(1, newest, func(f *events.Fact) bool { return f.Time >= made })
	for f := begin; s.err == nil; { // an instance that ended in the millisecond in which this one began
		if f == nil || f.InstanceID != id && f.Time > made {
			return nil, nil
		}
		if f.InstanceID == id {
			begin = f
			break
		}
		f = s.at(s.place + 1)
	}
	if s.err != nil {
		return nil, s.err
	}
	in.first = fact{s.place, begin.Sequence}
	_, after := s.first(s.place, newest, func(f *events.Fact) bool { return f.InstanceID != id })
	end := s.at(after - 1)
	if s.err != nil || end == nil {
		return nil, s.err
	}
	in.last, in.ended = fact{s.place, end.Sequence}, end.Type == events.RoomDestroyed
	for _, f := range []*events.Fact{begin, end} {
		if f.Info != nil {
			in.config = &f.Info.Config
		}
	}
	return in, nil
}

// staysOf is when the user was in the instance; all stays of everybody are read at the first
// call.
func (in *instance) staysOf(ctx context.Context, j *journal.Journal, u subjects.User) ([]stay, error) {
	if !in.hold(ctx.Done()) {
		return nil, ctx.Err()
	}
	defer in.release()
	if in.stays == nil {
		all := gathering{in, map[subjects.User][]stay{}}
		err := j.Reader(subjects.Facts(in.room)).Read(ctx, in.first.at, func(at uint64, data []byte) bool {
			if at > in.last.at {
				return false
			}
			if f, err := events.DecodeFact(data); err == nil {
				all.take(f, at)
			}
			return at < in.last.at
		})
		if err != nil {
			return nil, err
		}
		in.stays = all.stays
		for _, list := range all.stays {
			in.kept.Add(int64(len(list)))
		}
	}
	return in.stays[u], nil
}

// gathering are the stays that the facts so far tell.
type gathering struct {
	*instance
	stays map[subjects.User][]stay
}

func (g *gathering) take(f *events.Fact, at uint64) {
	if f.Type == events.RoomCreated || f.Type == events.MemberJoined {
		for i := range f.Joined {
			u := subjects.User(f.Joined[i].UserID)
			g.stays[u] = append(g.stays[u], stay{from: fact{at, f.Sequence}, to: g.last, since: f.Time})
		}
	}
	if f.Type != events.MemberLeft {
		return
	}
	for i := range f.Left {
		l := &f.Left[i]
		u := subjects.User(l.UserID)
		all := g.stays[u]
		if len(all) == 0 || all[len(all)-1].until != 0 {
			all = append(all, stay{from: g.first, since: l.JoinedAt, cut: true})
		}
		if s := &all[len(all)-1]; l.Reason == events.ReasonDestroyed {
			s.to = g.last // its members hear the end of a room
		} else {
			s.to, s.until = fact{at, f.Sequence}, f.Time
		}
		g.stays[u] = all
	}
}
