package verbs

import (
	"natsrooms/events"
	"natsrooms/roomsvc/api"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// takeSend takes a send.
func takeSend(a *api.API, q *api.Request) {
	body := &room.SendRequest{}
	cmd, ok := api.Begin(a, q, body, true)
	if !ok {
		return
	}
	if err := api.SetRoom(&cmd.Room, "roomID", body.RoomID); err != nil {
		a.SendError(q, err)
		return
	}
	next := func() {
		if cmd.RequestID != "" && a.Commit.Repeat(&q.Call) {
			return
		}
		a.Consult(q, func(answer hooks.Answer) { say(a, q, body, answer) })
	}
	if events.MessageType(body.Type).Stored() {
		a.InTurn(q, []subjects.Room{cmd.Room}, next)
	} else {
		a.LiveInTurn(q, cmd.Room, next)
	}
}

// say passes a message on as the application would have it.
func say(a *api.API, q *api.Request, body *room.SendRequest, answer hooks.Answer) {
	answer.Replace.In(&body.Data, &body.ExtendedData)
	m, err := q.Cmd.Say(body, a.Limits())
	if err == nil && m.Type.Stored() {
		err = a.Space.Say()
	}
	if err != nil {
		a.Commit.Refuse(&q.Call, err)
		return
	}
	a.ByToken(q)
	s := a.Saying(q)
	s.Message, s.Heard, s.Silent = m, a.Talk.Now(q.Cmd.Room), answer.Silent
	a.Alive(q, func() { a.Talk.Say(s) })
}

// repeatSend answers a repeated send of a live-only message; stored messages are known to the
// stream.
func repeatSend(a *api.API, q *api.Request, r *commit.Result) {
	a.Reply(q, r.Before.Said)
}
