package room

// CommandInfo is one row of the table of commands.
type CommandInfo struct {
	Verb    Verb
	Trusted bool // not in the user form
	Request any  // a nil pointer to the type of its body
	Reply   any  // a nil pointer to the type of its answer
	Refused []*Code
	Means   string // one line for people
}

// Commands is the table of commands: what the service answers, and what README and the
// schemas say of it. Beside the codes of its row any command may be refused with
// PARAM_INVALID, NOT_ALLOWED, BUSY and UNAVAILABLE.
var Commands = []CommandInfo{
	{Create, false, (*CreateRequest)(nil), (*JoinedReply)(nil), []*Code{ErrRoomAlreadyExists, ErrRoomLimit, ErrUserRoomLimit}, "the room; the creator is in it"},
	{Join, false, (*RoomRequest)(nil), (*JoinedReply)(nil), []*Code{ErrRoomNotExist, ErrUserAlreadyInRoom, ErrRoomFull, ErrUserRoomLimit}, "the room, which must exist"},
	{Enter, false, (*CreateRequest)(nil), (*JoinedReply)(nil), []*Code{ErrRoomLimit, ErrRoomFull, ErrUserRoomLimit}, "the room, `created` when it was missing; already in is fine"},
	{Switch, false, (*SwitchRequest)(nil), (*JoinedReply)(nil), []*Code{ErrUserNotInRoom, ErrRoomNotExist, ErrRoomLimit, ErrRoomFull}, "the room come into, and `left`"},
	{Leave, false, (*RoomRequest)(nil), (*LeftReply)(nil), []*Code{ErrRoomNotExist, ErrUserNotInRoom}, "the position after it"},
	{LeaveAll, false, (*LeaveAllRequest)(nil), (*LeftAllReply)(nil), nil, "`roomIDList`: what this session left"},
	{Get, false, (*ReadRequest)(nil), (*GetReply)(nil), []*Code{ErrRoomNotExist}, "the room, and `subscribe`: where the caller hears it"},
	{Members, false, (*MembersRequest)(nil), (*MembersReply)(nil), []*Code{ErrRoomNotExist}, "a page of members, oldest first"},
	{MemberOf, false, (*MemberOfRequest)(nil), (*MemberOfReply)(nil), []*Code{ErrRoomNotExist}, "who of these is in"},
	{Rooms, false, (*RoomsRequest)(nil), (*RoomsReply)(nil), nil, "the user's rooms and their heads"},
	{List, true, (*ListRequest)(nil), (*ListReply)(nil), nil, "a page of all rooms"},
	{Renew, false, (*RenewRequest)(nil), (*RenewReply)(nil), nil, "`rooms`: where this session still is, and each one's head now; `expiresAt`: when its lease ends"},
	{SetAttributes, false, (*SetAttributesRequest)(nil), (*SetAttributesReply)(nil), []*Code{ErrUserNotInRoom, ErrAttributeCount, ErrAttributeKey, ErrAttributeValue, ErrAttributeTotal, ErrRevisionMismatch}, "all attributes, and `errorKeys`: keys of somebody else, left as they were"},
	{SetMemberAttributes, false, (*SetMemberAttributesRequest)(nil), (*SetMemberAttributesReply)(nil), []*Code{ErrUserNotInRoom, ErrMemberAttributeTotal, ErrMemberAttributeKey, ErrMemberAttributeValue}, "`infos`: the members' attributes; `errorUserList`: who is not in the room"},
	{Send, false, (*SendRequest)(nil), (*SendReply)(nil), []*Code{ErrUserNotInRoom, ErrRoomNotExist, ErrMessageTooLong, ErrRateLimited}, "`messageID`, `messageSeq` if it is stored, `timestamp`"},
	{History, false, (*HistoryRequest)(nil), (*HistoryReply)(nil), []*Code{ErrRoomNotExist, ErrUserNotInRoom}, "a page of facts or messages as CloudEvents, behind or before the one position given; `complete` false: some are gone"},
	{Kick, true, (*KickRequest)(nil), (*KickReply)(nil), []*Code{ErrRoomNotExist}, "`kicked`: who is out, with all sessions; `errorUserList`: who was not in the room"},
	{SetAccess, true, (*SetAccessRequest)(nil), (*SetAccessReply)(nil), []*Code{ErrRoomNotExist}, "`config` as it is now; who is in stays in"},
	{DestroyRoom, true, (*DestroyRequest)(nil), (*DestroyReply)(nil), []*Code{ErrRoomNotExist}, "the room's ID; everybody is out"},
}
