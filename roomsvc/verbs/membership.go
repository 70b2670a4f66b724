package verbs

import (
	"slices"

	"natsrooms/events"
	"natsrooms/roomsvc/api"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

func takeCreate(a *api.API, q *api.Request) {
	body := &room.CreateRequest{}
	api.ChangeRoom(a, q, body, &body.RoomID, q.Info.Verb == room.Create, func(c *room.Command, l *room.Limits) *room.Error {
		return c.Making("roomName", body.RoomName, body.Config, l)
	})
}

func takeRoom(a *api.API, q *api.Request) {
	body := &room.RoomRequest{}
	api.ChangeRoom(a, q, body, &body.RoomID, false, func(*room.Command, *room.Limits) *room.Error { return nil })
}

func takeKick(a *api.API, q *api.Request) {
	body := &room.KickRequest{}
	api.ChangeRoom(a, q, body, &body.RoomID, true, func(c *room.Command, _ *room.Limits) *room.Error { return c.Kick(body) })
}

func takeDestroy(a *api.API, q *api.Request) {
	body := &room.DestroyRequest{}
	api.ChangeRoom(a, q, body, &body.RoomID, true, func(c *room.Command, _ *room.Limits) *room.Error { return c.Destroy(body) })
}

func takeAccess(a *api.API, q *api.Request) {
	body := &room.SetAccessRequest{}
	api.ChangeRoom(a, q, body, &body.RoomID, true, func(c *room.Command, _ *room.Limits) *room.Error { return c.SetAccess(body) })
}

func takeSwitch(a *api.API, q *api.Request) {
	body := &room.SwitchRequest{}
	cmd, ok := api.Begin(a, q, body, false)
	if !ok {
		return
	}
	err := api.SetRoom(&cmd.From, "fromRoomID", body.FromRoomID)
	if err == nil {
		err = api.SetRoom(&cmd.Room, "toRoomInfo.roomID", body.ToRoomInfo.RoomID)
	}
	if err != nil {
		a.SendError(q, err)
		return
	}
	cmd.CreateMissing = body.IsCreateWhenRoomNotExisted
	if err = cmd.Making("toRoomInfo.roomName", body.ToRoomInfo.RoomName, body.Config, a.Limits()); err == nil && cmd.From == cmd.Room {
		err = room.Invalid("toRoomInfo.roomID", "is %q, and so is fromRoomID; a switch needs two rooms", cmd.Room)
	}
	a.Admit(q, err)
}

func takeLeaveAll(a *api.API, q *api.Request) {
	if _, ok := api.Begin(a, q, &room.LeaveAllRequest{}, false); ok {
		a.Admit(q, nil)
	}
}

// answerJoined answers create, join and enter. The replies of a run are the same except for
// who made the room.
func answerJoined(a *api.API, q *api.Request, r *commit.Result, same *api.Cache) {
	flag := created(q, r.Created)
	key := "joined"
	if flag != nil && *flag {
		key = "created"
	} else if flag != nil {
		key = "entered"
	}
	encode := func() []byte {
		info := info(a.Shown(q, r.State), r.At)
		return a.Encode(&room.JoinedReply{Room: info, Created: flag, Subscribe: a.Subscribe(q, r.At.Room, info.Config), Position: r.At.Position})
	}
	if a.Feeds && q.UserForm { // the subjects that it subscribes to may be its own
		a.Send(q, encode(), nil)
		return
	}
	a.Send(q, same.Get(key, r.At.Position, encode), nil)
}

// created is what a reply says about whether the room was made, for verbs that may or may not
// make one.
func created(q *api.Request, yes bool) *bool {
	if q.Info.Verb == room.Enter || q.Info.Verb == room.Switch {
		return &yes
	}
	return nil
}

func answerSwitched(a *api.API, q *api.Request, r *commit.Result, _ *api.Cache) {
	info := info(a.Shown(q, r.State), r.At)
	a.Reply(q, &room.JoinedReply{
		Room: info, Created: created(q, r.Created), Subscribe: a.Subscribe(q, r.At.Room, info.Config), Position: r.At.Position, Left: leftRoom(r.Left),
	})
}

// leftRoom is the room that a switch left, if that is known.
func leftRoom(left []replica.Place) *room.LeftRoom {
	if len(left) == 0 {
		return nil
	}
	return &room.LeftRoom{RoomID: string(left[0].Room), InstanceID: left[0].InstanceID, Sequence: left[0].Sequence}
}

// repeatJoined answers a repeated create, join, enter or switch.
func repeatJoined(a *api.API, q *api.Request, r *commit.Result) {
	o := r.Before
	p := replica.Place{Room: q.Cmd.Room}
	if o.Joined != nil {
		p = *o.Joined
	}
	st := a.Shown(q, r.State)
	if st != nil && o.Joined == nil { // it was in already: no fact says where the room was then
		p.Position = st.Position()
	}
	info := info(st, p)
	a.Reply(q, &room.JoinedReply{
		Room: info, Created: created(q, o.Created), Subscribe: a.Subscribe(q, q.Cmd.Room, info.Config), Position: p.Position, Left: leftRoom(o.Left),
	})
}

// info is the room as it is now, or what can still be said about one that has ended since or
// that the caller may not see any more.
func info(st *room.State, p replica.Place) events.Room {
	if st != nil {
		return st.Info(p.Room)
	}
	return events.Room{RoomID: string(p.Room), InstanceID: p.InstanceID, Attributes: map[string]string{}}
}

func answerLeft(a *api.API, q *api.Request, r *commit.Result, _ *api.Cache) { replyLeft(a, q, r.At) }

// repeatLeft answers a repeated leave.
func repeatLeft(a *api.API, q *api.Request, r *commit.Result) {
	p := replica.Place{Room: q.Cmd.Room}
	if len(r.Before.Left) > 0 {
		p = r.Before.Left[0]
	}
	replyLeft(a, q, p)
}

func replyLeft(a *api.API, q *api.Request, p replica.Place) {
	a.Reply(q, &room.LeftReply{RoomID: string(p.Room), Position: p.Position})
}

func answerLeftAll(a *api.API, q *api.Request, r *commit.Result, _ *api.Cache) {
	replyLeftAll(a, q, r.Left, r.More)
}

// repeatLeftAll answers a repeated leaveAll. Nobody remembers whether there were more rooms
// than it left, but that can only have been so if it left as many as it can.
func repeatLeftAll(a *api.API, q *api.Request, r *commit.Result) {
	replyLeftAll(a, q, r.Before.Left, len(r.Before.Left) == journal.MaxBatch)
}

func replyLeftAll(a *api.API, q *api.Request, left []replica.Place, more bool) {
	ids := make([]string, 0, len(left))
	for _, p := range left {
		ids = append(ids, string(p.Room))
	}
	reply := &room.LeftAllReply{RoomIDList: ids}
	if more {
		reply.NextFlag = ids[len(ids)-1]
	}
	a.Reply(q, reply)
}

func answerKicked(a *api.API, q *api.Request, r *commit.Result, _ *api.Cache) {
	replyKicked(a, q, r.Users, r.At)
}

func repeatKicked(a *api.API, q *api.Request, r *commit.Result) {
	replyKicked(a, q, r.Before.Users, r.Before.At)
}

func replyKicked(a *api.API, q *api.Request, kicked []subjects.User, at replica.Place) {
	reply := &room.KickReply{Kicked: []string{}, Position: at.Position}
	for _, u := range kicked {
		reply.Kicked = append(reply.Kicked, string(u))
	}
	reply.ErrorUserList = notIn(q.Cmd.Users, func(u subjects.User) bool { return slices.Contains(kicked, u) })
	a.Reply(q, reply)
}

// notIn lists the users whom a command could not serve because they were not in the room.
func notIn(users []subjects.User, served func(subjects.User) bool) []room.ErrorUser {
	list := []room.ErrorUser{}
	for _, u := range users {
		if !served(u) {
			list = append(list, room.ErrorUser{UserID: string(u), Code: room.ErrUserNotInRoom.Name, Number: room.ErrUserNotInRoom.Number})
		}
	}
	return list
}

func answerDestroyed(a *api.API, q *api.Request, r *commit.Result, _ *api.Cache) {
	replyDestroyed(a, q, r.At)
}

func repeatDestroyed(a *api.API, q *api.Request, r *commit.Result) { replyDestroyed(a, q, r.Before.At) }

func replyDestroyed(a *api.API, q *api.Request, at replica.Place) {
	a.Reply(q, &room.DestroyReply{RoomID: string(q.Cmd.Room), Position: at.Position})
}

func answerAccess(a *api.API, q *api.Request, r *commit.Result, _ *api.Cache) {
	a.Reply(q, &room.SetAccessReply{Config: info(r.State, r.At).Config, Position: r.At.Position})
}

func repeatAccess(a *api.API, q *api.Request, r *commit.Result) {
	reply := &room.SetAccessReply{Position: r.Before.At.Position}
	if st := a.Shown(q, r.State); st != nil {
		reply.Config = st.Config
	}
	a.Reply(q, reply)
}
