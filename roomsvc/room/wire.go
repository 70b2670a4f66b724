package room

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
)

// Verb is the name of a command, as in its subject.
type Verb string

// The commands.
const (
	Create   Verb = "create"
	Join     Verb = "join"
	Enter    Verb = "enter"
	Switch   Verb = "switch"
	Leave    Verb = "leave"
	LeaveAll Verb = "leaveAll"
	Get      Verb = "get"
	Members  Verb = "members"
	MemberOf Verb = "memberOf"
	Rooms    Verb = "rooms"
	List     Verb = "list"
)

// Caller says for whom a command acts. Every request has these fields.
type Caller struct {
	UserID    string         `json:"userID,omitzero"`
	UserName  string         `json:"userName,omitzero"`  // at most 256 bytes
	UserInfo  jsontext.Value `json:"userInfo,omitzero"`  // one JSON object, at most 1 KiB
	SessionID string         `json:"sessionID,omitzero"` // "default" if empty; at most 64 bytes
	RequestID string         `json:"requestID,omitzero"` // 1 to 64 characters, random
}

// RoomConfig is what a creator may choose.
type RoomConfig struct {
	RoomAttributes       map[string]string `json:"roomAttributes,omitzero"`
	RoomDestroyDelayTime int64             `json:"roomDestroyDelayTime,omitzero"` // seconds, 0 to 10800
	MaxMembers           int               `json:"maxMembers,omitzero"`
	Delivery             string            `json:"delivery,omitzero"`
	Access               string            `json:"access,omitzero"`
}

// UnmarshalJSONFrom refuses unknown fields: a misspelt setting must not be lost.
func (c *RoomConfig) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	type plain RoomConfig
	return json.UnmarshalDecode(d, (*plain)(c), json.RejectUnknownMembers(true))
}

// CreateRequest is the body of create and enter.
type CreateRequest struct {
	Caller   `json:",embed"`
	RoomID   string      `json:"roomID"`
	RoomName string      `json:"roomName,omitzero"` // at most 64 bytes
	Config   *RoomConfig `json:"config,omitzero"`
}

// RoomRequest is the body of join and leave.
type RoomRequest struct {
	Caller `json:",embed"`
	RoomID string `json:"roomID"`
}

// RoomInfo names the room that a switch goes to.
type RoomInfo struct {
	RoomID   string `json:"roomID"`
	RoomName string `json:"roomName,omitzero"`
}

// UnmarshalJSONFrom refuses unknown fields, like [RoomConfig.UnmarshalJSONFrom].
func (r *RoomInfo) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	type plain RoomInfo
	return json.UnmarshalDecode(d, (*plain)(r), json.RejectUnknownMembers(true))
}

// SwitchRequest is the body of switch.
type SwitchRequest struct {
	Caller                     `json:",embed"`
	FromRoomID                 string      `json:"fromRoomID"`
	ToRoomInfo                 RoomInfo    `json:"toRoomInfo"`
	IsCreateWhenRoomNotExisted bool        `json:"isCreateWhenRoomNotExisted,omitzero"`
	Config                     *RoomConfig `json:"config,omitzero"`
}

// LeaveAllRequest is the body of leaveAll.
type LeaveAllRequest struct {
	Caller `json:",embed"`
}

// Freshness says how new the state must be that a read answers from.
type Freshness struct {
	MinRevision uint64 `json:"minRevision,omitzero"` // wait until this revision has been seen
	Sync        bool   `json:"sync,omitzero"`        // wait for everything stored before the request
}

// ReadRequest is the body of get.
type ReadRequest struct {
	Caller    `json:",embed"`
	Freshness `json:",embed"`
	RoomID    string `json:"roomID"`
}

// Page asks for a part of a long answer.
type Page struct {
	NextFlag string `json:"nextFlag,omitzero"` // of the page before; empty for the first
	Count    int    `json:"count,omitzero"`    // 1 to 500; 0: 500
}

// MembersRequest is the body of members.
type MembersRequest struct {
	Caller    `json:",embed"`
	Freshness `json:",embed"`
	Page      `json:",embed"`
	RoomID    string `json:"roomID"`
}

// MemberOfRequest is the body of memberOf.
type MemberOfRequest struct {
	Caller    `json:",embed"`
	Freshness `json:",embed"`
	RoomID    string   `json:"roomID"`
	UserIDs   []string `json:"userIDs"` // at most 100
}

// RoomsRequest is the body of rooms.
type RoomsRequest struct {
	Caller    `json:",embed"`
	Freshness `json:",embed"`
	NextFlag  string `json:"nextFlag,omitzero"`
}

// ListRequest is the body of list.
type ListRequest struct {
	Caller    `json:",embed"`
	Freshness `json:",embed"`
	Page      `json:",embed"`
	Prefix    string `json:"prefix,omitzero"`
}

// Position is where an instance of a room has got to.
type Position struct {
	InstanceID string `json:"instanceID"`
	Sequence   uint64 `json:"sequence"`
	Revision   uint64 `json:"revision"`
}

// JoinedReply answers create, join, enter and switch.
type JoinedReply struct {
	Room      events.Room `json:"room"`
	Created   *bool       `json:"created,omitzero"` // enter and switch
	Subscribe []string    `json:"subscribe"`
	Left      *LeftRoom   `json:"left,omitzero"` // switch
	Position  `json:",embed"`
}

// LeftRoom is the room that a switch left.
type LeftRoom struct {
	RoomID     string `json:"roomID"`
	InstanceID string `json:"instanceID"`
	Sequence   uint64 `json:"sequence"`
}

// LeftReply answers leave.
type LeftReply struct {
	RoomID   string `json:"roomID"`
	Position `json:",embed"`
}

// LeftAllReply answers leaveAll.
type LeftAllReply struct {
	RoomIDList []string `json:"roomIDList"`
}

// GetReply answers get.
type GetReply struct {
	Room     events.Room `json:"room"`
	Position `json:",embed"`
}

// MemberSession is one device or connection of a member.
type MemberSession struct {
	SessionID string      `json:"sessionID"`
	JoinedAt  events.Time `json:"joinedAt"`
}

// MemberInfo is a member as replies and the state bucket show it.
type MemberInfo struct {
	UserID     string            `json:"userID"`
	UserName   string            `json:"userName"`
	UserInfo   jsontext.Value    `json:"userInfo,omitzero"`
	JoinedAt   events.Time       `json:"joinedAt"`
	Attributes map[string]string `json:"attributes"`
	Sessions   []MemberSession   `json:"sessions"`
}

// MembersReply answers members.
type MembersReply struct {
	MemberList  []MemberInfo `json:"memberList"`
	MemberCount int          `json:"memberCount"`
	NextFlag    string       `json:"nextFlag"`
	Position    `json:",embed"`
}

// ErrorUser is a user that a command naming several could not serve.
type ErrorUser struct {
	UserID string `json:"userID"`
	Code   string `json:"code"`
	Number int    `json:"number"`
}

// MemberOfReply answers memberOf.
type MemberOfReply struct {
	MemberList    []MemberInfo `json:"memberList"`
	ErrorUserList []ErrorUser  `json:"errorUserList"`
	Position      `json:",embed"`
}

// RoomHead is one room of a user and how far it has got.
type RoomHead struct {
	RoomID     string `json:"roomID"`
	InstanceID string `json:"instanceID"`
	Sequence   uint64 `json:"sequence"`
	MessageSeq uint64 `json:"messageSeq"`
}

// RoomsReply answers rooms.
type RoomsReply struct {
	Rooms    []RoomHead `json:"rooms"`
	NextFlag string     `json:"nextFlag"`
}

// ListReply answers list.
type ListReply struct {
	RoomList []events.Room `json:"roomList"`
	NextFlag string        `json:"nextFlag"`
}

// ErrorBody is the body of every refusal.
type ErrorBody struct {
	Error ErrorInfo `json:"error"`
}

// ErrorInfo is a refusal on the wire.
type ErrorInfo struct {
	Code         string  `json:"code"`
	Number       int     `json:"number"`
	Message      string  `json:"message"`
	Field        string  `json:"field,omitzero"`
	Limit        int64   `json:"limit,omitzero"`
	Actual       int64   `json:"actual,omitzero"`
	RetryAfterMs int64   `json:"retryAfterMs,omitzero"`
	Outcome      Outcome `json:"outcome"`
}

// Body is the refusal as it goes over the wire.
func (e *Error) Body() ErrorBody {
	return ErrorBody{ErrorInfo{e.Code.Name, e.Code.Number, e.Message, e.Field, e.Limit, e.Actual, e.RetryAfterMs, e.Outcome}}
}

// Err turns a refusal from the wire back into an error. A code that this version does
// not know keeps its name and number.
func (b ErrorInfo) Err() *Error {
	e := &Error{&Code{b.Code, b.Number, ""}, b.Message, b.Field, b.Limit, b.Actual, b.RetryAfterMs, b.Outcome}
	for _, c := range Codes {
		if c.Number == b.Number {
			e.Code = c
		}
	}
	return e
}
