package verbs

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc/api"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

func takeGet(a *api.API, q *api.Request) {
	readRoom(a, q, func(st *room.State) any {
		reply := &room.GetReply{Room: st.Info(st.Room), Subscribe: a.Subscribe(q, st.Room, st.Config), Position: st.Position(), Owners: st.OwnerIDs()}
		if !q.UserForm || a.Runs(q, st) {
			bans, mutes := st.Restrictions(events.TimeOf(time.Now()))
			var more [2]bool
			reply.Bans, more[0] = restrictions(bans)
			reply.Mutes, more[1] = restrictions(mutes)
			reply.More = more[0] || more[1]
		}
		return reply
	})
}

func takeCount(a *api.API, q *api.Request) {
	readRoom(a, q, func(st *room.State) any {
		return &room.CountReply{MemberCount: st.Members, Position: st.Position()}
	})
}

// readRoom answers a read that names a room and nothing else.
func readRoom(a *api.API, q *api.Request, answer func(*room.State) any) {
	var body room.ReadRequest
	r, ok := api.BeginRead(a, q, &body, &body.RoomID)
	if !ok {
		return
	}
	a.Read(q, body.Freshness, r, func() (any, *room.Error) { return a.View(q, r, answer) })
}

func takeMembers(a *api.API, q *api.Request) {
	var body room.MembersRequest
	r, ok := api.BeginRead(a, q, &body, &body.RoomID)
	if !ok {
		return
	}
	order, refused := room.PageOrder(body.NextFlag)
	count, wrong := room.PageCount(body.Count)
	if refused == nil {
		refused = wrong
	}
	if refused == nil && body.At != nil && q.UserForm {
		refused = room.Refuse(room.ErrNotAllowed, "at is for trusted callers, at %s; without it you get those who are in now", subjects.Command(string(room.Members)))
		refused.Field = "at"
	}
	if refused != nil {
		a.SendError(q, refused)
		return
	}
	if body.At != nil {
		a.ReadAside(q, body.Freshness, r, func(ctx context.Context) (any, *room.Error) { return membersAt(a, ctx, r, *body.At, order, count) })
		return
	}
	a.ReadBeside(q, body.Freshness, r, func() (any, *room.Error) {
		return a.View(q, r, func(st *room.State) any { return page(st, order, count) })
	})
}

// page is the members that joined after order, until there are count or the reply is full.
func page(st *room.State, order uint64, count int) *room.MembersReply {
	reply := &room.MembersReply{MemberList: []room.MemberInfo{}, MemberCount: st.Members, Position: st.Position()}
	var last *room.Member
	size := 0
	st.After(order, func(m *room.Member) bool {
		info := m.Wire()
		data, _ := json.Marshal(&info)
		if size += len(data) + 1; last != nil && (len(reply.MemberList) == count || size > api.PageRoom) {
			reply.NextFlag = room.PageFlag(last)
			return false
		}
		reply.MemberList = append(reply.MemberList, info)
		last = m
		return true
	})
	return reply
}

// membersAt is a page of those who were in the room at a moment.
func membersAt(a *api.API, ctx context.Context, r subjects.Room, at events.Time, order uint64, count int) (any, *room.Error) {
	then, refused, err := a.Past.Moments.At(ctx, r, at)
	switch {
	case err != nil:
		return nil, unread(a, r, err)
	case refused != nil:
		return nil, refused
	}
	reply := page(then.State, order, count)
	reply.Complete = &then.Whole
	return reply, nil
}

func takeMemberOf(a *api.API, q *api.Request) {
	var body room.MemberOfRequest
	r, ok := api.BeginRead(a, q, &body, &body.RoomID)
	if !ok {
		return
	}
	if n := len(body.UserIDs); n > room.MaxUserIDs {
		e := room.Invalid("userIDs", "has %d users; it may have %d", n, room.MaxUserIDs)
		e.Limit, e.Actual = room.MaxUserIDs, int64(n)
		a.SendError(q, e)
		return
	}
	for _, id := range body.UserIDs {
		if err := room.ParseID("userIDs", id); err != nil {
			a.SendError(q, err)
			return
		}
	}
	a.ReadBeside(q, body.Freshness, r, func() (any, *room.Error) {
		v, refused := a.View(q, r, func(st *room.State) any {
			reply := &room.MemberOfReply{MemberList: []room.MemberInfo{}, ErrorUserList: []room.ErrorUser{}, Position: st.Position()}
			for _, id := range body.UserIDs {
				if m := st.Member(subjects.User(id)); m != nil {
					reply.MemberList = append(reply.MemberList, m.Wire())
				} else {
					reply.ErrorUserList = append(reply.ErrorUserList, room.ErrorUser{UserID: id, Code: room.ErrUserNotInRoom.Name, Number: room.ErrUserNotInRoom.Number})
				}
			}
			return reply
		})
		if refused == nil {
			if size := len(a.Encode(v)) + api.LeaseRoom; size > api.MaxReply {
				refused = room.Invalid("userIDs", "ask for %d bytes of members; a reply may have %d, ask for fewer users at once", size, api.MaxReply)
				refused.Limit, refused.Actual = api.MaxReply, int64(size)
			}
		}
		return v, refused
	})
}

func takeRooms(a *api.API, q *api.Request) {
	var body room.RoomsRequest
	if !api.BeginFor(a, q, &body, false) {
		return
	}
	a.ReadAside(q, body.Freshness, "", api.Long(q, func(ctx context.Context) (any, *room.Error) {
		rooms, next := heads(a, ctx, q.Cmd.User, body.NextFlag, 0, func(*replica.Room) bool { return true })
		return &room.RoomsReply{Rooms: rooms, NextFlag: next}, nil
	}))
}

func takeRenew(a *api.API, q *api.Request) {
	var body room.RenewRequest
	if !api.BeginFor(a, q, &body, false) {
		return
	}
	if err := body.Check(); err != nil {
		a.SendError(q, err)
		return
	}
	// A room that is missing in the answer is lost to the caller. That must not happen to a
	// room that the session joined a moment ago, elsewhere.
	begun := a.ReadAside(q, room.Freshness{Sync: true}, "", func(ctx context.Context) (any, *room.Error) {
		left, unknown := a.Departed.Of(ctx, q.Cmd, body.Rooms)
		rooms, next := heads(a, ctx, q.Cmd.User, body.NextFlag, len(a.Encode(left))+len(a.Encode(unknown)), func(known *replica.Room) (in bool) {
			known.View(func(st *room.State) { in = !q.Over && st.Has(q.Cmd) })
			return in
		})
		return &room.RenewReply{Rooms: rooms, NextFlag: next, Left: left, Unknown: unknown}, nil
	})
	if !begun { // its lease must not run out while a slow command is at work
		a.Leases.Touch(q.Session(), q.Ask, q.Deadline, func(leases.Grant, error) {})
	}
}

// heads is a page of those of the user's rooms that want takes, after the given one, with how
// far each has got; size bytes of the reply are taken already.
func heads(a *api.API, ctx context.Context, u subjects.User, after string, size int, want func(*replica.Room) bool) (rooms []room.RoomHead, next string) {
	rooms = []room.RoomHead{}
	var ids []subjects.Room
	for _, known := range a.Replica.Users.Of(u) {
		h := known.Head()
		if after != "" && string(known.ID) <= after || h == nil || h.Ending() || !want(known) {
			continue
		}
		if size += 128 + 2*len(known.ID); size > api.PageRoom && len(rooms) > 0 {
			next = rooms[len(rooms)-1].RoomID
			break
		}
		rooms = append(rooms, room.RoomHead{RoomID: string(known.ID), InstanceID: h.InstanceID, Sequence: h.Sequence})
		ids = append(ids, known.ID)
	}
	heads := a.Messages.Heads(ctx, ids)
	for i, id := range ids {
		rooms[i].MessageSeq = heads[id]
	}
	return rooms, next
}

func takeList(a *api.API, q *api.Request) {
	var body room.ListRequest
	_, ok := api.BeginRead(a, q, &body, nil)
	if !ok {
		return
	}
	count, refused := room.PageCount(body.Count)
	if refused != nil {
		a.SendError(q, refused)
		return
	}
	a.Read(q, body.Freshness, "", func() (any, *room.Error) {
		return listPage(a.Replica.From(body.Prefix, body.NextFlag), count), nil
	})
}

// listPage is the rooms of a list that exist, as many as fit on a page.
func listPage(rooms []*replica.Room, count int) *room.ListReply {
	reply := &room.ListReply{RoomList: []events.Room{}}
	size := 0
	for _, known := range rooms {
		h := known.Head()
		if h == nil || h.Ending() {
			continue
		}
		info := h.Info(known.ID)
		data, _ := json.Marshal(&info)
		if size += len(data) + 1; len(reply.RoomList) > 0 && (len(reply.RoomList) == count || size > api.PageRoom) {
			reply.NextFlag = reply.RoomList[len(reply.RoomList)-1].RoomID
			return reply
		}
		reply.RoomList = append(reply.RoomList, info)
	}
	return reply
}
