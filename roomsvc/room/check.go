package room

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/subjects"
)

// Limits of single fields, in bytes unless said otherwise.
const (
	MaxUserName       = 256
	MaxRoomName       = 64
	MaxUserInfo       = 1 << 10
	MaxSessionID      = 64
	MaxSessions       = 64    // of one member of one room
	MaxRequestID      = 64    // characters
	MaxDestroyDelay   = 10800 // seconds
	MaxAttributes     = 64    // of one room
	MaxAttributeKey   = 64
	MaxAttributeValue = 4 << 10
	MaxAttributeTotal = 32 << 10
	MaxPage           = 500 // entries
	MaxUserIDs        = 100 // entries, memberOf
)

// DefaultSession is the session of callers that name none.
const DefaultSession = "default"

// Command checks the fields that every request has and starts a command with them.
// A caller may go without a user only if anonymous is true.
func (q *Caller) Command(v Verb, anonymous bool) (*Command, *Error) {
	c := &Command{Verb: v, User: subjects.User(q.UserID), Name: q.UserName, Session: q.SessionID, RequestID: q.RequestID}
	if q.UserID != "" || !anonymous {
		if err := ParseID("userID", q.UserID); err != nil {
			return nil, err
		}
	}
	if c.Session == "" {
		c.Session = DefaultSession
	}
	if err := Text("userName", q.UserName, MaxUserName); err != nil {
		return nil, err
	}
	if err := Text("sessionID", c.Session, MaxSessionID); err != nil {
		return nil, err
	}
	if n := utf8.RuneCountInString(q.RequestID); n > MaxRequestID {
		e := Invalid("requestID", "has %d characters; it must have 1 to %d", n, MaxRequestID)
		e.Limit, e.Actual = MaxRequestID, int64(n)
		return nil, e
	}
	if !utf8.ValidString(q.RequestID) { // it may come from a header
		return nil, Invalid("requestID", "is not valid UTF-8")
	}
	if len(q.UserInfo) == 0 || string(q.UserInfo) == "null" {
		return c, nil
	}
	info := q.UserInfo.Clone()
	if err := info.Format(); err != nil || info.Kind() != jsontext.KindBeginObject {
		return nil, Invalid("userInfo", "must be one JSON object")
	}
	if len(info) > MaxUserInfo {
		e := Invalid("userInfo", "has %d bytes; it may have %d", len(info), MaxUserInfo)
		e.Limit, e.Actual = MaxUserInfo, int64(len(info))
		return nil, e
	}
	c.Info = info
	return c, nil
}

// ParseID checks a room or user ID that came in field.
func ParseID(field, id string) *Error {
	if _, err := subjects.ParseRoom(id); err != nil {
		e := Invalid(field, "%v", err)
		if len(id) > subjects.MaxIDBytes {
			e.Limit, e.Actual = subjects.MaxIDBytes, int64(len(id))
		}
		return e
	}
	return nil
}

// Text checks a short text for people: its length, and that it is plain UTF-8.
func Text(field, s string, limit int) *Error {
	if len(s) > limit {
		e := Invalid(field, "has %d bytes; it may have %d", len(s), limit)
		e.Limit, e.Actual = int64(limit), int64(len(s))
		return e
	}
	if !utf8.ValidString(s) {
		return Invalid(field, "is not valid UTF-8")
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return Invalid(field, "has a control character")
	}
	return nil
}

// Making fills in what a command needs that may create its room.
func (c *Command) Making(nameField, name string, q *RoomConfig) *Error {
	c.RoomName = name
	if err := Text(nameField, name, MaxRoomName); err != nil {
		return err
	}
	if q == nil {
		return nil
	}
	c.Config = events.Config{RoomDestroyDelayTime: q.RoomDestroyDelayTime, MaxMembers: q.MaxMembers, Delivery: q.Delivery, Access: q.Access}
	c.Attributes = q.RoomAttributes
	if d := q.RoomDestroyDelayTime; d < 0 || d > MaxDestroyDelay {
		e := Refuse(ErrParamInvalid, "roomDestroyDelayTime is %d; it must be 0 to %d seconds", d, MaxDestroyDelay)
		e.Field, e.Limit, e.Actual = "config.roomDestroyDelayTime", MaxDestroyDelay, d
		return e
	}
	if q.MaxMembers < 0 {
		return Invalid("config.maxMembers", "is %d; it must be 0 (no limit) or more", q.MaxMembers)
	}
	if q.Delivery != "" && q.Delivery != "members" && q.Delivery != "open" {
		return Invalid("config.delivery", "is %q; it must be members or open", q.Delivery)
	}
	if q.Access != "" && q.Access != "open" {
		return Invalid("config.access", "is %q; this version knows open only", q.Access)
	}
	return checkAttributes(q.RoomAttributes)
}

func checkAttributes(attributes map[string]string) *Error {
	const field = "config.roomAttributes"
	over := func(c *Code, limit, actual int, format string, args ...any) *Error {
		e := Refuse(c, field+" "+format, args...)
		e.Field, e.Limit, e.Actual = field, int64(limit), int64(actual)
		return e
	}
	if n := len(attributes); n > MaxAttributes {
		return over(ErrAttributeCount, MaxAttributes, n, "has %d attributes; a room may have %d", n, MaxAttributes)
	}
	total := 0
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		v := attributes[k]
		if k == "" || len(k) > MaxAttributeKey {
			return over(ErrAttributeKey, MaxAttributeKey, len(k), "has a key of %d bytes; a key has 1 to %d", len(k), MaxAttributeKey)
		}
		if len(v) > MaxAttributeValue {
			return over(ErrAttributeValue, MaxAttributeValue, len(v), "has a value of %d bytes under %q; a value may have %d", len(v), k, MaxAttributeValue)
		}
		total += len(k) + len(v)
	}
	if total > MaxAttributeTotal {
		return over(ErrAttributeTotal, MaxAttributeTotal, total, "has %d bytes in all; it may have %d", total, MaxAttributeTotal)
	}
	if size, limit := AttributesSize(attributes), events.MaxFactBytes-12<<10; size > limit {
		return over(ErrParamInvalid, limit, size, "takes %d bytes as JSON; a fact has room for %d", size, limit)
	}
	return nil
}
