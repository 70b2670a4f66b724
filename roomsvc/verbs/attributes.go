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

func takeAttributes(a *api.API, q *api.Request) {
	body := &room.SetAttributesRequest{}
	api.ChangeRoom(a, q, body, &body.RoomID, true, func(c *room.Command, l *room.Limits) *room.Error { return c.SetAttributes(body, l) })
}

func takeMemberAttributes(a *api.API, q *api.Request) {
	body := &room.SetMemberAttributesRequest{}
	api.ChangeRoom(a, q, body, &body.RoomID, false, func(c *room.Command, l *room.Limits) *room.Error { return c.SetMemberAttributes(body, l) })
}

func answerAttributes(a *api.API, q *api.Request, r *commit.Result, same *api.Cache) {
	replyAttributes(a, q, a.Shown(q, r.State), r.At, r.ErrorKeys, same)
}

// repeatAttributes repeats the outcome of a setAttributes, with the attributes as they are
// now.
func repeatAttributes(a *api.API, q *api.Request, r *commit.Result) {
	replyAttributes(a, q, a.Shown(q, r.State), r.Before.At, r.Before.Keys, &api.Cache{})
}

// replyAttributes answers a setAttributes. The replies of a run are the same unless some of
// the keys belonged to somebody else.
func replyAttributes(a *api.API, q *api.Request, st *room.State, p replica.Place, errorKeys []string, same *api.Cache) {
	reply := &room.SetAttributesReply{Attributes: map[string]string{}, ErrorKeys: slices.Clone(errorKeys), Position: p.Position}
	if st != nil {
		reply.Attributes = st.Attributes
	}
	if len(errorKeys) > 0 || st == nil {
		a.Reply(q, reply)
		return
	}
	a.Send(q, same.Get("attributes", p.Position, func() []byte { return a.Encode(reply) }), nil)
}

func answerMemberAttributes(a *api.API, q *api.Request, r *commit.Result, _ *api.Cache) {
	replyMemberAttributes(a, q, a.Shown(q, r.State), r.At, q.Cmd.Users)
}

// repeatMemberAttributes repeats the outcome of a setMemberAttributes, with the attributes as
// they are now.
func repeatMemberAttributes(a *api.API, q *api.Request, r *commit.Result) {
	users := r.Before.Users
	if users == nil {
		users = q.Cmd.Users // everything was as it wanted it already
	}
	replyMemberAttributes(a, q, a.Shown(q, r.State), r.Before.At, users)
}

// replyMemberAttributes answers a setMemberAttributes: with the attributes that members among
// users have now or, where those are too much for a reply, with what was set.
func replyMemberAttributes(a *api.API, q *api.Request, st *room.State, p replica.Place, users []subjects.User) {
	reply := &room.SetMemberAttributesReply{Infos: []events.MemberAttributes{}, Position: p.Position}
	for _, u := range users {
		if m := st.Member(u); m != nil {
			reply.Infos = append(reply.Infos, events.MemberAttributes{UserID: string(u), Attributes: m.Wire().Attributes})
		}
	}
	reply.ErrorUserList = notIn(q.Cmd.Users, func(u subjects.User) bool {
		return slices.ContainsFunc(reply.Infos, func(i events.MemberAttributes) bool { return i.UserID == string(u) })
	})
	data := a.Encode(reply)
	if len(data) > api.MaxReply {
		for i := range reply.Infos {
			reply.Infos[i].Attributes = q.Cmd.Set
		}
		data = a.Encode(reply)
	}
	a.Send(q, data, nil)
}
