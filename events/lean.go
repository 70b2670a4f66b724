package events

import (
	"cmp"
	"slices"
	"strconv"

	"natsrooms/subjects"
)

// What facts leave out. The data of a fact does not repeat what its envelope says, nor say what
// is empty or usual; in a crowded room that is most of the bytes that everybody would get. The
// lean functions take it out before encoding, at and fill put it back. Each field that may be
// absent says in a comment what that means; the schemas have it from there. Facts from before
// say everything, and are read the same way. The fact's sequence and the session of an entry are
// always said, since readers without a client count and match by them; fill knows them too.

// factRoom is a [Room] inside a fact.
type factRoom struct {
	RoomID      string            `json:"roomID,omitzero"`      // absent: the event's subject
	RoomName    string            `json:"roomName,omitzero"`    // absent: empty
	InstanceID  string            `json:"instanceID,omitzero"`  // absent: the event's roominstance
	CreatedAt   Time              `json:"createdAt,omitzero"`   // absent: the event's time
	CreatedBy   string            `json:"createdBy,omitzero"`   // absent: empty, it was made without a user
	Config      Config            `json:"config,omitzero"`      // absent: {}, nothing was chosen
	Attributes  map[string]string `json:"attributes,omitempty"` // absent: {}
	MemberCount int               `json:"memberCount,omitzero"` // absent: as many as memberList has entries
	Sequence    uint64            `json:"sequence,omitzero"`    // absent: as beside it, in the data
	Revision    uint64            `json:"revision,omitzero"`
	DestroyAt   Time              `json:"destroyAt,omitzero"`
}

// unless is v, or nothing if v is what is usual.
func unless[T comparable](usual, v T) (none T) {
	if v == usual {
		return none
	}
	return v
}

func (f *Fact) leanRoom() *factRoom {
	if f.Info == nil {
		return nil
	}
	r := factRoom(*f.Info)
	r.RoomID = unless(string(f.Room), r.RoomID)
	r.InstanceID = unless(f.InstanceID, r.InstanceID)
	r.CreatedAt = unless(f.Time, r.CreatedAt)
	r.MemberCount = unless(len(f.Joined), r.MemberCount)
	r.Sequence = unless(f.Sequence, r.Sequence)
	return &r
}

func (f *Fact) leanJoined() []Joined {
	list := slices.Clone(f.Joined)
	for i := range list {
		j := &list[i]
		j.JoinedAt = unless(f.Time, j.JoinedAt)
		j.Via = unless(ViaEnter, j.Via)
	}
	return list
}

func (f *Fact) leanLeft() []Left {
	list := slices.Clone(f.Left)
	for i := range list {
		l := &list[i]
		l.JoinedAt, l.LeftAt = unless(f.Time, l.JoinedAt), unless(f.Time, l.LeftAt)
		l.Reason = unless(ReasonLeft, l.Reason)
	}
	return list
}

// leanOwnership leaves out the owners if all attributes belong to the user who set them.
func (f *Fact) leanOwnership() Ownership {
	for _, owner := range f.Ownership.Owners {
		if owner == nil || *owner != f.User {
			return f.Ownership
		}
	}
	return Ownership{DeleteAfterOwnerLeft: f.Ownership.DeleteAfterOwnerLeft}
}

// leanStaying says that attributes do not go with their owner; that they do is left out.
func (f *Fact) leanStaying() *bool {
	if f.Staying {
		return new(bool)
	}
	return nil
}

// at sets where the fact is: as its data says, or its envelope.
func (f *Fact) at(pos position, e *envelope) {
	pos.RoomID = cmp.Or(pos.RoomID, e.Subject)
	pos.InstanceID = cmp.Or(pos.InstanceID, e.RoomInstance)
	if pos.Sequence == 0 {
		pos.Sequence, _ = strconv.ParseUint(e.Sequence, 10, 64)
	}
	f.Room, f.InstanceID, f.Sequence = subjects.Room(pos.RoomID), pos.InstanceID, pos.Sequence
}

// fill sets everything else that was left out.
func (f *Fact) fill() {
	switch f.Type {
	case RoomCreated:
		if f.Joined == nil {
			f.Joined = []Joined{}
		}
	case RoomAttributesChanged:
		f.fillAttributes()
	case RoomAccessChanged:
		if f.Allowed == nil {
			f.Allowed = []string{}
		}
	}
	if r := f.Info; r != nil {
		r.RoomID = cmp.Or(r.RoomID, string(f.Room))
		r.InstanceID = cmp.Or(r.InstanceID, f.InstanceID)
		r.CreatedAt = cmp.Or(r.CreatedAt, f.Time)
		r.MemberCount = cmp.Or(r.MemberCount, len(f.Joined))
		r.Sequence = cmp.Or(r.Sequence, f.Sequence)
		if r.Attributes == nil {
			r.Attributes = map[string]string{}
		}
	}
	for i := range f.Joined {
		j := &f.Joined[i]
		j.SessionID = cmp.Or(j.SessionID, DefaultSession)
		j.JoinedAt = cmp.Or(j.JoinedAt, f.Time)
		j.Via = cmp.Or(j.Via, ViaEnter)
	}
	for i := range f.Left {
		l := &f.Left[i]
		l.SessionID = cmp.Or(l.SessionID, DefaultSession)
		l.JoinedAt = cmp.Or(l.JoinedAt, f.Time)
		l.LeftAt = cmp.Or(l.LeftAt, f.Time)
		l.Reason = cmp.Or(l.Reason, ReasonLeft)
	}
}

func (f *Fact) fillAttributes() {
	if f.Set == nil {
		f.Set = map[string]string{}
	}
	if f.Delete == nil {
		f.Delete = []string{}
	}
	if f.Ownership.Owners == nil {
		f.Ownership.Owners = make(map[string]*string, len(f.Set))
		for k := range f.Set {
			f.Ownership.Owners[k] = &f.User
		}
	}
}
