package events

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"natsrooms/subjects"
)

// MessageType is the kind of a message.
type MessageType string

// Kinds of messages. The first two are stored; the others are live only.
const (
	Text    MessageType = "text"
	Custom  MessageType = "custom"
	Signal  MessageType = "command" // for programs: a state to show, a typing indicator
	Barrage MessageType = "barrage" // for people: comments that fly across the screen
)

// Stored reports whether messages of the type are kept, in order and with a messageSeq.
func (t MessageType) Stored() bool { return t == Text || t == Custom }

// Priority is how important a message is when a rate limit is reached.
type Priority string

// Priorities of messages.
const (
	Low    Priority = "low"
	Medium Priority = "medium"
	High   Priority = "high"
)

// Message is something said in a room.
type Message struct {
	ID         string // also the CloudEvent's
	Time       Time
	Room       subjects.Room
	InstanceID string
	Sender     string // user ID; empty: the server itself
	Type       MessageType
	SubType    int // of Custom
	Data       string
	Priority   Priority
	Extended   string
	After      uint64 // the room's sequence when the message was accepted: it comes after that fact, and before the next
	Seq        uint64 // where it is stored; only in replies of history, live copies have it in a header
}

type messageData struct {
	RoomID       string      `json:"roomID"`
	InstanceID   string      `json:"instanceID"`
	MessageID    string      `json:"messageID"`
	MessageSeq   uint64      `json:"messageSeq,omitzero"`
	After        uint64      `json:"afterSequence,omitzero"`
	SenderUserID string      `json:"senderUserID"`
	Type         MessageType `json:"type"`
	SubType      int         `json:"subType,omitzero"`
	Data         string      `json:"data"`
	Priority     Priority    `json:"priority"`
	ExtendedData string      `json:"extendedData,omitzero"`
	Timestamp    int64       `json:"timestamp"` // milliseconds
}

// messageEvent is the envelope of a message, written in one go like a notice's.
type messageEvent struct {
	head         `json:",embed"`
	RoomInstance string      `json:"roominstance"`
	PartitionKey string      `json:"partitionkey"`
	Data         messageData `json:"data"`
}

// Encode writes the message as a CloudEvent; prefix goes before its source, usually "".
func (m *Message) Encode(prefix string) ([]byte, error) {
	id := string(m.Room)
	return json.Marshal(&messageEvent{
		headOf(m.ID, Source(prefix, m.Room, m.InstanceID)+"/messages", MessageSent, m.Room, m.Time), m.InstanceID, id,
		messageData{id, m.InstanceID, m.ID, m.Seq, m.After, m.Sender, m.Type, m.SubType, m.Data, m.Priority, m.Extended, int64(m.Time)},
	})
}

// DecodeMessage reads a message as it is stored or heard.
func DecodeMessage(raw []byte) (*Message, error) {
	var d messageData
	e, err := openAs(raw, MessageSent, &d)
	if err != nil {
		return nil, err
	}
	r, err := subjects.ParseRoom(d.RoomID)
	if err != nil {
		return nil, fmt.Errorf("%w: roomID %w", ErrMalformed, err)
	}
	if d.SenderUserID != "" {
		if _, err := subjects.ParseUser(d.SenderUserID); err != nil {
			return nil, fmt.Errorf("%w: senderUserID %w", ErrMalformed, err)
		}
	}
	if d.MessageID == "" || d.MessageID != e.ID || d.InstanceID == "" || d.Type == "" || Time(d.Timestamp) != e.Time {
		return nil, fmt.Errorf("%w: the type, instance, id or time is missing or contradictory", ErrMalformed)
	}
	return &Message{
		ID: d.MessageID, Time: Time(d.Timestamp), Room: r, InstanceID: d.InstanceID, Sender: d.SenderUserID, Type: d.Type, SubType: d.SubType,
		Data: d.Data, Priority: d.Priority, Extended: d.ExtendedData, After: d.After, Seq: d.MessageSeq,
	}, nil
}

// Accepted is what of a message tells where it belongs among its room's facts, and whose it is.
type Accepted struct {
	InstanceID string `json:"instanceID"`
	Sender     string `json:"senderUserID"`
	After      uint64 `json:"afterSequence"`
}

// DecodeAccepted reads that of a message as it is stored or heard, without the rest of it,
// which takes half the time of [DecodeMessage]. The deletion of messages has an instance and
// nothing else of it.
func DecodeAccepted(raw []byte) (*Accepted, error) {
	var e struct {
		Type string   `json:"type"`
		Data Accepted `json:"data"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if e.Type != MessageSent && e.Type != MessageDeleted || e.Data.InstanceID == "" {
		return nil, fmt.Errorf("%w: a message of type %q and instance %q", ErrMalformed, e.Type, e.Data.InstanceID)
	}
	return &e.Data, nil
}
