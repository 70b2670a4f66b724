package past

import (
	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// mostPassed is how many facts are looked at to find the next instance that a user was in.
const mostPassed = 10_000

// ownStays says, by an instance's configuration, whose stays limit what may be read of it; nil
// stands for a configuration of which nothing is kept, and the empty user for no limit.
type ownStays = func(*events.Config) subjects.User

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
