package api

import (
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/talk"
	"natsrooms/subjects"
)

// takeSend takes a send.
func takeSend(a *API, q *request) {
	body := &room.SendRequest{}
	cmd, ok := begin(a, q, body, true)
	if !ok {
		return
	}
	if err := setRoom(&cmd.Room, "roomID", body.RoomID); err != nil {
		a.sendError(q, err)
		return
	}
	a.inTurn(q, []subjects.Room{cmd.Room}, func() {
		if cmd.RequestID != "" && a.Commit.Repeat(&q.Call) {
			return
		}
		a.consult(q, func(answer hooks.Answer) { a.say(q, body, answer) })
	})
}

// say passes a message on as the application would have it.
func (a *API) say(q *request, body *room.SendRequest, answer hooks.Answer) {
	answer.Replace.In(&body.Data, &body.ExtendedData)
	m, err := q.Cmd.Say(body, a.Limits())
	if err == nil && m.Type.Stored() {
		err = a.Space.Say()
	}
	if err != nil {
		a.Commit.Refuse(&q.Call, err)
		return
	}
	s := a.saying(q)
	s.Message, s.Heard, s.Silent = m, a.Talk.Now(q.Cmd.Room), answer.Silent
	a.alive(q, func() { a.Talk.Say(s) })
}

func (a *API) saying(q *request) *talk.Saying {
	return &talk.Saying{Call: &q.Call, Said: func(r *room.SendReply) { a.answer(q, r) }}
}

// repeatSend answers a repeated send of a live-only message; stored messages are known to the
// stream.
func repeatSend(a *API, q *request, r *commit.Result) {
	a.reply(q, r.Before.Said)
}
