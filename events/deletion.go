package events

import (
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"natsrooms/subjects"
)

// Deletion says that messages of one instance of a room were deleted: nobody can read them any
// more, and who has them shows them no longer.
type Deletion struct {
	ID          string // the CloudEvent's
	Time        Time
	Room        subjects.Room
	InstanceID  string   // of the messages
	MessageSeqs []uint64 // theirs
	Operator    string   // user ID; empty: a back end that named no user
	RequestID   string
}

type deletionData struct {
	RoomID      string   `json:"roomID"`
	InstanceID  string   `json:"instanceID"`
	MessageSeqs []uint64 `json:"messageSeqs"`        // of the messages
	Operator    string   `json:"operator,omitzero"`  // who deleted them; none: a back end that named no user
	RequestID   string   `json:"requestID,omitzero"` // of the command
}

type deletionEvent struct {
	head         `json:",embed"`
	RoomInstance string       `json:"roominstance"`
	PartitionKey string       `json:"partitionkey"`
	Data         deletionData `json:"data"`
}

// Encode writes the deletion as a CloudEvent; prefix goes before its source, usually "".
func (d *Deletion) Encode(prefix string) ([]byte, error) {
	id := string(d.Room)
	return json.Marshal(&deletionEvent{
		headOf(d.ID, Source(prefix, d.Room, d.InstanceID)+"/messages", MessageDeleted, d.Room, d.Time), d.InstanceID, id,
		deletionData{id, d.InstanceID, d.MessageSeqs, d.Operator, d.RequestID},
	})
}

// DecodeDeletion reads a deletion as it is stored or heard.
func DecodeDeletion(raw []byte) (*Deletion, error) {
	var data deletionData
	e, err := openAs(raw, MessageDeleted, &data)
	if err != nil {
		return nil, err
	}
	r, err := subjects.ParseRoom(data.RoomID)
	if err != nil {
		return nil, fmt.Errorf("%w: roomID %w", ErrMalformed, err)
	}
	if data.Operator != "" {
		if _, err := subjects.ParseUser(data.Operator); err != nil {
			return nil, fmt.Errorf("%w: operator %w", ErrMalformed, err)
		}
	}
	if e.ID == "" || data.InstanceID == "" || len(data.MessageSeqs) == 0 || slices.Contains(data.MessageSeqs, 0) {
		return nil, fmt.Errorf("%w: the id, instance or messages are missing", ErrMalformed)
	}
	return &Deletion{e.ID, e.Time, r, data.InstanceID, data.MessageSeqs, data.Operator, data.RequestID}, nil
}
