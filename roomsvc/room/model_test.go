package room_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// model does what the contract says in the simplest way: it knows who is in which room
// and does one command after another. A room that becomes empty stays for the rest of
// the batch, since a batch is decided on the state before it.
type model map[subjects.Room]*modelRoom

type modelRoom struct {
	in         map[subjects.User]map[string]bool
	facts, max int
	delay      events.Time
	emptyAt    events.Time
	unborn     bool        // nobody was in it yet
	at         events.Time // of its newest fact: a room's time never goes back
	over       bool        // it is being destroyed

	creator       subjects.User
	name          string
	hosts, guards string // what its configuration says of the creator and of attributes
	hostly        map[subjects.User]bool
	told          map[subjects.User]events.Role // which role a user was given, in or not
	who           map[subjects.User][2]string   // name and info
	bans, mutes   map[subjects.User]room.Restriction

	attributes map[string]modelAttribute
	touched    bool   // they have changed in a fact that is not stored yet
	touchedAt  uint64 // the revision at which they last changed
	pairs      map[subjects.User]map[string]modelPair
	kept       map[subjects.User]map[string]string
}

type modelAttribute struct {
	value string
	owner subjects.User
	goes  bool
}

type modelPair struct {
	value string
	stays bool
}

// do returns what verdict would print, without numbers, and the rooms that change.
func (m model) do(c *room.Command, l *room.Limits, now events.Time) (string, []subjects.Room) {
	r := m[c.Room]
	here := []subjects.Room{c.Room}
	if info := c.Verb.Info(); info.Hosts {
		switch {
		case r == nil || r.over:
			return "ROOM_NOT_EXIST", nil
		case !r.mayRun(c):
			return "NOT_ALLOWED", nil
		}
	}
	switch c.Verb {
	case room.Update:
		return r.update(c), here
	case room.SetRole:
		return r.setRole(c, l), here
	case room.Ban, room.Unban, room.Mute, room.Unmute:
		return r.restrict(c, l, now), here
	case room.UpdateMember:
		switch {
		case r == nil:
			return "ROOM_NOT_EXIST", nil
		case !r.in[c.User][c.Session]:
			return "USER_NOT_IN_ROOM", nil
		}
		was := r.who[c.User]
		is := [2]string{cmp.Or(c.Name, was[0]), cmp.Or(string(c.Info), was[1])}
		r.who[c.User] = is
		return changed(is != was), here
	case room.Leave:
		if code := m.leave(c, c.Room, now); code != "" {
			return code, nil
		}
		return "changed", here
	case room.LeaveAll:
		var left []subjects.Room
		for id := range m {
			if m.leave(c, id, now) == "" {
				left = append(left, id)
			}
		}
		if left == nil {
			return "nothing", nil
		}
		return "changed", left
	case room.SetAttributes, room.SetMemberAttributes:
		switch {
		case r == nil:
			return "ROOM_NOT_EXIST", nil
		case c.User != "" && !r.in[c.User][c.Session]:
			return "USER_NOT_IN_ROOM", nil
		case r.guarded(c):
			return "NOT_ALLOWED", nil
		}
		answer := ""
		if c.Verb == room.SetAttributes {
			answer = r.setAttributes(c, l)
		} else {
			answer = r.setPairs(c, l)
		}
		if strings.HasPrefix(answer, "changed") {
			return answer, here
		}
		return answer, nil
	case room.Kick:
		var out []string
		for _, u := range c.Users {
			if r.in[u] != nil {
				out = append(out, string(u))
				r.out(u, now)
			}
		}
		if out == nil {
			return "nothing", nil
		}
		return "changed users=" + strings.Join(out, " "), here
	case room.DestroyRoom:
		r.over = true
		return "changed", here
	case room.Switch:
		switch from := m[c.From]; {
		case from == nil || from.over:
			return "ROOM_NOT_EXIST", nil
		case !from.in[c.User][c.Session]:
			return "USER_NOT_IN_ROOM", nil
		case r != nil && r.in[c.User][c.Session]:
			m.leave(c, c.From, now)
			return "changed", []subjects.Room{c.From}
		}
	}
	return m.admit(c, l, now)
}

func (m model) admit(c *room.Command, l *room.Limits, now events.Time) (string, []subjects.Room) {
	r := m[c.Room]
	switch {
	case r == nil && (c.Verb == room.Join || c.Verb == room.Switch && !c.CreateMissing):
		return "ROOM_NOT_EXIST", nil
	case r == nil && c.RoomsFull:
		return "ROOM_LIMIT", nil
	case r != nil && c.Verb == room.Create:
		return "ROOM_ALREADY_EXISTS", nil
	case r != nil && r.in[c.User][c.Session] && c.Verb == room.Enter:
		return "nothing", nil
	case r != nil && r.in[c.User][c.Session]:
		return "USER_ALREADY_IN_ROOM", nil
	case r != nil && c.UserForm && in(r.bans, c.User, r.later(now)):
		return "BANNED", nil
	case r != nil && r.in[c.User] == nil && (r.max > 0 && len(r.in) >= r.max || l.MaxMembers > 0 && len(r.in) >= l.MaxMembers):
		return "ROOM_FULL", nil
	case c.UserRoomsFull && c.Verb != room.Switch && (r == nil || r.in[c.User] == nil):
		return "USER_ROOM_LIMIT", nil
	}
	answer, changed := "changed", []subjects.Room{c.Room}
	if r == nil {
		answer = "created"
		r = &modelRoom{
			in: map[subjects.User]map[string]bool{}, max: c.Config.MaxMembers, delay: events.Time(c.Config.RoomDestroyDelayTime) * 1000, emptyAt: now,
			attributes: map[string]modelAttribute{}, touched: true, pairs: map[subjects.User]map[string]modelPair{}, kept: map[subjects.User]map[string]string{},
			creator: c.User, name: c.RoomName, hosts: c.Config.Hosts, guards: c.Config.Attributes, hostly: map[subjects.User]bool{}, who: map[subjects.User][2]string{},
		}
		r.forget()
		for k, v := range c.Attributes {
			r.attributes[k] = modelAttribute{v, c.User, false}
		}
		m[c.Room] = r
		if c.User == "" {
			r.unborn = true
			return answer, changed
		}
	}
	if r.in[c.User] == nil {
		r.in[c.User] = map[string]bool{}
		r.who[c.User] = [2]string{c.Name, string(c.Info)}
		r.hostly[c.User] = c.HostByToken || r.hosts == room.HostsCreator && r.creator == c.User
		if told := r.told[c.User]; told != "" {
			r.hostly[c.User] = told == events.RoleHost
		}
		for k, v := range r.kept[c.User] {
			r.setPair(c.User, k, modelPair{v, true})
		}
		delete(r.kept, c.User)
	}
	r.in[c.User][c.Session] = true
	if c.Verb == room.Switch {
		m.leave(c, c.From, now)
		changed = append(changed, c.From)
	}
	return answer, changed
}

func (m model) leave(c *room.Command, id subjects.Room, now events.Time) string {
	r := m[id]
	switch {
	case r == nil || r.over:
		return "ROOM_NOT_EXIST"
	case !r.in[c.User][c.Session]:
		return "USER_NOT_IN_ROOM"
	}
	delete(r.in[c.User], c.Session)
	if len(r.in[c.User]) == 0 {
		r.out(c.User, now)
	}
	return ""
}

// out ends a membership.
func (r *modelRoom) out(u subjects.User, now events.Time) {
	delete(r.in, u)
	delete(r.hostly, u)
	delete(r.who, u)
	if len(r.in) == 0 {
		r.emptyAt, r.unborn = max(now, r.at), false
	}
	for k, a := range r.attributes {
		if a.owner == u && a.goes {
			delete(r.attributes, k)
			r.touched = true
		}
	}
	for k, p := range r.pairs[u] {
		if p.stays {
			if r.kept[u] == nil {
				r.kept[u] = map[string]string{}
			}
			r.kept[u][k] = p.value
		}
	}
	delete(r.pairs, u)
}

func (r *modelRoom) setAttributes(c *room.Command, l *room.Limits) string {
	if c.IfRevision != 0 && (r.touched || r.touchedAt > c.IfRevision) {
		return "REVISION_MISMATCH"
	}
	after, errors, sets := maps.Clone(r.attributes), []string(nil), false
	for _, k := range slices.Sorted(maps.Keys(c.Set)) {
		was, there := r.attributes[k]
		now := was
		now.value = c.Set[k]
		if !there || c.UpdateOwner {
			now.owner = c.User
		}
		if c.LeaveDeletes != nil {
			now.goes = *c.LeaveDeletes
		}
		if there && now == was {
			continue
		}
		if there && was.owner != "" && was.owner != c.User && !c.Force && c.User != "" {
			errors = append(errors, k)
			continue
		}
		after[k], sets = now, true
	}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(c.Delete))) {
		if was, there := after[k]; there && was.owner != "" && was.owner != c.User && !c.Force && c.User != "" {
			errors = append(errors, k)
		} else {
			delete(after, k)
		}
	}
	answer := "nothing"
	if !maps.Equal(after, r.attributes) {
		if sets && len(after) > l.Attributes {
			return "ROOM_ATTRIBUTE_COUNT"
		}
		answer, r.attributes, r.touched = "changed", after, true
	}
	if errors != nil {
		answer += " errors=" + strings.Join(errors, ",")
	}
	return answer
}

func (r *modelRoom) setPairs(c *room.Command, l *room.Limits) string {
	before := fmt.Sprint(r.pairs)
	for _, u := range c.Users {
		after := maps.Clone(r.pairs[u])
		if after == nil {
			after = map[string]modelPair{}
		}
		maps.Copy(after, pairsOf(c))
		if r.in[u] != nil && len(after) > l.MemberAttributes {
			return "MEMBER_ATTRIBUTE_TOTAL"
		}
	}
	for _, u := range c.Users {
		for k, p := range pairsOf(c) {
			if r.in[u] != nil {
				r.setPair(u, k, p)
			}
		}
	}
	if before == fmt.Sprint(r.pairs) {
		return "nothing"
	}
	return "changed"
}

func pairsOf(c *room.Command) map[string]modelPair {
	pairs := map[string]modelPair{}
	for k, v := range c.Set {
		pairs[k] = modelPair{v, c.LeaveDeletes != nil && !*c.LeaveDeletes}
	}
	return pairs
}

func (r *modelRoom) setPair(u subjects.User, k string, p modelPair) {
	if r.pairs[u] == nil {
		r.pairs[u] = map[string]modelPair{}
	}
	r.pairs[u][k] = p
}

// forget drops what the room was told about users who may be away.
func (r *modelRoom) forget() {
	r.kept, r.told = map[subjects.User]map[string]string{}, map[subjects.User]events.Role{}
	r.bans, r.mutes = map[subjects.User]room.Restriction{}, map[subjects.User]room.Restriction{}
}

func (r *modelRoom) mayRun(c *room.Command) bool {
	return !c.UserForm || r.runs(c) || c.Begun != ""
}

// guarded says that a command reaches for what others own, where only hosts may.
func (r *modelRoom) guarded(c *room.Command) bool {
	others := c.Force
	for _, u := range c.Users {
		others = others || u != c.User
	}
	return others && c.UserForm && r.guards == room.AttributesOwned && !r.runs(c)
}

func changed(yes bool) string {
	if yes {
		return "changed"
	}
	return "nothing"
}

func (r *modelRoom) update(c *room.Command) string {
	was := *r
	give(&r.name, c.Rename)
	var delay *int64
	var some room.ConfigUpdate
	if c.Change != nil {
		some = *c.Change
	}
	if delay = some.RoomDestroyDelayTime; delay != nil {
		r.delay = events.Time(*delay) * 1000
	}
	give(&r.max, some.MaxMembers)
	give(&r.guards, some.Attributes)
	give(&r.hosts, some.Hosts)
	is, had := r.hosts == room.HostsCreator, was.hosts == room.HostsCreator
	if u := r.creator; is != had && u != "" {
		r.told[u] = map[bool]events.Role{true: events.RoleHost, false: events.RoleMember}[is]
		if r.in[u] != nil {
			r.hostly[u] = is
		}
	}
	return changed(r.name != was.name || r.delay != was.delay || r.max != was.max || r.guards != was.guards || r.hosts != was.hosts)
}

func give[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

func (r *modelRoom) setRole(c *room.Command, l *room.Limits) string {
	host := c.Role == events.RoleHost
	var others []subjects.User
	for _, u := range c.Users {
		if r.in[u] != nil && (r.hostly[u] != host || (r.told[u] == events.RoleHost) != host) {
			others = append(others, u)
		}
	}
	known := maps.Clone(r.told)
	for _, u := range c.Users {
		known[u] = c.Role
	}
	if host && len(others) > 0 && len(known) > l.Restrictions {
		return "PARAM_INVALID"
	}
	for _, u := range others {
		r.hostly[u], r.told[u] = host, c.Role
	}
	return changed(len(others) > 0)
}

func (r *modelRoom) later(now events.Time) events.Time { return max(now, r.at) }

// in says that a restriction holds.
func in(list map[subjects.User]room.Restriction, u subjects.User, now events.Time) bool {
	x, ok := list[u]
	return ok && (x.Until == 0 || x.Until > now)
}

func (r *modelRoom) list(v room.Verb) map[subjects.User]room.Restriction {
	if v == room.Ban || v == room.Unban {
		return r.bans
	}
	return r.mutes
}

// crowded says that a command would make too many restrictions.
func (r *modelRoom) crowded(c *room.Command, l *room.Limits, now events.Time) bool {
	under := map[subjects.User]bool{}
	for u := range r.list(c.Verb) {
		if in(r.list(c.Verb), u, now) {
			under[u] = true
		}
	}
	for _, u := range c.Users {
		under[u] = true
	}
	return (c.Verb == room.Ban || c.Verb == room.Mute) && c.Begun == "" && len(under) > l.Restrictions
}

// begins does the first part of a ban, if it has one: it puts out whoever is in.
func (m model) begins(c *room.Command, l *room.Limits, now events.Time) bool {
	r := m[c.Room]
	if c.Verb != room.Ban || r == nil || r.over || !r.mayRun(c) || r.crowded(c, l, r.later(now)) {
		return false
	}
	some := false
	for _, u := range c.Users {
		if r.in[u] != nil {
			some = true
			r.out(u, now)
		}
	}
	return some
}

func (r *modelRoom) restrict(c *room.Command, l *room.Limits, now events.Time) string {
	now = r.later(now)
	if r.crowded(c, l, now) {
		return "PARAM_INVALID"
	}
	list, some := r.list(c.Verb), false
	is := room.Restriction{Reason: c.ReasonText}
	if c.Seconds > 0 {
		is.Until = now + events.Time(c.Seconds)*1000
	}
	for _, u := range c.Users {
		under := in(list, u, now)
		if c.Verb == room.Unban || c.Verb == room.Unmute {
			some = some || under
			delete(list, u)
			continue
		}
		some = some || !under || list[u] != is
		list[u] = is
	}
	answer := changed(some) + " users=" + strings.Trim(fmt.Sprint(c.Users), "[]")
	if is.Until != 0 {
		answer += fmt.Sprintf(" until=%d", is.Until/1000)
	}
	return answer
}

// ended reports that the room has ended.
func (r *modelRoom) ended(now events.Time) bool {
	delay := r.delay
	if r.unborn {
		delay = max(delay, 300_000)
	}
	return r.over || len(r.in) == 0 && r.emptyAt+delay <= max(now, r.at)
}

// runs says whether a command's user runs the room. Who is a host by nothing but a token needs it
// with each command.
func (r *modelRoom) runs(c *room.Command) bool {
	return r.hostly[c.User] && (c.HostByToken || r.told[c.User] == events.RoleHost || r.hosts == room.HostsCreator && r.creator == c.User)
}
