package room_test

import (
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
	at         events.Time // of its newest fact: a room's time never goes back
	over       bool        // it is being destroyed

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
	switch c.Verb {
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
		case !r.in[c.User][c.Session]:
			return "USER_NOT_IN_ROOM", nil
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
		if r == nil {
			return "ROOM_NOT_EXIST", nil
		}
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
		if r == nil {
			return "ROOM_NOT_EXIST", nil
		}
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
		}
		for k, v := range c.Attributes {
			r.attributes[k] = modelAttribute{v, c.User, false}
		}
		m[c.Room] = r
		if c.User == "" {
			r.emptyAt += max(0, 300_000-r.delay)
			return answer, changed
		}
	}
	if r.in[c.User] == nil {
		r.in[c.User] = map[string]bool{}
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
	if len(r.in) == 0 {
		r.emptyAt = max(now, r.at)
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
		if there && was.owner != "" && was.owner != c.User && !c.Force {
			errors = append(errors, k)
			continue
		}
		after[k], sets = now, true
	}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(c.Delete))) {
		if was, there := after[k]; there && was.owner != "" && was.owner != c.User && !c.Force {
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

// ended reports that the room has ended.
func (r *modelRoom) ended(now events.Time) bool {
	return r.over || len(r.in) == 0 && r.emptyAt+r.delay <= max(now, r.at)
}
