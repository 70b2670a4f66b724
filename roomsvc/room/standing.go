package room

import (
	"fmt"
	"slices"
	"strings"

	"natsrooms/events"
	"natsrooms/subjects"
)

// roleOf is a role as members and what is kept of them have it.
func roleOf(r events.Role) events.Role {
	if r == events.RoleMember {
		return ""
	}
	return r
}

// IsHost says whether the user is in the room as a host.
func (s *State) IsHost(u subjects.User) bool {
	m := s.Member(u)
	return m != nil && m.Role == events.RoleHost
}

// Runs says whether a command's user runs the room: it is in as a host, and if nobody but a token
// made it one, a token does so still.
func (s *State) Runs(c *Command) bool {
	return s.IsHost(c.User) && (c.HostByToken || s.kept[c.User].Role == events.RoleHost || isHosts(s.Config.Hosts) && s.CreatedBy == string(c.User))
}

// Banned is the user's ban at a moment; nil if it has none.
func (s *State) Banned(u subjects.User, at events.Time) *Restriction {
	if s == nil {
		return nil
	}
	return s.kept[u].Ban.at(at)
}

// Unread refuses to let a user read the room that a ban keeps out of it; nil if it may.
func (s *State) Unread(u subjects.User, at events.Time) *Error {
	if ban := s.Banned(u, at); ban != nil {
		return ban.refusal(ErrBanned, "%q may not read %q", u, s.Room)
	}
	return nil
}

// Muted is the user's mute at a moment; nil if it has none.
func (s *State) Muted(u subjects.User, at events.Time) *Restriction { return s.kept[u].Mute.at(at) }

// Silent refuses to let a command's user speak who is muted, or who is no host where only hosts
// speak.
func (s *State) Silent(c *Command, at events.Time) *Error {
	if mute := s.Muted(c.User, at); mute != nil {
		return mute.refusal(ErrMuted, "%q may not send in %q", c.User, s.Room)
	}
	if s.Config.Speakers == SpeakersHosts && !s.Runs(c) {
		return Refuse(ErrNotAllowed, "only hosts may send in %q, and %q is none; nothing was sent", s.Room, c.User)
	}
	return nil
}

// at is the restriction if it still holds.
func (x *Restriction) at(now events.Time) *Restriction {
	if x == nil || x.Until != 0 && x.Until <= now {
		return nil
	}
	return x
}

// Restrictions lists the bans and mutes at a moment, by user.
func (s *State) Restrictions(at events.Time) (bans, mutes []events.Restriction) {
	for u, k := range s.kept {
		if x := k.Ban.at(at); x != nil {
			bans = append(bans, x.of(u))
		}
		if x := k.Mute.at(at); x != nil {
			mutes = append(mutes, x.of(u))
		}
	}
	byUser := func(a, b events.Restriction) int { return strings.Compare(a.UserID, b.UserID) }
	slices.SortFunc(bans, byUser)
	slices.SortFunc(mutes, byUser)
	return bans, mutes
}

// refusal is what the user is told, with a sentence about what it may not do.
func (x *Restriction) refusal(code *Code, format string, args ...any) *Error {
	e := Refuse(code, format, args...)
	if e.Until = x.Until; x.Until != 0 {
		e.Message += fmt.Sprintf(" until %v", x.Until)
	}
	if x.Reason != "" {
		e.Message += fmt.Sprintf(" (%s)", x.Reason)
	}
	e.Message += "; nothing happened; whoever runs the room can lift that"
	return e
}

func (x *Restriction) of(u subjects.User) events.Restriction {
	return events.Restriction{UserID: string(u), Until: x.Until, Reason: x.Reason}
}

// role is the role with which a command's session joins a room as its first.
func (r *Run) role(c *Command) events.Role {
	config, creator := r.config()
	if r.state != nil && r.state.kept[c.User].Role != "" {
		return roleOf(r.state.kept[c.User].Role)
	}
	if config.Hosts == HostsCreator && creator == string(c.User) || c.HostByToken {
		return events.RoleHost
	}
	return ""
}

// config is the configuration of the room, which the run may be about to create, and its
// creator.
func (r *Run) config() (config events.Config, creator string) {
	switch {
	case r.state != nil:
		return r.state.Config, r.state.CreatedBy
	case r.fact != nil:
		return r.fact.Info.Config, r.fact.Info.CreatedBy
	}
	return config, ""
}

// mayRun refuses a command for those who run the room if there is no room, or if it came in the
// user form and its user is no host there. One that has begun is carried through, whatever has
// become of its user meanwhile.
func (r *Run) mayRun(c *Command) *Error {
	if r.state == nil && c.Begun != "" {
		return Refuse(ErrRoomNotExist, "there is no room %q any more: it ended when those who were in it were put out", r.room)
	}
	if r.state == nil {
		return Refuse(ErrRoomNotExist, "there is no room %q; nothing changed", r.room)
	}
	if !c.UserForm || r.state.Runs(c) || c.Begun == r.state.InstanceID {
		return nil
	}
	return Refuse(ErrNotAllowed, "%q is no host of %q, and only hosts and back ends may %s; nothing changed", c.User, r.room, c.Verb)
}

// foldUpdates applies what a fact says about members' names, infos and roles.
func (s *State) foldUpdates(f *events.Fact, revision uint64, merging bool, ch *Changes) error {
	for i := range f.Updates {
		n := &f.Updates[i]
		u := subjects.User(n.UserID)
		if n.Role != "" {
			s.keep(u, revision, ch, func(k *Kept) { k.Role = n.Role })
		}
		old := s.Member(u)
		switch {
		case merging && (old == nil || old.Revision >= revision):
			continue
		case old == nil && f.Type == events.RoomUpdated: // the creator is away
			continue
		case old == nil:
			return damaged(s, f, fmt.Sprintf("%q is no member", u))
		}
		s.replace(old, revision, ch, func(m *Member) {
			if n.UserName != "" {
				m.Name = n.UserName
			}
			if n.UserInfo != nil {
				m.Info = n.UserInfo
			}
			if n.Role != "" {
				m.Role = roleOf(n.Role)
			}
		})
	}
	return nil
}

// replace gives a member another value.
func (s *State) replace(old *Member, revision uint64, ch *Changes, change func(*Member)) {
	m := *old
	m.Revision = revision
	change(&m)
	s.members.place(&m)
	ch.Put = append(ch.Put, &m)
}

// foldRestrictions applies the bans and mutes of a fact, and forgets those that are over. A fact
// changes what is kept of a user only once.
func (s *State) foldRestrictions(f *events.Fact, revision uint64, ch *Changes) {
	if f.Type != events.RoomAccessChanged {
		return
	}
	named := map[subjects.User]struct{}{}
	restrict := func(list []events.Restriction, which func(*Kept) **Restriction) {
		for _, x := range list {
			named[subjects.User(x.UserID)] = struct{}{}
			s.keep(subjects.User(x.UserID), revision, ch, func(k *Kept) {
				k.end(f.Time)
				*which(k) = restriction(x)
			})
		}
	}
	restrict(f.Bans, func(k *Kept) **Restriction { return &k.Ban })
	restrict(f.Mutes, func(k *Kept) **Restriction { return &k.Mute })
	for u := range s.kept {
		if _, ok := named[u]; !ok {
			s.keep(u, revision, ch, func(k *Kept) { k.end(f.Time) })
		}
	}
}

// end forgets restrictions that are over.
func (k *Kept) end(now events.Time) { k.Ban, k.Mute = k.Ban.at(now), k.Mute.at(now) }

func restriction(x events.Restriction) *Restriction {
	if x.Lifted {
		return nil
	}
	return &Restriction{x.Until, x.Reason}
}
