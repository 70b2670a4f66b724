package room

import (
	"fmt"

	"natsrooms/events"
)

// Limits are the settings that decide answers. 0 means unlimited for those that count
// rooms and members, and the default for the others. A nil *Limits is all defaults.
type Limits struct {
	MaxRooms        int
	MaxMembers      int // of one room
	MaxRoomsPerUser int

	RoomName             int // bytes
	UserName             int // bytes
	Attributes           int // of one room
	AttributeKey         int // bytes
	AttributeValue       int // bytes
	AttributesTotal      int // bytes of keys and values
	MemberAttributes     int // of one member
	MemberAttributeKey   int // bytes
	MemberAttributeValue int // bytes
	MemberTotal          int // bytes of a member's keys and values
	MessageData          int // bytes
	MessageRate          int // messages a second of one sender in one room; 0: unlimited
	LeaseSeconds         int // of a session in the user form that does not ask for a lease
	Restrictions         int // bans of one room, and as many mutes
	TokenNames           int // 1: how an end user is called is what its token says
	StrictIDs            int // 1: no new ID of a room or user may look like another one
	ReplaceDevices       int // 1: a member's new session takes the place of its others
	Recall               int // seconds in which a sender may delete its message

	// What one end user may do, who connects as itself. 0: unlimited, but for DestroyDelay.
	UserCommands      int // a second, over all rooms and verbs
	UserBytes         int // of commands, a second
	UserWaiting       int // commands that are not answered yet
	UserReads         int // of those, reads that may take a while
	UserChanges       int // of one room, a second
	UserRooms         int // that it may be in, where MaxRoomsPerUser is 0
	UserEmptyRooms    int // that it made and that stand empty
	UserConnections   int
	UserSubscriptions int // of one connection
	DestroyDelay      int // seconds; the longest that it may ask for
}

// Setting is one row of the table of limits.
type Setting struct {
	Name    string // as in roomd's flags and in the stream's metadata
	Default int    // 0: unlimited, or off
	Least   int    // the least it can be set to, besides 0 for the default
	Most    int    // the most it can be set to
	Means   string // one line for people
	Of      func(*Limits) *int
}

const unbounded = 1 << 31

// Settings is the table of limits. The stream keeps them in its metadata, so that all
// instances agree. Limits on sizes are bounded by what a fact has room for.
var Settings = []Setting{
	{"max-rooms", 0, 1, unbounded, "rooms that may exist", func(l *Limits) *int { return &l.MaxRooms }},
	{"max-members", 0, 1, unbounded, "members that a room may have", func(l *Limits) *int { return &l.MaxMembers }},
	{"max-rooms-per-user", 0, 1, unbounded, "rooms that a user may be in", func(l *Limits) *int { return &l.MaxRoomsPerUser }},
	{"room-name", 64, 1, 1 << 10, "bytes of a room's name", func(l *Limits) *int { return &l.RoomName }},
	{"user-name", 256, 1, 1 << 10, "bytes of a user's name", func(l *Limits) *int { return &l.UserName }},
	{"attributes", 64, 1, 256, "attributes of a room", func(l *Limits) *int { return &l.Attributes }},
	{"attribute-key", 64, 1, 128, "bytes of an attribute's key", func(l *Limits) *int { return &l.AttributeKey }},
	{"attribute-value", 4 << 10, 1, 32 << 10, "bytes of an attribute's value", func(l *Limits) *int { return &l.AttributeValue }},
	{"attributes-total", 32 << 10, 1, 32 << 10, "bytes of all attributes of a room, keys and values", func(l *Limits) *int { return &l.AttributesTotal }},
	{"member-attributes", 30, 1, 256, "attributes of a member", func(l *Limits) *int { return &l.MemberAttributes }},
	{"member-attribute-key", 64, 1, 128, "bytes of a member attribute's key", func(l *Limits) *int { return &l.MemberAttributeKey }},
	{"member-attribute-value", 1 << 10, 1, 4 << 10, "bytes of a member attribute's value", func(l *Limits) *int { return &l.MemberAttributeValue }},
	{"member-attributes-total", 4 << 10, 1, 8 << 10, "bytes of all attributes of a member, keys and values", func(l *Limits) *int { return &l.MemberTotal }},
	{"message-data", 32 << 10, 1, 48 << 10, "bytes of a message's data", func(l *Limits) *int { return &l.MessageData }},
	{"message-rate", 0, 1, unbounded, "messages a second of one sender in one room", func(l *Limits) *int { return &l.MessageRate }},
	{"lease-seconds", 60, MinLease, MaxLease, "seconds that a session of the user form stays without a sign of life, if it asks for nothing else", func(l *Limits) *int { return &l.LeaseSeconds }},
	{"restrictions", 1000, 1, 10_000, "users that are banned from a room, as many that are muted in it, and as many whose role was set", func(l *Limits) *int { return &l.Restrictions }},
	{"replace-devices", 0, 1, 1, "1: a member's new session takes the place of its others; 0: it joins them", func(l *Limits) *int { return &l.ReplaceDevices }},
	{"recall", 120, 1, 31_536_000, "seconds in which a sender may delete its message", func(l *Limits) *int { return &l.Recall }},
	{"token-names", 0, 1, 1, "1: how an end user is called is what its token says; 0: what its commands say", func(l *Limits) *int { return &l.TokenNames }},
	{"strict-ids", 0, 1, 1, "1: new IDs of rooms and users that could be taken for others are refused; 0: any are taken", func(l *Limits) *int { return &l.StrictIDs }},
	{"user-commands", 0, 1, 1_000_000, "commands of an end user a second, on each instance; twice as many may come at once, but no more than 500 or a quarter of them", func(l *Limits) *int { return &l.UserCommands }},
	{"user-bytes", 0, 64 << 10, unbounded, "bytes of an end user's commands a second, on each instance; twice as many may come at once", func(l *Limits) *int { return &l.UserBytes }},
	{"user-waiting", 0, 1, 1 << 14, "commands of an end user that wait for their answers, on each instance", func(l *Limits) *int { return &l.UserWaiting }},
	{"user-reads", 0, 1, 64, "long reads of an end user at a time, on each instance; others wait", func(l *Limits) *int { return &l.UserReads }},
	{"user-changes", 0, 1, 1_000_000, "changes of one room by one end user a second, on each instance; twice as many may come at once", func(l *Limits) *int { return &l.UserChanges }},
	{"user-rooms", 0, 1, unbounded, "rooms that an end user may be in, unless `--max-rooms-per-user` says", func(l *Limits) *int { return &l.UserRooms }},
	{"user-empty-rooms", 0, 1, unbounded, "empty rooms that an end user made, after which it makes no more", func(l *Limits) *int { return &l.UserEmptyRooms }},
	{"user-connections", 0, 1, unbounded, "connections of an end user with a token", func(l *Limits) *int { return &l.UserConnections }},
	{"user-subscriptions", 0, 4, unbounded, "subscriptions of an end user's connection with a token", func(l *Limits) *int { return &l.UserSubscriptions }},
	{"destroy-delay", MaxDestroyDelay, 1, MaxDestroyDelay, "seconds of the longest `roomDestroyDelayTime` that an end user may ask for", func(l *Limits) *int { return &l.DestroyDelay }},
}

// Protection is what limits are by default where end users let themselves in with tokens. They
// are off elsewhere, because a program that acts for everybody may do anything.
var Protection = map[string]int{
	"user-commands": 2000, "user-bytes": 512 << 10, "user-waiting": 256, "user-reads": 4, "user-changes": 100,
	"user-rooms": 1000, "user-empty-rooms": 20, "user-connections": 50, "user-subscriptions": 500,
	"token-names": 1, "strict-ids": 1,
}

// Filled is l with defaults where it is 0.
func (l *Limits) Filled() *Limits {
	var filled Limits
	if l != nil {
		filled = *l
	}
	for _, s := range Settings {
		if v := s.Of(&filled); *v == 0 {
			*v = s.Default
		}
	}
	return &filled
}

// Check returns an error, for people, that names a limit set to an impossible value.
func (l *Limits) Check() error {
	for _, s := range Settings {
		if v := *s.Of(l); v != 0 && (v < s.Least || v > s.Most) {
			return fmt.Errorf("the limit %s (%s) is %d; it must be %d to %d, or 0 for the default", s.Name, s.Means, v, s.Least, s.Most)
		}
	}
	return nil
}

// Table is the limits by name, filled.
func (l *Limits) Table() map[string]int {
	table, filled := make(map[string]int, len(Settings)), l.Filled()
	for _, s := range Settings {
		table[s.Name] = *s.Of(filled)
	}
	return table
}

// LimitsOf makes limits from a table, filled.
func LimitsOf(table map[string]int) *Limits {
	l := &Limits{}
	for _, s := range Settings {
		*s.Of(l) = table[s.Name]
	}
	return l.Filled()
}

// over refuses a count that exceeds its limit.
func over(c *Code, field string, limit, actual int, format string, args ...any) *Error {
	e := Refuse(c, field+" "+format, args...)
	e.Field, e.Limit, e.Actual = field, int64(limit), int64(actual)
	return e
}

// wouldNotFit refuses what a fact has no room for, however its JSON is written.
func wouldNotFit(field string, size int) *Error {
	return over(ErrParamInvalid, field, events.MaxFactBytes-factRoom, size, "takes %d bytes as JSON; a fact has room for %d", size, events.MaxFactBytes-factRoom)
}

// factRoom is the part of a fact that no single command's lists may fill.
const factRoom = 12 << 10
