package room

import (
	"maps"
	"slices"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/subjects"
)

// headRecord is a room in the state bucket: what replies show, and what a restart needs.
type headRecord struct {
	events.Room `json:",embed"`
	FactAt      events.Time `json:"factAt"`
	EmptySince  events.Time `json:"emptySince,omitzero"`
	EmptyBy     uint64      `json:"emptyBy,omitzero"`
	Unborn      bool        `json:"unborn,omitzero"`
	End         *End        `json:"end,omitzero"`

	events.Ownership `json:",embed"` // of the attributes
	AttributesAt     uint64          `json:"attributesAt,omitzero"`
}

// memberRecord is a member in the state bucket.
type memberRecord struct {
	MemberInfo `json:",embed"`
	InstanceID string `json:"instanceID"`
	Revision   uint64 `json:"revision"`
	Order      uint64 `json:"order"`

	Staying []string `json:"staying,omitzero"` // those of its attributes that outlive the membership
}

// keptRecord is what a room keeps about a user, in the state bucket.
type keptRecord struct {
	InstanceID string              `json:"instanceID"`
	Revision   uint64              `json:"revision"`
	Attributes map[string]string   `json:"attributes,omitzero"`
	Role       events.Role         `json:"role,omitzero"`
	Ban        *events.Restriction `json:"ban,omitzero"`
	Mute       *events.Restriction `json:"mute,omitzero"`
}

// Record is the head as the state bucket keeps it.
func (h *Head) Record(r subjects.Room) ([]byte, error) {
	return json.Marshal(&headRecord{h.Info(r), h.FactAt, h.EmptySince, h.EmptyBy, h.Unborn, h.End, ownership(h.Attributes, h.Owners), h.AttributesAt}, json.Deterministic(true))
}

// DecodeHead reads a record of [Head.Record].
func DecodeHead(raw []byte) (Head, error) {
	var rec headRecord
	if err := json.Unmarshal(raw, &rec); err != nil {
		return Head{}, err
	}
	return Head{
		Name: rec.RoomName, InstanceID: rec.InstanceID, CreatedAt: rec.CreatedAt, CreatedBy: rec.CreatedBy, Config: rec.Config,
		Attributes: rec.Attributes, Members: rec.MemberCount, Sequence: rec.Sequence, Revision: rec.Revision,
		FactAt: rec.FactAt, EmptySince: rec.EmptySince, EmptyBy: rec.EmptyBy, Unborn: rec.Unborn,
		End: rec.End, Owners: bornOwners(&rec.Room, rec.Ownership), AttributesAt: rec.AttributesAt,
	}, nil
}

// Record is the member as the state bucket keeps it.
func (m *Member) Record(instanceID string) ([]byte, error) {
	return json.Marshal(&memberRecord{m.Wire(), instanceID, m.Revision, m.Order, slices.Sorted(maps.Keys(m.staying))}, json.Deterministic(true))
}

// DecodeMember reads a record of [Member.Record], and the instance it belongs to.
func DecodeMember(raw []byte) (m *Member, instanceID string, err error) {
	var rec memberRecord
	if err := json.Unmarshal(raw, &rec); err != nil {
		return nil, "", err
	}
	m = &Member{User: subjects.User(rec.UserID), Name: rec.UserName, Info: rec.UserInfo, Role: rec.Role, Since: rec.JoinedAt, Sessions: rec.Sessions, Order: rec.Order, Revision: rec.Revision}
	if len(rec.Attributes) > 0 {
		m.Attributes = rec.Attributes
	}
	for _, k := range rec.Staying {
		if m.staying == nil {
			m.staying = map[string]struct{}{}
		}
		m.staying[k] = struct{}{}
	}
	if len(m.Sessions) == 0 {
		return nil, "", ErrDamaged
	}
	return m, rec.InstanceID, nil
}

// Record is what is kept about a user, as the state bucket keeps it.
func (k *Kept) Record(instanceID string) ([]byte, error) {
	rec := &keptRecord{InstanceID: instanceID, Revision: k.Revision, Attributes: k.Attributes, Role: k.Role}
	if k.Ban != nil {
		ban := k.Ban.of(k.User)
		rec.Ban = &ban
	}
	if k.Mute != nil {
		mute := k.Mute.of(k.User)
		rec.Mute = &mute
	}
	return json.Marshal(rec, json.Deterministic(true))
}

// DecodeKept reads a record of [Kept.Record], and the instance it belongs to.
func DecodeKept(u subjects.User, raw []byte) (k Kept, instanceID string, err error) {
	var rec keptRecord
	if err := json.Unmarshal(raw, &rec); err != nil {
		return Kept{}, "", err
	}
	k = Kept{User: u, Attributes: rec.Attributes, Role: rec.Role, Revision: rec.Revision}
	if rec.Ban != nil {
		k.Ban = restriction(*rec.Ban)
	}
	if rec.Mute != nil {
		k.Mute = restriction(*rec.Mute)
	}
	return k, rec.InstanceID, nil
}
