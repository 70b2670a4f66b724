package api

import (
	"context"
	"time"

	"natsrooms/roomsvc/erase"
	"natsrooms/roomsvc/room"
)

// erasing is how many commands the deletion of one message counts as, for which the server
// rewrites a file.
const erasing = 50

func takeDelete(a *API, q *request) {
	body := &room.DeleteMessagesRequest{}
	cmd, ok := begin(a, q, body, true)
	if !ok {
		return
	}
	err := setRoom(&cmd.Room, "roomID", body.RoomID)
	if err == nil {
		err = body.Check()
	}
	if err != nil {
		a.sendError(q, err)
		return
	}
	a.readAside(q, room.Freshness{}, cmd.Room, long(q, func(ctx context.Context) (any, *room.Error) {
		reply, refused := a.Eraser.Delete(ctx, &erase.Asked{Call: &q.Call, Trusted: !q.userForm}, body)
		if refused != nil {
			return nil, refused
		}
		q.place.Spent(time.Now(), erasing*len(reply.MessageSeqs))
		return reply, nil
	}))
}

// takeErase takes an eraseUser. Its user is the one whose messages are erased; nobody acts.
func takeErase(a *API, q *request) {
	body := &room.EraseUserRequest{}
	cmd, ok := begin(a, q, body, false)
	if !ok {
		return
	}
	user := cmd.User
	cmd.User, q.lease = "", room.Lease{}
	a.readAside(q, room.Freshness{}, "", func(ctx context.Context) (any, *room.Error) {
		reply, refused := a.Eraser.User(ctx, &erase.Asked{Call: &q.Call, Trusted: true}, user, body)
		if refused != nil {
			return nil, refused
		}
		return reply, nil
	})
}
