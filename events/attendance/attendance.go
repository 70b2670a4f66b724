// Package attendance says who was in a room, when, and for how long, from facts alone. A stay
// begins when a user joins with its first session, and ends when it leaves with its last.
package attendance

import (
	"cmp"
	"slices"

	"natsrooms/events"
)

// Stay is one stay of a user in a room.
type Stay struct {
	UserID     string
	UserName   string // as it was called when it left, or now
	InstanceID string // of the room
	JoinedAt   events.Time
	LeftAt     events.Time       // 0: it is still in
	Reason     events.LeftReason // why it ended; empty: it has not
}

// Spent is how many milliseconds the stay has lasted, up to now if it has not ended. A clock
// that is behind that of the service makes nothing negative.
func (s *Stay) Spent(now events.Time) int64 {
	return max(int64(cmp.Or(s.LeftAt, now)-s.JoinedAt), 0)
}

// Total is what one user's stays amount to.
type Total struct {
	SpentMs int64 `json:"spentMs"`
	Stays   int   `json:"stays"`
}

// Totals are by user.
type Totals map[string]Total

// Add counts a stay, up to now if it has not ended.
func (t Totals) Add(s Stay, now events.Time) {
	sum := t[s.UserID]
	t[s.UserID] = Total{sum.SpentMs + s.Spent(now), sum.Stays + 1}
}

// Ended is the stays that a fact ends. Each such fact says by itself when they began, so
// whoever bills needs no others.
func Ended(f *events.Fact) []Stay {
	if f.Type != events.MemberLeft {
		return nil
	}
	ended := make([]Stay, len(f.Left))
	for i := range f.Left {
		l := &f.Left[i]
		ended[i] = Stay{l.UserID, l.UserName, f.InstanceID, l.JoinedAt, l.LeftAt, l.Reason}
	}
	return ended
}

// Book has the stays in one room, of one instance or of several, one after the other. The zero
// value is empty.
type Book struct {
	ended []Stay
	in    map[string]*Stay // who is in, by user
}

// Add takes the next fact. Facts come in their order; those of one instance come before those of
// the next.
func (b *Book) Add(f *events.Fact) {
	if b.in == nil {
		b.in = map[string]*Stay{}
	}
	switch f.Type {
	case events.RoomCreated, events.MemberJoined:
		for i := range f.Joined {
			j := &f.Joined[i]
			if b.in[j.UserID] == nil { // a room may begin with several sessions of one member
				b.in[j.UserID] = &Stay{UserID: j.UserID, UserName: j.UserName, InstanceID: f.InstanceID, JoinedAt: j.JoinedAt}
			}
		}
	case events.MemberUpdated:
		for i := range f.Updates {
			if in := b.in[f.Updates[i].UserID]; in != nil {
				in.UserName = cmp.Or(f.Updates[i].UserName, in.UserName)
			}
		}
	case events.MemberLeft:
		for _, s := range Ended(f) {
			if in := b.in[s.UserID]; in != nil {
				s.UserName = cmp.Or(s.UserName, in.UserName)
			}
			delete(b.in, s.UserID)
			b.ended = append(b.ended, s)
		}
	case events.RoomDestroyed:
		b.end(f)
	}
}

// end ends the stays of those of whom nothing said that they left.
func (b *Book) end(f *events.Fact) {
	for user, in := range b.in {
		in.LeftAt, in.Reason = f.Time, events.ReasonDestroyed
		b.ended = append(b.ended, *in)
		delete(b.in, user)
	}
}

// Stays is all stays in the order in which they began.
func (b *Book) Stays() []Stay {
	all := slices.Clone(b.ended)
	for _, in := range b.in {
		all = append(all, *in)
	}
	slices.SortFunc(all, func(x, y Stay) int {
		return cmp.Or(cmp.Compare(x.JoinedAt, y.JoinedAt), cmp.Compare(x.UserID, y.UserID), cmp.Compare(x.LeftAt, y.LeftAt))
	})
	return all
}

// Between is the parts of stays that lie between two moments, 0 for no bound. A stay that goes
// on after them ends with them, without a reason.
func Between(stays []Stay, from, to events.Time) []Stay {
	var parts []Stay
	for _, s := range stays {
		if to != 0 && s.JoinedAt >= to || s.LeftAt != 0 && s.LeftAt <= from {
			continue
		}
		s.JoinedAt = max(s.JoinedAt, from)
		if to != 0 && (s.LeftAt == 0 || s.LeftAt > to) {
			s.LeftAt, s.Reason = to, ""
		}
		parts = append(parts, s)
	}
	return parts
}
