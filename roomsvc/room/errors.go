package room

import (
	"fmt"

	"natsrooms/events"
)

// Outcome says what an error leaves behind.
type Outcome string

// What an error leaves behind.
const (
	None    Outcome = "none"    // nothing happened
	Unknown Outcome = "unknown" // stored or not: repeat with the same requestID to find out
)

// Code is one row of the error table. It is an error, so that a caller can write
// errors.Is(err, room.ErrRoomNotExist), on either side of the wire.
type Code struct {
	Name   string // as in the header Nats-Service-Error and the body's error.code
	Number int    // as in the header Nats-Service-Error-Code and the body's error.number
	Means  string // one line for people
}

func (c *Code) Error() string { return c.Name }

// The error table. Rows are only ever added. Numbers starting with 6 are ZIM's, see
// docs/from-zim.md; the 7000000 block is for errors that ZIM has no code for.
var (
	ErrParamInvalid         = row("PARAM_INVALID", 6000001, "a field is missing, malformed or out of its limits; `field` names it")
	ErrRateLimited          = row("RATE_LIMITED", 6000005, "too many messages of this sender in this room, or too many commands or changes of this user; `retryAfterMs` says when to go on")
	ErrUserAlreadyInRoom    = row("USER_ALREADY_IN_ROOM", 6000320, "the session is in the room already; `enter` accepts that")
	ErrUserNotInRoom        = row("USER_NOT_IN_ROOM", 6000321, "the session is not in the room")
	ErrRoomNotExist         = row("ROOM_NOT_EXIST", 6000322, "there is no such room; `enter` and `create` make one")
	ErrRoomAlreadyExists    = row("ROOM_ALREADY_EXISTS", 6000323, "the room exists; `enter` accepts that")
	ErrRoomLimit            = row("ROOM_LIMIT", 6000324, "as many rooms exist as the service allows")
	ErrUserRoomLimit        = row("USER_ROOM_LIMIT", 6000325, "the user is in as many rooms as the service allows")
	ErrAttributeCount       = row("ROOM_ATTRIBUTE_COUNT", 6000334, "more attributes than a room may have")
	ErrAttributeKey         = row("ROOM_ATTRIBUTE_KEY", 6000335, "an attribute's key is empty or too long")
	ErrAttributeValue       = row("ROOM_ATTRIBUTE_VALUE", 6000336, "an attribute's value is too long")
	ErrAttributeTotal       = row("ROOM_ATTRIBUTE_TOTAL", 6000337, "all attributes together are too long")
	ErrMemberAttributeTotal = row("MEMBER_ATTRIBUTE_TOTAL", 6000351, "a member's attributes are too many, or too long together")
	ErrMemberAttributeKey   = row("MEMBER_ATTRIBUTE_KEY", 6000352, "a member attribute's key is empty or too long")
	ErrMemberAttributeValue = row("MEMBER_ATTRIBUTE_VALUE", 6000353, "a member attribute's value is too long")
	ErrNotAllowed           = row("NOT_ALLOWED", 7000001, "the caller may not do this")
	ErrRoomFull             = row("ROOM_FULL", 7000002, "the room has the most members it may have")
	ErrRevisionMismatch     = row("REVISION_MISMATCH", 7000003, "the attributes were changed after `ifRevision`; the reply has the current ones")
	ErrMessageTooLong       = row("MESSAGE_TOO_LONG", 7000004, "the message has more data than one may have")
	ErrBusy                 = row("BUSY", 7000005, "nothing happened; try again later")
	ErrUnavailable          = row("UNAVAILABLE", 7000006, "whether it was stored is not known; repeat it with the same requestID")
	ErrBanned               = row("BANNED", 7000007, "the user may not come into the room; `until` says for how long")
	ErrMuted                = row("MUTED", 7000008, "the user may not send in the room; `until` says for how long")
	ErrBlocked              = row("BLOCKED", 7000009, "a back end has blocked the user everywhere; `until` says until when, if that is known")
)

// Codes is the whole error table, in the order of its numbers.
var Codes []*Code

func row(name string, number int, means string) *Code {
	c := &Code{name, number, means}
	Codes = append(Codes, c)
	return c
}

// Error is a refusal as a caller sees it.
type Error struct {
	Code         *Code
	Message      string      // names what it is about, says what is true and what to do
	Field        string      // the field at fault, if one is
	Limit        int64       // the limit that was reached, if one was
	Actual       int64       // what was asked for, if Limit is set
	RetryAfterMs int64       // when to try again, 0 if that is up to the caller
	Until        events.Time // with ErrBanned, ErrMuted and ErrBlocked: when that ends; 0: it does not by itself, or that is not known
	Outcome      Outcome
	AppCode      string // with ErrNotAllowed: a code of the application's own, if it refused this and gave one

	// With ErrRevisionMismatch: the room's attributes as they are, and its position.
	Attributes map[string]string
	At         *Position
}

func (e *Error) Error() string { return e.Code.Name + ": " + e.Message }

// Unwrap is the row of the error table.
func (e *Error) Unwrap() error { return e.Code }

// Refuse makes a refusal with [None] as its outcome.
func Refuse(c *Code, format string, args ...any) *Error {
	return &Error{Code: c, Message: fmt.Sprintf(format, args...), Outcome: None}
}

// Invalid makes a PARAM_INVALID for one field; the message starts with the field.
func Invalid(field, format string, args ...any) *Error {
	e := Refuse(ErrParamInvalid, "%s %s", field, fmt.Sprintf(format, args...))
	e.Field = field
	return e
}
