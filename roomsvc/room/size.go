package room

import "unicode/utf8"

// factOverhead bounds what an encoded fact has besides its entries and its room.
const factOverhead = 4 << 10

// These sizes bound what an entry takes in an encoded fact: every string as JSON writes
// it, field names and times with room to spare.

const (
	joinedFrame = 192
	leftFrame   = 224
)

func joinedSize(c *Command) int {
	return joinedFrame + jsonSize(string(c.User)) + jsonSize(c.Name) + len(c.Info) + jsonSize(c.Session) + jsonSize(string(c.From)) + jsonSize(c.RequestID)
}

func (r *Run) leftSize(c *Command, m *Member) int {
	return leftFrame + r.goingSize(c.User) + jsonSize(m.Name) + jsonSize(string(c.User)) + jsonSize(c.Session) + jsonSize(string(c.Room)) + jsonSize(c.RequestID)
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
