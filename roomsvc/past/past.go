package past

import (
	"context"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/messages"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Reader reads the past.
type Reader struct {
	Journal  *journal.Journal
	Messages *messages.Store
	Recent   *replica.Recent // the newest facts, in memory
	Source   string          // prefix of the source of every event

	Moments Moments

	known cache[*instance]
}

// Query asks for a page of one instance of a room.
type Query struct {
	Room  subjects.Room
	Ask   *room.HistoryRequest // names the instance, and exactly one position
	Count int
	Bytes int // about so many of events, and one event in any case

	Read int // bytes of messages that were read for the answer
}

func (q *Query) reply(instanceID string) *room.HistoryReply {
	return &room.HistoryReply{InstanceID: instanceID, Events: []jsontext.Value{}}
}

// Living answers for a room that exists and is the instance that is asked for. since leaves
// out messages that are older.
func (r *Reader) Living(ctx context.Context, q *Query, head *room.Head, since *messages.Since) (*room.HistoryReply, error) {
	reply := q.reply(head.InstanceID)
	if q.Ask.AfterSequence == nil {
		newest := r.Messages.Heads(ctx, []subjects.Room{q.Room})[q.Room]
		page, err := r.messages(ctx, q, messages.Query{CreatedAt: head.CreatedAt, Since: *since}, reply)
		if err == nil {
			newest = max(newest, page.Head)
			reply.MessageSeq = &newest
		}
		return reply, err
	}
	after := *q.Ask.AfterSequence
	reply.Sequence, reply.Complete = head.Sequence, true
	if after >= head.Sequence || r.recent(reply, q, head.Sequence) {
		return reply, nil
	}
	first, err := r.facts(ctx, q, reply, after, fact{head.Revision, head.Sequence})
	reply.Complete = first == after+1
	return reply, err
}

// Other answers for a room that is another instance than the one that is asked for, of which
// nothing is kept.
func (r *Reader) Other(ctx context.Context, q *Query, head *room.Head) *room.HistoryReply {
	reply := q.reply(head.InstanceID)
	if q.Ask.AfterSequence != nil {
		reply.Sequence = head.Sequence
	} else {
		newest := r.Messages.Heads(ctx, []subjects.Room{q.Room})[q.Room]
		reply.MessageSeq = &newest
	}
	return reply
}

// Ended answers for an instance that has ended. The reply is nil if nothing that may be read is
// kept.
func (r *Reader) Ended(ctx context.Context, q *Query, own ownStays) (*room.HistoryReply, error) {
	in := r.known.get(q.Room, q.Ask.InstanceID)
	if in == nil {
		var err error
		if in, err = find(ctx, r.Journal, q.Room, q.Ask.InstanceID); err != nil {
			return nil, err
		}
		if in != nil && in.ended {
			in = r.known.put(in)
		}
	}
	if in == nil {
		return r.onlyMessages(ctx, q, own(nil))
	}
	stays := []stay{{from: fact{in.first.at, 1}, to: in.last, since: in.made}}
	if u := own(in.config); u != "" {
		var err error
		stays, err = in.staysOf(ctx, r.Journal, u)
		r.known.grown()
		if err != nil || len(stays) == 0 {
			return nil, err
		}
	}
	reply := q.reply(in.id)
	if q.Ask.AfterSequence == nil {
		_, err := r.messages(ctx, q, messages.Query{CreatedAt: stays[0].since, Ended: true, Heard: func(m *events.Message) bool {
			for i := range stays {
				if stays[i].heard(m) {
					return true
				}
			}
			return false
		}}, reply)
		if err != nil {
			return nil, err
		}
		return reply, r.addNext(ctx, q, in, own, reply)
	}
	if err := r.during(ctx, q, reply, stays); err != nil {
		r.known.drop(in)
		return nil, err
	}
	return reply, r.addNext(ctx, q, in, own, reply)
}

// addNext adds to the last page of an instance that has ended which instance comes after it: the
// first one of which the caller may read something. If it would take too long to find that out,
// the page is not complete.
func (r *Reader) addNext(ctx context.Context, q *Query, in *instance, own ownStays, reply *room.HistoryReply) error {
	if !in.ended || reply.NextFlag != "" || q.Ask.BeforeMessageSeq != nil {
		return nil
	}
	reader := r.Journal.Reader(subjects.Facts(q.Room))
	at, data, ok, err := reader.Next(ctx, in.last.at+1)
	if err != nil || !ok {
		return err
	}
	s := succession{own: own}
	r.Moments.View(q.Room, s.isNow)
	if s.take(data) {
		err = reader.Read(ctx, at, func(_ uint64, data []byte) bool { return s.take(data) })
	}
	reply.NextInstanceID, reply.Complete = s.found, reply.Complete && s.passed <= mostPassed
	return err
}

// onlyMessages answers for an instance of which no fact is kept, and so nobody's stay.
func (r *Reader) onlyMessages(ctx context.Context, q *Query, own subjects.User) (*room.HistoryReply, error) {
	if own != "" || q.Ask.AfterSequence != nil {
		return nil, nil
	}
	reply := q.reply(q.Ask.InstanceID)
	made, _ := room.MadeAt(q.Ask.InstanceID)
	if _, err := r.messages(ctx, q, messages.Query{CreatedAt: made, Ended: true}, reply); err != nil || len(reply.Events)+len(reply.Deleted) == 0 {
		return nil, err
	}
	return reply, nil
}

// during adds the facts of stays to the reply.
func (r *Reader) during(ctx context.Context, q *Query, reply *room.HistoryReply, stays []stay) error {
	after := *q.Ask.AfterSequence
	last := stays[len(stays)-1].to.sequence
	reply.Sequence, reply.Complete = last, true
	for i := range stays {
		s := &stays[i]
		if s.to.sequence <= after || reply.NextFlag != "" {
			continue
		}
		from := max(after+1, s.from.sequence)
		first, err := r.facts(ctx, q, reply, from-1, s.to)
		if err != nil {
			return err
		}
		if first > from || s.cut && after < s.from.sequence {
			reply.Complete = false
		}
		if reply.NextFlag == "" && s.to.sequence < last && q.full(reply) {
			reply.NextFlag = strconv.FormatUint(s.to.sequence, 10)
		}
	}
	return nil
}

// full says whether the page has as many events as it may have.
func (q *Query) full(reply *room.HistoryReply) bool {
	count, bytes := q.left(reply)
	return count <= 0 || bytes <= 0
}

// left is how many events, and bytes of them, the reply may still get.
func (q *Query) left(reply *room.HistoryReply) (count, bytes int) {
	count, bytes = q.Count-len(reply.Events), q.Bytes
	for _, e := range reply.Events {
		bytes -= len(e) + 1
	}
	return count, bytes
}

// facts adds the facts after a sequence, up to the newest one that is to be given, from the
// journal. It returns the sequence of the first of them.
func (r *Reader) facts(ctx context.Context, q *Query, reply *room.HistoryReply, after uint64, newest fact) (first uint64, err error) {
	count, bytes := q.left(reply)
	past, err := r.Journal.Past(ctx, q.Room, journal.PastQuery{
		InstanceID: q.Ask.InstanceID, After: after, Newest: newest.sequence, At: newest.at, Count: count, Bytes: bytes,
	})
	if err != nil {
		return 0, err
	}
	for _, data := range past.Facts {
		reply.Events = append(reply.Events, data)
	}
	if past.Last < newest.sequence {
		reply.NextFlag = strconv.FormatUint(past.Last, 10)
	}
	return past.First, nil
}

// recent answers from memory. It returns false where memory does not reach back far enough.
func (r *Reader) recent(reply *room.HistoryReply, q *Query, newest uint64) bool {
	after := *q.Ask.AfterSequence
	size, last := 0, after
	for _, data := range r.Recent.After(q.Room, q.Ask.InstanceID, after, q.Count) {
		if size += len(data) + 1; len(reply.Events) > 0 && size > q.Bytes || last == newest {
			break
		}
		reply.Events = append(reply.Events, data)
		last++
	}
	if last > after && last < newest {
		reply.NextFlag = strconv.FormatUint(last, 10)
	}
	return last > after
}

// messages adds the messages that are asked for, of those that which describes.
func (r *Reader) messages(ctx context.Context, q *Query, which messages.Query, reply *room.HistoryReply) (page *messages.Page, err error) {
	which.Room, which.InstanceID, which.Count, which.Bytes = q.Room, q.Ask.InstanceID, q.Count, q.Bytes
	if q.Ask.AfterMessageSeq != nil {
		page, err = r.Messages.After(ctx, which, *q.Ask.AfterMessageSeq)
	} else {
		page, err = r.Messages.Before(ctx, which, *q.Ask.BeforeMessageSeq)
	}
	if err != nil {
		return nil, err
	}
	q.Read += page.Read
	for _, m := range page.Messages {
		data, err := m.Encode(r.Source)
		if err != nil {
			return nil, err
		}
		reply.Events = append(reply.Events, data)
	}
	reply.NextFlag, reply.Complete, reply.Deleted = page.Next, page.Complete, page.Deleted
	return page, nil
}
