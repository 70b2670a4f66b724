package api

import (
	"natsrooms/roomsvc/commit"
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
		m, err := cmd.Say(body, a.Limits())
		if err == nil && m.Type.Stored() {
			err = a.Space.Say()
		}
		if err != nil {
			a.Commit.Refuse(&q.Call, err)
			return
		}
		heard := a.Talk.Now(cmd.Room)
		said := func(r *room.SendReply) { a.answer(q, r) }
		a.alive(q, func() { a.Talk.Say(&talk.Saying{Call: &q.Call, Message: m, Heard: heard, Said: said}) })
	})
}

// repeatSend answers a repeated send of a live-only message; stored messages are known to the
// stream.
func repeatSend(a *API, q *request, r *commit.Result) {
	a.reply(q, r.Before.Said)
}
