// Package departed knows why sessions are not in rooms any more: those that an instance has
// seen leave it keeps in memory, and others it looks up in the journal, as long as that keeps
// the facts.
package departed

import (
	"context"
	"slices"
	"sync"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

const (
	mostKnown   = 1 << 16 // departures in memory
	mostRead    = 4096    // facts that one call of Of may read
	firstWindow = 4096    // places of the journal that are searched at first; then eight times as many, and so on
	readersMost = 4       // at work at once
)

// Departed knows departures. It is safe for concurrent use.
type Departed struct {
	journal *journal.Journal
	replica *replica.Replica
	readers chan struct{}

	mu    sync.Mutex // guards both below
	known map[stay]room.Departure
	queue []departure // oldest first
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
	return &Departed{journal: j, replica: r, readers: make(chan struct{}, readersMost), known: map[stay]room.Departure{}}
}

// Note takes a fact that is about to change a room. It must not wait.
func (d *Departed) Note(st *room.State, f *events.Fact) {
	if len(f.Left) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
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
	return room.Departure{
		RoomID: string(f.Room), InstanceID: f.InstanceID, Sequence: f.Sequence, Reason: l.Reason, ReasonText: l.ReasonText, LeftAt: l.LeftAt,
	}
}

// Of says why a session is not any more where it thinks that it is. Rooms where it still is
// are left out, and so are those where it never was, or of which no fact says so any more.
func (d *Departed) Of(ctx context.Context, c *room.Command, asked []room.Stay) (list []room.Departure) {
	budget := mostRead
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
		if !ok {
			found, ok = d.read(ctx, &search{stay: s, budget: &budget})
		}
		if ok {
			list = append(list, found)
		}
	}
	return list
}

// read looks a departure up in the journal.
func (d *Departed) read(ctx context.Context, s *search) (room.Departure, bool) {
	select {
	case d.readers <- struct{}{}:
		defer func() { <-d.readers }()
	case <-ctx.Done():
		return room.Departure{}, false
	}
	reader := d.journal.Reader(subjects.Facts(s.room))
	last, _, ok, err := reader.Last(ctx)
	if !ok || err != nil {
		return room.Departure{}, false
	}
	for end, size := last+1, uint64(firstWindow); end > 1 && !s.over && err == nil; size *= 8 {
		begin := max(end, size+1) - size
		err = reader.Read(ctx, begin, func(at uint64, data []byte) bool { return at < end && s.take(data) })
		end = begin
	}
	return s.found, s.found.Sequence > 0 && err == nil && *s.budget > 0
}

// search looks for the newest departure of a stay. It is given the facts of the stay's room,
// window by window, the newest window first.
type search struct {
	stay
	budget *int // how many facts may still be read

	found room.Departure
	over  bool // older facts can't say more
}

// take takes a fact; it is false if no more may be read.
func (s *search) take(data []byte) bool {
	if *s.budget--; *s.budget <= 0 {
		s.over = true
		return false
	}
	f, err := events.DecodeFact(data)
	if err != nil || f.InstanceID != s.instance {
		return true
	}
	s.over = s.over || f.Type == events.RoomCreated
	for i := range f.Left {
		if l := &f.Left[i]; l.UserID == string(s.user) && (l.SessionID == s.session || all(f, l)) {
			s.found, s.over = departureOf(f, l), true
		}
	}
	return true
}
