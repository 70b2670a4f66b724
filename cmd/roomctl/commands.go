package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
)

// newest makes a read see everything that was stored before it: a person who types
// "members" after a command expects to see its effect.
var newest = room.Freshness{Sync: true}

// createFlag makes the room that a switch goes to.
const createFlag = "--create"

func (c *createCmd) Run(ctx context.Context, s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomAlreadyExists: {"join", c.Room}}
	reply, err := client.Create(ctx, room.CreateRequest{Caller: s.caller(c.requestFlag), RoomID: c.Room, RoomName: c.Name, Config: c.config()})
	if err == nil {
		s.trusting(ctx, c.Room, c.rules())
	}
	return s.answer(err, func(l look) string { return l.created(s.As, reply) })
}

func (c *joinCmd) Run(ctx context.Context, s *session) error {
	client, err := s.actor()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{
		room.ErrRoomNotExist:  {"enter", c.Room},
		room.ErrRoomFull:      {"members", c.Room},
		room.ErrUserRoomLimit: {"rooms"},
	}
	reply, err := client.Join(ctx, room.RoomRequest{Caller: s.caller(c.requestFlag), RoomID: c.Room})
	return s.answer(err, func(l look) string { return l.joined(s.As, reply) })
}

func (c *enterCmd) Run(ctx context.Context, s *session) error {
	client, err := s.actor()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomFull: {"members", c.Room}, room.ErrUserRoomLimit: {"rooms"}}
	reply, err := client.Enter(ctx, room.CreateRequest{Caller: s.caller(c.requestFlag), RoomID: c.Room, RoomName: c.Name, Config: c.config()})
	if err == nil {
		s.trusting(ctx, c.Room, c.rules())
	}
	return s.answer(err, func(l look) string { return l.joined(s.As, reply) })
}

func (c *switchCmd) Run(ctx context.Context, s *session) error {
	client, err := s.actor()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{
		room.ErrRoomNotExist:  {"switch", c.From, c.To, createFlag},
		room.ErrUserNotInRoom: {"rooms"},
		room.ErrRoomFull:      {"members", c.To},
	}
	reply, err := client.Switch(ctx, room.SwitchRequest{
		Caller: s.caller(c.requestFlag), FromRoomID: c.From, ToRoomInfo: room.RoomInfo{RoomID: c.To}, IsCreateWhenRoomNotExisted: c.Create,
	})
	if refused := (*room.Error)(nil); errors.As(err, &refused) && refused.Field == "fromRoomID" {
		s.next[room.ErrRoomNotExist] = []string{"rooms"}
	}
	return s.answer(err, func(l look) string { return l.switched(s.As, reply) })
}

func (c *leaveCmd) Run(ctx context.Context, s *session) error {
	client, err := s.actor()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: {"rooms"}, room.ErrUserNotInRoom: {"rooms"}}
	reply, err := client.Leave(ctx, room.RoomRequest{Caller: s.caller(c.requestFlag), RoomID: c.Room})
	return s.answer(err, func(l look) string { return l.left(s.As, reply) })
}

func (c *leaveAllCmd) Run(ctx context.Context, s *session) error {
	client, err := s.actor()
	if err != nil {
		return err
	}
	s.lists.names = []string{"roomIDList"}
	var all []string
	q := room.LeaveAllRequest{Caller: s.caller(c.requestFlag)}
	for more := true; more && err == nil; {
		var reply *room.LeftAllReply
		if reply, err = client.LeaveAll(ctx, q); err == nil {
			all, q.RequestID = append(all, reply.RoomIDList...), ""
			more = reply.NextFlag != ""
		}
	}
	return s.answer(err, func(l look) string { return l.leftAll(s.As, all) })
}

func (c *getCmd) Run(ctx context.Context, s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which()}
	reply, err := client.Get(ctx, room.ReadRequest{Freshness: newest, RoomID: c.Room})
	if err == nil {
		s.trusting(ctx, c.Room, bounds(reply))
	}
	return s.answer(err, func(l look) string { return l.room(reply) })
}

func (c *membersCmd) Run(ctx context.Context, s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which()}
	if c.Count {
		reply, err := client.Count(ctx, room.ReadRequest{Freshness: newest, RoomID: c.Room})
		return s.answer(err, func(look) string { return members(reply.MemberCount) })
	}
	at, err := c.moment(s.look.zone)
	if err != nil {
		return err
	}
	s.lists.names = []string{"memberList"}
	all, complete, err := s.everybody(ctx, client, room.MembersRequest{Freshness: newest, RoomID: c.Room, At: at})
	if err == nil && !complete && !s.programs() {
		s.remark("names and attributes may be missing: the facts that set them are no longer kept")
	}
	return s.answer(err, func(l look) string {
		if at != nil && len(all) == 0 {
			return fmt.Sprintf("nobody was in %s at %s", l.roomID(c.Room), l.time(*at))
		}
		return l.members(c.Room, all)
	})
}

// everybody lists the members of a room, from all pages; complete says that nothing about them
// is missing.
func (s *session) everybody(ctx context.Context, c *client.Client, first room.MembersRequest) (all []room.MemberInfo, complete bool, err error) {
	instance, before := "", len(s.replies)
	q := first
	for more := true; more; {
		reply, err := c.Members(ctx, q)
		if err != nil {
			return nil, false, err
		}
		if q.NextFlag != "" && reply.InstanceID != instance { // by now another room of that name
			all, s.replies, q = nil, s.replies[:before], first
			continue
		}
		all, instance = append(all, reply.MemberList...), reply.InstanceID
		complete = reply.Complete == nil || *reply.Complete
		q.NextFlag, q.Freshness = reply.NextFlag, room.Freshness{MinRevision: reply.Revision}
		more = reply.NextFlag != ""
	}
	return all, complete, nil
}

// moment is the time that is asked for; nil: now.
func (c *membersCmd) moment(zone *time.Location) (*events.Time, error) {
	if c.At == "" {
		return nil, nil
	}
	at, err := timeOf("--at", c.At, zone)
	return &at, err
}

// timeOf reads a time that somebody typed.
func timeOf(flag, typed string, zone *time.Location) (at events.Time, err error) {
	if t, err := time.ParseInLocation(time.DateTime, typed, zone); err == nil {
		return events.TimeOf(t), nil
	}
	if at.UnmarshalText([]byte(typed)) != nil {
		return 0, usageError{fmt.Errorf("%s is %q; give a time such as 2026-01-02T15:04:05Z, or \"2026-01-02 15:04:05\" in local time", flag, typed)}
	}
	return at, nil
}

func (c *instancesCmd) Run(ctx context.Context, s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which()}
	s.lists.names = []string{"instances"}
	all, err := (&reader{s, client, c.Room}).instances(ctx)
	return s.answer(err, func(l look) string { return l.instances(all) })
}

func (c *roomsCmd) Run(ctx context.Context, s *session) error {
	client, err := s.actor()
	if err != nil {
		return err
	}
	s.lists.names = []string{"rooms"}
	var all []room.RoomHead
	q := room.RoomsRequest{Freshness: newest}
	for more := true; more && err == nil; {
		var reply *room.RoomsReply
		if reply, err = client.Rooms(ctx, q); err == nil {
			all, q.NextFlag, q.Freshness = append(all, reply.Rooms...), reply.NextFlag, room.Freshness{}
			more = reply.NextFlag != ""
		}
	}
	return s.answer(err, func(l look) string { return l.heads(s.As, all) })
}

func (c *lsCmd) Run(ctx context.Context, s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	s.lists.names = []string{"roomList"}
	var all []events.Room
	q := room.ListRequest{Freshness: newest, Prefix: c.Prefix}
	for more := true; more && err == nil; {
		var reply *room.ListReply
		if reply, err = client.List(ctx, q); err == nil {
			all, q.NextFlag, q.Freshness = append(all, reply.RoomList...), reply.NextFlag, room.Freshness{}
			more = reply.NextFlag != ""
		}
	}
	return s.answer(err, func(l look) string { return l.rooms(c.Prefix, all) })
}

func (c *kickCmd) Run(ctx context.Context, s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which()}
	reply, err := client.Kick(ctx, room.KickRequest{Caller: s.caller(c.requestFlag), RoomID: c.Room, UserIDs: c.Users, Reason: c.Reason})
	if err != nil {
		return err
	}
	if len(reply.Kicked) == 0 {
		return s.undone(undoneError{"nobody was kicked: " + notServed(c.Room, reply.ErrorUserList), s.nextHint([]string{"members", c.Room})})
	}
	return s.answer(nil, func(l look) string { return l.kicked(c.Room, reply) })
}

func (c *accessCmd) Run(ctx context.Context, s *session) error {
	if c.Access == "" && len(c.Allow) == 0 && len(c.Disallow) == 0 {
		return c.show(ctx, s)
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which()}
	reply, err := client.SetAccess(ctx, room.SetAccessRequest{Caller: s.caller(c.requestFlag), RoomID: c.Room, Access: c.Access, Allow: c.Allow, Disallow: c.Disallow})
	if err == nil {
		s.trusting(ctx, c.Room, chosen("", "", reply.Config.Access, ""))
	}
	return s.answer(err, func(l look) string { return l.access(c.Room, &reply.Config) })
}

func (c *destroyCmd) Run(ctx context.Context, s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which()}
	reply, err := client.Destroy(ctx, room.DestroyRequest{Caller: s.caller(c.requestFlag), RoomID: c.Room, Reason: c.Reason})
	return s.answer(err, func(l look) string { return l.roomID(reply.RoomID) + " is destroyed; nobody is in it any more" })
}
