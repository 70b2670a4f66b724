package client

import (
	"context"

	"natsrooms/roomsvc/room"
)

// Create makes a room with the user as its first member, or an empty one if there is no
// user.
func (c *Client) Create(ctx context.Context, q CreateRequest) (*JoinedReply, error) {
	r, err := do[JoinedReply](ctx, c, room.Create, c.changing(&q.Caller), &q)
	return r, c.came(&q.Caller, r, err)
}

// Join adds the user's session to a room that exists.
func (c *Client) Join(ctx context.Context, q RoomRequest) (*JoinedReply, error) {
	r, err := do[JoinedReply](ctx, c, room.Join, c.changing(&q.Caller), &q)
	return r, c.came(&q.Caller, r, err)
}

// Enter adds the user's session to a room, and makes the room if there is none. It also
// succeeds if the session is in the room already.
func (c *Client) Enter(ctx context.Context, q CreateRequest) (*JoinedReply, error) {
	r, err := do[JoinedReply](ctx, c, room.Enter, c.changing(&q.Caller), &q)
	return r, c.came(&q.Caller, r, err)
}

// Switch moves the user's session from one room to another. The session is never in both
// rooms, nor in neither of them.
func (c *Client) Switch(ctx context.Context, q SwitchRequest) (*JoinedReply, error) {
	defer c.own.leaving()()
	r, err := do[JoinedReply](ctx, c, room.Switch, c.changing(&q.Caller), &q)
	return r, c.came(&q.Caller, r, err)
}

// Leave takes the user's session out of a room.
func (c *Client) Leave(ctx context.Context, q RoomRequest) (*LeftReply, error) {
	defer c.own.leaving()()
	r, err := do[LeftReply](ctx, c, room.Leave, c.changing(&q.Caller), &q)
	return r, c.went(&q.Caller, err, q.RoomID)
}

// LeaveAll takes the user's session out of every room that it is in. The service does that
// for a thousand rooms in one step, so a session in more of them takes several. If a later
// step fails, the reply has the rooms that the earlier ones left, and a NextFlag.
func (c *Client) LeaveAll(ctx context.Context, q LeaveAllRequest) (*LeftAllReply, error) {
	defer c.own.leaving()()
	var all *LeftAllReply
	for {
		r, err := do[LeftAllReply](ctx, c, room.LeaveAll, c.changing(&q.Caller), &q)
		if err != nil {
			return all, err
		}
		_ = c.went(&q.Caller, nil, r.RoomIDList...)
		if all != nil {
			r.RoomIDList = append(all.RoomIDList, r.RoomIDList...)
		}
		if all = r; r.NextFlag == "" {
			return all, nil
		}
		q.RequestID = "" // the next step is a request of its own
	}
}

// Get describes a room.
func (c *Client) Get(ctx context.Context, q ReadRequest) (*GetReply, error) {
	return do[GetReply](ctx, c, room.Get, c.caller(&q.Caller), &q)
}

// Members lists one page of a room's members, oldest first. There are more if NextFlag is
// not empty. A page with another InstanceID belongs to another room of the same name. With At,
// which is for trusted callers, it lists those who were in at that moment.
func (c *Client) Members(ctx context.Context, q MembersRequest) (*MembersReply, error) {
	return do[MembersReply](ctx, c, room.Members, c.caller(&q.Caller), &q)
}

// Count tells how many members a room has.
func (c *Client) Count(ctx context.Context, q ReadRequest) (*CountReply, error) {
	return do[CountReply](ctx, c, room.Count, c.caller(&q.Caller), &q)
}

// MemberOf tells which of some users are members of a room.
func (c *Client) MemberOf(ctx context.Context, q MemberOfRequest) (*MemberOfReply, error) {
	return do[MemberOfReply](ctx, c, room.MemberOf, c.caller(&q.Caller), &q)
}

// Rooms lists one page of the rooms that the user is in.
func (c *Client) Rooms(ctx context.Context, q RoomsRequest) (*RoomsReply, error) {
	return do[RoomsReply](ctx, c, room.Rooms, c.caller(&q.Caller), &q)
}

// List lists one page of all rooms, or of those whose ID starts with a prefix. It is for
// trusted callers.
func (c *Client) List(ctx context.Context, q ListRequest) (*ListReply, error) {
	return do[ListReply](ctx, c, room.List, c.caller(&q.Caller), &q)
}

// Renew tells the service that the session is still there, and lists the rooms that the
// session is in, with the position of each. A caller that has not seen a room up to there
// has missed something.
func (c *Client) Renew(ctx context.Context, q RenewRequest) (*RenewReply, error) {
	return do[RenewReply](ctx, c, room.Renew, c.caller(&q.Caller), &q)
}

// SetAttributes changes attributes of a room, all of them in one step. Keys that belong to
// other users are not changed, and ErrorKeys names them; a trusted caller without a user may
// change all, and owns none. With IfRevision the change is
// refused with [ErrRevisionMismatch] if attributes were changed after that revision; the
// error's Attributes and At say what is there now.
func (c *Client) SetAttributes(ctx context.Context, q SetAttributesRequest) (*SetAttributesReply, error) {
	return do[SetAttributesReply](ctx, c, room.SetAttributes, c.changing(&q.Caller), &q)
}

// SetMemberAttributes sets attributes of members of a room.
func (c *Client) SetMemberAttributes(ctx context.Context, q SetMemberAttributesRequest) (*SetMemberAttributesReply, error) {
	return do[SetMemberAttributesReply](ctx, c, room.SetMemberAttributes, c.changing(&q.Caller), &q)
}

// Send sends a message to a room. Text and custom messages are stored when it returns; the
// others are live only. Without a user, the message is from the server itself.
func (c *Client) Send(ctx context.Context, q SendRequest) (*SendReply, error) {
	return do[SendReply](ctx, c, room.Send, c.changing(&q.Caller), &q)
}

// DeleteMessages deletes messages of a room, so that nobody can read them any more: for their
// sender, for some time after it sent them, and for trusted callers. With OfUserID there may be
// more if NextFlag is not empty.
func (c *Client) DeleteMessages(ctx context.Context, q DeleteMessagesRequest) (*DeleteMessagesReply, error) {
	return do[DeleteMessagesReply](ctx, c, room.DeleteMessages, c.changing(&q.Caller), &q)
}

// EraseUser erases a part of the messages that the user UserID sent, in all rooms. There may be
// more if NextFlag is not empty: the same call with that flag goes on. It is for trusted callers.
func (c *Client) EraseUser(ctx context.Context, q EraseUserRequest) (*EraseUserReply, error) {
	if q.UserID == "" { // it is never the client's own user by mistake
		return nil, room.Invalid("userID", "is empty; it must name the user whose messages are to be erased")
	}
	return do[EraseUserReply](ctx, c, room.EraseUser, c.changing(&q.Caller), &q)
}

// History reads one page of the facts or of the messages of an instance of a room.
func (c *Client) History(ctx context.Context, q HistoryRequest) (*HistoryReply, error) {
	return do[HistoryReply](ctx, c, room.History, c.caller(&q.Caller), &q)
}

// Instances lists one page of the rooms that there were under one ID, one after the other, as
// far back as facts are kept, the newest first. It is for trusted callers.
func (c *Client) Instances(ctx context.Context, q InstancesRequest) (*InstancesReply, error) {
	return do[InstancesReply](ctx, c, room.Instances, c.caller(&q.Caller), &q)
}

// Kick puts users out of a room, with all their sessions; they may come back. Like all that
// follow but UpdateMember it is for those who run the room: trusted callers, and hosts of the
// room. A host's client has a UserID and [Config.UserForm].
func (c *Client) Kick(ctx context.Context, q KickRequest) (*KickReply, error) {
	return do[KickReply](ctx, c, room.Kick, c.changing(&q.Caller), &q)
}

// Ban puts users out of a room and keeps them out as end users, for a time or as long as the
// room's instance exists. Who comes back meanwhile is refused with [ErrBanned].
func (c *Client) Ban(ctx context.Context, q RestrictRequest) (*RestrictedReply, error) {
	return do[RestrictedReply](ctx, c, room.Ban, c.changing(&q.Caller), &q)
}

// Block refuses everything to the user q.UserID, or only some of its tokens: its connections end, it
// is out of all its rooms, and neither commands nor tokens of it are taken until then. It is for
// trusted callers. q.UserID has no default.
func (c *Client) Block(ctx context.Context, q BlockRequest) (*BlockReply, error) {
	return do[BlockReply](ctx, c, room.Block, about(&q.Caller), &q)
}

// Unblock takes back what Block refused to the user q.UserID. It is for trusted callers.
func (c *Client) Unblock(ctx context.Context, q UnblockRequest) (*UnblockReply, error) {
	return do[UnblockReply](ctx, c, room.Unblock, about(&q.Caller), &q)
}

// Blocked lists one page of the users to whom something is refused, or what is refused to the user
// q.UserID. It is for trusted callers.
func (c *Client) Blocked(ctx context.Context, q BlockedRequest) (*BlockedReply, error) {
	return do[BlockedReply](ctx, c, room.Blocked, &q.Caller, &q)
}

// Unban lets users come into a room again.
func (c *Client) Unban(ctx context.Context, q LiftRequest) (*RestrictedReply, error) {
	return do[RestrictedReply](ctx, c, room.Unban, c.changing(&q.Caller), &q)
}

// Mute keeps users from sending in a room as end users, whether they are in or not, for a time
// or as long as the room's instance exists. What they send is refused with [ErrMuted].
func (c *Client) Mute(ctx context.Context, q RestrictRequest) (*RestrictedReply, error) {
	return do[RestrictedReply](ctx, c, room.Mute, c.changing(&q.Caller), &q)
}

// Unmute lets users send in a room again.
func (c *Client) Unmute(ctx context.Context, q LiftRequest) (*RestrictedReply, error) {
	return do[RestrictedReply](ctx, c, room.Unmute, c.changing(&q.Caller), &q)
}

// SetRole makes members of a room hosts, or takes that from them. A role stays with its user
// as long as the room's instance exists, also when the user leaves and comes back.
func (c *Client) SetRole(ctx context.Context, q SetRoleRequest) (*SetRoleReply, error) {
	return do[SetRoleReply](ctx, c, room.SetRole, c.changing(&q.Caller), &q)
}

// Update changes a room's name and configuration. Members stay, also if there are more of them
// now than may be.
func (c *Client) Update(ctx context.Context, q UpdateRequest) (*UpdateReply, error) {
	return do[UpdateReply](ctx, c, room.Update, c.changing(&q.Caller), &q)
}

// UpdateMember changes what other members of a room see of the user: UserName and UserInfo of
// the request's [Caller]. What is empty stays as it is.
func (c *Client) UpdateMember(ctx context.Context, q RoomRequest) (*UpdateMemberReply, error) {
	return do[UpdateMemberReply](ctx, c, room.UpdateMember, c.changing(&q.Caller), &q)
}

// SetAccess changes which end users may join a room.
func (c *Client) SetAccess(ctx context.Context, q SetAccessRequest) (*SetAccessReply, error) {
	return do[SetAccessReply](ctx, c, room.SetAccess, c.changing(&q.Caller), &q)
}

// Destroy ends a room and puts everybody out.
func (c *Client) Destroy(ctx context.Context, q DestroyRequest) (*DestroyReply, error) {
	return do[DestroyReply](ctx, c, room.DestroyRoom, c.changing(&q.Caller), &q)
}
