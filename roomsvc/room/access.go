package room

import (
	"cmp"
	"slices"

	"natsrooms/events"
	"natsrooms/subjects"
)

// Who may join a room as an end user. Trusted callers may let in anybody.
const (
	AccessOpen   = "open"   // everybody; the default
	AccessListed = "listed" // the users that its config names
	AccessToken  = "token"  // users with a token that names the room, and its creator
)

// Limits of a room's list of users.
const (
	MaxAllowed     = 500
	MaxAllowedJSON = 16 << 10 // bytes
)

func checkAccess(field, access string) *Error {
	switch access {
	case "", AccessOpen, AccessListed, AccessToken:
		return nil
	}
	return Invalid(field, "is %q; it must be %s, %s or %s", access, AccessOpen, AccessListed, AccessToken)
}

// allowedSize bounds what a list of users takes in an encoded fact.
func allowedSize(list []string) int {
	size := 0
	for _, u := range list {
		size += jsonSize(u) + 1
	}
	return size
}

// allowedFit checks a room's whole list; beside is what else its facts must have room for.
func allowedFit(field string, list []string, beside int) *Error {
	if n := len(list); n > MaxAllowed {
		return over(ErrParamInvalid, field, MaxAllowed, n, "would make %d users; a room's list may have %d", n, MaxAllowed)
	}
	size := allowedSize(list)
	if size > MaxAllowedJSON {
		return over(ErrParamInvalid, field, MaxAllowedJSON, size, "would take %d bytes as JSON; a room's list may take %d", size, MaxAllowedJSON)
	}
	if size+beside > events.MaxFactBytes-factRoom {
		return wouldNotFit(field, size+beside)
	}
	return nil
}

// allowing is a list with users added and removed, in order and each once.
func allowing(list []string, add, remove []subjects.User) []string {
	after := slices.Clone(list)
	for _, u := range add {
		after = append(after, string(u))
	}
	slices.Sort(after)
	after = slices.Compact(after)
	after = slices.DeleteFunc(after, func(u string) bool { return slices.Contains(remove, subjects.User(u)) })
	if len(after) == 0 {
		return nil
	}
	return after
}

// SetAccess fills in a setAccess.
func (c *Command) SetAccess(q *SetAccessRequest) (err *Error) {
	if c.Access = q.Access; q.Access == "" && len(q.Allow) == 0 && len(q.Disallow) == 0 {
		return Invalid("access", "is empty, and so are allow and disallow; there is nothing to do")
	}
	if err = checkAccess("access", q.Access); err != nil {
		return err
	}
	if len(q.Allow) > 0 {
		if c.Allow, err = userList("allow", q.Allow, MaxAllowed); err != nil {
			return err
		}
	}
	if len(q.Disallow) > 0 {
		c.Disallow, err = userList("disallow", q.Disallow, MaxAllowed)
	}
	return err
}

// setAccess decides a setAccess. A fact carries only one of them.
func (r *Run) setAccess(c *Command) Verdict {
	if r.fact != nil || r.ending() {
		return later
	}
	if e := r.mayRun(c); e != nil {
		return Verdict{Refused: e}
	}
	config := &r.state.Config
	was := r.access()
	access, add := cmp.Or(c.Access, was), c.Allow
	if access != AccessListed && len(c.Disallow) > 0 {
		return Verdict{Refused: Invalid("disallow", "names users, but %q does not go by a list (its access is %s); ban keeps users out", r.room, access)}
	}
	if access == AccessListed && was != AccessListed && r.state.CreatedBy != "" { // it goes on the list like anybody
		add = append(slices.Clone(add), subjects.User(r.state.CreatedBy))
	}
	list := allowing(config.AllowedUsers, add, c.Disallow)
	if access == was && slices.Equal(list, config.AllowedUsers) {
		return Verdict{}
	}
	if len(list) > len(config.AllowedUsers) || allowedSize(list) > allowedSize(config.AllowedUsers) {
		if e := allowedFit("allow", list, ownedSize(r.state.Attributes, r.state.Owners)); e != nil {
			return Verdict{Refused: e}
		}
	}
	r.start(events.RoomAccessChanged)
	r.fact.Access, r.fact.Allowed, r.fact.User, r.fact.RequestID = access, list, string(c.User), c.RequestID
	r.note(c, events.MaxFactBytes) // nothing else fits beside it
	return Verdict{Changed: true}
}

// access says who may join the room.
func (r *Run) access() string { return cmp.Or(r.state.Config.Access, AccessOpen) }

// keptOut refuses a user that a ban keeps out, and an end user that the room's access does.
func (r *Run) keptOut(c *Command) *Error {
	if ban := r.state.Banned(c.User, r.in.Now); ban != nil && c.UserForm {
		return ban.refusal(ErrBanned, "%q may not come into %q", c.User, r.room)
	}
	if !c.OwnForm {
		return nil
	}
	config, creator := r.config()
	switch {
	case config.Access == AccessListed && !slices.Contains(config.AllowedUsers, string(c.User)):
		return Refuse(ErrNotAllowed, "%q is not on the list of users who may join %q; nothing changed; whoever runs the room can add it", c.User, r.room)
	case config.Access == AccessToken && !c.Granted && creator != string(c.User):
		return Refuse(ErrNotAllowed, "no token of %q names the room %q; nothing changed; connect with one that does", c.User, r.room)
	}
	return nil
}
