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
	if refused := e.able(); refused != nil {
		return nil, refused
	}
	f, refused := e.find(ctx, a, q)
	if refused != nil {
		return nil, refused
	}
	reply := &room.DeleteMessagesReply{RoomID: q.RoomID, InstanceID: f.instance, MessageSeqs: []uint64{}, NextFlag: f.next}
	if f.before == nil && len(f.list) == 0 {
		return reply, nil
	}
	t := e.own
	if f.any {
		t = e.any
	}
	done, refused := work(ctx, t)
	if refused != nil {
		return nil, refused
	}
	defer done()
	if !a.Begin() {
		return nil, late()
	}
	if f.before != nil {
		return e.again(f.before, q)
	}
	i, refused := e.carryOut(ctx, a.Cmd, 0, deletions(f.list)[0])
	if refused != nil {
		return nil, refused
	}
	reply.MessageSeqs = i.MessageSeqs
	return reply, nil
}

// found is what a request is about.
type found struct {
	*who
	before *messages.Intent // what it came to when it was sent before
	list   []*events.Message
	next   string
}

// find searches for it. Nothing is deleted yet.
func (e *Eraser) find(ctx context.Context, a *Asked, q *room.DeleteMessagesRequest) (f found, refused *room.Error) {
	done, err := a.Reading(ctx)
	if err != nil {
		return f, room.Refuse(room.ErrBusy, "nothing happened: other reads took all the time; try again")
	}
	defer done()
	before, refused := e.before(ctx, a.Cmd)
	if refused != nil {
		return f, refused
	}
	f.who, refused = e.who(a, q)
	switch {
	case len(before) > 0: // whoever it is by now
		if f.before = before[0]; f.who == nil {
			f.who = &who{}
		}
		return f, nil
	case refused != nil:
		return f, refused
	}
	search := e.named
	if q.OfUserID != "" {
		search = e.ofUser
	}
	f.list, f.next, refused = search(ctx, a, f.who, q)
	if refused == nil && len(f.list) == 0 && !f.any && !f.member {
		refused = f.outsider()
	}
	return f, refused
}

func (w *who) outsider() *room.Error {
	return room.Refuse(room.ErrNotAllowed, "%q is not in %q, and has sent none of these messages; nothing was deleted", w.user, w.room)
}

// again answers a request that was sent before. For one that goes on, the search begins again
// where that one began.
func (e *Eraser) again(i *messages.Intent, q *room.DeleteMessagesRequest) (*room.DeleteMessagesReply, *room.Error) {
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
		w.any = w.any || st.Runs(a.Cmd)
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
func (e *Eraser) named(ctx context.Context, a *Asked, w *who, q *room.DeleteMessagesRequest) (list []*events.Message, next string, refused *room.Error) {
	seen := map[uint64]bool{}
	for _, seq := range q.MessageSeqs {
		m, _, err := e.Messages.At(ctx, seq)
		if m != nil {
			a.Read += len(m.Data) + len(m.Extended)
		}
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

// ofUser returns messages of the user whom the request names, as far as they may be deleted: those
// in a part of the room's messages. Senders begin with the oldest that they may take back.
func (e *Eraser) ofUser(ctx context.Context, a *Asked, w *who, q *room.DeleteMessagesRequest) (list []*events.Message, next string, refused *room.Error) {
	after, refused := q.From()
	switch {
	case refused != nil:
		return nil, "", refused
	case !w.any && !w.member: // it would have to be searched for to find out that there is nothing
		return nil, "", w.outsider()
	case !w.any && after == 0:
		first, err := e.Messages.FirstSince(ctx, w.room, w.now.Add(-w.recall))
		if err != nil {
			return nil, "", e.unread(err)
		}
		if first == 0 {
			return nil, "", nil
		}
		after = first - 1
	}
	page, err := e.Messages.After(ctx, messages.Query{
		Room: w.room, InstanceID: w.instance, Count: room.MaxMessageSeqs, Bytes: 8 << 20,
		Heard: func(m *events.Message) bool { return m.Sender == q.OfUserID && w.may(m) == nil },
	}, after)
	if err != nil {
		return nil, "", e.unread(err)
	}
	a.Read += page.Read
	return page.Messages, page.Next, nil
}
