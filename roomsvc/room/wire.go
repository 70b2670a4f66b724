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
	Renew    Verb = "renew"
	Count    Verb = "count"

	SetAttributes       Verb = "setAttributes"
	SetMemberAttributes Verb = "setMemberAttributes"
	Send                Verb = "send"
	History             Verb = "history"
	Instances           Verb = "instances"
	Kick                Verb = "kick"
	DestroyRoom         Verb = "destroy"
	SetAccess           Verb = "setAccess"
	Update              Verb = "update"
	UpdateMember        Verb = "updateMember"
	SetRole             Verb = "setRole"
	Ban                 Verb = "ban"
	Unban               Verb = "unban"
	Mute                Verb = "mute"
	Unmute              Verb = "unmute"
	DeleteMessages      Verb = "deleteMessages"
	EraseUser           Verb = "eraseUser"
	Block               Verb = "block"
	Unblock             Verb = "unblock"
	Blocked             Verb = "blocked"
)

// Caller says on whose behalf a command acts. Every request has these fields.
type Caller struct {
	UserID    string         `json:"userID,omitzero"`    // in the user form the subject names the user
	UserName  string         `json:"userName,omitzero"`  // at most 256 bytes
	UserInfo  jsontext.Value `json:"userInfo,omitzero"`  // one JSON object, at most 1 KiB
	SessionID string         `json:"sessionID,omitzero"` // "default" if empty; at most 64 bytes
	RequestID string         `json:"requestID,omitzero"` // 1 to 64 characters, random

	// LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
	// 3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
	// a session asked for counts. A session that asks for nothing gets, with its first room,
	// 60 s in the user form and no lease in the trusted form.
	LeaseSeconds *int `json:"leaseSeconds,omitzero"`

	// Connection is the session's own connection: when it closes, the session is considered
	// gone without waiting for its lease to end.
	Connection *Connection `json:"connection,omitzero"`
}

// Connection is a client's connection as its NATS server names it in INFO.
type Connection struct {
	ServerID string `json:"serverID"` // server_id
	ClientID uint64 `json:"clientID"` // client_id
}

// For is the request's caller; every request has it.
func (q *Caller) For() *Caller { return q }

// RoomConfig is what a creator may choose.
type RoomConfig struct {
	RoomAttributes       map[string]string `json:"roomAttributes,omitzero"`
	RoomDestroyDelayTime int64             `json:"roomDestroyDelayTime,omitzero"` // seconds, 0 to 10800
	MaxMembers           int               `json:"maxMembers,omitzero"`
	Delivery             string            `json:"delivery,omitzero"`
	Access               string            `json:"access,omitzero"`
	AllowedUsers         []string          `json:"allowedUsers,omitzero"`      // at most 500
	HistoryForJoiners    *bool             `json:"historyForJoiners,omitzero"` // true if not given
	Attributes           string            `json:"attributes,omitzero"`        // open, owned
	Speakers             string            `json:"speakers,omitzero"`          // all, hosts
	Hosts                string            `json:"hosts,omitzero"`             // none, creator
}

// UnmarshalJSONFrom refuses unknown fields: a misspelt setting must not be ignored.
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

// Freshness says how new the state that a read answers from must be.
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

// Page asks for one part of a long answer.
type Page struct {
	NextFlag string `json:"nextFlag,omitzero"` // of the page before; empty for the first
	Count    int    `json:"count,omitzero"`    // 1 to 500; 0: 500
}

// MembersRequest is the body of members.
type MembersRequest struct {
	Caller    `json:",embed"`
	Freshness `json:",embed"`
	Page      `json:",embed"`
	RoomID    string       `json:"roomID"`
	At        *events.Time `json:"at,omitzero"` // trusted form only: who was in at that moment; any RFC 3339 time
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

// SetAttributesRequest is the body of setAttributes: one change to several attributes
// together.
type SetAttributesRequest struct {
	Caller                 `json:",embed"`
	RoomID                 string            `json:"roomID"`
	Set                    map[string]string `json:"set,omitzero"`
	Delete                 []string          `json:"delete,omitzero"`
	IsForce                bool              `json:"isForce,omitzero"`                // also attributes that others own
	IsUpdateOwner          bool              `json:"isUpdateOwner,omitzero"`          // the caller becomes the owner of what is set
	IsDeleteAfterOwnerLeft *bool             `json:"isDeleteAfterOwnerLeft,omitzero"` // not given: unchanged; false for new attributes
	IfRevision             uint64            `json:"ifRevision,omitzero"`             // refuse if attributes were changed after this revision
}

// SetMemberAttributesRequest is the body of setMemberAttributes.
type SetMemberAttributesRequest struct {
	Caller                 `json:",embed"`
	RoomID                 string            `json:"roomID"`
	UserIDs                []string          `json:"userIDs"` // at most 100
	Attributes             map[string]string `json:"attributes"`
	IsDeleteAfterOwnerLeft *bool             `json:"isDeleteAfterOwnerLeft,omitzero"` // true if not given
}

// SendRequest is the body of send.
type SendRequest struct {
	Caller       `json:",embed"`
	RoomID       string `json:"roomID"`
	Type         string `json:"type"` // text, custom, command, barrage
	SubType      int    `json:"subType,omitzero"`
	Data         string `json:"data"`
	Priority     string `json:"priority,omitzero"` // low, medium, high
	ExtendedData string `json:"extendedData,omitzero"`
}

// HistoryRequest is the body of history. Exactly one of the three positions says what is asked
// for: facts, or messages in one direction or the other. The nextFlag of the page before takes
// the place of that position.
type HistoryRequest struct {
	Caller           `json:",embed"`
	Freshness        `json:",embed"`
	RoomID           string  `json:"roomID"`
	InstanceID       string  `json:"instanceID"`
	AfterSequence    *uint64 `json:"afterSequence,omitzero"`
	AfterMessageSeq  *uint64 `json:"afterMessageSeq,omitzero"`
	BeforeMessageSeq *uint64 `json:"beforeMessageSeq,omitzero"`
	NextFlag         string  `json:"nextFlag,omitzero"`
	Count            int     `json:"count,omitzero"` // 1 to 500; 0: 500
}

// InstancesRequest is the body of instances.
type InstancesRequest struct {
	Caller    `json:",embed"`
	Freshness `json:",embed"`
	Page      `json:",embed"`
	RoomID    string `json:"roomID"`
}

// KickRequest is the body of kick.
type KickRequest struct {
	Caller  `json:",embed"`
	RoomID  string   `json:"roomID"`
	UserIDs []string `json:"userIDs"` // at most 50
	Reason  string   `json:"reason,omitzero"`
}

// DestroyRequest is the body of destroy.
type DestroyRequest struct {
	Caller `json:",embed"`
	RoomID string `json:"roomID"`
	Reason string `json:"reason,omitzero"`
}

// SetAccessRequest is the body of setAccess.
type SetAccessRequest struct {
	Caller   `json:",embed"`
	RoomID   string   `json:"roomID"`
	Access   string   `json:"access,omitzero"`   // open, listed, token; unchanged if empty
	Allow    []string `json:"allow,omitzero"`    // at most 500
	Disallow []string `json:"disallow,omitzero"` // at most 500; members stay in the room
}

// ConfigUpdate is what may be changed of a room's configuration. What is not given stays.
type ConfigUpdate struct {
	RoomDestroyDelayTime *int64  `json:"roomDestroyDelayTime,omitzero"` // seconds, 0 to 10800
	MaxMembers           *int    `json:"maxMembers,omitzero"`           // 0: only the service's own limit; members stay
	HistoryForJoiners    *bool   `json:"historyForJoiners,omitzero"`
	Attributes           *string `json:"attributes,omitzero"` // open, owned
	Speakers             *string `json:"speakers,omitzero"`   // all, hosts
	Hosts                *string `json:"hosts,omitzero"`      // none, creator; a change decides anew about the creator
}

// UnmarshalJSONFrom refuses unknown fields, like [RoomConfig.UnmarshalJSONFrom].
func (c *ConfigUpdate) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	type plain ConfigUpdate
	return json.UnmarshalDecode(d, (*plain)(c), json.RejectUnknownMembers(true))
}

// UpdateRequest is the body of update.
type UpdateRequest struct {
	Caller   `json:",embed"`
	RoomID   string        `json:"roomID"`
	RoomName *string       `json:"roomName,omitzero"` // at most 64 bytes; not given: as it is
	Config   *ConfigUpdate `json:"config,omitzero"`
}

// SetRoleRequest is the body of setRole.
type SetRoleRequest struct {
	Caller  `json:",embed"`
	RoomID  string   `json:"roomID"`
	UserIDs []string `json:"userIDs"` // at most 100
	Role    string   `json:"role"`    // host, member
}

// RestrictRequest is the body of ban and mute.
type RestrictRequest struct {
	Caller  `json:",embed"`
	RoomID  string   `json:"roomID"`
	UserIDs []string `json:"userIDs"`          // at most 50
	Seconds int64    `json:"seconds,omitzero"` // 0: as long as the room's instance lives
	Reason  string   `json:"reason,omitzero"`
}

// LiftRequest is the body of unban and unmute.
type LiftRequest struct {
	Caller  `json:",embed"`
	RoomID  string   `json:"roomID"`
	UserIDs []string `json:"userIDs"` // at most 50
}

// RenewRequest is the body of renew.
type RenewRequest struct {
	Caller   `json:",embed"`
	NextFlag string `json:"nextFlag,omitzero"`
	Rooms    []Stay `json:"rooms,omitzero"` // at most 100: where the session thinks it is; only without nextFlag
}

// Stay is an instance of a room that a session is in, or was in.
type Stay struct {
	RoomID     string `json:"roomID"`
	InstanceID string `json:"instanceID"`
}
