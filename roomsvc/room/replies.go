package room

import (
	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
)

// Lease says, in the reply to a session that has one, when the lease ends unless it is
// renewed, and how many seconds a renewal gives it.
type Lease struct {
	ExpiresAt    events.Time `json:"expiresAt,omitzero"`
	LeaseSeconds int         `json:"leaseSeconds,omitzero"`
}

// Session is the lease of the session that asked; every reply has it.
func (l Lease) Session() Lease { return l }

// Position is how far an instance of a room has got.
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
	Lease     `json:",embed"`
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
	Lease    `json:",embed"`
}

// LeftAllReply answers leaveAll.
type LeftAllReply struct {
	RoomIDList []string `json:"roomIDList"`
	NextFlag   string   `json:"nextFlag"` // not empty: the session is in more rooms; a new leaveAll goes on
	Lease      `json:",embed"`
}

// GetReply answers get.
type GetReply struct {
	Room      events.Room `json:"room"`
	Subscribe []string    `json:"subscribe"` // where the caller hears the room
	Position  `json:",embed"`
	Lease     `json:",embed"`

	Owners map[string]string `json:"owners,omitzero"` // who owns which of the room's attributes, by key; one that nobody owns is left out

	// For back ends and hosts, as many as a reply has room for.
	Bans  []events.Restriction `json:"bans,omitzero"`
	Mutes []events.Restriction `json:"mutes,omitzero"`
	More  bool                 `json:"more,omitzero"` // there are more bans or mutes
}

// MemberSession is one device or connection of a member.
type MemberSession struct {
	SessionID    string      `json:"sessionID"`
	JoinedAt     events.Time `json:"joinedAt"`
	LeaseSeconds int         `json:"leaseSeconds,omitzero"` // what it joined with; 0: it has no lease
}

// MemberInfo is a member as replies and the state bucket show it.
type MemberInfo struct {
	UserID     string            `json:"userID"`
	UserName   string            `json:"userName"`
	UserInfo   jsontext.Value    `json:"userInfo,omitzero"`
	Role       events.Role       `json:"role,omitzero"` // host, or none
	JoinedAt   events.Time       `json:"joinedAt"`
	Attributes map[string]string `json:"attributes"`
	Sessions   []MemberSession   `json:"sessions"`
}

// MembersReply answers members.
type MembersReply struct {
	MemberList  []MemberInfo `json:"memberList"`
	MemberCount int          `json:"memberCount"`
	NextFlag    string       `json:"nextFlag"`
	Complete    *bool        `json:"complete,omitzero"` // with at; false: the room's first facts are no longer kept, so names, userInfo and attributes may be missing
	Position    `json:",embed"`
	Lease       `json:",embed"`
}

// CountReply answers count.
type CountReply struct {
	MemberCount int `json:"memberCount"`
	Position    `json:",embed"`
	Lease       `json:",embed"`
}

// ErrorUser is a user for whom a command that names several could do nothing.
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
	Lease         `json:",embed"`
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
	Lease    `json:",embed"`
}

// RenewReply answers renew: the rooms that the session is still in. If a room is missing,
// the session is no longer in it.
type RenewReply struct {
	Rooms    []RoomHead  `json:"rooms"`
	NextFlag string      `json:"nextFlag"`
	Left     []Departure `json:"left,omitzero"`    // of the rooms that the request names: those that the session left, as long as the facts are kept
	Unknown  []Stay      `json:"unknown,omitzero"` // of the rooms that the request names: those of which it could not be found out whether and how the session left them
	Lease    `json:",embed"`
}

// Departure says how a session's stay in an instance of a room ended.
type Departure struct {
	RoomID     string            `json:"roomID"`
	InstanceID string            `json:"instanceID"`
	Sequence   uint64            `json:"sequence"` // of the fact that says so
	Reason     events.LeftReason `json:"reason"`
	ReasonText string            `json:"reasonText,omitzero"`
	LeftAt     events.Time       `json:"leftAt"`

	// A ban put the session out: the error with which it would be refused, and when the ban ends,
	// if it does so before the room's instance.
	Code   string      `json:"code,omitzero"`
	Number int         `json:"number,omitzero"`
	Until  events.Time `json:"until,omitzero"`
}

// ListReply answers list.
type ListReply struct {
	RoomList []events.Room `json:"roomList"`
	NextFlag string        `json:"nextFlag"`
	Lease    `json:",embed"`
}

// SetAttributesReply answers setAttributes.
type SetAttributesReply struct {
	Attributes map[string]string `json:"attributes"` // all of the room's, as they are now
	ErrorKeys  []string          `json:"errorKeys"`  // owned by somebody else, left unchanged
	Position   `json:",embed"`
	Lease      `json:",embed"`
}

// SetMemberAttributesReply answers setMemberAttributes.
type SetMemberAttributesReply struct {
	Infos         []events.MemberAttributes `json:"infos"` // all attributes of each member, as they are now
	ErrorUserList []ErrorUser               `json:"errorUserList"`
	Position      `json:",embed"`
	Lease         `json:",embed"`
}

// SendReply answers send.
type SendReply struct {
	MessageID  string `json:"messageID"`           // empty if a repeated request's message is no longer kept
	MessageSeq uint64 `json:"messageSeq,omitzero"` // of messages that are stored
	Timestamp  int64  `json:"timestamp"`           // milliseconds
	Lease      `json:",embed"`
}

// HistoryReply answers history.
type HistoryReply struct {
	InstanceID string           `json:"instanceID"`
	Events     []jsontext.Value `json:"events"`              // CloudEvents, oldest first
	NextFlag   string           `json:"nextFlag"`            // the position to ask for next, empty at the end
	Complete   bool             `json:"complete"`            // false: some are no longer kept, or the room is now another instance and nothing of this one is kept
	Sequence   uint64           `json:"sequence,omitzero"`   // with facts: the sequence of the newest one
	MessageSeq *uint64          `json:"messageSeq,omitzero"` // with messages of a room that exists: the messageSeq of the newest one, 0 if there is none; a deletion counts
	Deleted    []uint64         `json:"deleted,omitzero"`    // with messages: the messageSeqs of those whose deletion comes in this part of the history

	// NextInstanceID is on the last page of an instance that has ended, read forward: the first
	// instance of the room after it of which the caller may read something. It may be the room
	// that exists.
	NextInstanceID string `json:"nextInstanceID,omitzero"`
	Lease          `json:",embed"`
}

// Instance is one of the rooms that there were under one ID, one after the other.
type Instance struct {
	InstanceID string               `json:"instanceID"`
	RoomName   string               `json:"roomName"` // empty also if the fact that has it is no longer kept
	CreatedAt  events.Time          `json:"createdAt"`
	EndedAt    events.Time          `json:"endedAt,omitzero"`
	Reason     events.DestroyReason `json:"reason,omitzero"` // why it ended
	Sequence   uint64               `json:"sequence"`        // of its newest fact
}

// InstancesReply answers instances.
type InstancesReply struct {
	Instances []Instance `json:"instances"` // the newest first
	NextFlag  string     `json:"nextFlag"`
	Lease     `json:",embed"`
}

// KickReply answers kick.
type KickReply struct {
	Kicked        []string    `json:"kicked"`
	ErrorUserList []ErrorUser `json:"errorUserList"`
	Position      `json:",embed"`
	Lease         `json:",embed"`
}

// DestroyReply answers destroy. The position is that of the fact that began the end.
type DestroyReply struct {
	RoomID   string `json:"roomID"`
	Position `json:",embed"`
	Lease    `json:",embed"`
}

// SetAccessReply answers setAccess.
type SetAccessReply struct {
	Config   events.Config `json:"config"` // as it is now
	Position `json:",embed"`
	Lease    `json:",embed"`
}

// UpdateReply answers update.
type UpdateReply struct {
	RoomName string        `json:"roomName"`
	Config   events.Config `json:"config"` // as it is now
	Position `json:",embed"`
	Lease    `json:",embed"`
}

// UpdateMemberReply answers updateMember.
type UpdateMemberReply struct {
	Member   MemberInfo `json:"member"` // as it is now
	Position `json:",embed"`
	Lease    `json:",embed"`
}

// SetRoleReply answers setRole.
type SetRoleReply struct {
	UserIDs       []string    `json:"userIDs"` // who has the role now
	ErrorUserList []ErrorUser `json:"errorUserList"`
	Position      `json:",embed"`
	Lease         `json:",embed"`
}

// RestrictedReply answers ban, unban, mute and unmute.
type RestrictedReply struct {
	UserIDs  []string    `json:"userIDs"`        // for whom it holds now
	Until    events.Time `json:"until,omitzero"` // when it ends, if it does so before the room's instance
	Position `json:",embed"`
	Lease    `json:",embed"`
}

// ErrorBody is the body of every refusal. A REVISION_MISMATCH comes with the attributes
// as they are, and the room's position.
type ErrorBody struct {
	Error      ErrorInfo         `json:"error"`
	Attributes map[string]string `json:"attributes,omitzero"`
	*Position  `json:",embed"`
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
	AppCode      string  `json:"appCode,omitzero"`

	Until events.Time `json:"until,omitzero"` // BANNED, MUTED and BLOCKED: when it ends, if it does so by itself and that is known
}

// Body is the refusal as it goes over the wire.
func (e *Error) Body() ErrorBody {
	return ErrorBody{ErrorInfo{e.Code.Name, e.Code.Number, e.Message, e.Field, e.Limit, e.Actual, e.RetryAfterMs, e.Outcome, e.AppCode, e.Until}, e.Attributes, e.At}
}

// Err turns a refusal from the wire back into an error. A code that this version does
// not know keeps its name and number.
func (b ErrorBody) Err() *Error {
	i := b.Error
	e := &Error{&Code{i.Code, i.Number, ""}, i.Message, i.Field, i.Limit, i.Actual, i.RetryAfterMs, i.Until, i.Outcome, i.AppCode, b.Attributes, b.Position}
	for _, c := range Codes {
		if c.Number == i.Number {
			e.Code = c
		}
	}
	return e
}
