// Package events is the vocabulary of natsrooms: facts, which are stored and make a
// room's history, and notices, which tell one user what became of its own connection
// to a room. Both travel as CloudEvents 1.0 in structured JSON. A fact is absolute:
// it says what is true from then on, so folding an instance's facts from sequence 1
// gives exactly its members.
package events

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/subjects"
)

// Types of facts and notices, as they appear in a CloudEvent's type.
const (
	TypePrefix              = "io.natsrooms."
	RoomCreated             = TypePrefix + "room.created.v1"
	MemberJoined            = TypePrefix + "member.joined.v1"
	MemberLeft              = TypePrefix + "member.left.v1"
	SessionJoined           = TypePrefix + "session.joined.v1"
	SessionLeft             = TypePrefix + "session.left.v1"
	RoomAttributesChanged   = TypePrefix + "room.attributes.changed.v1"
	MemberAttributesChanged = TypePrefix + "member.attributes.changed.v1"
	RoomAccessChanged       = TypePrefix + "room.access.changed.v1"
	RoomUpdated             = TypePrefix + "room.updated.v1"
	MemberUpdated           = TypePrefix + "member.updated.v1"
	RoomKept                = TypePrefix + "room.kept.v1"
	RoomDestroyed           = TypePrefix + "room.destroyed.v1"
	UserStateChanged        = TypePrefix + "user.state.changed.v1"
	MessageSent             = TypePrefix + "message.sent.v1"
	MessageDeleted          = TypePrefix + "message.deleted.v1"
)

// MaxFactBytes is the most an encoded fact may have.
const MaxFactBytes = 64 << 10

// DefaultSession is the session of callers that name none.
const DefaultSession = "default"

// Via says by which command a session joined.
type Via string

// How a session joined.
const (
	ViaCreate Via = "create"
	ViaJoin   Via = "join"
	ViaEnter  Via = "enter"
	ViaSwitch Via = "switch"
)

// LeftReason says why a session left.
type LeftReason string

// Why a session left.
const (
	ReasonLeft      LeftReason = "left"
	ReasonSwitched  LeftReason = "switched"
	ReasonExpired   LeftReason = "expired"  // its lease ran out
	ReasonReplaced  LeftReason = "replaced" // by another session of its user
	ReasonKicked    LeftReason = "kicked"
	ReasonDestroyed LeftReason = "destroyed"
)

// Role is what a member may do in a room.
type Role string

// What a member may do.
const (
	RoleMember Role = "member" // what everybody may
	RoleHost   Role = "host"   // run the room: see the commands that hosts may give
)

// DestroyReason says why a room ended.
type DestroyReason string

// Why a room ended.
const (
	DestroyedEmpty     DestroyReason = "empty"
	DestroyedRequested DestroyReason = "requested"
)

// Time is a moment in milliseconds since the Unix epoch. In JSON it is RFC 3339 in
// UTC with three decimals. Zero means "none".
type Time int64

// TimeOf is t in whole milliseconds.
func TimeOf(t time.Time) Time { return Time(t.UnixMilli()) }

// Time is the moment as a [time.Time], in UTC.
func (t Time) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }

func (t Time) String() string {
	b, _ := t.AppendText(nil)
	return string(b)
}

// AppendText implements encoding.TextAppender.
func (t Time) AppendText(b []byte) ([]byte, error) {
	at := t.Time()
	b = at.AppendFormat(b, time.RFC3339) // the library is quick for this layout only
	ms := at.Nanosecond() / int(time.Millisecond)
	return append(b[:len(b)-len("Z")], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z'), nil
}

// MarshalText implements encoding.TextMarshaler.
func (t Time) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler; it takes any RFC 3339 time whose
// year in UTC still has four digits.
func (t *Time) UnmarshalText(b []byte) error {
	parsed, err := time.Parse(time.RFC3339Nano, string(b))
	if year := parsed.UTC().Year(); err != nil || year < 0 || year > 9999 {
		return fmt.Errorf("not an RFC 3339 time: %q", b)
	}
	*t = TimeOf(parsed)
	return nil
}

// Config is what a room's creator chose.
type Config struct {
	RoomDestroyDelayTime int64  `json:"roomDestroyDelayTime,omitzero"` // seconds, 0 to 10800
	MaxMembers           int    `json:"maxMembers,omitzero"`           // 0: only the service's own limit
	Delivery             string `json:"delivery,omitzero"`             // "members" or "open"
	Access               string `json:"access,omitzero"`               // who may join as an end user: "open", "listed" or "token"
	HistoryForJoiners    *bool  `json:"historyForJoiners,omitzero"`    // whether a member may read messages from before it joined; true if not given
	Attributes           string `json:"attributes,omitzero"`           // who may change what others own: "open", everybody by isForce, or "owned", hosts
	Speakers             string `json:"speakers,omitzero"`             // who may send as an end user: "all" or "hosts"
	Hosts                string `json:"hosts,omitzero"`                // whether the creator is a host: "none" or "creator"

	AllowedUsers []string `json:"allowedUsers,omitzero"` // who may join when access is "listed"
}

// Restriction is what a room says about one user: that it may not come in, or not speak.
type Restriction struct {
	UserID string `json:"userID"`
	Until  Time   `json:"until,omitzero"` // none: as long as the room's instance exists
	Reason string `json:"reason,omitzero"`
	Lifted bool   `json:"lifted,omitzero"` // true: it is over
}

// Room describes a room as replies, facts and the state bucket show it.
type Room struct {
	RoomID      string            `json:"roomID"`
	RoomName    string            `json:"roomName"`
	InstanceID  string            `json:"instanceID"`
	CreatedAt   Time              `json:"createdAt"`
	CreatedBy   string            `json:"createdBy"`
	Config      Config            `json:"config"`
	Attributes  map[string]string `json:"attributes"`
	MemberCount int               `json:"memberCount"`
	Sequence    uint64            `json:"sequence"`
	Revision    uint64            `json:"revision,omitzero"` // stream sequence; not yet known inside a fact
	DestroyAt   Time              `json:"destroyAt,omitzero"`
}

// Joined is one session that joins. Facts leave out what a comment says of an absent field;
// [DecodeFact] fills it in.
type Joined struct {
	UserID     string         `json:"userID"`
	UserName   string         `json:"userName,omitzero"` // absent: empty
	UserInfo   jsontext.Value `json:"userInfo,omitzero"`
	SessionID  string         `json:"sessionID"`         // at most 64 bytes
	JoinedAt   Time           `json:"joinedAt,omitzero"` // absent: the event's time
	Via        Via            `json:"via,omitzero"`      // absent: enter
	FromRoomID string         `json:"fromRoomID,omitzero"`
	RequestID  string         `json:"requestID,omitzero"`

	Role         Role `json:"role,omitzero"`         // host, or none
	LeaseSeconds int  `json:"leaseSeconds,omitzero"` // how long it stays without a sign of life; 0: without limit

	// Attributes are those that the member has from the start: what it left behind last
	// time, or everything it had if the room continues as a new instance. Those in
	// DeleteAfterOwnerLeft go when it leaves; the others outlive the membership.
	Attributes           map[string]string `json:"attributes,omitzero"`
	DeleteAfterOwnerLeft []string          `json:"deleteAfterOwnerLeft,omitzero"`
}

// Left is one session that leaves. LeftAt minus JoinedAt is the stay. Facts leave fields out as
// for [Joined].
type Left struct {
	UserID     string     `json:"userID"`
	UserName   string     `json:"userName,omitzero"` // absent: empty
	SessionID  string     `json:"sessionID"`         // at most 64 bytes
	JoinedAt   Time       `json:"joinedAt,omitzero"` // absent: the event's time
	LeftAt     Time       `json:"leftAt,omitzero"`   // absent: the event's time
	Reason     LeftReason `json:"reason,omitzero"`   // absent: left
	ReasonText string     `json:"reasonText,omitzero"`
	ToRoomID   string     `json:"toRoomID,omitzero"`
	Operator   string     `json:"operator,omitzero"`
	RequestID  string     `json:"requestID,omitzero"`
}

// AttributesChange is one command's part in a fact. Several commands of one fact may
// change the same key; the fact itself says what came of them together.
type AttributesChange struct {
	UserID    string   `json:"userID"`
	RequestID string   `json:"requestID,omitzero"`
	Set       []string `json:"set,omitzero"`
	Delete    []string `json:"delete,omitzero"`
	ErrorKeys []string `json:"errorKeys,omitzero"` // owned by somebody else, left unchanged
}

// MemberAttributes are attributes of one member that were set. Its other attributes stay.
type MemberAttributes struct {
	UserID     string            `json:"userID"`
	Attributes map[string]string `json:"attributes"`
}

// MemberUpdate is what has changed about one member. What is absent is as before.
type MemberUpdate struct {
	UserID    string         `json:"userID"`
	UserName  string         `json:"userName,omitzero"`
	UserInfo  jsontext.Value `json:"userInfo,omitzero"`
	Role      Role           `json:"role,omitzero"`
	RequestID string         `json:"requestID,omitzero"` // of the member's own request
}

// Ownership says who owns attributes, and which of them go when their owner leaves.
type Ownership struct {
	Owners               map[string]*string `json:"owners,omitzero"`               // by key; null: nobody owns it
	DeleteAfterOwnerLeft []string           `json:"deleteAfterOwnerLeft,omitzero"` // of these keys
}

// Fact is one change of one room: the commit, the record and the live event in one.
// Which of the fields after the blank line are set depends on Type.
type Fact struct {
	ID          string // unique; a fact that is decided again gets a new one
	Type        string
	Room        subjects.Room
	InstanceID  string
	Sequence    uint64 // 1, 2, 3, ... within the instance
	Time        Time   // never earlier than that of the room's previous fact
	TraceParent string // W3C trace context of the command that caused it, if exactly one did

	Info        *Room         // RoomCreated, RoomDestroyed
	Joined      []Joined      // RoomCreated, MemberJoined, SessionJoined
	Left        []Left        // MemberLeft, SessionLeft
	MemberCount int           // MemberJoined, MemberLeft, SessionJoined, SessionLeft: after it
	Reason      DestroyReason // RoomDestroyed
	RequestID   string        // RoomCreated and RoomDestroyed without entries, MemberAttributesChanged, RoomAccessChanged, RoomUpdated, MemberUpdated by a setRole: the command's request

	Deleted   []string           // MemberLeft: attributes of the room that were deleted with their owners
	Set       map[string]string  // RoomAttributesChanged
	Delete    []string           // RoomAttributesChanged
	Ownership Ownership          // RoomAttributesChanged: of Set. RoomCreated: of its attributes, unless the creator owns them all
	Changes   []AttributesChange // RoomAttributesChanged
	Infos     []MemberAttributes // MemberAttributesChanged
	Staying   bool               // MemberAttributesChanged: those set outlive the membership
	User      string             // RoomAttributesChanged, MemberAttributesChanged, RoomAccessChanged, RoomUpdated, MemberUpdated by a setRole: who did it (the last of several)
	Operator  string             // RoomDestroyed: who asked for it
	Access    string             // RoomAccessChanged: who may join from now on
	Allowed   []string           // RoomAccessChanged: the whole list
	Bans      []Restriction      // RoomAccessChanged: those that changed
	Mutes     []Restriction      // RoomAccessChanged: those that changed
	Name      string             // RoomUpdated: the room's name
	Config    *Config            // RoomUpdated: the whole configuration
	Updates   []MemberUpdate     // MemberUpdated, RoomUpdated: the creator's role if it changes

	// Ban is why those leave whom a ban puts out. It is for their notices, and is not stored: the
	// fact of the ban follows.
	Ban *Restriction

	// Digests, one for each entry (or for RequestID), tell a repeated request from a
	// different one under the same ID. They travel beside the event, in a header.
	Digests []string
}

// State is what is true for one session and one room.
type State int

// What is true afterwards.
const (
	Disconnected State = iota
	Connecting
	Connected
)

var stateNames = [...]string{"disconnected", "connecting", "connected"}

func (s State) String() string { return stateNames[s] }

// Event says what happened to the session.
type Event int

// What happened; the numbers are those of ZIM's enum, see docs/from-zim.md.
const (
	Success Event = iota
	NetworkInterrupted
	NetworkDisconnected
	RoomNotExist
	ActiveCreate
	CreateFailed
	ActiveEnter
	EnterFailed
	KickedOut
	ConnectTimeout
	KickedOutByOtherDevice
	ActiveSwitch
	SwitchFailed
)

var eventNames = [...]string{
	"success", "networkInterrupted", "networkDisconnected", "roomNotExist", "activeCreate", "createFailed", "activeEnter",
	"enterFailed", "kickedOut", "connectTimeout", "kickedOutByOtherDevice", "activeSwitch", "switchFailed",
}

func (e Event) String() string { return eventNames[e] }

// NoticeError is the refusal inside a notice.
type NoticeError struct {
	Code   string `json:"code"`
	Number int    `json:"number"`
	Until  Time   `json:"until,omitempty"` // BANNED: when it ends, if it does so before the room's instance
}

// Notice is roomStateChanged: what became of one session's connection to one room.
// Notices are live only, at most once; the facts are the durable truth.
type Notice struct {
	ID         string
	Time       Time
	Room       subjects.Room
	InstanceID string
	Sequence   uint64
	User       subjects.User
	SessionID  string
	State      State
	Event      Event
	Error      *NoticeError
	ReasonText string
	RequestID  string
}

// Source is the CloudEvents source of a fact or notice: the room's instance, or the
// room alone where no instance is known.
func Source(prefix string, r subjects.Room, instanceID string) string {
	source := strings.TrimSuffix(prefix, "/") + "/rooms/" + r.Token()
	if instanceID != "" {
		source += "/" + instanceID
	}
	return source
}
