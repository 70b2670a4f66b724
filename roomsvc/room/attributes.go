package room

import (
	"maps"
	"slices"

	"natsrooms/events"
	"natsrooms/subjects"
)

// Owner says who owns an attribute.
type Owner struct {
	User    subjects.User // empty: nobody owns it
	Leaving bool          // the attribute goes when its owner leaves
}

// draft is a room's attributes as a run's commands change them, one after another.
type draft struct {
	values  map[string]string
	owners  map[string]Owner
	touched map[string]struct{}
	changes []events.AttributesChange
}

// attributes is the run's draft, or the room as it is.
func (r *Run) attributes() (map[string]string, map[string]Owner) {
	if r.draft != nil {
		return r.draft.values, r.draft.owners
	}
	return r.state.Attributes, r.state.Owners
}

// inRoom refuses a command if there is no room, or its session is not in it. A back end that
// names no user acts from outside.
func (r *Run) inRoom(c *Command) *Error {
	if r.state == nil {
		return Refuse(ErrRoomNotExist, "there is no room %q; nothing changed", r.room)
	}
	if m := r.state.Member(c.User); c.User != "" && (m == nil || m.Session(c.Session) == nil) {
		return Refuse(ErrUserNotInRoom, "%q (session %s) is not in %q; nothing changed", c.User, c.Session, r.room)
	}
	return nil
}

// owned refuses a member who is no host what the room leaves to owners and hosts alone.
func (r *Run) owned(c *Command, field string, others bool) *Error {
	if !others || !c.UserForm || r.state.Config.Attributes != AttributesOwned || r.state.Runs(c) {
		return nil
	}
	e := Refuse(ErrNotAllowed, "%s reaches for what others own; in %q only hosts may do that; nothing changed", field, r.room)
	e.Field = field
	return e
}

// setAttributes decides a setAttributes. The condition is checked before "already so": if
// two commands count up from the same value, the second must not find its work done.
func (r *Run) setAttributes(c *Command) Verdict {
	if r.busy(c.User) || r.ending() || r.fact != nil && r.fact.Type != events.RoomAttributesChanged {
		return later // members who leave in the run's fact may take attributes with them
	}
	if e := r.inRoom(c); e != nil {
		return Verdict{Refused: e}
	}
	if e := r.owned(c, "isForce", c.Force); e != nil {
		return Verdict{Refused: e}
	}
	if c.IfRevision != 0 && (r.draft != nil || r.state.AttributesAt > c.IfRevision) {
		return Verdict{Refused: Refuse(ErrRevisionMismatch, "the attributes of %q were changed after revision %d; nothing changed; decide again with the current ones", r.room, c.IfRevision)}
	}
	values, owners := r.attributes()
	change := events.AttributesChange{UserID: string(c.User), RequestID: c.RequestID}
	after, whose := make(map[string]string, len(values)+len(c.Set)), make(map[string]Owner, len(values)+len(c.Set))
	maps.Copy(after, values)
	maps.Copy(whose, owners)
	for _, k := range slices.Sorted(maps.Keys(c.Set)) {
		v, exists := values[k]
		was := owners[k]
		now := was
		if !exists || c.UpdateOwner {
			now.User = c.User
		}
		if c.LeaveDeletes != nil {
			now.Leaving = *c.LeaveDeletes
		}
		switch {
		case exists && v == c.Set[k] && now == was:
		case exists && !c.mayChange(was):
			change.ErrorKeys = append(change.ErrorKeys, k)
		default:
			after[k], whose[k] = c.Set[k], now
			change.Set = append(change.Set, k)
		}
	}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(c.Delete))) {
		switch _, exists := values[k]; {
		case !exists:
		case !c.mayChange(owners[k]):
			change.ErrorKeys = append(change.ErrorKeys, k)
		default:
			delete(after, k)
			delete(whose, k)
			change.Delete = append(change.Delete, k)
		}
	}
	if len(change.Set) == 0 && len(change.Delete) == 0 {
		return Verdict{ErrorKeys: change.ErrorKeys}
	}
	if len(change.Set) > 0 {
		if e := r.in.limits.attributesFit("set", after, whose, allowedSize(r.state.Config.AllowedUsers)); e != nil {
			return Verdict{Refused: e}
		}
	}
	size := c.changeSize(&change, whose)
	if size > events.MaxFactBytes-factRoom {
		return Verdict{Refused: wouldNotFit("set", size)}
	}
	if !r.takes(events.RoomAttributesChanged, size) {
		return later
	}
	r.start(events.RoomAttributesChanged)
	if r.draft == nil {
		r.draft = &draft{touched: map[string]struct{}{}}
	}
	d := r.draft
	d.values, d.owners, d.changes = after, whose, append(d.changes, change)
	for _, k := range slices.Concat(change.Set, change.Delete) {
		d.touched[k] = struct{}{}
	}
	r.fact.User = string(c.User)
	r.note(c, size)
	return Verdict{Changed: true, ErrorKeys: change.ErrorKeys}
}

// mayChange reports whether the command may set or delete an attribute with that owner.
func (c *Command) mayChange(o Owner) bool {
	return c.Force || c.User == "" || o.User == "" || o.User == c.User
}

// put writes the draft into the run's fact: the outcome for each key that was touched.
func (d *draft) put(f *events.Fact) {
	f.Set, f.Delete, f.Changes = map[string]string{}, []string{}, d.changes
	f.Ownership = events.Ownership{Owners: map[string]*string{}}
	for _, k := range slices.Sorted(maps.Keys(d.touched)) {
		v, ok := d.values[k]
		if !ok {
			f.Delete = append(f.Delete, k)
			continue
		}
		f.Set[k] = v
		addOwner(&f.Ownership, k, d.owners[k])
	}
}

func addOwner(o *events.Ownership, k string, owner Owner) {
	o.Owners[k] = nil
	if owner.User != "" {
		id := string(owner.User)
		o.Owners[k] = &id
	}
	if owner.Leaving {
		o.DeleteAfterOwnerLeft = append(o.DeleteAfterOwnerLeft, k)
	}
}

// ownership is the attributes' owners in the form of a fact.
func ownership(attributes map[string]string, owners map[string]Owner) events.Ownership {
	o := events.Ownership{Owners: map[string]*string{}}
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		addOwner(&o, k, owners[k])
	}
	return o
}

// bornOwners is the owners of a new room's attributes: the creator, unless the fact says otherwise.
func bornOwners(info *events.Room, o events.Ownership) map[string]Owner {
	owners := ownersOf(o)
	if o.Owners == nil {
		for k := range info.Attributes {
			owners[k] = Owner{User: subjects.User(info.CreatedBy)}
		}
	}
	return owners
}

// ownersOf reads the owners of the attributes that a fact sets.
func ownersOf(o events.Ownership) map[string]Owner {
	owners := make(map[string]Owner, len(o.Owners))
	for k, id := range o.Owners {
		owner := Owner{Leaving: slices.Contains(o.DeleteAfterOwnerLeft, k)}
		if id != nil {
			owner.User = subjects.User(*id)
		}
		owners[k] = owner
	}
	return owners
}

// OwnerIDs says who owns which of the room's attributes; those that nobody owns are left out.
func (h *Head) OwnerIDs() map[string]string {
	var ids map[string]string
	for k, o := range h.Owners {
		if o.User == "" {
			continue
		}
		if ids == nil {
			ids = make(map[string]string, len(h.Owners))
		}
		ids[k] = string(o.User)
	}
	return ids
}

// goesWith is the attributes that go when the user leaves.
func (r *Run) goesWith(u subjects.User) (keys []string) {
	for k, o := range r.state.Owners {
		if o.Leaving && o.User == u {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// setMemberAttributes decides a setMemberAttributes. A fact carries only one of them.
func (r *Run) setMemberAttributes(c *Command) Verdict {
	if r.fact != nil || r.ending() {
		return later
	}
	if e := r.inRoom(c); e != nil {
		return Verdict{Refused: e}
	}
	if e := r.owned(c, "userIDs", slices.ContainsFunc(c.Users, func(u subjects.User) bool { return u != c.User })); e != nil {
		return Verdict{Refused: e}
	}
	staying := c.LeaveDeletes != nil && !*c.LeaveDeletes
	changed := false
	var infos []events.MemberAttributes
	for _, u := range c.Users {
		m := r.state.Member(u)
		if m == nil {
			continue
		}
		after := m.with(c.Set, staying)
		if e := r.in.limits.memberFits("attributes", u, after.Attributes); e != nil {
			return Verdict{Refused: e}
		}
		changed = changed || !maps.Equal(after.Attributes, m.Attributes) || !maps.Equal(after.staying, m.staying)
		infos = append(infos, events.MemberAttributes{UserID: string(u), Attributes: c.Set})
	}
	if !changed {
		return Verdict{}
	}
	r.start(events.MemberAttributesChanged)
	r.fact.Infos, r.fact.Staying, r.fact.User, r.fact.RequestID = infos, staying, string(c.User), c.RequestID
	r.note(c, events.MaxFactBytes) // nothing else fits beside it
	return Verdict{Changed: true}
}

// with is the member with attributes set.
func (m *Member) with(set map[string]string, staying bool) *Member {
	after := *m
	after.Attributes, after.staying = maps.Clone(m.Attributes), maps.Clone(m.staying)
	if after.Attributes == nil {
		after.Attributes = make(map[string]string, len(set))
	}
	if after.staying == nil && staying {
		after.staying = make(map[string]struct{}, len(set))
	}
	for k, v := range set {
		after.Attributes[k] = v
		if staying {
			after.staying[k] = struct{}{}
		} else {
			delete(after.staying, k)
		}
	}
	return &after
}

// leaves is the attributes that a leaving member leaves behind in the room; nil if none.
func (m *Member) leaves() map[string]string {
	var kept map[string]string
	for k := range m.staying {
		if kept == nil {
			kept = make(map[string]string, len(m.staying))
		}
		kept[k] = m.Attributes[k]
	}
	return kept
}

// leaving is the attributes that end with the membership.
func (m *Member) leaving() (keys []string) {
	for k := range m.Attributes {
		if _, ok := m.staying[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

const infoFrame = 64

// carriedSize bounds what a member's attributes take in the entry with which it joins.
func carriedSize(attributes map[string]string) int {
	const frame = 48
	size := frame + AttributesSize(attributes)
	for k := range attributes {
		size += jsonSize(k) + 1
	}
	return size
}

// ownedSize bounds what attributes with their owners take in an encoded fact.
func ownedSize(attributes map[string]string, owners map[string]Owner) int {
	size := AttributesSize(attributes)
	for k, o := range owners {
		size += 2*jsonSize(k) + jsonSize(string(o.User)) + 16
	}
	return size
}

// changeSize bounds what a setAttributes takes in an encoded fact; owners are as they are after it.
func (c *Command) changeSize(change *events.AttributesChange, owners map[string]Owner) int {
	const frame = 128
	size := frame + jsonSize(string(c.User)) + jsonSize(c.RequestID)
	for _, k := range change.Set { // in set, owners, deleteAfterOwnerLeft and changes
		size += 4*jsonSize(k) + jsonSize(c.Set[k]) + jsonSize(string(owners[k].User)) + 16
	}
	for _, k := range change.Delete {
		size += 2*jsonSize(k) + 8
	}
	for _, k := range change.ErrorKeys {
		size += jsonSize(k) + 1
	}
	return size
}
