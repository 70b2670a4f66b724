package client

import (
	"natsrooms/events"
	"natsrooms/roomsvc/client/follow"
	"natsrooms/roomsvc/room"
)

// The types and values below are those that the service itself works with, under names of
// this package. Limits that are called a default can be set to another value where the
// service runs.

// Caller says for whom a request acts; every request embeds it. What is empty comes from
// the client's [Config].
//
// UserID and SessionID name the user and one of its devices; an empty SessionID is
// [DefaultSession]. UserName (at most 256 bytes by default) and UserInfo (one JSON object,
// at most 1 KiB) are what other members see. RequestID (at most 64 characters) makes a
// request that is sent again the same request. LeaseSeconds (5 to 3600, or 0 for no lease)
// is how long the session stays in its rooms without a sign of life. The client fills in
// Connection.
type Caller = room.Caller

// Connection names a connection as the NATS server's INFO does: ServerID and ClientID.
type Connection = room.Connection

// DefaultSession is the session of a request that names none.
const DefaultSession = events.DefaultSession

// Verb is the name of a command, as in "join".
type Verb = room.Verb

// Freshness says how new the state must be that a read is answered from: MinRevision
// waits until that revision has been seen, Sync for everything stored before the request.
// Without them a read is answered from memory at once.
type Freshness = room.Freshness

// Page asks for one part of a long list: at most Count entries (1 to 500; 0 means 500)
// after the page whose reply had this NextFlag, which is empty for the first one.
type Page = room.Page

// Requests.
type (
	// CreateRequest is for [Client.Create] and [Client.Enter]: RoomID, and for a room that is
	// made RoomName (at most 64 bytes by default) and Config.
	CreateRequest = room.CreateRequest
	// RoomRequest is for [Client.Join], [Client.Leave] and [Client.UpdateMember]: RoomID.
	RoomRequest = room.RoomRequest
	// SwitchRequest is for [Client.Switch]: FromRoomID and ToRoomInfo. A missing room is made,
	// with Config, if IsCreateWhenRoomNotExisted is set.
	SwitchRequest = room.SwitchRequest
	// LeaveAllRequest is for [Client.LeaveAll]. It has only the fields of [Caller].
	LeaveAllRequest = room.LeaveAllRequest
	// ReadRequest is for [Client.Get] and [Client.Count]: RoomID, and a [Freshness].
	ReadRequest = room.ReadRequest
	// MembersRequest is for [Client.Members]: RoomID, a [Page] and a [Freshness]; At is a moment
	// in the past.
	MembersRequest = room.MembersRequest
	// MemberOfRequest is for [Client.MemberOf]: RoomID, at most 100 UserIDs, and a [Freshness].
	MemberOfRequest = room.MemberOfRequest
	// RoomsRequest is for [Client.Rooms]: NextFlag of the page before, and a [Freshness].
	RoomsRequest = room.RoomsRequest
	// ListRequest is for [Client.List]: Prefix of the room IDs, a [Page] and a [Freshness].
	ListRequest = room.ListRequest
	// RenewRequest is for [Client.Renew]: NextFlag of the page before.
	RenewRequest = room.RenewRequest
	// SetAttributesRequest is for [Client.SetAttributes]: in RoomID, Set some attributes and
	// Delete others. IsForce also changes those of other users, IsUpdateOwner makes the
	// caller the owner of those that are set, and IsDeleteAfterOwnerLeft deletes them when
	// their owner leaves (nil leaves that as it is). IfRevision, if not 0, refuses the change
	// if attributes were changed after that revision. By default a room has at most 64
	// attributes, a key 64 bytes, a value 4 KiB, and all of them together 32 KiB.
	SetAttributesRequest = room.SetAttributesRequest
	// SetMemberAttributesRequest is for [Client.SetMemberAttributes]: Attributes to set for at
	// most 100 UserIDs in RoomID. They are deleted when the member leaves unless
	// IsDeleteAfterOwnerLeft is false. By default a member has at most 30 attributes, a key 64
	// bytes, a value 1 KiB, and all of a member's together 4 KiB.
	SetMemberAttributesRequest = room.SetMemberAttributesRequest
	// SendRequest is for [Client.Send]: in RoomID, Data (at most 32 KiB by default) of a Type,
	// which is "text", "custom", "command" or "barrage". SubType (0 to 200) is for custom
	// messages, Priority is "low", "medium" or "high", and ExtendedData has at most 1 KiB.
	SendRequest = room.SendRequest
	// HistoryRequest is for [Client.History]: at most Count entries (1 to 500; 0 means 500) of
	// the instance InstanceID of RoomID, from exactly one position: AfterSequence for facts,
	// AfterMessageSeq or BeforeMessageSeq for messages. It also has a [Freshness].
	HistoryRequest = room.HistoryRequest
	// DeleteMessagesRequest is for [Client.DeleteMessages]: in RoomID, at most 100 MessageSeqs,
	// or all messages of OfUserID, with the NextFlag of the reply before. An empty InstanceID
	// is the room as it is now.
	DeleteMessagesRequest = room.DeleteMessagesRequest
	// EraseUserRequest is for [Client.EraseUser]: the UserID whose messages are erased, and the
	// NextFlag of the reply before.
	EraseUserRequest = room.EraseUserRequest
	// InstancesRequest is for [Client.Instances]: RoomID, a [Page] and a [Freshness].
	InstancesRequest = room.InstancesRequest
	// BlockRequest is for [Client.Block]: UserID, and for how many Seconds (0: until Unblock) with
	// which Reason. With the TokenID of a token, or the time that tokens were IssuedBefore, those
	// tokens are refused and not the user.
	BlockRequest = room.BlockRequest
	// UnblockRequest is for [Client.Unblock]: UserID, and whether its Tokens are good again too.
	UnblockRequest = room.UnblockRequest
	// BlockedRequest is for [Client.Blocked]: a [Page], or UserID.
	BlockedRequest = room.BlockedRequest
	// KickRequest is for [Client.Kick]: RoomID, at most 50 UserIDs, and a Reason of at most
	// 256 bytes.
	KickRequest = room.KickRequest
	// DestroyRequest is for [Client.Destroy]: RoomID, and a Reason of at most 256 bytes.
	DestroyRequest = room.DestroyRequest
	// SetAccessRequest is for [Client.SetAccess]: RoomID, Access ("open", "listed" or "token";
	// empty leaves it as it is), and at most 500 users each to Allow and to Disallow.
	SetAccessRequest = room.SetAccessRequest
	// UpdateRequest is for [Client.Update]: RoomID, and what is to change: RoomName and Config.
	UpdateRequest = room.UpdateRequest
	// SetRoleRequest is for [Client.SetRole]: RoomID, at most 100 UserIDs, and the Role that
	// they get, "host" or "member".
	SetRoleRequest = room.SetRoleRequest
	// RestrictRequest is for [Client.Ban] and [Client.Mute]: RoomID, at most 50 UserIDs, for how
	// many Seconds (0: as long as the room's instance exists), and a Reason of at most 256 bytes.
	RestrictRequest = room.RestrictRequest
	// LiftRequest is for [Client.Unban] and [Client.Unmute]: RoomID and at most 50 UserIDs.
	LiftRequest = room.LiftRequest
)

// RoomConfig is what the creator of a room may choose: RoomAttributes; for how many
// seconds an empty room waits, RoomDestroyDelayTime (0 to 10800); MaxMembers (0 for the
// service's own limit); Delivery, how end users hear the room ("members" or "open");
// Access, which end users may join ("open", "listed" or "token"); AllowedUsers of a listed
// room (at most 500); HistoryForJoiners, whether members may read messages from before
// they joined (nil means they may); Attributes, whether every member may change what others own
// by IsForce ("open") or only hosts ("owned"); Speakers, who may send ("all" or "hosts"); and
// Hosts, whether the creator is a host ("none" or "creator"). The first of each is the default.
type RoomConfig = room.RoomConfig

// ConfigUpdate is what [Client.Update] changes of a room's [RoomConfig]; nil leaves it as it
// is. If Hosts changes, that decides anew whether the creator is a host.
type ConfigUpdate = room.ConfigUpdate

// RoomInfo names the room that a switch goes to: RoomID, and RoomName for a new one.
type RoomInfo = room.RoomInfo

// Replies. Each has the [Lease] of the session that asked.
type (
	// JoinedReply answers [Client.Create], [Client.Join], [Client.Enter] and [Client.Switch]:
	// the Room and its [Position]; Subscribe, the subjects on which the caller hears it;
	// Created, whether Enter or Switch made the room; and Left, the room that Switch left.
	JoinedReply = room.JoinedReply
	// LeftReply answers [Client.Leave]: RoomID and its [Position] after the session left.
	LeftReply = room.LeftReply
	// LeftAllReply answers [Client.LeaveAll]: RoomIDList, the rooms that the session left.
	LeftAllReply = room.LeftAllReply
	// GetReply answers [Client.Get]: the Room and its [Position]; Subscribe, the subjects on
	// which the caller hears it; Owners, who owns which of its attributes; and for those who run
	// the room its Bans and Mutes, each a [Restriction]. More says that there are others.
	GetReply = room.GetReply
	// MembersReply answers [Client.Members]: one page of the MemberList, MemberCount, NextFlag
	// (empty on the last page) and the room's [Position]. With At, all are as they were then, and
	// Complete is false if the room's first facts are no longer kept, so that names, UserInfo and
	// attributes may be missing.
	MembersReply = room.MembersReply
	// CountReply answers [Client.Count]: MemberCount, and the room's [Position].
	CountReply = room.CountReply
	// MemberOfReply answers [Client.MemberOf]: MemberList has the users that are in the room,
	// ErrorUserList those that are not, and there is the room's [Position].
	MemberOfReply = room.MemberOfReply
	// RoomsReply answers [Client.Rooms]: one page of Rooms, and NextFlag (empty on the last page).
	RoomsReply = room.RoomsReply
	// ListReply answers [Client.List]: one page of the RoomList, and NextFlag (empty on the
	// last page).
	ListReply = room.ListReply
	// RenewReply answers [Client.Renew]: one page of Rooms, those that the session is still in,
	// and NextFlag (empty on the last page).
	RenewReply = room.RenewReply
	// SetAttributesReply answers [Client.SetAttributes]: all Attributes of the room as they are
	// now; ErrorKeys, those that belong to other users and were not changed; and the room's
	// [Position].
	SetAttributesReply = room.SetAttributesReply
	// SetMemberAttributesReply answers [Client.SetMemberAttributes]: Infos has all attributes of
	// each member as they are now, ErrorUserList the users that are not in the room, and there
	// is the room's [Position].
	SetMemberAttributesReply = room.SetMemberAttributesReply
	// SendReply answers [Client.Send]: MessageID, Timestamp in milliseconds, and MessageSeq if
	// the message is stored.
	SendReply = room.SendReply
	// HistoryReply answers [Client.History]: Events, the facts or messages as CloudEvents,
	// oldest first; NextFlag, the position to ask for next (empty at the end); Complete, which
	// is false if some are no longer kept or the room is another instance now; where the room
	// is now, as Sequence of facts or MessageSeq of messages; and of messages Deleted, those
	// whose deletion comes in this part.
	HistoryReply = room.HistoryReply
	// DeleteMessagesReply answers [Client.DeleteMessages]: MessageSeqs has the messages that
	// were deleted, of the instance InstanceID.
	DeleteMessagesReply = room.DeleteMessagesReply
	// EraseUserReply answers [Client.EraseUser]: Erased counts the messages so far.
	EraseUserReply = room.EraseUserReply
	// InstancesReply answers [Client.Instances]: one page of Instances, the newest first, and
	// NextFlag (empty on the last page).
	InstancesReply = room.InstancesReply
	// BlockReply answers [Client.Block]: all that is refused to the user now.
	BlockReply = room.BlockReply
	// UnblockReply answers [Client.Unblock]: all that is refused to the user now.
	UnblockReply = room.UnblockReply
	// BlockedReply answers [Client.Blocked]: UserList, and NextFlag of the next page.
	BlockedReply = room.BlockedReply
	// KickReply answers [Client.Kick]: Kicked has the users that are out, ErrorUserList those
	// that were not in the room.
	KickReply = room.KickReply
	// DestroyReply answers [Client.Destroy]: RoomID.
	DestroyReply = room.DestroyReply

	// SetAccessReply answers [Client.SetAccess]: the room's Config as it is now, and its
	// [Position].
	SetAccessReply = room.SetAccessReply

	// UpdateReply answers [Client.Update]: the room's RoomName and Config as they are now, and
	// its [Position].
	UpdateReply = room.UpdateReply

	// UpdateMemberReply answers [Client.UpdateMember]: the Member as it is now, and the room's
	// [Position].
	UpdateMemberReply = room.UpdateMemberReply

	// SetRoleReply answers [Client.SetRole]: UserIDs has those who have the role now,
	// ErrorUserList those who were not in the room, and there is the room's [Position].
	SetRoleReply = room.SetRoleReply

	// RestrictedReply answers [Client.Ban], [Client.Unban], [Client.Mute] and [Client.Unmute]:
	// UserIDs has all users of the request, Until is when the ban or mute ends (0: with the
	// room's instance), and there is the room's [Position].
	RestrictedReply = room.RestrictedReply
)

// Parts of replies.
type (
	// Position is where a room is: InstanceID tells it from other rooms of its name, Sequence
	// counts its facts, and Revision is what MinRevision of a [Freshness] takes.
	Position = room.Position

	// Lease says when the session's lease ends unless it is renewed, ExpiresAt, and how many
	// LeaseSeconds a renewal gives it. Both are 0 for a session without a lease.
	Lease = room.Lease

	// Room describes a room: RoomID, RoomName, InstanceID, CreatedAt, CreatedBy, Config,
	// Attributes, MemberCount, Sequence, Revision, and DestroyAt if it is empty.
	Room = events.Room

	// LeftRoom is the room that a switch left: RoomID, InstanceID and Sequence.
	LeftRoom = room.LeftRoom

	// RoomHead is a room and how far it is: RoomID, InstanceID, Sequence of its newest fact
	// and MessageSeq of its newest message.
	RoomHead = room.RoomHead

	// Stay is an instance of a room that a session is in, or was in: RoomID, InstanceID.
	Stay = room.Stay

	// Departure is how a stay ended: its RoomID and InstanceID, the Sequence of the fact
	// that says so, Reason, ReasonText and LeftAt.
	Departure = room.Departure

	// Instance is one of the rooms that there were under one ID: InstanceID, RoomName, CreatedAt,
	// EndedAt and Reason if it has ended, and Sequence of its newest fact.
	Instance = room.Instance

	// Barred is what is refused to the user UserID: if it is Blocked everything, Until then (0: for
	// good) with that Reason, since BlockedAt; or Tokens, and those IssuedBefore that time.
	Barred = room.Barred

	// RevokedToken is a token that is refused: TokenID, and Until (0: for good).
	RevokedToken = room.RevokedToken

	// MemberInfo is a member: UserID, UserName, UserInfo, Role ([RoleHost], or empty), JoinedAt,
	// Attributes and Sessions.
	MemberInfo = room.MemberInfo

	// MemberSession is one device of a member: SessionID, JoinedAt and LeaseSeconds.
	MemberSession = room.MemberSession

	// ErrorUser is a user that a command for several users could not serve: UserID, and Code
	// and Number of the error.
	ErrorUser = room.ErrorUser

	// Restriction is a ban or a mute: UserID, Until (0: as long as the room's instance exists)
	// and Reason. In a [Fact] Lifted says that it is over.
	Restriction = events.Restriction

	// MemberUpdate is what a [Fact] says that has changed about the member UserID: UserName,
	// UserInfo and Role. What is empty is as before.
	MemberUpdate = events.MemberUpdate

	// Time is a time in milliseconds since 1970; its method Time gives a [time.Time].
	Time = events.Time
)

// Error is a refusal. Code is the row of the error table, one of the variables below;
// Message is for people; Field is the field that is wrong, if one is; Limit and Actual say
// which limit was exceeded and by what; RetryAfterMs says when to try again (0 leaves that
// to the caller); Outcome says whether the command may have had an effect. Until comes with
// [ErrBanned] and [ErrMuted]: when that ends, 0 if only with the room's instance. Attributes and
// At come with [ErrRevisionMismatch]: the current attributes, and the room's position.
type Error = room.Error

// Code is a row of the error table: Name, Number, and what it Means. It is an error, so
// that errors.Is finds it in an [*Error].
type Code = room.Code

// Outcome says what an [Error] leaves behind.
type Outcome = room.Outcome

// What an error leaves behind.
const (
	OutcomeNone    = room.None    // nothing happened
	OutcomeUnknown = room.Unknown // stored or not: the same request with the same RequestID tells
)

// The error codes.
var (
	ErrParamInvalid         = room.ErrParamInvalid         // a field is missing, malformed or out of its limits; Field names it
	ErrRateLimited          = room.ErrRateLimited          // too many messages of this sender in this room
	ErrUserAlreadyInRoom    = room.ErrUserAlreadyInRoom    // the session is in the room already; Enter accepts that
	ErrUserNotInRoom        = room.ErrUserNotInRoom        // the session is not in the room
	ErrRoomNotExist         = room.ErrRoomNotExist         // there is no such room; Enter and Create make one
	ErrRoomAlreadyExists    = room.ErrRoomAlreadyExists    // the room exists; Enter accepts that
	ErrRoomLimit            = room.ErrRoomLimit            // as many rooms exist as the service allows
	ErrUserRoomLimit        = room.ErrUserRoomLimit        // the user is in as many rooms as the service allows
	ErrAttributeCount       = room.ErrAttributeCount       // more attributes than a room may have
	ErrAttributeKey         = room.ErrAttributeKey         // an attribute's key is empty or too long
	ErrAttributeValue       = room.ErrAttributeValue       // an attribute's value is too long
	ErrAttributeTotal       = room.ErrAttributeTotal       // all attributes together are too long
	ErrMemberAttributeTotal = room.ErrMemberAttributeTotal // a member's attributes are too many, or too long together
	ErrMemberAttributeKey   = room.ErrMemberAttributeKey   // a member attribute's key is empty or too long
	ErrMemberAttributeValue = room.ErrMemberAttributeValue // a member attribute's value is too long
	ErrNotAllowed           = room.ErrNotAllowed           // the caller may not do this
	ErrRoomFull             = room.ErrRoomFull             // the room has the most members it may have
	ErrRevisionMismatch     = room.ErrRevisionMismatch     // the attributes were changed after IfRevision
	ErrMessageTooLong       = room.ErrMessageTooLong       // the message has more data than one may have
	ErrBusy                 = room.ErrBusy                 // nothing happened; try again later
	ErrUnavailable          = room.ErrUnavailable          // whether it was stored is not known
	ErrBanned               = room.ErrBanned               // the user may not come into the room; Until says for how long
	ErrMuted                = room.ErrMuted                // the user may not send in the room; Until says for how long
	ErrBlocked              = room.ErrBlocked              // a back end has blocked the user; Until says until when
)

// Fact is one change of a room, as a watch gives it. Type is one of the constants below.
// The fields up to Time are set in every fact, the others by Type: Joined says who joined,
// Left who left and why, and MemberCount how many members there are after that; Set and
// Delete are the room attributes that changed, Infos the member attributes; Name and Config are
// the room's from now on, and Updates, each a [MemberUpdate], what is new about members; Allowed
// is the whole list of those who may join, Bans and Mutes, each a [Restriction], are those that
// changed; Reason is why the room ended.
type Fact = events.Fact

// Types of facts.
const (
	RoomCreated             = events.RoomCreated             // a room begins; its first members are in it
	MemberJoined            = events.MemberJoined            // users joined with their first session
	MemberLeft              = events.MemberLeft              // users left with their last session
	SessionJoined           = events.SessionJoined           // a member joined with a further session
	SessionLeft             = events.SessionLeft             // one of a member's several sessions left
	RoomAttributesChanged   = events.RoomAttributesChanged   // attributes of the room were set or deleted
	MemberAttributesChanged = events.MemberAttributesChanged // attributes of members were set
	RoomAccessChanged       = events.RoomAccessChanged       // it changed which end users may join or send: the list, bans, mutes
	RoomUpdated             = events.RoomUpdated             // the room's name or configuration changed
	MemberUpdated           = events.MemberUpdated           // members have another name, info or role
	RoomKept                = events.RoomKept                // nothing changed; a quiet room keeps a fact in the journal
	RoomDestroyed           = events.RoomDestroyed           // the room ends
)

// LeftReason says why a session left.
type LeftReason = events.LeftReason

// Why a session left.
const (
	ReasonLeft      = events.ReasonLeft      // it asked to
	ReasonSwitched  = events.ReasonSwitched  // it switched to another room
	ReasonExpired   = events.ReasonExpired   // its lease ran out
	ReasonReplaced  = events.ReasonReplaced  // another session of its user took its place
	ReasonKicked    = events.ReasonKicked    // somebody kicked the user
	ReasonDestroyed = events.ReasonDestroyed // the room ended
)

// Role is what a member may do in a room.
type Role = events.Role

// What a member may do. In a [MemberInfo] the role of most is empty, which is RoleMember.
const (
	RoleMember = events.RoleMember // what everybody may
	RoleHost   = events.RoleHost   // run the room too
)

// Via says which command a session joined with.
type Via = events.Via

// Which command a session joined with.
const (
	ViaCreate = events.ViaCreate
	ViaJoin   = events.ViaJoin
	ViaEnter  = events.ViaEnter
	ViaSwitch = events.ViaSwitch
)

// DestroyReason says why a room ended.
type DestroyReason = events.DestroyReason

// Why a room ended.
const (
	DestroyedEmpty     = events.DestroyedEmpty     // it was empty for as long as it waits
	DestroyedRequested = events.DestroyedRequested // somebody asked for it
)

// WatchRequest says what to watch: RoomID.
//
// MayNotExist waits for a room that does not exist yet; without it, a missing room is
// [ErrRoomNotExist]. Every, a [time.Duration], is how often the watch asks for the room's
// position when it hears nothing of the room and no renewal tells it: the last fact before a
// silence may be missing for as long as that. Zero means 20 s.
type WatchRequest = follow.WatchRequest

// Update is one step of a [Client.Watch].
//
// Fact is what happened, a [*Fact]. It is nil if a snapshot takes its place, and if the room
// was found to be gone. If this version does not know the fact's type, only the fields that
// all facts have are set. Raw is the fact as it arrived. Revision is the fact's revision, 0
// if it is not known, for example because the fact was recovered. Recovered says that the
// fact was missed and then read by history.
//
// Fresh says why the roster starts over; it is empty if the roster follows from the one
// before. Roster is the room after the fact, a [*Roster], or nil if there is none.
type Update = follow.Update

// Fresh says why a roster does not follow from the one before it.
type Fresh = follow.Fresh

// Why a roster does not follow from the one before it.
const (
	FreshStart    = follow.FreshStart    // the first one
	FreshInstance = follow.FreshInstance // the room is another one of that name now
	FreshGap      = follow.FreshGap      // some facts were missed and are no longer kept, or the journal has lost some since
)

// Roster is one instance of a room with its members, as a [Client.Watch] knows it at one
// update. The next update changes it. What its methods return stays as it is and must not
// be changed. The roster belongs to the goroutine of the watch, so another one needs a
// copy, for example slices.Collect(r.All()).
//
// All iterates over the members, each a [MemberInfo], oldest first; Len counts them; Member
// finds one by its userID, and says whether it is there. Room describes the room, a [Room]
// whose Revision is the newest that the watch has seen. InstanceID tells the room from
// earlier and later rooms of the same name, and Sequence is the number of its facts so far.
type Roster = follow.Roster

// MessagesRequest says which room's messages to listen to, RoomID, and where to start.
// AfterMessageSeq, a *uint64, starts with the messages after that one, as far as they are
// kept, and 0 with the oldest; nil starts with those that are sent from now on. InstanceID is
// the instance of the room that the message AfterMessageSeq was said in: if it has ended, what
// else was said in it comes first. MayNotExist and Every are as in [WatchRequest]. Note is
// called with each [Note], in the goroutine of the loop.
type MessagesRequest = follow.MessagesRequest

// Heard is one message of [Client.Messages].
//
// Message is what was said, a [*Message]; its Seq is set if it is stored. Raw is the message
// as it arrived. Recovered says that the message was missed and then read by history. After is
// the newest message before it, 0 if there is none. Lost says that some messages between After
// and it may have been missed and are no longer kept.
type Heard = follow.Heard

// Note is what [Client.Messages] tells besides messages, if [MessagesRequest] has a function
// for it: its Kind, the room's InstanceID, and After, the newest message so far.
type Note = follow.Note

// NoteKind says what a [Note] is about.
type NoteKind = follow.NoteKind

// What a note is about.
const (
	NoteListening = follow.NoteListening // what was said before has been yielded; from here on messages come as they are said
	NoteDeleted   = follow.NoteDeleted   // the messages in Deleted were deleted; it may be told more than once
	NoteLost      = follow.NoteLost      // some messages after After may have been missed and are no longer kept
	NoteEnded     = follow.NoteEnded     // the room has ended, and everything that was said in it has been yielded
)

// Message is something that was said in a room: who said it, Sender (empty for the server
// itself); its Type, Data and the other fields of [SendRequest]; and Seq, its messageSeq,
// if it is stored.
type Message = events.Message

// MessageType is the kind of a message.
type MessageType = events.MessageType

// Kinds of messages. The first two are stored, the others are live only.
const (
	Text    = events.Text
	Custom  = events.Custom
	Signal  = events.Signal  // "command": for programs, such as a typing hint
	Barrage = events.Barrage // for the eye: comments that fly by
)

// Priority is how important a message is where a rate limit is met.
type Priority = events.Priority

// Priorities of messages.
const (
	Low    = events.Low
	Medium = events.Medium
	High   = events.High
)

// Notice says what became of the session SessionID in Room: its State, and the Event that
// brought it there, with the Error if a command was refused; its Until says when a ban or mute
// ends.
type Notice = events.Notice

// State is what is true for one session and one room.
type State = events.State

// What is true for a session and a room.
const (
	Disconnected = events.Disconnected
	Connecting   = events.Connecting
	Connected    = events.Connected
)

// Event says what brought a session into its state.
type Event = events.Event

// What brought a session into its state.
const (
	Success                = events.Success                // it worked: the session is in the room, or left it
	NetworkInterrupted     = events.NetworkInterrupted     // the client's connection was lost, or is back and the client asks
	NetworkDisconnected    = events.NetworkDisconnected    // it can't be known whether the session is in the room
	RoomNotExist           = events.RoomNotExist           // the room is gone
	ActiveCreate           = events.ActiveCreate           // the session is creating the room
	CreateFailed           = events.CreateFailed           // that was refused
	ActiveEnter            = events.ActiveEnter            // the session is entering the room
	EnterFailed            = events.EnterFailed            // that was refused
	KickedOut              = events.KickedOut              // somebody kicked or banned the user; of a ban the notice has an Error
	ConnectTimeout         = events.ConnectTimeout         // the session's lease ran out
	KickedOutByOtherDevice = events.KickedOutByOtherDevice // another session of the user took its place
	ActiveSwitch           = events.ActiveSwitch           // the session is switching rooms
	SwitchFailed           = events.SwitchFailed           // that was refused
)
