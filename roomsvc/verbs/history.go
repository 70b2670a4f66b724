package verbs

import (
	"context"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/api"
	"natsrooms/roomsvc/messages"
	"natsrooms/roomsvc/past"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// takeHistory takes a request for what happened, or was said, in a room.
func takeHistory(a *api.API, q *api.Request) {
	body := &room.HistoryRequest{}
	r, ok := api.BeginRead(a, q, body, &body.RoomID)
	if !ok {
		return
	}
	count, refused := room.PageCount(body.Count)
	if refused == nil {
		refused = body.Start()
	}
	if refused != nil {
		a.SendError(q, refused)
		return
	}
	a.ReadAside(q, body.Freshness, r, api.Long(q, func(ctx context.Context) (any, *room.Error) {
		recalled := &recollection{q, past.Query{Room: r, Ask: body, Count: count, Bytes: api.PageRoom}, body, r}
		defer func() { q.Place.Spent(time.Now(), recalled.Read/costs) }()
		return recall(a, ctx, recalled)
	}))
}

// recollection is a request for a page of history.
type recollection struct {
	*api.Request
	past.Query // what is to be read for it
	body       *room.HistoryRequest
	room       subjects.Room
}

// costs is how many bytes of messages may be read for one request of an end user. Every so many
// further bytes count as one more request.
const costs = 2 << 10

// recall answers it.
func recall(a *api.API, ctx context.Context, q *recollection) (any, *room.Error) {
	head, since, refused := reader(a, q)
	switch {
	case refused != nil && refused.Code != room.ErrRoomNotExist && (refused.Code != room.ErrNotAllowed && refused.Code != room.ErrBanned || is(a, q)):
		return nil, refused
	case refused != nil || head.InstanceID != q.body.InstanceID:
		return recallEnded(a, ctx, q, head, refused)
	case since == nil && q.body.AfterSequence == nil:
		return nil, room.Refuse(room.ErrUserNotInRoom, "%q is not in %q, whose messages only those who were there may read", q.Cmd.User, q.room)
	}
	reply, err := a.Past.Living(ctx, &q.Query, head, since)
	if err != nil {
		return nil, unread(a, q.room, err)
	}
	if q.body.AfterSequence == nil && a.Feeds && q.UserForm {
		if refused := stillReads(a, ctx, q.Request, q.room, head.InstanceID, *since); refused != nil {
			return nil, refused
		}
	}
	return reply, nil
}

func unread(a *api.API, r subjects.Room, err error) *room.Error {
	a.Unread.Inc()
	a.Log.Warn("reading history", "room", r, "error", err)
	return room.Refuse(room.ErrBusy, "nothing happened: the stream did not answer in time; try again")
}

// is says whether the instance that is asked for is the room that exists.
func is(a *api.API, q *recollection) bool {
	head := a.Replica.Head(q.room)
	return head != nil && head.InstanceID == q.body.InstanceID
}

// recallEnded answers for an instance that is not the room that exists, if one does; refused
// says why the caller may not read that one.
func recallEnded(a *api.API, ctx context.Context, q *recollection, head *room.Head, refused *room.Error) (any, *room.Error) {
	if !q.body.Sync { // it may be the newest instance, of which this instance of the service has not heard
		q.body.Sync = true
		if e := a.Fresh(ctx, q.body.Freshness, q.room); e != nil {
			return nil, e
		}
		return recall(a, ctx, q)
	}
	reply, err := a.Past.Ended(ctx, &q.Query, func(c *events.Config) subjects.User { return limits(a, q, c) })
	switch {
	case err != nil:
		return nil, unread(a, q.room, err)
	case reply != nil:
		return reply, nil
	case refused != nil:
		return nil, refused
	}
	return a.Past.Other(ctx, &q.Query, head), nil
}

// limits is the user whose own stays in an ended room limit what the caller may read of it.
func limits(a *api.API, q *recollection, c *events.Config) subjects.User {
	hidden := c != nil && c.HistoryForJoiners != nil && !*c.HistoryForJoiners && q.body.AfterSequence == nil
	if hidden || a.Feeds && q.UserForm && (c == nil || c.Delivery != room.DeliveryOpen) {
		return q.Cmd.User
	}
	return ""
}

// reader says what the room is, and since when the caller may read its messages; since is nil
// if the caller may not read any.
func reader(a *api.API, q *recollection) (head *room.Head, since *messages.Since, refused *room.Error) {
	since = &messages.Since{}
	_, refused = a.View(q.Request, q.room, func(st *room.State) any {
		if visible := st.Config.HistoryForJoiners; visible != nil && !*visible && q.Cmd.User != "" {
			m := st.Member(q.Cmd.User)
			if since = nil; m != nil {
				since = &messages.Since{At: m.Since, Fact: m.JoinedIn()}
			}
		}
		head = st.Head
		return nil
	})
	return head, since, refused
}

// stillReads refuses to give an end user what was read of a room's messages, unless everything
// that was stored before the reading leaves the user's standing as it was. The user may have been out before
// a message was sent, and this instance may not have known it.
func stillReads(a *api.API, ctx context.Context, q *api.Request, r subjects.Room, instance string, since messages.Since) *room.Error {
	if a.Sync.Pass(ctx) != nil {
		return room.Refuse(room.ErrBusy, "nothing happened: this instance could not make sure of who is in %q; try again", r)
	}
	v, refused := a.View(q, r, func(st *room.State) any {
		m := st.Member(q.Cmd.User)
		return st.InstanceID == instance && (since == messages.Since{} || m != nil && m.JoinedIn() == since.Fact)
	})
	if refused == nil && v != true {
		refused = room.Refuse(room.ErrBusy, "nothing happened: %q joined again, or its room was made again, meanwhile; try again", q.Cmd.User)
	}
	return refused
}
