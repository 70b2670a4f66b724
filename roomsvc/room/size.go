package room

import (
	"unicode/utf8"

	"natsrooms/events"
)

// factOverhead bounds what an encoded fact has besides its entries and its room.
const factOverhead = 4 << 10

// These sizes bound what an entry takes in an encoded fact: every string as JSON writes it, and
// only what the entry has, since facts leave out the rest. A frame is what every entry may have.

const (
	joinedFrame = len(`{"userID":,"sessionID":,"via":"create","leaseSeconds":3600},`)
	leftFrame   = len(`{"userID":,"sessionID":,"joinedAt":"2006-01-02T15:04:05.000Z","leftAt":"2006-01-02T15:04:05.000Z","reason":"destroyed"},`)
)

func joinedSize(c *Command) int {
	size := joinedFrame + jsonSize(string(c.User)) + fieldSize("userName", c.Name) + jsonSize(c.Session)
	if len(c.Info) > 0 {
		size += len(`,"userInfo":`) + len(c.Info)
	}
	return size + fieldSize("fromRoomID", string(c.From)) + fieldSize("requestID", c.RequestID)
}

// roleSize bounds a role that a member joins with.
func roleSize(r events.Role) int { return fieldSize("role", string(r)) }

// keptSize bounds the attributes with which a member comes back.
func keptSize(attributes map[string]string) int {
	if len(attributes) == 0 {
		return 0
	}
	return len(`,"attributes":{}`) + AttributesSize(attributes)
}

func (r *Run) leftSize(c *Command, m *Member) int {
	size := leftFrame + r.goingSize(c.User) + fieldSize("userName", m.Name) + jsonSize(string(c.User)) + jsonSize(c.Session)
	return size + fieldSize("toRoomID", string(c.Room)) + fieldSize("requestID", c.RequestID)
}

func removedSize(m *Member, c *Command) int {
	size := leftFrame + fieldSize("userName", m.Name) + jsonSize(string(m.User)) + jsonSize(m.Sessions[0].SessionID)
	return size + fieldSize("reasonText", c.ReasonText) + fieldSize("operator", string(c.User)) + fieldSize("requestID", c.RequestID)
}

// fieldSize bounds a field that is left out if it is empty.
func fieldSize(name, text string) int {
	if text == "" {
		return 0
	}
	return len(`,"":`) + len(name) + jsonSize(text)
}

// AttributesSize bounds what attributes take in an encoded fact, in bytes.
func AttributesSize(attributes map[string]string) int {
	size := 0
	for k, v := range attributes {
		size += 6 + jsonSize(k) + jsonSize(v)
	}
	return size
}

// jsonSize bounds a string's length in JSON, where a control character takes six bytes.
func jsonSize(s string) int {
	size := 2
	for _, c := range s {
		switch {
		case c < 0x20 || c == utf8.RuneError || c == 0x2028 || c == 0x2029:
			size += 6
		case c == '"' || c == '\\':
			size += 2
		default:
			size += utf8.RuneLen(c)
		}
	}
	return size
}
