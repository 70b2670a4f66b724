package past

import (
	"context"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// mostPassed is how many facts are looked at to find the next instance that a user was in.
const mostPassed = 10_000

// addNext adds to the last page of an instance that has ended which instance comes after it: the
// first one of which the caller may read something. If it would take too long to find that out,
// the page is not complete.
func (r *Reader) addNext(ctx context.Context, q *Query, in *instance, own ownStays, reply *room.HistoryReply) error {
	if !in.ended || reply.NextFlag != "" || q.Ask.BeforeMessageSeq != nil {
		return nil
	}
	reader := r.Journal.Reader(subjects.Facts(q.Room))
	at, data, ok, err := reader.Next(ctx, in.last.at+1)
	if err != nil || !ok {
		return err
	}
	s := succession{own: own}
	r.Moments.View(q.Room, s.isNow)
	if s.take(data) {
		err = reader.Read(ctx, at, func(_ uint64, data []byte) bool { return s.take(data) })
	}
	reply.NextInstanceID, reply.Complete = s.found, reply.Complete && s.passed <= mostPassed
	return err
}

// succession looks for an instance of which a caller may read something. It is given the facts
// of a room, in order.
type succession struct {
	own ownStays

	now     string // the instance that exists
	readNow bool   // the caller may read it

	id     string // the instance of the fact that was taken last
	config *events.Config
	passed int // how many facts were taken

	found string
}

// isNow notes what the room is that exists.
func (s *succession) isNow(st *room.State) {
	if st != nil {
		u := s.own(&st.Config)
		s.now, s.readNow = st.InstanceID, u == "" || st.Member(u) != nil
	}
}

// take takes a fact; it is false if no more have to be taken.
func (s *succession) take(data []byte) bool {
	if s.passed++; s.passed > mostPassed {
		return false
	}
	f, _ := events.DecodeFact(data)
	if f == nil { // it can't be read
		return true
	}
	if f.InstanceID != s.id {
		s.id, s.config = f.InstanceID, nil
	}
	if f.Info != nil {
		s.config = &f.Info.Config
	}
	reads := was(f, s.own(s.config))
	if f.InstanceID == s.now {
		reads = s.readNow
	}
	if reads {
		s.found = f.InstanceID
	}
	return !reads && f.InstanceID != s.now
}

// was says whether a fact tells that a user was in the room; nobody may be everybody.
func was(f *events.Fact, u subjects.User) bool {
	if u == "" {
		return true
	}
	for i := range f.Joined {
		if f.Joined[i].UserID == string(u) {
			return true
		}
	}
	for i := range f.Left {
		if f.Left[i].UserID == string(u) {
			return true
		}
	}
	return false
}
