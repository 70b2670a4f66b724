package api

import (
	"context"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/messages"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// takeHistory takes a request for what happened, or was said, in a room.
func takeHistory(a *API, q *request) {
	body := &room.HistoryRequest{}
	r, ok := beginRead(a, q, body, &body.RoomID)
	if !ok {
		return
	}
	count, refused := pageCount(body.Count)
	if refused == nil {
		refused = oneOf(body)
	}
	if refused != nil {
		a.sendError(q, refused)
		return
	}
	a.readAside(q, body.Freshness, r, func(ctx context.Context) (any, *room.Error) { return a.recall(ctx, &recall{q, body, r, count}) })
}

// oneOf checks that exactly one position is given.
func oneOf(q *room.HistoryRequest) *room.Error {
	given := 0
	for _, p := range []*uint64{q.AfterSequence, q.AfterMessageSeq, q.BeforeMessageSeq} {
		if p != nil {
			given++
		}
	}
	if given != 1 {
		return room.Invalid("afterSequence", "or afterMessageSeq or beforeMessageSeq must say from where; %d of them do", given)
	}
	if q.InstanceID == "" {
		return room.Invalid("instanceID", "is empty; positions are those of one instance of a room, replies name it")
	}
	return nil
}

// recall is a request for a page of history.
type recall struct {
	*request
	body  *room.HistoryRequest
	room  subjects.Room
	count int
}

// recall answers it.
func (a *API) recall(ctx context.Context, q *recall) (any, *room.Error) {
	head, since, refused := a.reader(q)
	if refused != nil {
		return nil, refused
	}
	reply := &room.HistoryReply{InstanceID: head.InstanceID, Events: []jsontext.Value{}}
	var err error
	if q.body.AfterSequence != nil {
		reply.Sequence = head.Sequence
		if q.body.InstanceID == head.InstanceID {
			err = a.pastFacts(ctx, reply, q, head)
		}
	} else {
		newest := a.Messages.Heads(ctx, []subjects.Room{q.room})[q.room]
		reply.MessageSeq = &newest
		if since == nil {
			return nil, room.Refuse(room.ErrUserNotInRoom, "%q is not in %q, whose messages only those who were there may read", q.Cmd.User, q.room)
		}
		if q.body.InstanceID == head.InstanceID {
			err = a.pastMessages(ctx, reply, messages.Query{Room: q.room, InstanceID: head.InstanceID, CreatedAt: head.CreatedAt, Since: since.at, SinceFact: since.fact, Count: q.count, Bytes: pageRoom}, q.body)
			if err == nil && a.Feeds && q.userForm {
				refused = a.stillReads(ctx, q.request, q.room, head.InstanceID, *since)
			}
		}
	}
	if err != nil {
		a.Log.Warn("reading history", "room", q.room, "error", err)
		refused = room.Refuse(room.ErrBusy, "nothing happened: the stream did not answer in time; try again")
	}
	if refused != nil {
		return nil, refused
	}
	return reply, nil
}

// since is from when on a user may read a room's messages: the time and the sequence of the
// fact by which it came. It is zero if the user may read all.
type since struct {
	at   events.Time
	fact uint64
}

// reader says what the room is, and since when the caller may read its messages; since is nil
// if the caller may not read any.
func (a *API) reader(q *recall) (head *room.Head, from *since, refused *room.Error) {
	from = &since{}
	_, refused = a.view(q.request, q.room, func(st *room.State) any {
		if visible := st.Config.HistoryForJoiners; visible != nil && !*visible && q.Cmd.User != "" {
			m := st.Member(q.Cmd.User)
			if from = nil; m != nil {
				from = &since{m.Since, m.JoinedIn()}
			}
		}
		h := st.Head
		head = &h
		return nil
	})
	return head, from, refused
}

// stillReads refuses to give an end user what was read of a room's messages, unless everything
// that was stored before the reading leaves the user's standing as it was. The user may have been out before
// a message was sent, and this instance may not have known it.
func (a *API) stillReads(ctx context.Context, q *request, r subjects.Room, instance string, from since) *room.Error {
	if a.Sync.Pass(ctx) != nil {
		return room.Refuse(room.ErrBusy, "nothing happened: this instance could not make sure of who is in %q; try again", r)
	}
	v, refused := a.view(q, r, func(st *room.State) any {
		m := st.Member(q.Cmd.User)
		return st.InstanceID == instance && (from == since{} || m != nil && m.JoinedIn() == from.fact)
	})
	if refused == nil && v != true {
		refused = room.Refuse(room.ErrBusy, "nothing happened: %q joined again, or its room was made again, meanwhile; try again", q.Cmd.User)
	}
	return refused
}

func (a *API) pastMessages(ctx context.Context, reply *room.HistoryReply, query messages.Query, body *room.HistoryRequest) error {
	var page *messages.Page
	var err error
	if body.AfterMessageSeq != nil {
		page, err = a.Messages.After(ctx, query, *body.AfterMessageSeq)
	} else {
		page, err = a.Messages.Before(ctx, query, *body.BeforeMessageSeq)
	}
	if err != nil {
		return err
	}
	for _, m := range page.Messages {
		data, err := m.Encode(a.Source)
		if err != nil {
			return err
		}
		reply.Events = append(reply.Events, data)
	}
	newest := max(page.Head, *reply.MessageSeq)
	reply.MessageSeq, reply.NextFlag, reply.Complete = &newest, page.Next, page.Complete
	return nil
}

// pastFacts reads the room's facts after a sequence: from memory, where that reaches back far
// enough, or else from the journal.
func (a *API) pastFacts(ctx context.Context, reply *room.HistoryReply, q *recall, head *room.Head) error {
	after := *q.body.AfterSequence
	if after >= head.Sequence {
		reply.Complete = true
		return nil
	}
	if a.recentFacts(reply, q, head, after) {
		return nil
	}
	past, err := a.Journal.Past(ctx, q.room, journal.PastQuery{
		InstanceID: head.InstanceID, After: after, Newest: head.Sequence, At: head.Revision, Count: q.count, Bytes: pageRoom,
	})
	if err != nil {
		return err
	}
	for _, data := range past.Facts {
		reply.Events = append(reply.Events, data)
	}
	reply.Complete = past.First == after+1
	if past.Last < head.Sequence {
		reply.NextFlag = strconv.FormatUint(past.Last, 10)
	}
	return nil
}

// recentFacts answers from memory. It returns false where memory does not reach back far
// enough.
func (a *API) recentFacts(reply *room.HistoryReply, q *recall, head *room.Head, after uint64) bool {
	facts := a.Replica.Recent.After(q.room, head.InstanceID, after, q.count)
	size, last := 0, after
	for _, data := range facts {
		if size += len(data) + 1; len(reply.Events) > 0 && size > pageRoom || last == head.Sequence {
			break
		}
		reply.Events = append(reply.Events, data)
		last++
	}
	if last == after {
		return false
	}
	reply.Complete = true
	if last < head.Sequence {
		reply.NextFlag = strconv.FormatUint(last, 10)
	}
	return true
}
