package api

import (
	"context"

	"natsrooms/roomsvc/ids"
	"natsrooms/roomsvc/room"
)

func takeBlock(a *API, q *request) {
	body := &room.BlockRequest{}
	bars(a, q, body, false, func(ctx context.Context) (any, *room.Error) { return a.Blocks.Block(ctx, body) })
}

func takeUnblock(a *API, q *request) {
	body := &room.UnblockRequest{}
	bars(a, q, body, false, func(ctx context.Context) (any, *room.Error) { return a.Blocks.Unblock(ctx, body) })
}

func takeBlocked(a *API, q *request) {
	body := &room.BlockedRequest{}
	bars(a, q, body, true, func(ctx context.Context) (any, *room.Error) { return a.Blocks.List(ctx, body) })
}

// bars answers a request about who is kept out. The user it names is not its caller: it has no
// turn among that user's commands, and is no sign of life of the user.
func bars[T any, P interface {
	*T
	asking
}](a *API, q *request, body P, anonymous bool, answer func(context.Context) (any, *room.Error)) {
	if !parse(a, q, body) {
		return
	}
	cmd, err := body.For().Command(q.info.Verb, anonymous, a.Limits())
	if err != nil {
		a.sendError(q, err)
		return
	}
	q.Cmd = cmd
	a.Commit.Track(&q.Call)
	if q.info.Kind == room.Bars {
		q.Begin() // if its time runs out, nobody knows what became of it
	}
	a.Life.Go(func() {
		ctx, cancel := context.WithDeadline(a.Life, q.Deadline)
		defer cancel()
		if v, refused := answer(ctx); refused != nil {
			a.refuse(q, refused)
		} else {
			a.answer(q, v)
		}
	})
}

// keptAway refuses a command that would bring somebody in who is blocked, or whose ID, or the
// room's, is new and could be taken for another one.
func (a *API) keptAway(q *request) *room.Error {
	if !q.info.Brings() {
		return nil
	}
	c := q.Cmd
	if refused := a.Blocks.Book.Refused(c.User); refused != nil {
		return refused
	}
	if a.Limits().StrictIDs == 0 {
		return nil
	}
	makes := c.Verb != room.Join && (c.Verb != room.Switch || c.CreateMissing)
	if makes && a.Replica.Head(c.Room) == nil {
		field := "roomID"
		if c.Verb == room.Switch {
			field = "toRoomInfo.roomID"
		}
		if why := ids.Plain(string(c.Room)); why != nil {
			return room.Invalid(field, "%v", why)
		}
	}
	if c.User != "" && len(a.Replica.Users.Of(c.User)) == 0 {
		if why := ids.Plain(string(c.User)); why != nil {
			return room.Invalid("userID", "%v", why)
		}
	}
	return nil
}
