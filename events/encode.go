package events

import (
	stdjson "encoding/json"
	"errors"
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/subjects"
)

// ContentType is the Content-Type header of every fact and notice.
const ContentType = event.ApplicationCloudEventsJSON

// SessionsHeader is the header of copies on feeds that names those of the user's sessions that
// the copy is for, separated by commas, each as [subjects.SessionToken] writes it.
const SessionsHeader = "Room-Sessions"

// Errors of the decoders, besides those for malformed JSON.
var (
	ErrUnknownType = errors.New("unknown event type")
	ErrMalformed   = errors.New("malformed event")
)

// position is what the data of facts begins with.
type position struct {
	RoomID     string `json:"roomID,omitzero"`     // absent: the event's subject
	InstanceID string `json:"instanceID,omitzero"` // absent: the event's roominstance
	Sequence   uint64 `json:"sequence"`
}

// TypeInfo is one row of the table of events.
type TypeInfo struct {
	Type  string
	Data  any    // a nil pointer to the type of its data
	Means string // one line for people
}

// Types is the table of events: every type that is written, and what README and the
// schemas say of it. The facts come first.
var Types = []TypeInfo{
	{RoomCreated, (*createdData)(nil), "a room begins; its first members are in it"},
	{MemberJoined, (*joinedData)(nil), "users join, with their first session"},
	{MemberLeft, (*leftData)(nil), "users leave, with their last session; `leftAt - joinedAt` is the stay"},
	{SessionJoined, (*joinedData)(nil), "a further device of a member"},
	{SessionLeft, (*leftData)(nil), "one of a member's several devices leaves"},
	{RoomAttributesChanged, (*attributesData)(nil), "attributes of the room were set or deleted; whose they are, and by whom"},
	{MemberAttributesChanged, (*memberAttributesData)(nil), "attributes of members were set"},
	{RoomAccessChanged, (*accessData)(nil), "who may join, or speak, as an end user has changed: the list, bans, mutes"},
	{RoomUpdated, (*updatedData)(nil), "the room's name or configuration has changed"},
	{MemberUpdated, (*memberUpdatedData)(nil), "members have another name, info or role"},
	{RoomKept, (*keptData)(nil), "nothing changed; a quiet room keeps a fact in the journal"},
	{RoomDestroyed, (*destroyedData)(nil), "the room ends; the last fact of its instance"},
	{MessageSent, (*messageData)(nil), "something is said in the room"},
	{MessageDeleted, (*deletionData)(nil), "messages of the room were deleted: nobody can read them any more"},
	{UserStateChanged, (*noticeData)(nil), "a notice to one user's devices: connecting, connected, disconnected and why"},
}

type createdData struct {
	position  `json:",embed"`
	Room      *factRoom `json:"room"`
	Members   []Joined  `json:"memberList,omitempty"` // absent: []
	RequestID string    `json:"requestID,omitzero"`
	Ownership `json:",embed"`
}

type joinedData struct {
	position    `json:",embed"`
	Members     []Joined `json:"memberList"`
	MemberCount int      `json:"memberCount"`
}

type leftData struct {
	position    `json:",embed"`
	Members     []Left   `json:"memberList"`
	MemberCount int      `json:"memberCount"`
	Deleted     []string `json:"deletedAttributes,omitzero"`
}

type attributesData struct {
	position  `json:",embed"`
	Set       map[string]string `json:"set,omitempty"`    // absent: {}
	Delete    []string          `json:"delete,omitempty"` // absent: []
	Ownership `json:",embed"`
	UserID    string             `json:"userID"`
	Changes   []AttributesChange `json:"changes"`
}

type memberAttributesData struct {
	position             `json:",embed"`
	Infos                []MemberAttributes `json:"infos"`
	DeleteAfterOwnerLeft *bool              `json:"deleteAfterOwnerLeft,omitzero"` // absent: true
	UserID               string             `json:"userID"`
	RequestID            string             `json:"requestID,omitzero"`
}

type accessData struct {
	position  `json:",embed"`
	Access    string        `json:"access"`
	Allowed   []string      `json:"allowedUsers,omitempty"` // absent: []
	Bans      []Restriction `json:"bans,omitempty"`         // those that changed
	Mutes     []Restriction `json:"mutes,omitempty"`        // those that changed
	UserID    string        `json:"userID,omitzero"`        // absent: empty, a back end that named no user
	RequestID string        `json:"requestID,omitzero"`
}

type updatedData struct {
	position  `json:",embed"`
	RoomName  string         `json:"roomName,omitzero"` // absent: empty
	Config    Config         `json:"config"`
	Infos     []MemberUpdate `json:"infos,omitzero"`  // the creator's role, where config.hosts changes it, whether the creator is in or not
	UserID    string         `json:"userID,omitzero"` // absent: empty, a back end that named no user
	RequestID string         `json:"requestID,omitzero"`
}

type memberUpdatedData struct {
	position  `json:",embed"`
	Infos     []MemberUpdate `json:"infos"`
	UserID    string         `json:"userID,omitzero"` // who gave roles; absent: empty, the members themselves or a back end that named no user
	RequestID string         `json:"requestID,omitzero"`
}

type keptData struct {
	position `json:",embed"`
}

type destroyedData struct {
	position  `json:",embed"`
	Room      *factRoom     `json:"room"`
	Reason    DestroyReason `json:"reason"`
	Operator  string        `json:"operator,omitzero"`
	RequestID string        `json:"requestID,omitzero"`
}

// Encode writes the fact as a CloudEvent; prefix goes before its source, usually "".
func (f *Fact) Encode(prefix string) ([]byte, error) {
	var data any
	pos := position{Sequence: f.Sequence}
	switch f.Type {
	case RoomCreated:
		data = &createdData{pos, f.leanRoom(), f.leanJoined(), f.RequestID, f.Ownership}
	case MemberJoined, SessionJoined:
		data = &joinedData{pos, f.leanJoined(), f.MemberCount}
	case MemberLeft, SessionLeft:
		data = &leftData{pos, f.leanLeft(), f.MemberCount, f.Deleted}
	case RoomAttributesChanged:
		data = &attributesData{pos, f.Set, f.Delete, f.leanOwnership(), f.User, f.Changes}
	case MemberAttributesChanged:
		data = &memberAttributesData{pos, f.Infos, f.leanStaying(), f.User, f.RequestID}
	case RoomDestroyed:
		data = &destroyedData{pos, f.leanRoom(), f.Reason, f.Operator, f.RequestID}
	case RoomAccessChanged:
		data = &accessData{pos, f.Access, f.Allowed, f.Bans, f.Mutes, f.User, f.RequestID}
	case RoomUpdated:
		data = &updatedData{pos, f.Name, *f.Config, f.Updates, f.User, f.RequestID}
	case MemberUpdated:
		data = &memberUpdatedData{pos, f.Updates, f.User, f.RequestID}
	case RoomKept:
		data = &keptData{pos}
	default:
		return nil, fmt.Errorf("%w: %q", ErrUnknownType, f.Type)
	}
	return json.Marshal(&factEvent{
		headOf(f.ID, Source(prefix, f.Room, f.InstanceID), f.Type, f.Room, f.Time), data,
		string(f.Room), f.InstanceID, digits(f.Sequence), f.TraceParent,
	}, json.Deterministic(true))
}

// factEvent is the envelope of a fact. The SDK would write it too, but leave out zeros at the
// end of the time; tests read it with the SDK.
type factEvent struct {
	head         `json:",embed"`
	Data         any    `json:"data"`
	PartitionKey string `json:"partitionkey"`
	RoomInstance string `json:"roominstance"`
	Sequence     digits `json:"sequence"`
	TraceParent  string `json:"traceparent,omitzero"`
}

// digits is a number as the CloudEvents Sequence extension has it: 20 digits, which sort as text.
type digits uint64

// AppendText implements encoding.TextAppender.
func (n digits) AppendText(b []byte) ([]byte, error) {
	for unit := digits(1e19); unit > 0; unit /= 10 {
		b = append(b, '0'+byte(n/unit%10))
	}
	return b, nil
}

// head is what the envelopes of facts and messages begin with.
type head struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"`
	Type            string `json:"type"`
	Subject         string `json:"subject"`
	DataContentType string `json:"datacontenttype"`
	Time            Time   `json:"time"`
}

func headOf(id, source, typ string, r subjects.Room, at Time) head {
	return head{event.CloudEventsVersionV1, id, source, typ, string(r), event.ApplicationJSON, at}
}

// envelope is what the decoders need of a CloudEvent. They do not use the SDK's reader:
// it accepts bytes after the event and invalid UTF-8, and panics on some CloudEvents 0.3.
type envelope struct {
	SpecVersion  string         `json:"specversion"`
	ID           string         `json:"id"`
	Type         string         `json:"type"`
	Subject      string         `json:"subject"`
	Time         Time           `json:"time"`
	RoomInstance string         `json:"roominstance"`
	Sequence     string         `json:"sequence"`
	TraceParent  string         `json:"traceparent"`
	Data         jsontext.Value `json:"data"`
}

func open(raw []byte) (*envelope, error) {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if e.SpecVersion != event.CloudEventsVersionV1 {
		return nil, fmt.Errorf("%w: specversion %q", ErrMalformed, e.SpecVersion)
	}
	return &e, nil
}

// DecodeFact reads a stored fact. The error is [ErrUnknownType] for an event that
// this version does not know, [ErrMalformed] for one that contradicts itself. With
// [ErrUnknownType] it returns the fields that all facts have; if Sequence is 0, it is no fact.
func DecodeFact(raw []byte) (*Fact, error) {
	e, err := open(raw)
	if err != nil {
		return nil, err
	}
	f := &Fact{ID: e.ID, Type: e.Type, Time: e.Time, TraceParent: e.TraceParent}
	var pos position
	switch f.Type {
	case RoomCreated:
		var d createdData
		err = json.Unmarshal(e.Data, &d)
		pos, f.Info, f.Joined, f.RequestID, f.Ownership = d.position, (*Room)(d.Room), d.Members, d.RequestID, d.Ownership
	case MemberJoined, SessionJoined:
		var d joinedData
		err = json.Unmarshal(e.Data, &d)
		pos, f.Joined, f.MemberCount = d.position, d.Members, d.MemberCount
	case MemberLeft, SessionLeft:
		var d leftData
		err = json.Unmarshal(e.Data, &d)
		pos, f.Left, f.MemberCount, f.Deleted = d.position, d.Members, d.MemberCount, d.Deleted
	case RoomAttributesChanged:
		var d attributesData
		err = json.Unmarshal(e.Data, &d)
		pos, f.Set, f.Delete, f.Ownership, f.User, f.Changes = d.position, d.Set, d.Delete, d.Ownership, d.UserID, d.Changes
	case MemberAttributesChanged:
		var d memberAttributesData
		err = json.Unmarshal(e.Data, &d)
		goes := d.DeleteAfterOwnerLeft
		pos, f.Infos, f.Staying, f.User, f.RequestID = d.position, d.Infos, goes != nil && !*goes, d.UserID, d.RequestID
	case RoomDestroyed:
		var d destroyedData
		err = json.Unmarshal(e.Data, &d)
		pos, f.Info, f.Reason, f.Operator, f.RequestID = d.position, (*Room)(d.Room), d.Reason, d.Operator, d.RequestID
	case RoomAccessChanged:
		var d accessData
		err = json.Unmarshal(e.Data, &d)
		pos, f.Access, f.Allowed, f.Bans, f.Mutes, f.User, f.RequestID = d.position, d.Access, d.Allowed, d.Bans, d.Mutes, d.UserID, d.RequestID
	case RoomUpdated:
		var d updatedData
		err = json.Unmarshal(e.Data, &d)
		pos, f.Name, f.Config, f.Updates, f.User, f.RequestID = d.position, d.RoomName, &d.Config, d.Infos, d.UserID, d.RequestID
	case MemberUpdated:
		var d memberUpdatedData
		err = json.Unmarshal(e.Data, &d)
		pos, f.Updates, f.User, f.RequestID = d.position, d.Infos, d.UserID, d.RequestID
	case RoomKept:
		var d keptData
		err = json.Unmarshal(e.Data, &d)
		pos = d.position
	default:
		unknown := fmt.Errorf("%w: %q", ErrUnknownType, f.Type)
		if json.Unmarshal(e.Data, &pos) == nil {
			f.at(pos, e)
		}
		return f, unknown
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	f.at(pos, e)
	if _, err = subjects.ParseRoom(string(f.Room)); err != nil {
		return nil, fmt.Errorf("%w: roomID %w", ErrMalformed, err)
	}
	f.fill()
	if why := f.contradiction(); why != "" {
		return nil, fmt.Errorf("%w: %s", ErrMalformed, why)
	}
	return f, nil
}

// noticeData is flat: the encoder is fastest that way.
type noticeData struct {
	RoomID     string       `json:"roomID"`
	InstanceID string       `json:"instanceID,omitempty"`
	Sequence   uint64       `json:"sequence,omitempty"`
	UserID     string       `json:"userID"`
	SessionID  string       `json:"sessionID"`
	State      string       `json:"state"`
	Event      string       `json:"event"`
	StateCode  State        `json:"stateCode"`
	EventCode  Event        `json:"eventCode"`
	Error      *NoticeError `json:"error,omitempty"`
	ReasonText string       `json:"reasonText,omitempty"`
	RequestID  string       `json:"requestID,omitempty"`
}

// noticeEvent is the envelope of a notice. Every command sends two notices, so they are
// written in one go by the fastest encoder for small structs, at a third of the SDK's
// cost; tests read them with the SDK.
type noticeEvent struct {
	SpecVersion     string     `json:"specversion"`
	ID              string     `json:"id"`
	Source          string     `json:"source"`
	Type            string     `json:"type"`
	Subject         string     `json:"subject"`
	DataContentType string     `json:"datacontenttype"`
	Time            string     `json:"time"`
	Data            noticeData `json:"data"`
}

// Encode writes the notice as a CloudEvent; prefix goes before its source, usually "".
func (n *Notice) Encode(prefix string) ([]byte, error) {
	return stdjson.Marshal(&noticeEvent{
		event.CloudEventsVersionV1, n.ID, Source(prefix, n.Room, n.InstanceID), UserStateChanged, string(n.Room), event.ApplicationJSON, n.Time.String(),
		noticeData{
			string(n.Room), n.InstanceID, n.Sequence, string(n.User), n.SessionID,
			n.State.String(), n.Event.String(), n.State, n.Event, n.Error, n.ReasonText, n.RequestID,
		},
	})
}

// openAs reads an event that must have the given type, and its data.
func openAs(raw []byte, typ string, data any) (*envelope, error) {
	e, err := open(raw)
	if err != nil {
		return nil, err
	}
	if e.Type != typ {
		return nil, fmt.Errorf("%w: %q", ErrUnknownType, e.Type)
	}
	if err := json.Unmarshal(e.Data, data); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return e, nil
}

// DecodeNotice reads a notice as a subscriber gets it.
func DecodeNotice(raw []byte) (*Notice, error) {
	var d noticeData
	e, err := openAs(raw, UserStateChanged, &d)
	if err != nil {
		return nil, err
	}
	if d.StateCode < 0 || int(d.StateCode) >= len(stateNames) || d.EventCode < 0 || int(d.EventCode) >= len(eventNames) {
		return nil, fmt.Errorf("%w: stateCode %d, eventCode %d", ErrMalformed, d.StateCode, d.EventCode)
	}
	room, err := subjects.ParseRoom(d.RoomID)
	if err != nil {
		return nil, fmt.Errorf("%w: roomID %w", ErrMalformed, err)
	}
	user, err := subjects.ParseUser(d.UserID)
	if err != nil {
		return nil, fmt.Errorf("%w: userID %w", ErrMalformed, err)
	}
	return &Notice{
		ID: e.ID, Time: e.Time, Room: room, InstanceID: d.InstanceID, Sequence: d.Sequence, User: user,
		SessionID: d.SessionID, State: d.StateCode, Event: d.EventCode, Error: d.Error, ReasonText: d.ReasonText, RequestID: d.RequestID,
	}, nil
}
