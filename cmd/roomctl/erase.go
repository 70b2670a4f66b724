package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"natsrooms/events"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
)

type deleteCmd struct {
	roomArg
	Messages []uint64 `arg:"" optional:"" name:"message" placeholder:"N" help:"Numbers of the messages, as history --messages shows them; at most 100."`
	Of       string   `placeholder:"USER" help:"All messages of this user instead."`
	Instance string   `placeholder:"ID" help:"The instance of the room that they were said in (the room as it is now)."`
	requestFlag
}

type eraseCmd struct {
	User string `arg:"" placeholder:"USER" help:"Whose messages to erase."`
	requestFlag
}

func (c *deleteCmd) Run(ctx context.Context, s *session) error {
	if (c.Of == "") == (len(c.Messages) == 0) {
		return usageError{errors.New("give the numbers of messages, or --of USER")}
	}
	rooms, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which()}
	q := room.DeleteMessagesRequest{Caller: s.caller(c.requestFlag), RoomID: c.Room, InstanceID: c.Instance, MessageSeqs: c.Messages, OfUserID: c.Of}
	s.lists.names = []string{"messageSeqs"}
	var all []uint64
	for more := true; more && err == nil; {
		var reply *room.DeleteMessagesReply
		if reply, err = rooms.DeleteMessages(ctx, q); err == nil {
			all, q.NextFlag, q.InstanceID, q.RequestID = append(all, reply.MessageSeqs...), reply.NextFlag, reply.InstanceID, ""
			more = reply.NextFlag != ""
		}
	}
	return s.answer(err, func(l look) string {
		if len(all) == 0 {
			return "none of them is kept in " + l.roomID(c.Room) + "; nothing was deleted"
		}
		return "deleted " + numbered(all) + " of " + l.roomID(c.Room)
	})
}

func (c *eraseCmd) Run(ctx context.Context, s *session) error {
	rooms, err := s.client()
	if err != nil {
		return err
	}
	q := room.EraseUserRequest{Caller: s.caller(c.requestFlag)}
	q.UserID, q.SessionID = c.User, ""
	erased := 0
	for more := true; more && err == nil; {
		var reply *room.EraseUserReply
		if reply, err = rooms.EraseUser(ctx, q); err == nil {
			erased, q.NextFlag, q.RequestID = reply.Erased, reply.NextFlag, ""
			more = reply.NextFlag != ""
		}
	}
	return s.answer(err, func(l look) string {
		return fmt.Sprintf("erased %s of %s, in all rooms", count(erased, "message", "messages"), l.user(c.User))
	})
}

// numbered is messages by their numbers.
func numbered(seqs []uint64) string {
	if len(seqs) == 1 {
		return fmt.Sprintf("message %d", seqs[0])
	}
	return "messages " + strings.ReplaceAll(strings.Trim(fmt.Sprint(seqs), "[]"), " ", ", ")
}

// deleted is the line for a deletion that was noted.
func (l look) deleted(n *client.Note) string {
	d, err := events.DecodeDeletion(n.Raw)
	if err != nil { // it was read later, and who did it is not known
		return strings.Repeat(" ", 8) + "    " + numbered(n.Deleted) + " deleted"
	}
	who := "a back end"
	if d.Operator != "" {
		who = l.user(d.Operator)
	}
	return fmt.Sprintf("%s %4s  %s deleted %s", l.clock(d.Time), "", who, numbered(n.Deleted))
}
