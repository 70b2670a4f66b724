// Package departed knows why sessions are not in rooms any more: those that an instance has
// seen leave it keeps in memory, and others it looks up in the journal, as long as that keeps
// the facts.
package departed

import (
	"context"
	"slices"
	"sync"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

const (
	mostKnown   = 1 << 16         // departures in memory
	mostRead    = 4096            // facts that are read of one room
	firstWindow = 4096            // places of the journal that are searched at first; then eight times as many, and so on
	mostTime    = 2 * time.Second // for which one call of Of reads
	mostBetween = 16              // facts after a kick, among which that of the ban is that caused it
	readersMost = 4               // at work at once
)

// Departed knows departures. It is safe for concurrent use.
type Departed struct {
	journal *journal.Journal
	replica *replica.Replica
	readers chan struct{}

	mu    sync.Mutex // guards everything below
	known map[stay]room.Departure
	queue []departure              // oldest first
	kicks map[subjects.Room][]stay // that a kick has just ended; if a ban did that, one of the next facts says so
}

// stay is a session in one instance of a room.
type stay struct {
	user     subjects.User
	session  string
	room     subjects.Room
	instance string
}

type departure struct {
	stay
	sequence uint64
}

// New knows none yet; facts are passed to [Departed.Note].
func New(j *journal.Journal, r *replica.Replica) *Departed {
	return &Departed{journal: j, replica: r, readers: make(chan struct{}, readersMost), known: map[stay]room.Departure{}, kicks: map[subjects.Room][]stay{}}
}

// Note takes a fact that is about to change a room. It must not wait.
func (d *Departed) Note(st *room.State, f *events.Fact) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kicks[f.Room] != nil {
		d.settle(f)
	}
	for i := range f.Left {
		l := &f.Left[i]
		d.add(f, l, l.SessionID)
		if m := st.Member(subjects.User(l.UserID)); m != nil && all(f, l) {
			for _, s := range m.Sessions {
				d.add(f, l, s.SessionID)
			}
		}
	}
}

// settle notes which of those who were kicked a moment ago are banned, as the next fact says.
func (d *Departed) settle(f *events.Fact) {
	waiting := slices.DeleteFunc(d.kicks[f.Room], func(s stay) bool {
		l, ok := d.known[s]
		if !ok || l.InstanceID != f.InstanceID || l.Sequence+mostBetween < f.Sequence {
			return true
		}
		for i := range f.Bans {
			if b := &f.Bans[i]; b.UserID == string(s.user) && caused(b, &l) {
				d.known[s] = by(l, b)
				return true
			}
		}
		return false
	})
	if d.kicks[f.Room] = waiting; len(waiting) == 0 {
		delete(d.kicks, f.Room)
	}
}

// caused says whether a ban put out somebody who was kicked shortly before it. The ban comes
// next, unless another instance had changed the room meanwhile.
func caused(b *events.Restriction, l *room.Departure) bool {
	return !b.Lifted && l.Reason == events.ReasonKicked && b.Reason == l.ReasonText
}

// all says whether an entry ends all sessions of its user, and not only the one it names.
func all(f *events.Fact, l *events.Left) bool {
	return f.Type == events.MemberLeft && (l.Reason == events.ReasonKicked || l.Reason == events.ReasonDestroyed)
}

func (d *Departed) add(f *events.Fact, l *events.Left, session string) {
	s := stay{subjects.User(l.UserID), session, f.Room, f.InstanceID}
	if d.known[s].Sequence == f.Sequence {
		return
	}
	d.known[s] = departureOf(f, l)
	if l.Reason == events.ReasonKicked && f.Ban == nil {
		d.kicks[f.Room] = append(d.kicks[f.Room], s)
	}
	d.queue = append(d.queue, departure{s, f.Sequence})
	if len(d.queue) > mostKnown {
		oldest := d.queue[0]
		d.queue = d.queue[1:]
		if d.known[oldest.stay].Sequence == oldest.sequence { // it has not left once more since
			delete(d.known, oldest.stay)
		}
	}
}

func departureOf(f *events.Fact, l *events.Left) room.Departure {
	d := room.Departure{
		RoomID: string(f.Room), InstanceID: f.InstanceID, Sequence: f.Sequence, Reason: l.Reason, ReasonText: l.ReasonText, LeftAt: l.LeftAt,
	}
	if f.Ban != nil && l.Reason == events.ReasonKicked {
		return by(d, f.Ban)
	}
	return d
}

// by is a departure that a ban caused.
func by(d room.Departure, ban *events.Restriction) room.Departure {
	d.Code, d.Number, d.Until = room.ErrBanned.Name, room.ErrBanned.Number, ban.Until
	return d
}

// Of says why a session is not any more where it thinks that it is. Rooms where it still is
// are left out, and so are those where it never was. Those of which it could not be found out,
// because the facts are no longer kept or too many, or because there was no time, are unknown.
func (d *Departed) Of(ctx context.Context, c *room.Command, asked []room.Stay) (list []room.Departure, unknown []room.Stay) {
	ctx, cancel := context.WithTimeout(ctx, mostTime)
	defer cancel()
	for i, q := range asked {
		if slices.Contains(asked[:i], q) {
			continue
		}
		s := stay{c.User, c.Session, subjects.Room(q.RoomID), q.InstanceID}
		in := false
		d.replica.View(s.room, func(st *room.State) { in = st.Has(c) && st.InstanceID == s.instance })
		if in {
			continue
		}
		d.mu.Lock()
		found, ok := d.known[s]
		d.mu.Unlock()
		if ok {
			list = append(list, found)
			continue
		}
		search := &search{stay: s}
		switch sure := d.read(ctx, search); {
		case search.found.Sequence > 0:
			list = append(list, search.found)
		case !sure:
			unknown = append(unknown, q)
		}
	}
	return list, unknown
}

// read looks a departure up in the journal. It returns false if there may be one all the same.
func (d *Departed) read(ctx context.Context, s *search) (sure bool) {
	select {
	case d.readers <- struct{}{}:
		defer func() { <-d.readers }()
	case <-ctx.Done():
		return false
	}
	reader := d.journal.Reader(subjects.Facts(s.room))
	last, _, ok, err := reader.Last(ctx)
	if !ok || err != nil {
		return false
	}
	for end, size := last+1, uint64(firstWindow); end > 1 && !s.over && err == nil; size *= 8 {
		begin := max(end, size+1) - size
		err = reader.Read(ctx, begin, func(at uint64, data []byte) bool { return at < end && s.take(data) })
		end = begin
	}
	if s.cut || err != nil { // what was not read may be newer
		s.found = room.Departure{}
		return false
	}
	for at := s.found.Sequence; at <= s.found.Sequence+mostBetween; at++ {
		if ban, ok := s.bans[at]; ok && caused(&ban, &s.found) {
			s.found = by(s.found, &ban)
			break
		}
	}
	return s.begun
}

// search looks for the newest departure of a stay. It is given the facts of the stay's room,
// window by window, the newest window first.
type search struct {
	stay
	taken int // how many facts

	found room.Departure
	bans  map[uint64]events.Restriction // of the user, by the sequences of the facts that tell them
	begun bool                          // the instance's first fact was taken
	over  bool                          // older facts can't say more, or no more may be read
	cut   bool                          // no more may be read
}

// take takes a fact; it is false if no more may be read.
func (s *search) take(data []byte) bool {
	if s.taken++; s.taken > mostRead {
		s.cut, s.over = true, true
		return false
	}
	f, err := events.DecodeFact(data)
	if err != nil || f.InstanceID != s.instance {
		return true
	}
	if f.Type == events.RoomCreated {
		s.begun, s.over = true, true
	}
	for i := range f.Left {
		if l := &f.Left[i]; l.UserID == string(s.user) && (l.SessionID == s.session || all(f, l)) {
			s.found, s.over = departureOf(f, l), true
		}
	}
	for i := range f.Bans {
		if b := &f.Bans[i]; b.UserID == string(s.user) && !b.Lifted {
			if s.bans == nil {
				s.bans = map[uint64]events.Restriction{}
			}
			s.bans[f.Sequence] = *b
		}
	}
	return true
}
