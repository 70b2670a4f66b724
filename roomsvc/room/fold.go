package room

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"natsrooms/events"
	"natsrooms/subjects"
)

// ErrDamaged says that a fact does not fit the state it was applied to: something
// between them is missing.
var ErrDamaged = errors.New("a fact does not follow from the state before it")

// Changes is what a fact changed, as values that never change. Head is nil when
// the room has ended.
type Changes struct {
	Head *Head
	Put  []*Member
	Del  []subjects.User
	Keep []Kept
}

// Apply folds one fact, stored at revision, into the room's state and returns the state
// after it: nil when the room has ended. If the fact is not the room's next one, the
// error is [ErrDamaged]. Apply may change the state it is given.
func Apply(s *State, f *events.Fact, revision uint64) (*State, Changes, error) {
	if f.Type == events.RoomCreated {
		if s != nil {
			return s, Changes{}, damaged(s, f, "the room exists already")
		}
		s = born(f)
	} else if s == nil || f.InstanceID != s.InstanceID || f.Sequence != s.Sequence+1 {
		return s, Changes{}, damaged(s, f, "it is not the next one")
	}
	ch, err := s.fold(f, revision, false)
	if err != nil {
		return s, ch, err
	}
	if !s.Whole() {
		return s, ch, damaged(s, f, fmt.Sprintf("%d members, but it counts %d", s.members.in, s.Members))
	}
	if f.Type == events.RoomDestroyed {
		return nil, s.gone(ch), nil
	}
	return s, ch, nil
}

// gone is what changes when the room ends.
func (s *State) gone(ch Changes) Changes {
	ended := Changes{Del: ch.Del}
	for u := range s.kept {
		ended.Keep = append(ended.Keep, Kept{User: u})
	}
	return ended
}

// Merge folds a fact into a state that may already hold it, or parts of it, as when
// the journal is read again over a stored state. Each part changes only if it is older
// than revision. known is false for a fact of an instance unknown to the state.
func Merge(s *State, f *events.Fact, revision uint64) (after *State, ch Changes, known bool, err error) {
	switch {
	case s == nil && f.Type != events.RoomCreated:
		return nil, ch, false, nil
	case s == nil:
		s = born(f)
	case revision > s.Revision:
		if f.Type == events.RoomCreated || f.InstanceID != s.InstanceID || f.Sequence != s.Sequence+1 {
			return s, ch, true, damaged(s, f, "it is not the next one")
		}
	case f.InstanceID != s.InstanceID:
		return s, ch, true, nil // of an instance that ended before this one began
	}
	ch, err = s.fold(f, revision, true)
	if err == nil && f.Type == events.RoomDestroyed {
		return nil, s.gone(ch), true, nil
	}
	return s, ch, true, err
}

func damaged(s *State, f *events.Fact, why string) error {
	at := "no room"
	if s != nil {
		at = fmt.Sprintf("instance %s at %d", s.InstanceID, s.Sequence)
	}
	return fmt.Errorf("%w: %s %d of %q, instance %s, on %s: %s", ErrDamaged, f.Type, f.Sequence, f.Room, f.InstanceID, at, why)
}

func born(f *events.Fact) *State {
	return &State{Room: f.Room, Head: &Head{
		Name: f.Info.RoomName, InstanceID: f.InstanceID, CreatedAt: f.Info.CreatedAt, CreatedBy: f.Info.CreatedBy,
		Config: f.Info.Config, Attributes: f.Info.Attributes, Owners: bornOwners(f.Info, f.Ownership),
	}}
}

// fold applies a fact's parts. With merging, a member or head that is as new as the fact
// stays as it is. A member that is not there has either left in a fact that the stored
// state already held, or is missing, which [State.Whole] reveals at the end.
func (s *State) fold(f *events.Fact, revision uint64, merging bool) (ch Changes, err error) {
	newer := revision > s.Revision
	head := *s.Head // a head never changes once others have it
	s.Head = &head
	for i := range f.Joined {
		j := &f.Joined[i]
		old := s.Member(subjects.User(j.UserID))
		s.keep(subjects.User(j.UserID), revision, &ch, func(k *Kept) { k.Attributes = nil })
		if merging && old != nil && old.Revision >= revision {
			continue
		}
		m := &Member{User: subjects.User(j.UserID), Name: j.UserName, Info: j.UserInfo, Since: j.JoinedAt, Revision: revision, Order: order(f.Sequence, i), Role: roleOf(j.Role)}
		if old != nil && f.Type != events.SessionJoined {
			return ch, damaged(s, f, fmt.Sprintf("%q is a member already", j.UserID))
		}
		if old != nil {
			m.Name, m.Info, m.Since, m.Order, m.Sessions = old.Name, old.Info, old.Since, old.Order, slices.Clone(old.Sessions)
			m.Attributes, m.staying, m.Role = old.Attributes, old.staying, old.Role
		} else if f.Type == events.SessionJoined {
			if merging {
				continue
			}
			return ch, damaged(s, f, fmt.Sprintf("%q is no member", j.UserID))
		}
		m.Sessions = append(m.Sessions, MemberSession{j.SessionID, j.JoinedAt, j.LeaseSeconds})
		if old == nil {
			m.Attributes, m.staying = j.Attributes, stayingOf(j)
		}
		s.members.place(m)
		ch.Put = append(ch.Put, m)
	}
	for i := range f.Left {
		l := &f.Left[i]
		old := s.Member(subjects.User(l.UserID))
		if merging && (old == nil || old.Revision >= revision) {
			continue
		}
		if old == nil || old.Session(l.SessionID) == nil {
			return ch, damaged(s, f, fmt.Sprintf("%q, session %q is not in", l.UserID, l.SessionID))
		}
		if f.Type == events.MemberLeft {
			s.members.remove(old.User)
			ch.Del = append(ch.Del, old.User)
			if left := old.leaves(); left != nil && l.Reason != events.ReasonDestroyed {
				s.leaveBehind(old.User, left, revision, !newer, &ch)
			}
			continue
		}
		m := *old
		m.Revision = revision
		m.Sessions = slices.DeleteFunc(slices.Clone(old.Sessions), func(x MemberSession) bool { return x.SessionID == l.SessionID })
		s.members.place(&m)
		ch.Put = append(ch.Put, &m)
	}
	if f.Type == events.MemberAttributesChanged {
		for i := range f.Infos {
			old := s.Member(subjects.User(f.Infos[i].UserID))
			switch {
			case merging && (old == nil || old.Revision >= revision):
				continue
			case old == nil:
				return ch, damaged(s, f, fmt.Sprintf("%q is no member", f.Infos[i].UserID))
			}
			m := old.with(f.Infos[i].Attributes, f.Staying)
			m.Revision = revision
			s.members.place(m)
			ch.Put = append(ch.Put, m)
		}
	}
	if err := s.foldUpdates(f, revision, merging, &ch); err != nil {
		return ch, err
	}
	s.foldRestrictions(f, revision, &ch)
	if newer {
		s.advance(f, revision)
	}
	ch.Head = s.Head
	return ch, nil
}

// advance applies what a fact says about the room itself.
func (s *State) advance(f *events.Fact, revision uint64) {
	s.Sequence, s.Revision, s.FactAt = f.Sequence, revision, f.Time
	switch f.Type {
	case events.RoomCreated:
		s.Members = len(f.Joined)
		s.Unborn = s.Members == 0
		s.AttributesAt = revision
	case events.RoomAttributesChanged:
		s.change(f.Set, ownersOf(f.Ownership), f.Delete, revision)
		return
	case events.RoomAccessChanged:
		if len(f.Bans)+len(f.Mutes) > 0 { // who may join is only said again
			return
		}
		if s.Config.Access, s.Config.AllowedUsers = f.Access, f.Allowed; len(f.Allowed) == 0 {
			s.Config.AllowedUsers = nil // as the instance has it that decided
		}
		return
	case events.RoomUpdated:
		s.Name, s.Config = f.Name, *f.Config
		return
	case events.RoomDestroyed, events.RoomKept, events.MemberAttributesChanged, events.MemberUpdated:
		return
	default:
		s.Members = f.MemberCount
	}
	if len(f.Deleted) > 0 {
		s.change(nil, nil, f.Deleted, revision)
	}
	if f.Type == events.MemberLeft && f.Left[0].Reason == events.ReasonDestroyed {
		s.End = &End{f.Left[0].Operator, f.Left[0].ReasonText, f.Left[0].RequestID}
	}
	switch {
	case s.Members > 0:
		s.EmptySince, s.EmptyBy, s.Unborn = 0, 0, false
	case s.EmptySince == 0:
		s.EmptySince, s.EmptyBy = f.Time, f.Sequence
	}
}

// change gives the room new maps of attributes; those that a Head holds never change.
func (s *State) change(set map[string]string, owners map[string]Owner, del []string, revision uint64) {
	values, whose := make(map[string]string, len(s.Attributes)+len(set)), make(map[string]Owner, len(s.Owners)+len(set))
	maps.Copy(values, s.Attributes)
	maps.Copy(whose, s.Owners)
	for k, v := range set {
		values[k], whose[k] = v, owners[k]
	}
	for _, k := range del {
		delete(values, k)
		delete(whose, k)
	}
	s.Attributes, s.Owners, s.AttributesAt = values, whose, revision
}
