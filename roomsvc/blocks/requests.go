package blocks

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// pageBytes is about how many bytes a page of users has at most.
const pageBytes = 128 << 10

// Block answers a block: it is stored, and carried out.
func (w *Warden) Block(ctx context.Context, q *room.BlockRequest) (*room.BlockReply, *room.Error) {
	if refused := q.Check(events.TimeOf(time.Now())); refused != nil {
		return nil, refused
	}
	u := subjects.User(q.UserID)
	is, refused := w.change(ctx, &q.Caller, func(b *room.Barred, now events.Time) *room.Error { return b.Apply(q, now) })
	if refused != nil {
		return nil, refused
	}
	if err := w.Enforce(ctx, u); err != nil {
		e := room.Refuse(room.ErrUnavailable, "what %q may not do any more is stored, but whether it is out of everything is not known (%v); that goes on, and the same request again says how it ends", u, err)
		e.Outcome = room.Unknown
		return nil, e
	}
	return &room.BlockReply{Barred: is}, nil
}

// Unblock answers an unblock.
func (w *Warden) Unblock(ctx context.Context, q *room.UnblockRequest) (*room.UnblockReply, *room.Error) {
	is, refused := w.change(ctx, &q.Caller, func(b *room.Barred, _ events.Time) *room.Error {
		b.Lift(q.Tokens)
		return nil
	})
	return &room.UnblockReply{Barred: is}, refused
}

func (w *Warden) change(ctx context.Context, c *room.Caller, f func(*room.Barred, events.Time) *room.Error) (room.Barred, *room.Error) {
	is, refused, err := w.Book.Change(ctx, subjects.User(c.UserID), c.RequestID, f)
	switch {
	case refused != nil || err == nil:
		return is, refused
	case errors.Is(err, journal.ErrRefused):
		return is, room.Refuse(room.ErrBusy, "nothing happened: the bucket %s does not take it (%v); try again", subjects.BucketBlocks, err)
	}
	e := room.Refuse(room.ErrUnavailable, "it is not known whether this was stored (%v); send it again with the same requestID to learn it", err)
	e.Outcome = room.Unknown
	return is, e
}

// List answers a blocked.
func (w *Warden) List(ctx context.Context, q *room.BlockedRequest) (*room.BlockedReply, *room.Error) {
	count, refused := room.PageCount(q.Count)
	if refused != nil {
		return nil, refused
	}
	if err := w.Book.Pass(ctx); err != nil {
		return nil, room.Refuse(room.ErrBusy, "nothing happened: this instance could not make sure of what is stored (%v); try again", err)
	}
	reply := &room.BlockedReply{UserList: []room.Barred{}}
	if q.UserID != "" {
		if r := w.Book.Of(subjects.User(q.UserID)); r.Anything() {
			reply.UserList = append(reply.UserList, r)
		}
		return reply, nil
	}
	list, more := w.Book.From(q.NextFlag, count)
	size := 0
	for i, r := range list {
		data, _ := json.Marshal(&r)
		if size += len(data) + 1; i > 0 && size > pageBytes {
			list, more = list[:i], true
			break
		}
	}
	if reply.UserList = list; more {
		reply.NextFlag = list[len(list)-1].UserID
	}
	return reply, nil
}
