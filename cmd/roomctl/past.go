package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"natsrooms/events"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
)

// reader reads the past of one room.
type reader struct {
	*session
	rooms *client.Client
	room  string
}

// reader connects for reading the past of a room.
func (s *session) reader(roomID string) (*reader, error) {
	rooms, err := s.client()
	if err != nil {
		return nil, err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which(), room.ErrUserNotInRoom: {"members", roomID}}
	return &reader{s, rooms, roomID}, nil
}

// instance is the room as it is now or, if there is none, as it was last.
func (r *reader) instance(ctx context.Context) (string, error) {
	now, err := r.rooms.Get(ctx, room.ReadRequest{Freshness: newest, RoomID: r.room})
	if err == nil {
		return now.InstanceID, nil
	}
	if !errors.Is(err, room.ErrRoomNotExist) || r.userForm {
		return "", err
	}
	past, err := r.rooms.Instances(ctx, room.InstancesRequest{Freshness: newest, RoomID: r.room, Page: room.Page{Count: 1}})
	if err != nil {
		return "", err
	}
	return past.Instances[0].InstanceID, nil // it is refused if there are none
}

// instances is all instances of the room of which facts are kept, the newest first.
func (r *reader) instances(ctx context.Context) (all []room.Instance, err error) {
	q := room.InstancesRequest{Freshness: newest, RoomID: r.room}
	for {
		reply, err := r.rooms.Instances(ctx, q)
		if err != nil {
			return nil, err
		}
		all, q.NextFlag, q.Freshness = append(all, reply.Instances...), reply.NextFlag, room.Freshness{}
		if reply.NextFlag == "" {
			return all, nil
		}
	}
}

// pages reads the history of an instance from its beginning. at is the position in the request.
// complete is false if some of it is no longer kept.
func (r *reader) pages(ctx context.Context, q room.HistoryRequest, at *uint64, each func(*room.HistoryReply) error) (complete bool, err error) {
	q.Freshness, complete = newest, true
	for {
		reply, err := r.rooms.History(ctx, q)
		if err != nil {
			return false, err
		}
		complete = complete && reply.Complete
		if err := each(reply); err != nil {
			return false, err
		}
		if reply.NextFlag == "" {
			return complete, nil
		}
		q.Freshness = room.Freshness{}
		if *at, err = strconv.ParseUint(reply.NextFlag, 10, 64); err != nil {
			return false, fmt.Errorf("the reply's nextFlag is %q, which is not a position", reply.NextFlag)
		}
	}
}

// facts reads the facts of an instance, in their order.
func (r *reader) facts(ctx context.Context, instance string, each func(*events.Fact)) (complete bool, err error) {
	at := new(uint64)
	q := room.HistoryRequest{RoomID: r.room, InstanceID: instance, AfterSequence: at}
	return r.pages(ctx, q, at, func(reply *room.HistoryReply) error {
		for _, raw := range reply.Events {
			f, err := events.DecodeFact(raw)
			if errors.Is(err, events.ErrUnknownType) { // from a newer service
				continue
			}
			if err != nil {
				return err
			}
			each(f)
		}
		return nil
	})
}

// messages reads the messages of an instance, in their order, and the numbers of those that were
// deleted.
func (r *reader) messages(ctx context.Context, instance string, each func(*events.Message)) (deleted []uint64, complete bool, err error) {
	at := new(uint64)
	q := room.HistoryRequest{RoomID: r.room, InstanceID: instance, AfterMessageSeq: at}
	complete, err = r.pages(ctx, q, at, func(reply *room.HistoryReply) error {
		deleted = append(deleted, reply.Deleted...)
		for _, raw := range reply.Events {
			m, err := events.DecodeMessage(raw)
			if errors.Is(err, events.ErrUnknownType) {
				continue
			}
			if err != nil {
				return err
			}
			each(m)
		}
		return nil
	})
	slices.Sort(deleted)
	return slices.Compact(deleted), complete, err
}

// names knows what users were called, by facts.
type names map[string][]called

type called struct {
	since uint64 // the fact that says so
	name  string
}

func (n names) add(f *events.Fact) {
	note := func(user, name string) {
		if name != "" {
			n[user] = append(n[user], called{f.Sequence, name})
		}
	}
	for _, j := range f.Joined {
		note(j.UserID, j.UserName)
	}
	for _, u := range f.Updates {
		note(u.UserID, u.UserName)
	}
}

// at is what a user was called after a fact, or from when that is known.
func (n names) at(user string, sequence uint64) string {
	list := n[user]
	if len(list) == 0 {
		return ""
	}
	i, found := slices.BinarySearchFunc(list, sequence, func(c called, at uint64) int { return cmp.Compare(c.since, at) })
	if !found {
		i = max(i-1, 0)
	}
	for i+1 < len(list) && list[i+1].since == list[i].since {
		i++
	}
	return list[i].name
}
