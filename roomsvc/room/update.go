package room

import (
	"reflect"
	"slices"

	"natsrooms/events"
	"natsrooms/subjects"
)

// The rules that a room's configuration chooses. The first of each pair is the default.
const (
	AttributesOpen  = "open"    // by isForce every member may change what others own
	AttributesOwned = "owned"   // only hosts may
	SpeakersAll     = "all"     // every member may send
	SpeakersHosts   = "hosts"   // only hosts may
	HostsNone       = "none"    // nobody is a host unless setRole or a token says so
	HostsCreator    = "creator" // the room's creator is a host whenever it is in
)

// checkRules checks which rules are chosen; nil or empty is as it is, or the default.
func checkRules(attributes, speakers, hosts *string) *Error {
	for _, f := range []struct {
		field string
		value *string
		may   []string
	}{
		{"config.attributes", attributes, []string{AttributesOpen, AttributesOwned}},
		{"config.speakers", speakers, []string{SpeakersAll, SpeakersHosts}},
		{"config.hosts", hosts, []string{HostsNone, HostsCreator}},
	} {
		if f.value != nil && *f.value != "" && !slices.Contains(f.may, *f.value) {
			return Invalid(f.field, "is %q; it must be %s or %s", *f.value, f.may[0], f.may[1])
		}
	}
	return nil
}

// Update fills in an update.
func (c *Command) Update(q *UpdateRequest, l *Limits) *Error {
	c.Rename, c.Change = q.RoomName, q.Config
	if q.RoomName == nil && (q.Config == nil || *q.Config == ConfigUpdate{}) {
		return Invalid("config", "changes nothing, and there is no roomName; there is nothing to do")
	}
	if q.RoomName != nil {
		if err := Text("roomName", *q.RoomName, l.RoomName); err != nil {
			return err
		}
	}
	if q.Config == nil {
		return nil
	}
	if d := q.Config.RoomDestroyDelayTime; d != nil {
		if err := c.checkDelay(*d, l); err != nil {
			return err
		}
	}
	if n := q.Config.MaxMembers; n != nil {
		if err := checkMost(*n); err != nil {
			return err
		}
	}
	return checkRules(q.Config.Attributes, q.Config.Speakers, q.Config.Hosts)
}

// to is the configuration with the changes.
func (u *ConfigUpdate) to(c events.Config) events.Config {
	if u == nil {
		return c
	}
	give(&c.RoomDestroyDelayTime, u.RoomDestroyDelayTime)
	give(&c.MaxMembers, u.MaxMembers)
	give(&c.Attributes, u.Attributes)
	give(&c.Speakers, u.Speakers)
	give(&c.Hosts, u.Hosts)
	if u.HistoryForJoiners != nil {
		c.HistoryForJoiners = u.HistoryForJoiners
	}
	return c
}

// isHosts says whether the rule makes the creator a host.
func isHosts(rule string) bool { return rule == HostsCreator }

func give[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// update decides an update. A fact carries only one of them.
func (r *Run) update(c *Command) Verdict {
	if r.fact != nil || r.ending() {
		return later
	}
	if e := r.mayRun(c); e != nil {
		return Verdict{Refused: e}
	}
	name, config := r.state.Name, c.Change.to(r.state.Config)
	give(&name, c.Rename)
	if name == r.state.Name && reflect.DeepEqual(config, r.state.Config) {
		return Verdict{}
	}
	r.start(events.RoomUpdated)
	r.fact.Name, r.fact.Config, r.fact.User, r.fact.RequestID = name, &config, string(c.User), c.RequestID
	if u := r.state.CreatedBy; u != "" && isHosts(config.Hosts) != isHosts(r.state.Config.Hosts) {
		role := events.RoleMember
		if isHosts(config.Hosts) {
			role = events.RoleHost
		}
		r.fact.Updates = []events.MemberUpdate{{UserID: u, Role: role}}
	}
	r.note(c, events.MaxFactBytes) // nothing else fits beside it
	return Verdict{Changed: true}
}

// UpdateMember fills in an updateMember.
func (c *Command) UpdateMember() *Error {
	if c.Name == "" && c.Info == nil && c.CalledByToken {
		return Invalid("userName", "does not count: on this service the claims name and info of an end user's token say how it is called, and no token of yours has them; there is nothing to do")
	}
	if c.Name == "" && c.Info == nil {
		return Invalid("userName", "is missing, and so is userInfo; there is nothing to do")
	}
	return nil
}

// updateMember decides an updateMember.
func (r *Run) updateMember(c *Command) Verdict {
	if r.busy(c.User) || r.ending() || r.creating() {
		return later
	}
	if e := r.inRoom(c); e != nil {
		return Verdict{Refused: e}
	}
	m := r.state.Member(c.User)
	if (c.Name == "" || c.Name == m.Name) && (c.Info == nil || string(c.Info) == string(m.Info)) {
		return Verdict{}
	}
	n := events.MemberUpdate{UserID: string(c.User), UserName: c.Name, UserInfo: c.Info, RequestID: c.RequestID}
	size := updateSize(&n)
	if !r.takes(events.MemberUpdated, size) {
		return later
	}
	r.start(events.MemberUpdated)
	r.fact.Updates = append(r.fact.Updates, n)
	r.note(c, size)
	return Verdict{Changed: true}
}

// updateSize bounds what an entry about a member takes in an encoded fact.
func updateSize(n *events.MemberUpdate) int {
	size := len(`{"userID":,"role":"member"},`) + jsonSize(n.UserID) + fieldSize("userName", n.UserName) + fieldSize("requestID", n.RequestID)
	if len(n.UserInfo) > 0 {
		size += len(`,"userInfo":`) + len(n.UserInfo)
	}
	return size
}

// SetRole fills in a setRole.
func (c *Command) SetRole(q *SetRoleRequest) (err *Error) {
	if c.Role = events.Role(q.Role); c.Role != events.RoleHost && c.Role != events.RoleMember {
		return Invalid("role", "is %q; it must be %s or %s", q.Role, events.RoleHost, events.RoleMember)
	}
	c.Users, err = users(q.UserIDs, MaxUserIDs)
	return err
}

// setRole decides a setRole. A fact carries only one of them.
func (r *Run) setRole(c *Command) Verdict {
	if r.fact != nil || r.ending() {
		return later
	}
	if e := r.mayRun(c); e != nil {
		return Verdict{Refused: e}
	}
	var updates []events.MemberUpdate
	for _, u := range c.Users {
		m := r.state.Member(u)
		if m != nil && (m.Role != roleOf(c.Role) || roleOf(r.state.kept[u].Role) != roleOf(c.Role)) {
			updates = append(updates, events.MemberUpdate{UserID: string(u), Role: c.Role})
		}
	}
	if len(updates) == 0 {
		return Verdict{}
	}
	if e := r.tooManyRoles(c); e != nil {
		return Verdict{Refused: e}
	}
	r.start(events.MemberUpdated)
	r.fact.Updates, r.fact.User, r.fact.RequestID = updates, string(c.User), c.RequestID
	r.note(c, events.MaxFactBytes) // nothing else fits beside it
	return Verdict{Changed: true}
}

// Restrict fills in a ban or a mute.
func (c *Command) Restrict(q *RestrictRequest) (err *Error) {
	c.ReasonText, c.Seconds = q.Reason, q.Seconds
	if err = Text("reason", q.Reason, MaxReason); err != nil {
		return err
	}
	if q.Seconds < 0 || q.Seconds > MaxRestriction {
		e := Invalid("seconds", "is %d; it must be 1 to %d, or 0 for as long as the room exists", q.Seconds, int64(MaxRestriction))
		e.Limit, e.Actual = MaxRestriction, q.Seconds
		return e
	}
	c.Users, err = users(q.UserIDs, MaxKick)
	return err
}

// Lift fills in an unban or an unmute.
func (c *Command) Lift(q *LiftRequest) (err *Error) {
	c.Users, err = users(q.UserIDs, MaxKick)
	return err
}

// MaxRestriction is the longest time of a ban or mute that ends by itself: ten years, in
// seconds.
const MaxRestriction = 10 * 366 * 24 * 3600

// ban decides a ban. Those who are in are put out first, by a fact of its own; then it is
// decided again.
func (r *Run) ban(c *Command) Verdict {
	if r.fact != nil || r.ending() {
		return later
	}
	if e := r.mayRun(c); e != nil {
		return Verdict{Refused: e}
	}
	if e := r.tooMany(c); e != nil {
		return Verdict{Refused: e}
	}
	if !slices.ContainsFunc(c.Users, func(u subjects.User) bool { return r.state.Member(u) != nil }) {
		return r.restrict(c)
	}
	out := *c
	out.RequestID, out.Digest = "", "" // a repeat must find the ban, not this
	if v := r.kick(&out); v.Refused != nil {
		return v
	}
	c.Until = r.until(c) // what those are told who are put out
	r.fact.Ban = &events.Restriction{Until: c.Until, Reason: c.ReasonText}
	return Verdict{Later: true, Begun: true}
}

// until is when a ban or a mute that begins now ends.
func (r *Run) until(c *Command) events.Time {
	if c.Seconds == 0 || c.Until != 0 {
		return c.Until
	}
	return r.in.Now + events.Time(c.Seconds)*1000
}

// restrict decides an unban, a mute or an unmute, and a ban of users who are not in. A fact
// carries only one of them.
func (r *Run) restrict(c *Command) Verdict {
	if r.fact != nil || r.ending() {
		return later
	}
	if e := r.mayRun(c); e != nil {
		return Verdict{Refused: e}
	}
	lifted, list := c.Verb == Unban || c.Verb == Unmute, []events.Restriction(nil)
	until := r.until(c)
	for _, u := range c.Users {
		now := r.state.Restricted(c.Verb, u, r.in.Now)
		switch {
		case lifted && now != nil:
			list = append(list, events.Restriction{UserID: string(u), Lifted: true})
		case !lifted && (now == nil || *now != Restriction{until, c.ReasonText}):
			list = append(list, events.Restriction{UserID: string(u), Until: until, Reason: c.ReasonText})
		}
	}
	if len(list) == 0 {
		return Verdict{Users: c.Users, Until: until}
	}
	if e := r.tooMany(c); e != nil {
		return Verdict{Refused: e}
	}
	r.start(events.RoomAccessChanged)
	f := r.fact
	f.Access, f.Allowed, f.User, f.RequestID = r.access(), r.state.Config.AllowedUsers, string(c.User), c.RequestID
	if c.Verb == Ban || c.Verb == Unban {
		f.Bans = list
	} else {
		f.Mutes = list
	}
	r.note(c, events.MaxFactBytes) // nothing else fits beside it
	return Verdict{Changed: true, Users: c.Users, Until: until}
}

// RestrictionSize bounds what a ban or mute takes in JSON.
func RestrictionSize(x *events.Restriction) int {
	return len(`{"userID":,"until":"2006-01-02T15:04:05.000Z","lifted":true},`) + jsonSize(x.UserID) + fieldSize("reason", x.Reason)
}

// Restricted is the restriction of a user that the verb is about, if it holds at a moment.
func (s *State) Restricted(v Verb, u subjects.User, at events.Time) *Restriction {
	if s == nil {
		return nil
	}
	if v == Ban || v == Unban {
		return s.Banned(u, at)
	}
	return s.Muted(u, at)
}

// tooMany refuses a ban or a mute that would make more of them than a room may have.
func (r *Run) tooMany(c *Command) *Error {
	if c.Verb == Unban || c.Verb == Unmute || c.Begun == r.state.InstanceID || len(r.state.kept)+len(c.Users) <= r.in.limits.Restrictions {
		return nil
	}
	n := 0
	for u := range r.state.kept {
		if r.state.Restricted(c.Verb, u, r.in.Now) != nil {
			n++
		}
	}
	for _, u := range c.Users {
		if r.state.Restricted(c.Verb, u, r.in.Now) == nil {
			n++
		}
	}
	if limit := r.in.limits.Restrictions; n > limit {
		return over(ErrParamInvalid, "userIDs", limit, n, "would make %d users; a room may have %d of them under a %s", n, limit, c.Verb)
	}
	return nil
}

// tooManyRoles refuses to make more hosts than a room may have, those counted who are away and
// those who are hosts no more.
func (r *Run) tooManyRoles(c *Command) *Error {
	if c.Role != events.RoleHost {
		return nil
	}
	n := len(c.Users)
	for u, k := range r.state.kept {
		if k.Role != "" && !slices.Contains(c.Users, u) {
			n++
		}
	}
	if limit := r.in.limits.Restrictions; n > limit {
		return over(ErrParamInvalid, "userIDs", limit, n, "would make %d users whose role was set; a room may have %d of them", n, limit)
	}
	return nil
}
