package room

import (
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
}

// memberRecord is a member in the state bucket.
type memberRecord struct {
	MemberInfo `json:",embed"`
	InstanceID string `json:"instanceID"`
	Revision   uint64 `json:"revision"`
	Order      uint64 `json:"order"`
}

// Record is the head as the state bucket keeps it.
func (h *Head) Record(r subjects.Room) ([]byte, error) {
	return json.Marshal(&headRecord{h.Info(r), h.FactAt, h.EmptySince, h.EmptyBy, h.Unborn})
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
	}, nil
}

// Record is the member as the state bucket keeps it.
func (m *Member) Record(instanceID string) ([]byte, error) {
	return json.Marshal(&memberRecord{m.Wire(), instanceID, m.Revision, m.Order})
}

// DecodeMember reads a record of [Member.Record] and the instance that it belongs to.
func DecodeMember(raw []byte) (m *Member, instanceID string, err error) {
	var rec memberRecord
	if err := json.Unmarshal(raw, &rec); err != nil {
		return nil, "", err
	}
	m = &Member{User: subjects.User(rec.UserID), Name: rec.UserName, Info: rec.UserInfo, Since: rec.JoinedAt, Sessions: rec.Sessions, Order: rec.Order, Revision: rec.Revision}
	if len(m.Sessions) == 0 {
		return nil, "", ErrDamaged
	}
	return m, rec.InstanceID, nil
}
