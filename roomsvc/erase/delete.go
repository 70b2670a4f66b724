package erase

import (
	"context"
	"errors"
	"strconv"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/messages"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Delete deletes messages of one instance of a room.
func (e *Eraser) Delete(ctx context.Context, a *Asked, q *room.DeleteMessagesRequest) (*room.DeleteMessagesReply, *room.Error) {
	done, refused := e.work(ctx)
	if refused != nil {
		return nil, refused
	}
	defer done()
	before, refused := e.before(ctx, a.Cmd)
	if refused != nil {
		return nil, refused
	}
	if len(before) > 0 {
		return e.again(a, before[0], q)
	}
	w, refused := e.who(a, q)
	if refused != nil {
		return nil, refused
	}
	find := e.named
	if q.OfUserID != "" {
		find = e.ofUser
	}
	list, next, refused := find(ctx, w, q)
	reply := &room.DeleteMessagesReply{RoomID: q.RoomID, InstanceID: w.instance, MessageSeqs: []uint64{}, NextFlag: next}
	switch {
	case refused != nil:
		return nil, refused
	case len(list) == 0 && !w.any && !w.member:
		return nil, room.Refuse(room.ErrNotAllowed, "%q is not in %q, and has sent none of these messages; nothing was deleted", w.user, w.room)
	case len(list) == 0:
		return reply, nil
	case !a.Begin():
		return nil, late()
	}
	d := deletions(list)[0]
	d.Operator = string(a.Cmd.User)
	i, refused := e.begin(ctx, a.Cmd, 0, d)
	if refused == nil {
		refused = e.finish(i)
	}
	if refused != nil {
		return nil, refused
	}
	reply.MessageSeqs = i.MessageSeqs
	return reply, nil
}

// again answers a request that was sent before. For one that goes on, the search begins again
// where that one began.
func (e *Eraser) again(a *Asked, i *messages.Intent, q *room.DeleteMessagesRequest) (*room.DeleteMessagesReply, *room.Error) {
	if !a.Begin() {
		return nil, late()
	}
	if refused := e.finish(i); refused != nil {
		return nil, refused
	}
	reply := &room.DeleteMessagesReply{RoomID: q.RoomID, InstanceID: i.InstanceID, MessageSeqs: i.MessageSeqs}
	if q.OfUserID != "" {
		reply.NextFlag = strconv.FormatUint(i.MessageSeqs[len(i.MessageSeqs)-1], 10)
	}
	return reply, nil
}

// who is somebody who deletes messages of an instance of a room.
type who struct {
	user     subjects.User
	room     subjects.Room
	instance string
	any      bool // it may delete any
	member   bool
	recall   time.Duration // in which it may delete its own
	now      time.Time
}

func (e *Eraser) who(a *Asked, q *room.DeleteMessagesRequest) (*who, *room.Error) {
	w := &who{
		user: a.Cmd.User, room: a.Cmd.Room, instance: q.InstanceID, any: a.Trusted,
		recall: time.Duration(e.Limits().Recall) * time.Second, now: time.Now(),
	}
	e.Replica.View(w.room, func(st *room.State) {
		if st == nil || st.Ending() || w.instance != "" && w.instance != st.InstanceID {
			return
		}
		w.instance = st.InstanceID
		w.member = st.Member(w.user) != nil
		w.any = w.any || st.IsHost(w.user)
	})
	if w.instance == "" {
		return nil, room.Refuse(room.ErrRoomNotExist, "there is no room %q; for messages of one that has ended, name its instanceID; nothing was deleted", w.room)
	}
	if of := subjects.User(q.OfUserID); of != "" && of != w.user && !w.any {
		return nil, room.Refuse(room.ErrNotAllowed, "only hosts of %q and back ends may delete what others said; nothing was deleted", w.room)
	}
	return w, nil
}

// may says why somebody may not delete a message; nil if it may.
func (w *who) may(m *events.Message) *room.Error {
	age := w.now.Sub(m.Time.Time())
	switch {
	case w.any || m.Sender == string(w.user) && age <= w.recall:
		return nil
	case m.Sender != string(w.user):
		return room.Refuse(room.ErrNotAllowed, "message %d of %q is not from %q; only its sender, hosts of the room and back ends may delete it; nothing was deleted", m.Seq, w.room, w.user)
	}
	refused := room.Refuse(room.ErrNotAllowed, "message %d of %q was sent %d s ago; its sender may delete it for %d s; nothing was deleted", m.Seq, w.room, int(age.Seconds()), int(w.recall.Seconds()))
	refused.Limit, refused.Actual = int64(w.recall.Seconds()), int64(age.Seconds())
	return refused
}

// named returns those messages that the request names and that are still kept.
func (e *Eraser) named(ctx context.Context, w *who, q *room.DeleteMessagesRequest) (list []*events.Message, next string, refused *room.Error) {
	seen := map[uint64]bool{}
	for _, seq := range q.MessageSeqs {
		m, _, err := e.Messages.At(ctx, seq)
		switch {
		case seen[seq], errors.Is(err, messages.ErrDiscarded), errors.Is(err, events.ErrUnknownType), errors.Is(err, events.ErrMalformed):
			continue // it is gone, or is no message
		case err != nil:
			return nil, "", e.unread(err)
		case m.Room != w.room || m.InstanceID != w.instance:
			continue
		}
		if refused := w.may(m); refused != nil {
			refused.Field = "messageSeqs"
			return nil, "", refused
		}
		seen[seq], list = true, append(list, m)
	}
	return list, "", nil
}

const searchPages = 8 // of the room's messages, for one request

// ofUser returns messages of the user whom the request names, as far as they may be deleted.
func (e *Eraser) ofUser(ctx context.Context, w *who, q *room.DeleteMessagesRequest) (list []*events.Message, next string, refused *room.Error) {
	after, refused := q.From()
	if refused != nil {
		return nil, "", refused
	}
	which := messages.Query{
		Room: w.room, InstanceID: w.instance, Count: room.MaxMessageSeqs, Bytes: 8 << 20,
		Heard: func(m *events.Message) bool { return m.Sender == q.OfUserID && w.may(m) == nil },
	}
	for range searchPages {
		which.Count = room.MaxMessageSeqs - len(list)
		page, err := e.Messages.After(ctx, which, after)
		if err != nil {
			return nil, "", e.unread(err)
		}
		list = append(list, page.Messages...)
		if next = page.Next; next == "" || len(list) == room.MaxMessageSeqs {
			break
		}
		if after, err = strconv.ParseUint(next, 10, 64); err != nil {
			return nil, "", e.unread(err)
		}
	}
	return list, next, nil
}
