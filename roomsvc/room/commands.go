package room

import (
	"natsrooms/events"
)

// Kind is what a command does, and so the way that it takes through the service.
type Kind string

// The kinds of commands.
const (
	Reads          Kind = "reads"            // it answers from memory or from the streams
	ChangesOne     Kind = "changes one room" // it is decided in a [Run] of its room
	ChangesSeveral Kind = "changes several"  // it is decided in runs of several rooms, all or none: see [AddSeveral]
	Says           Kind = "says"             // it sends a message
	Erases         Kind = "erases"           // it deletes messages
	Bars           Kind = "bars"             // it changes who is kept out of everything
)

// CommandInfo is one row of the table of commands.
type CommandInfo struct {
	Verb    Verb
	Kind    Kind
	Trusted bool // has no user form
	Hosts   bool // the user form is for hosts of the room
	Request any  // a nil pointer to the type of its body
	Reply   any  // a nil pointer to the type of its answer
	Refused []*Code
	Means   string // one line for people

	// What the user's devices are told when a command arrives that brings its session into a
	// room, and when it is refused. Zero: it brings nobody in, and they are told nothing.
	Begins, Fails events.Event

	rule    func(*Run, *Command) Verdict   // of one that changes one room
	several func([]*Run, *Command) Verdict // of one that changes several
}

// Brings says whether the command can bring its session into a room.
func (i *CommandInfo) Brings() bool { return i.Begins != 0 }

// Info is the verb's row of the table; nil if it is no command.
func (v Verb) Info() *CommandInfo { return byVerb[v] }

var byVerb = func() map[Verb]*CommandInfo {
	rows := make(map[Verb]*CommandInfo, len(Commands))
	for i := range Commands {
		rows[Commands[i].Verb] = &Commands[i]
	}
	return rows
}()

// Commands is the table of commands: what the service answers, and what README and the
// schemas say about it. Besides the codes in its row, any command may be refused with
// PARAM_INVALID, NOT_ALLOWED, BUSY and UNAVAILABLE.
var Commands = []CommandInfo{
	{Verb: Create, Kind: ChangesOne, Request: (*CreateRequest)(nil), Reply: (*JoinedReply)(nil), Refused: []*Code{ErrRoomAlreadyExists, ErrRoomLimit, ErrUserRoomLimit},
		Means:  "the room; the creator is in it",
		Begins: events.ActiveCreate, Fails: events.CreateFailed, rule: (*Run).admit},
	{Verb: Join, Kind: ChangesOne, Request: (*RoomRequest)(nil), Reply: (*JoinedReply)(nil), Refused: []*Code{ErrRoomNotExist, ErrBanned, ErrUserAlreadyInRoom, ErrRoomFull, ErrUserRoomLimit},
		Means:  "the room, which must exist",
		Begins: events.ActiveEnter, Fails: events.EnterFailed, rule: (*Run).admit},
	{Verb: Enter, Kind: ChangesOne, Request: (*CreateRequest)(nil), Reply: (*JoinedReply)(nil), Refused: []*Code{ErrBanned, ErrRoomLimit, ErrRoomFull, ErrUserRoomLimit},
		Means:  "the room, `created` if it was made; being in already is fine",
		Begins: events.ActiveEnter, Fails: events.EnterFailed, rule: (*Run).admit},
	{Verb: Switch, Kind: ChangesSeveral, Request: (*SwitchRequest)(nil), Reply: (*JoinedReply)(nil), Refused: []*Code{ErrUserNotInRoom, ErrRoomNotExist, ErrBanned, ErrRoomLimit, ErrRoomFull},
		Means:  "the room joined, and `left`",
		Begins: events.ActiveSwitch, Fails: events.SwitchFailed, several: switchRooms},
	{Verb: Leave, Kind: ChangesOne, Request: (*RoomRequest)(nil), Reply: (*LeftReply)(nil), Refused: []*Code{ErrRoomNotExist, ErrUserNotInRoom},
		Means: "the position after it",
		rule:  (*Run).leaveAsked},
	{Verb: LeaveAll, Kind: ChangesSeveral, Request: (*LeaveAllRequest)(nil), Reply: (*LeftAllReply)(nil),
		Means:   "`roomIDList`: what this session left; `nextFlag` not empty: some are left over, and the next `leaveAll` goes on",
		several: leaveAll},
	{Verb: Get, Kind: Reads, Request: (*ReadRequest)(nil), Reply: (*GetReply)(nil), Refused: []*Code{ErrRoomNotExist, ErrBanned},
		Means: "the room, and `subscribe`: where the caller hears it"},
	{Verb: Members, Kind: Reads, Request: (*MembersRequest)(nil), Reply: (*MembersReply)(nil), Refused: []*Code{ErrRoomNotExist, ErrBanned},
		Means: "a page of members, oldest first; with `at`, which is for trusted callers, those who were in at that moment, as far back as facts are kept"},
	{Verb: Count, Kind: Reads, Request: (*ReadRequest)(nil), Reply: (*CountReply)(nil), Refused: []*Code{ErrRoomNotExist, ErrBanned},
		Means: "how many members the room has"},
	{Verb: MemberOf, Kind: Reads, Request: (*MemberOfRequest)(nil), Reply: (*MemberOfReply)(nil), Refused: []*Code{ErrRoomNotExist, ErrBanned},
		Means: "which of these users are members"},
	{Verb: Rooms, Kind: Reads, Request: (*RoomsRequest)(nil), Reply: (*RoomsReply)(nil),
		Means: "the user's rooms and their heads"},
	{Verb: List, Kind: Reads, Trusted: true, Request: (*ListRequest)(nil), Reply: (*ListReply)(nil),
		Means: "a page of all rooms"},
	{Verb: Renew, Kind: Reads, Request: (*RenewRequest)(nil), Reply: (*RenewReply)(nil),
		Means: "`rooms`: where this session still is, and each one's head now; `expiresAt`: when its lease ends"},
	{Verb: SetAttributes, Kind: ChangesOne, Request: (*SetAttributesRequest)(nil), Reply: (*SetAttributesReply)(nil), Refused: []*Code{ErrRoomNotExist, ErrUserNotInRoom, ErrAttributeCount, ErrAttributeKey, ErrAttributeValue, ErrAttributeTotal, ErrRevisionMismatch},
		Means: "all attributes, and `errorKeys`: keys owned by somebody else, unchanged",
		rule:  (*Run).setAttributes},
	{Verb: SetMemberAttributes, Kind: ChangesOne, Request: (*SetMemberAttributesRequest)(nil), Reply: (*SetMemberAttributesReply)(nil), Refused: []*Code{ErrRoomNotExist, ErrUserNotInRoom, ErrMemberAttributeTotal, ErrMemberAttributeKey, ErrMemberAttributeValue},
		Means: "`infos`: the members' attributes; `errorUserList`: who is not in the room",
		rule:  (*Run).setMemberAttributes},
	{Verb: Send, Kind: Says, Request: (*SendRequest)(nil), Reply: (*SendReply)(nil), Refused: []*Code{ErrUserNotInRoom, ErrRoomNotExist, ErrMuted, ErrMessageTooLong, ErrRateLimited},
		Means: "`messageID`, `timestamp` and, if it is stored, `messageSeq`, which all rooms count together: in one room it jumps"},
	{Verb: History, Kind: Reads, Request: (*HistoryRequest)(nil), Reply: (*HistoryReply)(nil), Refused: []*Code{ErrRoomNotExist, ErrUserNotInRoom, ErrBanned},
		Means: "a page of facts or messages as CloudEvents, after or before the given position, also of an instance that has ended; `complete` false: some are gone"},
	{Verb: DeleteMessages, Kind: Erases, Request: (*DeleteMessagesRequest)(nil), Reply: (*DeleteMessagesReply)(nil), Refused: []*Code{ErrRoomNotExist},
		Means: "`messageSeqs`: what was deleted: a sender's own messages within `--recall`, for hosts and back ends any; with `ofUserID` `nextFlag` not empty: there may be more"},
	{Verb: EraseUser, Kind: Erases, Trusted: true, Request: (*EraseUserRequest)(nil), Reply: (*EraseUserReply)(nil),
		Means: "`erased`: how many messages of `userID` so far, in all rooms; `nextFlag` not empty: there may be more"},
	{Verb: Instances, Kind: Reads, Trusted: true, Request: (*InstancesRequest)(nil), Reply: (*InstancesReply)(nil), Refused: []*Code{ErrRoomNotExist},
		Means: "the rooms of that ID, one after the other, of which facts are kept, newest first: `endedAt` and `reason` of those that have ended"},
	{Verb: Kick, Kind: ChangesOne, Hosts: true, Request: (*KickRequest)(nil), Reply: (*KickReply)(nil), Refused: []*Code{ErrRoomNotExist},
		Means: "`kicked`: who was put out, with all sessions; `errorUserList`: who was not in the room; the position",
		rule:  (*Run).kick},
	{Verb: SetAccess, Kind: ChangesOne, Hosts: true, Request: (*SetAccessRequest)(nil), Reply: (*SetAccessReply)(nil), Refused: []*Code{ErrRoomNotExist},
		Means: "`config` as it is now; members stay. It keeps out end users, and nobody on a server that trusts everybody",
		rule:  (*Run).setAccess},
	{Verb: DestroyRoom, Kind: ChangesOne, Hosts: true, Request: (*DestroyRequest)(nil), Reply: (*DestroyReply)(nil), Refused: []*Code{ErrRoomNotExist},
		Means: "the room's ID, and the position of the fact that began its end; nobody is in it any more",
		rule:  (*Run).destroy},
	{Verb: Update, Kind: ChangesOne, Hosts: true, Request: (*UpdateRequest)(nil), Reply: (*UpdateReply)(nil), Refused: []*Code{ErrRoomNotExist},
		Means: "the room's name and `config` as they are now",
		rule:  (*Run).update},
	{Verb: UpdateMember, Kind: ChangesOne, Request: (*RoomRequest)(nil), Reply: (*UpdateMemberReply)(nil), Refused: []*Code{ErrRoomNotExist, ErrUserNotInRoom},
		Means: "`member`: the caller with the `userName` and `userInfo` that it gave; what it leaves out stays",
		rule:  (*Run).updateMember},
	{Verb: SetRole, Kind: ChangesOne, Hosts: true, Request: (*SetRoleRequest)(nil), Reply: (*SetRoleReply)(nil), Refused: []*Code{ErrRoomNotExist},
		Means: "`userIDs`: who has the role now; `errorUserList`: who was not in the room",
		rule:  (*Run).setRole},
	{Verb: Ban, Kind: ChangesOne, Hosts: true, Request: (*RestrictRequest)(nil), Reply: (*RestrictedReply)(nil), Refused: []*Code{ErrRoomNotExist},
		Means: "the users are out, and may not come in as end users `until` then",
		rule:  (*Run).ban},
	{Verb: Unban, Kind: ChangesOne, Hosts: true, Request: (*LiftRequest)(nil), Reply: (*RestrictedReply)(nil), Refused: []*Code{ErrRoomNotExist},
		Means: "they may come in again",
		rule:  (*Run).restrict},
	{Verb: Mute, Kind: ChangesOne, Hosts: true, Request: (*RestrictRequest)(nil), Reply: (*RestrictedReply)(nil), Refused: []*Code{ErrRoomNotExist},
		Means: "the users may not send as end users `until` then, whether they are in or not",
		rule:  (*Run).restrict},
	{Verb: Unmute, Kind: ChangesOne, Hosts: true, Request: (*LiftRequest)(nil), Reply: (*RestrictedReply)(nil), Refused: []*Code{ErrRoomNotExist},
		Means: "they may send again",
		rule:  (*Run).restrict},
	{Verb: Block, Kind: Bars, Trusted: true, Request: (*BlockRequest)(nil), Reply: (*BlockReply)(nil),
		Means: "what is refused to the user `userID` now: everything or, with `tokenID` or `issuedBefore`, those tokens alone; it is out of all its rooms, and its connections end"},
	{Verb: Unblock, Kind: Bars, Trusted: true, Request: (*UnblockRequest)(nil), Reply: (*UnblockReply)(nil),
		Means: "what is refused to the user `userID` now: with `tokens` nothing, otherwise the tokens that were"},
	{Verb: Blocked, Kind: Reads, Trusted: true, Request: (*BlockedRequest)(nil), Reply: (*BlockedReply)(nil),
		Means: "a page of the users to whom something is refused, and what; with `userID` that one alone"},
}
