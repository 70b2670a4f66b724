package room

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"natsrooms/events"
	"natsrooms/subjects"
)

// Limits of single fields that are not settings, in bytes unless noted otherwise.
const (
	MaxUserInfo     = 1 << 10
	MaxSessionID    = 64
	MaxSessions     = 64    // of one member of one room
	MaxRequestID    = 64    // characters
	MaxDestroyDelay = 10800 // seconds
	MaxPage         = 500   // entries
	MaxStays        = 100   // entries, renew
	MaxUserIDs      = 100   // entries, memberOf and setMemberAttributes
	MaxKick         = 50    // entries
	MaxReason       = 256
	MaxExtendedData = 1 << 10
	MaxSubType      = 200
	MinLease        = 5    // seconds
	MaxLease        = 3600 // seconds
	MaxServerID     = 64
)

// The values of a room's delivery: how end users hear it.
const (
	DeliveryMembers = "members" // each member on a feed of its own, while it is a member; the default
	DeliveryOpen    = "open"    // everybody who is connected
)

// DefaultSession is the session of callers that name none.
const DefaultSession = events.DefaultSession

// Command checks the fields that every request has and starts a command with them.
// A caller may leave out the user only if anonymous is true.
func (q *Caller) Command(v Verb, anonymous bool, l *Limits) (*Command, *Error) {
	c := &Command{Verb: v, User: subjects.User(q.UserID), Name: q.UserName, Session: q.SessionID, RequestID: q.RequestID}
	if q.UserID != "" || !anonymous {
		if err := ParseID("userID", q.UserID); err != nil {
			return nil, err
		}
	}
	if c.Session == "" {
		c.Session = DefaultSession
	}
	if err := Text("userName", q.UserName, l.UserName); err != nil {
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
	if !utf8.ValidString(q.RequestID) { // it may be from a header
		return nil, Invalid("requestID", "is not valid UTF-8")
	}
	if err := q.checkLease(); err != nil {
		return nil, err
	}
	var err *Error
	if c.Info, err = userInfo("userInfo", q.UserInfo); err != nil {
		return nil, err
	}
	return c, nil
}

// checkLease checks what a caller says about its session's lease and connection.
func (q *Caller) checkLease() *Error {
	if n := q.LeaseSeconds; n != nil && *n != 0 && (*n < MinLease || *n > MaxLease) {
		return over(ErrParamInvalid, "leaseSeconds", MaxLease, *n, "is %d; it must be %d to %d, or 0 for no lease, which trusted callers alone may have", *n, MinLease, MaxLease)
	}
	if c := q.Connection; c != nil && (c.ServerID == "" || c.ClientID == 0) {
		return Invalid("connection", "needs the serverID and the clientID of the connection, as the server's INFO says them")
	}
	if c := q.Connection; c != nil {
		return Text("connection.serverID", c.ServerID, MaxServerID)
	}
	return nil
}

// ParseID checks a room or user ID that was given in field.
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

// Text checks a short text for people: its length, and that it is UTF-8 without control characters.
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

// Making fills in what a command that may create its room needs.
func (c *Command) Making(nameField, name string, q *RoomConfig, l *Limits) *Error {
	c.RoomName = name
	if err := Text(nameField, name, l.RoomName); err != nil {
		return err
	}
	if q == nil {
		return nil
	}
	c.Config = events.Config{RoomDestroyDelayTime: q.RoomDestroyDelayTime, MaxMembers: q.MaxMembers, Delivery: q.Delivery, Access: q.Access, HistoryForJoiners: q.HistoryForJoiners}
	c.Attributes = q.RoomAttributes
	if err := c.checkDelay(q.RoomDestroyDelayTime, l); err != nil {
		return err
	}
	if err := checkMost(q.MaxMembers); err != nil {
		return err
	}
	if q.Delivery != "" && q.Delivery != DeliveryMembers && q.Delivery != DeliveryOpen {
		return Invalid("config.delivery", "is %q; it must be members or open", q.Delivery)
	}
	if err := checkAccess("config.access", q.Access); err != nil {
		return err
	}
	c.Config.Attributes, c.Config.Speakers, c.Config.Hosts = q.Attributes, q.Speakers, q.Hosts
	if err := checkRules(&q.Attributes, &q.Speakers, &q.Hosts); err != nil {
		return err
	}
	if len(q.AllowedUsers) > 0 {
		if q.Access != AccessListed {
			return Invalid("config.allowedUsers", "names users, but config.access is not %s", AccessListed)
		}
		list, err := userList("config.allowedUsers", q.AllowedUsers, MaxAllowed)
		if err != nil {
			return err
		}
		c.Config.AllowedUsers = allowing(nil, list, nil)
	}
	const field = "config.roomAttributes"
	if err := checkAttributes(field, q.RoomAttributes, l); err != nil {
		return err
	}
	if err := allowedFit("config.allowedUsers", c.Config.AllowedUsers, 0); err != nil {
		return err
	}
	return l.attributesFit(field, q.RoomAttributes, bornOwners(&events.Room{CreatedBy: string(c.User), Attributes: q.RoomAttributes}, events.Ownership{}), allowedSize(c.Config.AllowedUsers))
}

func checkMost(members int) *Error {
	if members < 0 {
		return Invalid("config.maxMembers", "is %d; it must be 0 (no limit) or more", members)
	}
	return nil
}

// checkDelay checks how long a room is to stand empty.
func (c *Command) checkDelay(d int64, l *Limits) *Error {
	longest := int64(MaxDestroyDelay)
	if c.OwnForm {
		longest = int64(l.DestroyDelay)
	}
	if d >= 0 && d <= longest {
		return nil
	}
	e := Refuse(ErrParamInvalid, "roomDestroyDelayTime is %d; it must be 0 to %d seconds", d, longest)
	e.Field, e.Limit, e.Actual = "config.roomDestroyDelayTime", longest, d
	return e
}

// pairLimits bound each key and value of some attributes.
type pairLimits struct {
	key, value         int
	keyCode, valueCode *Code
}

func (p pairLimits) checkKey(field, k string) *Error {
	if k == "" || len(k) > p.key {
		return over(p.keyCode, field, p.key, len(k), "has a key of %d bytes; a key has 1 to %d", len(k), p.key)
	}
	return nil
}

func (p pairLimits) check(field string, attributes map[string]string) *Error {
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		if err := p.checkKey(field, k); err != nil {
			return err
		}
		if v := attributes[k]; len(v) > p.value {
			return over(p.valueCode, field, p.value, len(v), "has a value of %d bytes under %q; a value may have %d", len(v), k, p.value)
		}
	}
	return nil
}

func (l *Limits) roomPairs() pairLimits {
	return pairLimits{l.AttributeKey, l.AttributeValue, ErrAttributeKey, ErrAttributeValue}
}

func (l *Limits) memberPairs() pairLimits {
	return pairLimits{l.MemberAttributeKey, l.MemberAttributeValue, ErrMemberAttributeKey, ErrMemberAttributeValue}
}

func checkAttributes(field string, attributes map[string]string, l *Limits) *Error {
	return l.roomPairs().check(field, attributes)
}

// attributesFit checks all attributes that a room would have. They must fit into one
// fact, with their owners and what is beside them: the fact that renews the room.
func (l *Limits) attributesFit(field string, all map[string]string, owners map[string]Owner, beside int) *Error {
	if n := len(all); n > l.Attributes {
		return over(ErrAttributeCount, field, l.Attributes, n, "would make %d attributes; a room may have %d", n, l.Attributes)
	}
	if total := bytesOf(all); total > l.AttributesTotal {
		return over(ErrAttributeTotal, field, l.AttributesTotal, total, "would make %d bytes of attributes; a room may have %d", total, l.AttributesTotal)
	}
	if size := ownedSize(all, owners) + beside; size > events.MaxFactBytes-factRoom {
		return wouldNotFit(field, size)
	}
	return nil
}

// memberFits checks all attributes that a member would have. They must fit into one
// entry of a fact.
func (l *Limits) memberFits(field string, u subjects.User, all map[string]string) *Error {
	if n := len(all); n > l.MemberAttributes {
		return over(ErrMemberAttributeTotal, field, l.MemberAttributes, n, "would make %d attributes of %q; a member may have %d", n, u, l.MemberAttributes)
	}
	if total := bytesOf(all); total > l.MemberTotal {
		return over(ErrMemberAttributeTotal, field, l.MemberTotal, total, "would make %d bytes of attributes of %q; a member may have %d", total, u, l.MemberTotal)
	}
	if size := carriedSize(all); size > events.MaxFactBytes-factRoom {
		return wouldNotFit(field, size)
	}
	return nil
}

func bytesOf(attributes map[string]string) int {
	total := 0
	for k, v := range attributes {
		total += len(k) + len(v)
	}
	return total
}

// users checks a list of users that was given in userIDs.
func users(ids []string, most int) ([]subjects.User, *Error) { return userList("userIDs", ids, most) }

func userList(field string, ids []string, most int) ([]subjects.User, *Error) {
	if n := len(ids); n == 0 || n > most {
		return nil, over(ErrParamInvalid, field, most, n, "has %d users; it must have 1 to %d", n, most)
	}
	list := make([]subjects.User, 0, len(ids))
	for _, id := range ids {
		if err := ParseID(field, id); err != nil {
			return nil, err
		}
		if u := subjects.User(id); !slices.Contains(list, u) {
			list = append(list, u)
		}
	}
	return list, nil
}

// SetAttributes fills in a setAttributes.
func (c *Command) SetAttributes(q *SetAttributesRequest, l *Limits) *Error {
	c.Set, c.Delete, c.Force, c.UpdateOwner, c.LeaveDeletes, c.IfRevision = q.Set, q.Delete, q.IsForce, q.IsUpdateOwner, q.IsDeleteAfterOwnerLeft, q.IfRevision
	if len(q.Set) == 0 && len(q.Delete) == 0 {
		return Invalid("set", "is empty, and so is delete; there is nothing to do")
	}
	if n := len(q.Set); n > l.Attributes {
		return over(ErrAttributeCount, "set", l.Attributes, n, "has %d attributes; a room may have %d", n, l.Attributes)
	}
	if err := checkAttributes("set", q.Set, l); err != nil {
		return err
	}
	for _, k := range q.Delete {
		if err := l.roomPairs().checkKey("delete", k); err != nil {
			return err
		}
		if _, ok := q.Set[k]; ok {
			return Invalid("delete", "names %q, and so does set; it can't be both", k)
		}
	}
	return nil
}

// SetMemberAttributes fills in a setMemberAttributes.
func (c *Command) SetMemberAttributes(q *SetMemberAttributesRequest, l *Limits) (err *Error) {
	c.Set, c.LeaveDeletes = q.Attributes, q.IsDeleteAfterOwnerLeft
	if c.Users, err = users(q.UserIDs, MaxUserIDs); err != nil {
		return err
	}
	if len(q.Attributes) == 0 {
		return Invalid("attributes", "is empty; there is nothing to do")
	}
	if err := l.memberPairs().check("attributes", q.Attributes); err != nil {
		return err
	}
	size := 0
	for _, u := range c.Users {
		size += infoFrame + jsonSize(string(u)) + AttributesSize(q.Attributes)
	}
	if size > events.MaxFactBytes-factRoom {
		return wouldNotFit("attributes", size)
	}
	return nil
}

// Kick fills in a kick.
func (c *Command) Kick(q *KickRequest) (err *Error) {
	c.ReasonText = q.Reason
	if err = Text("reason", q.Reason, MaxReason); err == nil {
		c.Users, err = users(q.UserIDs, MaxKick)
	}
	return err
}

// Destroy fills in a destroy.
func (c *Command) Destroy(q *DestroyRequest) *Error {
	c.ReasonText = q.Reason
	return Text("reason", q.Reason, MaxReason)
}

// Say checks a send and makes its message, except for its ID and time.
func (c *Command) Say(q *SendRequest, l *Limits) (*events.Message, *Error) {
	m := &events.Message{
		Room: c.Room, Sender: string(c.User), Type: events.MessageType(q.Type), SubType: q.SubType, Data: q.Data,
		Priority: events.Priority(q.Priority), Extended: q.ExtendedData,
	}
	switch m.Type {
	case events.Text, events.Custom, events.Signal, events.Barrage:
	default:
		return nil, Invalid("type", "is %q; it must be text, custom, command or barrage", q.Type)
	}
	switch m.Priority {
	case "":
		m.Priority = events.Low
	case events.Low, events.Medium, events.High:
	default:
		return nil, Invalid("priority", "is %q; it must be low, medium or high", q.Priority)
	}
	if q.SubType != 0 && m.Type != events.Custom {
		return nil, Invalid("subType", "is %d; only custom messages have one", q.SubType)
	}
	if q.SubType < 0 || q.SubType > MaxSubType {
		return nil, over(ErrParamInvalid, "subType", MaxSubType, q.SubType, "is %d; it must be 0 to %d", q.SubType, MaxSubType)
	}
	if q.Data == "" {
		return nil, Invalid("data", "is empty; a message must have 1 to %d bytes", l.MessageData)
	}
	if n := len(q.Data); n > l.MessageData {
		return nil, over(ErrMessageTooLong, "data", l.MessageData, n, "has %d bytes; a message may have %d", n, l.MessageData)
	}
	if n := len(q.ExtendedData); n > MaxExtendedData {
		return nil, over(ErrParamInvalid, "extendedData", MaxExtendedData, n, "has %d bytes; it may have %d", n, MaxExtendedData)
	}
	return m, nil
}

// Check checks the rooms where the session thinks it is.
func (q *RenewRequest) Check() *Error {
	if n := len(q.Rooms); n > MaxStays || n > 0 && q.NextFlag != "" {
		most := MaxStays
		if q.NextFlag != "" {
			most = 0
		}
		return over(ErrParamInvalid, "rooms", most, n, "has %d rooms; it may have %d, and none beside nextFlag", n, MaxStays)
	}
	for _, s := range q.Rooms {
		if err := ParseID("rooms", s.RoomID); err != nil {
			return err
		}
	}
	return nil
}
