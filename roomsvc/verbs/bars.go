package verbs

import (
	"context"

	"natsrooms/roomsvc/api"
	"natsrooms/roomsvc/room"
)

func takeBlock(a *api.API, q *api.Request) {
	body := &room.BlockRequest{}
	bars(a, q, body, false, func(ctx context.Context) (any, *room.Error) { return a.Blocks.Block(ctx, body) })
}

func takeUnblock(a *api.API, q *api.Request) {
	body := &room.UnblockRequest{}
	bars(a, q, body, false, func(ctx context.Context) (any, *room.Error) { return a.Blocks.Unblock(ctx, body) })
}

func takeBlocked(a *api.API, q *api.Request) {
	body := &room.BlockedRequest{}
	bars(a, q, body, true, func(ctx context.Context) (any, *room.Error) { return a.Blocks.List(ctx, body) })
}

// bars answers a request about who is kept out. The user it names is not its caller: it has no
// turn among that user's commands, and is no sign of life of the user.
func bars[T any, P interface {
	*T
	api.Asking
}](a *api.API, q *api.Request, body P, anonymous bool, answer func(context.Context) (any, *room.Error)) {
	if !api.Parse(a, q, body) {
		return
	}
	cmd, err := body.For().Command(q.Info.Verb, anonymous, a.Limits())
	if err != nil {
		a.SendError(q, err)
		return
	}
	q.Cmd = cmd
	a.Commit.Track(&q.Call)
	if q.Info.Kind == room.Bars {
		q.Begin() // if its time runs out, nobody knows what became of it
	}
	a.Life.Go(func() {
		ctx, cancel := context.WithDeadline(a.Life, q.Deadline)
		defer cancel()
		if v, refused := answer(ctx); refused != nil {
			a.Refuse(q, refused)
		} else {
			a.Answer(q, v)
		}
	})
}
