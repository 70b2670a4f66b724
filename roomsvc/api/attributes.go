package api

import (
	"slices"

	"natsrooms/events"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

func takeAttributes(a *API, q *request) {
	body := &room.SetAttributesRequest{}
	changeRoom(a, q, body, &body.RoomID, true, func(c *room.Command, l *room.Limits) *room.Error { return c.SetAttributes(body, l) })
}

func takeMemberAttributes(a *API, q *request) {
	body := &room.SetMemberAttributesRequest{}
	changeRoom(a, q, body, &body.RoomID, false, func(c *room.Command, l *room.Limits) *room.Error { return c.SetMemberAttributes(body, l) })
}

func answerAttributes(a *API, q *request, r *commit.Result, same *cache) {
	a.replyAttributes(q, a.shown(q, r.State), r.At, r.ErrorKeys, same)
}

// repeatAttributes repeats the outcome of a setAttributes, with the attributes as they are
// now.
func repeatAttributes(a *API, q *request, r *commit.Result) {
	a.replyAttributes(q, a.shown(q, r.State), r.Before.At, r.Before.Keys, &cache{})
}

// replyAttributes answers a setAttributes. The replies of a run are the same unless some of
// the keys belonged to somebody else.
func (a *API) replyAttributes(q *request, st *room.State, p replica.Place, errorKeys []string, same *cache) {
	reply := &room.SetAttributesReply{Attributes: map[string]string{}, ErrorKeys: slices.Clone(errorKeys), Position: p.Position}
	if st != nil {
		reply.Attributes = st.Attributes
	}
	if len(errorKeys) > 0 || st == nil {
		a.reply(q, reply)
		return
	}
	a.send(q, same.get("attributes", p.Position, func() []byte { return a.encode(reply) }), nil)
}

func answerMemberAttributes(a *API, q *request, r *commit.Result, _ *cache) {
	a.replyMemberAttributes(q, a.shown(q, r.State), r.At, q.Cmd.Users)
}

// repeatMemberAttributes repeats the outcome of a setMemberAttributes, with the attributes as
// they are now.
func repeatMemberAttributes(a *API, q *request, r *commit.Result) {
	users := r.Before.Users
	if users == nil {
		users = q.Cmd.Users // everything was as it wanted it already
	}
	a.replyMemberAttributes(q, a.shown(q, r.State), r.Before.At, users)
}

// replyMemberAttributes answers a setMemberAttributes: with the attributes that members among
// users have now or, where those are too much for a reply, with what was set.
func (a *API) replyMemberAttributes(q *request, st *room.State, p replica.Place, users []subjects.User) {
	reply := &room.SetMemberAttributesReply{Infos: []events.MemberAttributes{}, Position: p.Position}
	for _, u := range users {
		if m := st.Member(u); m != nil {
			reply.Infos = append(reply.Infos, events.MemberAttributes{UserID: string(u), Attributes: m.Wire().Attributes})
		}
	}
	reply.ErrorUserList = notIn(q.Cmd.Users, func(u subjects.User) bool {
		return slices.ContainsFunc(reply.Infos, func(i events.MemberAttributes) bool { return i.UserID == string(u) })
	})
	data := a.encode(reply)
	if len(data) > maxReply {
		for i := range reply.Infos {
			reply.Infos[i].Attributes = q.Cmd.Set
		}
		data = a.encode(reply)
	}
	a.send(q, data, nil)
}
