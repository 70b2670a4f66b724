package roomsvc

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/messages"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// history takes a question for what happened, or was said, in a room.
func (s *Service) history(q *request) {
	body := &room.HistoryRequest{}
	r, ok := beginRead(s, q, body, &body.RoomID)
	if !ok {
		return
	}
	count, refused := pageCount(body.Count)
	if refused == nil {
		refused = oneOf(body)
	}
	if refused != nil {
		s.sendError(q.call, refused)
		return
	}
	s.readAside(q, body.Freshness, r, func(ctx context.Context) (any, *room.Error) { return s.recall(ctx, q, body, r, count) })
}

// oneOf checks that one position is given.
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

func (s *Service) recall(ctx context.Context, q *request, body *room.HistoryRequest, r subjects.Room, count int) (any, *room.Error) {
	var since events.Time
	var stranger bool
	v, refused := s.view(q, r, func(st *room.State) any {
		if visible := st.Config.HistoryForJoiners; visible != nil && !*visible && q.cmd.User != "" {
			m := st.Member(q.cmd.User)
			if stranger = m == nil; m != nil {
				since = m.Since
			}
		}
		head := st.Head
		return &head
	})
	if refused != nil {
		return nil, refused
	}
	head := v.(*room.Head)
	reply := &room.HistoryReply{InstanceID: head.InstanceID, Events: []jsontext.Value{}}
	if body.AfterSequence != nil {
		reply.Sequence = head.Sequence
	} else {
		newest := s.messages.Heads(ctx, []subjects.Room{r})[r]
		reply.MessageSeq = &newest
		if stranger {
			return nil, room.Refuse(room.ErrUserNotInRoom, "%q is not in %q, whose messages only those who were there may read", q.cmd.User, r)
		}
	}
	if body.InstanceID != head.InstanceID {
		return reply, nil
	}
	var err error
	if body.AfterSequence != nil {
		err = s.pastFacts(ctx, reply, r, head, *body.AfterSequence, count)
	} else {
		query := messages.Query{Room: r, InstanceID: head.InstanceID, CreatedAt: head.CreatedAt, Since: since, Count: count, Bytes: pageRoom}
		err = s.pastMessages(ctx, reply, query, body)
		if err == nil && s.cfg.Feeds && q.userForm {
			if refused = s.stillReads(ctx, q, r, head.InstanceID, since); refused != nil {
				return nil, refused
			}
		}
	}
	if err != nil {
		s.log.Warn("reading history", "room", r, "error", err)
		return nil, room.Refuse(room.ErrBusy, "nothing happened: the stream did not answer in time; try again")
	}
	return reply, nil
}

// stillReads refuses an end user what was read of a room's messages, unless everything that
// was stored before the reading leaves him who he was. What is said is in no order with the
// facts: he may have been out before it was, and this instance not have known.
func (s *Service) stillReads(ctx context.Context, q *request, r subjects.Room, instance string, since events.Time) *room.Error {
	if s.sync.pass(ctx) != nil {
		return room.Refuse(room.ErrBusy, "nothing happened: this instance could not make sure of who is in %q; try again", r)
	}
	v, refused := s.view(q, r, func(st *room.State) any {
		m := st.Member(q.cmd.User)
		return st.InstanceID == instance && (since == 0 || m != nil && m.Since == since)
	})
	if refused == nil && v != true {
		refused = room.Refuse(room.ErrBusy, "nothing happened: %q or its room has come anew meanwhile; try again", q.cmd.User)
	}
	return refused
}

func (s *Service) pastMessages(ctx context.Context, reply *room.HistoryReply, query messages.Query, body *room.HistoryRequest) error {
	var page *messages.Page
	var err error
	if body.AfterMessageSeq != nil {
		page, err = s.messages.After(ctx, query, *body.AfterMessageSeq)
	} else {
		page, err = s.messages.Before(ctx, query, *body.BeforeMessageSeq)
	}
	if err != nil {
		return err
	}
	for _, m := range page.Messages {
		data, err := m.Encode(s.cfg.SourcePrefix)
		if err != nil {
			return err
		}
		reply.Events = append(reply.Events, data)
	}
	newest := max(page.Head, *reply.MessageSeq)
	reply.MessageSeq, reply.NextFlag, reply.Complete = &newest, page.Next, page.Complete
	return nil
}

// pastFacts reads the room's facts behind a sequence.
func (s *Service) pastFacts(ctx context.Context, reply *room.HistoryReply, r subjects.Room, head *room.Head, after uint64, count int) error {
	if after >= head.Sequence {
		reply.Complete = true
		return nil
	}
	if s.recentFacts(reply, r, head, after, count) {
		return nil
	}
	reader := s.journal.Reader(subjects.Facts(r))
	at, first, err := findFact(ctx, reader, head, after)
	if err != nil {
		return err
	}
	reply.Complete = first == after+1
	size, last := 0, uint64(0)
	err = reader.Read(ctx, at, func(at uint64, data []byte) bool {
		if at > head.Revision { // newer than the head that the reply names
			return false
		}
		if size += len(data) + 1; len(reply.Events) > 0 && (len(reply.Events) == count || size > pageRoom) {
			return false
		}
		f, err := events.DecodeFact(data)
		if err == nil {
			last = f.Sequence
		}
		reply.Events = append(reply.Events, slices.Clone(data))
		return true
	})
	if err == nil && last == 0 {
		return fmt.Errorf("the stream %s does not have the facts of %q behind %d", subjects.StreamRooms, r, after)
	}
	if last < head.Sequence {
		reply.NextFlag = strconv.FormatUint(last, 10)
	}
	return err
}

// recentFacts answers from memory, where that reaches back far enough.
func (s *Service) recentFacts(reply *room.HistoryReply, r subjects.Room, head *room.Head, after uint64, count int) bool {
	facts := s.rep.recent.after(r, head.InstanceID, after, count)
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

// findFact finds the first fact of the room's instance behind a sequence: its place in
// the journal and its sequence. A room's sequences grow with its places.
func findFact(ctx context.Context, r *journal.Reader, head *room.Head, after uint64) (at, sequence uint64, err error) {
	low, high := uint64(1), head.Revision
	at, sequence = head.Revision, head.Sequence
	// Most who ask have missed a few, so look near the end first.
	for step := uint64(64); low < high; {
		mid := low + (high-low)/2
		if step < high-low {
			mid = high - step
			step *= 8
		}
		place, data, ok, err := r.Next(ctx, mid)
		if err != nil {
			return 0, 0, err
		}
		f, err := events.DecodeFact(data)
		if !ok || err != nil {
			return 0, 0, err
		}
		if f.InstanceID == head.InstanceID && f.Sequence > after {
			at, sequence, high = place, f.Sequence, mid
		} else {
			low, step = place+1, high
		}
	}
	return at, sequence, nil
}
