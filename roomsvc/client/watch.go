package client

import (
	"context"
	"iter"

	"natsrooms/roomsvc/client/follow"
	"natsrooms/subjects"
)

// Watch yields a room as it is, and then every fact of it exactly once and in order, without
// end. What is lost on the way, because of a dropped copy, a broken connection or a service
// that is away, is read by history. Only if it is not kept any more, a fresh snapshot takes
// its place, and the update says so. When a room ends, its last facts are told, also those
// that were missed, and the update of its end has no roster; if the room is made again, the
// watch goes on with the new one.
//
// The watch stops when the caller breaks out of the loop, or with an error:
//   - the cause that ctx ended with, [ErrClosed], or [nats.ErrConnectionClosed];
//   - [ErrRoomNotExist] at the first step, see MayNotExist of [WatchRequest];
//   - any other refusal, for example if the user may not see the room.
//
// Everything runs in the caller's goroutine. A slow caller loses nothing as long as the
// history reaches back far enough.
func (c *Client) Watch(ctx context.Context, q WatchRequest) iter.Seq2[Update, error] {
	return c.source().Watch(ctx, q)
}

// Messages yields every stored message of a room exactly once, in order of its messageSeq,
// without end: what is missed is read by history, also if the room has ended meanwhile.
// Messages that are live only are yielded as they arrive, at most once. When a room ends,
// Messages goes on with the next room of that name. A [Note] tells that, and that it listens,
// and when something is lost. It stops as [Client.Watch] does.
func (c *Client) Messages(ctx context.Context, q MessagesRequest) iter.Seq2[Heard, error] {
	return c.source().Messages(ctx, q)
}

// source is the client as far as following a room needs it. A watch goes on until it ends,
// so all but its first request are sent again even by a client that sends commands once.
func (c *Client) source() follow.Source {
	p := c.patient()
	s := follow.Source{
		Conn: c.nc, Life: c.life,
		First: c.Get, Get: persistent(p.Get), Members: persistent(p.Members), History: persistent(p.History),
		Flush: c.flush, Renewals: c.own.follow,
	}
	if c.cfg.UserForm {
		s.User, s.Session, s.Out = subjects.User(c.cfg.UserID), c.id, c.own.isOut
	}
	return s
}
