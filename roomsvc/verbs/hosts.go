package verbs

import (
	"slices"

	"natsrooms/events"
	"natsrooms/roomsvc/api"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

func takeUpdate(a *api.API, q *api.Request) {
	body := &room.UpdateRequest{}
	api.ChangeRoom(a, q, body, &body.RoomID, true, func(c *room.Command, l *room.Limits) *room.Error { return c.Update(body, l) })
}

func takeUpdateMember(a *api.API, q *api.Request) {
	body := &room.RoomRequest{}
	api.ChangeRoom(a, q, body, &body.RoomID, false, func(c *room.Command, _ *room.Limits) *room.Error { return c.UpdateMember() })
}

func takeRole(a *api.API, q *api.Request) {
	body := &room.SetRoleRequest{}
	api.ChangeRoom(a, q, body, &body.RoomID, true, func(c *room.Command, _ *room.Limits) *room.Error { return c.SetRole(body) })
}

func takeRestrict(a *api.API, q *api.Request) {
	body := &room.RestrictRequest{}
	api.ChangeRoom(a, q, body, &body.RoomID, true, func(c *room.Command, _ *room.Limits) *room.Error { return c.Restrict(body) })
}

func takeLift(a *api.API, q *api.Request) {
	body := &room.LiftRequest{}
	api.ChangeRoom(a, q, body, &body.RoomID, true, func(c *room.Command, _ *room.Limits) *room.Error { return c.Lift(body) })
}

func answerUpdated(a *api.API, q *api.Request, r *commit.Result, _ *api.Cache) {
	replyUpdated(a, q, r, r.At)
}

func repeatUpdated(a *api.API, q *api.Request, r *commit.Result) { replyUpdated(a, q, r, r.Before.At) }

func replyUpdated(a *api.API, q *api.Request, r *commit.Result, at replica.Place) {
	info := info(a.Shown(q, r.State), at)
	a.Reply(q, &room.UpdateReply{RoomName: info.RoomName, Config: info.Config, Position: at.Position})
}

func answerMember(a *api.API, q *api.Request, r *commit.Result, _ *api.Cache) {
	replyMember(a, q, r, r.At)
}

func repeatMember(a *api.API, q *api.Request, r *commit.Result) { replyMember(a, q, r, r.Before.At) }

func replyMember(a *api.API, q *api.Request, r *commit.Result, at replica.Place) {
	m := r.State.Member(q.Cmd.User)
	if m == nil { // it has left since
		m = &room.Member{User: q.Cmd.User, Name: q.Cmd.Name, Info: q.Cmd.Info, Sessions: []room.MemberSession{}}
	}
	a.Reply(q, &room.UpdateMemberReply{Member: m.Wire(), Position: at.Position})
}

func answerRole(a *api.API, q *api.Request, r *commit.Result, _ *api.Cache) {
	replyRole(a, q, r, nil, r.At)
}

func repeatRole(a *api.API, q *api.Request, r *commit.Result) {
	replyRole(a, q, r, r.Before.Users, r.Before.At)
}

// replyRole answers a setRole; changed are in any case among those who were in.
func replyRole(a *api.API, q *api.Request, r *commit.Result, changed []subjects.User, at replica.Place) {
	reply := &room.SetRoleReply{UserIDs: []string{}, Position: at.Position}
	st := a.Shown(q, r.State)
	in := func(u subjects.User) bool { return slices.Contains(changed, u) || st.Member(u) != nil }
	for _, u := range q.Cmd.Users {
		if in(u) {
			reply.UserIDs = append(reply.UserIDs, string(u))
		}
	}
	reply.ErrorUserList = notIn(q.Cmd.Users, in)
	a.Reply(q, reply)
}

func answerRestricted(a *api.API, q *api.Request, r *commit.Result, _ *api.Cache) {
	replyRestricted(a, q, r.Until, r.At)
}

func repeatRestricted(a *api.API, q *api.Request, r *commit.Result) {
	replyRestricted(a, q, r.Before.Until, r.Before.At)
}

func replyRestricted(a *api.API, q *api.Request, until events.Time, at replica.Place) {
	reply := &room.RestrictedReply{UserIDs: []string{}, Until: until, Position: at.Position}
	for _, u := range q.Cmd.Users {
		reply.UserIDs = append(reply.UserIDs, string(u))
	}
	a.Reply(q, reply)
}

// restrictions is the bans or mutes that a reply has room for; more says that there are others.
func restrictions(list []events.Restriction) (some []events.Restriction, more bool) {
	const most = 64 << 10
	size := 0
	i := slices.IndexFunc(list, func(x events.Restriction) bool {
		size += room.RestrictionSize(&x)
		return size > most
	})
	if i < 0 {
		return list, false
	}
	return list[:i], true
}
