package verbs

import (
	"context"
	"time"

	"natsrooms/roomsvc/api"
	"natsrooms/roomsvc/erase"
	"natsrooms/roomsvc/room"
)

// What the deletion of messages counts as, in commands.
const (
	searching = 10 // to look for them, besides what is read
	erasing   = 50 // for each message: the server rewrites a file
)

func takeDelete(a *api.API, q *api.Request) {
	body := &room.DeleteMessagesRequest{}
	cmd, ok := api.Begin(a, q, body, true)
	if !ok {
		return
	}
	err := api.SetRoom(&cmd.Room, "roomID", body.RoomID)
	if err == nil {
		err = body.Check()
	}
	if err != nil {
		a.SendError(q, err)
		return
	}
	a.ReadAside(q, room.Freshness{}, cmd.Room, func(ctx context.Context) (any, *room.Error) {
		a.ByToken(q)
		asked := &erase.Asked{Call: &q.Call, Trusted: !q.UserForm, Reading: q.Place.Read}
		reply, refused := a.Eraser.Delete(ctx, asked, body)
		q.Place.Spent(time.Now(), searching+asked.Read/costs)
		if refused != nil {
			return nil, refused
		}
		q.Place.Spent(time.Now(), erasing*len(reply.MessageSeqs))
		return reply, nil
	})
}

// takeErase takes an eraseUser. Its user is the one whose messages are erased; nobody acts.
func takeErase(a *api.API, q *api.Request) {
	body := &room.EraseUserRequest{}
	cmd, ok := api.Begin(a, q, body, false)
	if !ok {
		return
	}
	user := cmd.User
	cmd.User, q.Lease = "", room.Lease{}
	a.ReadAside(q, room.Freshness{}, "", func(ctx context.Context) (any, *room.Error) {
		reply, refused := a.Eraser.User(ctx, &erase.Asked{Call: &q.Call, Trusted: true}, user, body)
		if refused != nil {
			return nil, refused
		}
		return reply, nil
	})
}
