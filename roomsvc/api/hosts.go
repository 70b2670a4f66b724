package api

import (
	"slices"

	"natsrooms/events"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

func takeUpdate(a *API, q *request) {
	body := &room.UpdateRequest{}
	changeRoom(a, q, body, &body.RoomID, true, func(c *room.Command, l *room.Limits) *room.Error { return c.Update(body, l) })
}

func takeUpdateMember(a *API, q *request) {
	body := &room.RoomRequest{}
	changeRoom(a, q, body, &body.RoomID, false, func(c *room.Command, _ *room.Limits) *room.Error { return c.UpdateMember() })
}

func takeRole(a *API, q *request) {
	body := &room.SetRoleRequest{}
	changeRoom(a, q, body, &body.RoomID, true, func(c *room.Command, _ *room.Limits) *room.Error { return c.SetRole(body) })
}

func takeRestrict(a *API, q *request) {
	body := &room.RestrictRequest{}
	changeRoom(a, q, body, &body.RoomID, true, func(c *room.Command, _ *room.Limits) *room.Error { return c.Restrict(body) })
}

func takeLift(a *API, q *request) {
	body := &room.LiftRequest{}
	changeRoom(a, q, body, &body.RoomID, true, func(c *room.Command, _ *room.Limits) *room.Error { return c.Lift(body) })
}

func answerUpdated(a *API, q *request, r *commit.Result, _ *cache) { a.replyUpdated(q, r, r.At) }

func repeatUpdated(a *API, q *request, r *commit.Result) { a.replyUpdated(q, r, r.Before.At) }

func (a *API) replyUpdated(q *request, r *commit.Result, at replica.Place) {
	info := info(r.State, at)
	a.reply(q, &room.UpdateReply{RoomName: info.RoomName, Config: info.Config, Position: at.Position})
}

func answerMember(a *API, q *request, r *commit.Result, _ *cache) { a.replyMember(q, r, r.At) }

func repeatMember(a *API, q *request, r *commit.Result) { a.replyMember(q, r, r.Before.At) }

func (a *API) replyMember(q *request, r *commit.Result, at replica.Place) {
	m := r.State.Member(q.Cmd.User)
	if m == nil { // it has left since
		m = &room.Member{User: q.Cmd.User, Name: q.Cmd.Name, Info: q.Cmd.Info, Sessions: []room.MemberSession{}}
	}
	a.reply(q, &room.UpdateMemberReply{Member: m.Wire(), Position: at.Position})
}

func answerRole(a *API, q *request, r *commit.Result, _ *cache) { a.replyRole(q, r, nil, r.At) }

func repeatRole(a *API, q *request, r *commit.Result) {
	a.replyRole(q, r, r.Before.Users, r.Before.At)
}

// replyRole answers a setRole; changed are in any case among those who were in.
func (a *API) replyRole(q *request, r *commit.Result, changed []subjects.User, at replica.Place) {
	reply := &room.SetRoleReply{UserIDs: []string{}, Position: at.Position}
	in := func(u subjects.User) bool { return slices.Contains(changed, u) || r.State.Member(u) != nil }
	for _, u := range q.Cmd.Users {
		if in(u) {
			reply.UserIDs = append(reply.UserIDs, string(u))
		}
	}
	reply.ErrorUserList = notIn(q.Cmd.Users, in)
	a.reply(q, reply)
}

func answerRestricted(a *API, q *request, r *commit.Result, _ *cache) {
	a.replyRestricted(q, r.Until, r.At)
}

func repeatRestricted(a *API, q *request, r *commit.Result) {
	a.replyRestricted(q, r.Before.Until, r.Before.At)
}

func (a *API) replyRestricted(q *request, until events.Time, at replica.Place) {
	reply := &room.RestrictedReply{UserIDs: []string{}, Until: until, Position: at.Position}
	for _, u := range q.Cmd.Users {
		reply.UserIDs = append(reply.UserIDs, string(u))
	}
	a.reply(q, reply)
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
