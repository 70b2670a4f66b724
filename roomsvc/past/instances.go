package past

import (
	"cmp"
	"context"
	"strconv"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// mostReads is how many facts are looked at for a page of instances, and those of one instance
// in any case. An instance takes some twenty.
const mostReads = 2000

// Instances is a page of the instances of a room of which facts are kept, the newest first. It
// begins with the one whose last fact is at a place; 0: with the newest.
func (r *Reader) Instances(ctx context.Context, id subjects.Room, place uint64, count int) (*room.InstancesReply, error) {
	s := &search{ctx: ctx, reader: r.Journal.Reader(subjects.Facts(id))}
	reply := &room.InstancesReply{Instances: []room.Instance{}}
	if place == 0 {
		newest, _, _, err := s.reader.Last(ctx)
		if err != nil {
			return nil, err
		}
		place = newest
	}
	for place > 0 {
		last := s.at(place)
		if last == nil || s.place != place { // it is no longer kept, and so nothing before it is
			break
		}
		if len(reply.Instances) == count || len(reply.Instances) > 0 && s.reads > mostReads {
			reply.NextFlag = strconv.FormatUint(place, 10)
			break
		}
		first, after := s.begin(last.InstanceID, place)
		if s.err != nil {
			break
		}
		reply.Instances = append(reply.Instances, r.instance(id, cmp.Or(first, last), last))
		place = after - 1
	}
	return reply, s.err
}

// instance describes an instance by the first and the last fact that are kept of it.
func (r *Reader) instance(id subjects.Room, first, last *events.Fact) room.Instance {
	in := room.Instance{InstanceID: last.InstanceID, Sequence: last.Sequence}
	in.CreatedAt, _ = room.MadeAt(in.InstanceID)
	for _, f := range []*events.Fact{first, last} {
		if f.Info != nil {
			in.RoomName, in.CreatedAt = f.Info.RoomName, f.Info.CreatedAt
		}
	}
	if last.Type == events.RoomDestroyed {
		in.EndedAt, in.Reason = last.Time, last.Reason
		return in
	}
	r.Moments.View(id, func(st *room.State) {
		if st != nil && st.InstanceID == in.InstanceID {
			in.RoomName, in.CreatedAt = st.Name, st.CreatedAt
		}
	})
	return in
}
