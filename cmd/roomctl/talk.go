package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
)

func (c *sendCmd) Run(ctx context.Context, s *session) error {
	rooms, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrUserNotInRoom: {"enter", c.Room}, room.ErrRoomNotExist: s.which()}
	reply, err := rooms.Send(ctx, room.SendRequest{
		Caller: s.caller(c.requestFlag), RoomID: c.Room, Type: c.Type, SubType: c.SubType, Data: c.Text, Priority: c.Priority, ExtendedData: c.Extended,
	})
	return s.answer(err, func(l look) string { return l.sent(s.As, c.Room, reply) })
}

func (l look) sent(user, roomID string, r *room.SendReply) string {
	stored := "live only"
	if r.MessageSeq > 0 {
		stored = fmt.Sprintf("message %d", r.MessageSeq)
	}
	return fmt.Sprintf("%s said it in %s (%s)", l.speaker(user), l.roomID(roomID), stored)
}

// speaker is the sender of a message; a user's ID never looks like the server.
func (l look) speaker(user string) string {
	if user == "" {
		return "the server"
	}
	return l.user(user)
}

// message is the line for a message; seq is where it is stored, 0 if that is unknown or
// the message is live only.
func (l look) message(raw []byte, seq uint64) (string, error) {
	m, err := events.DecodeMessage(raw)
	if err != nil {
		return "", err
	}
	place, kind := "", ""
	if seq = max(seq, m.Seq); seq > 0 {
		place = "#" + strconv.FormatUint(seq, 10)
	}
	if m.Type != events.Text {
		kind += " " + word(string(m.Type))
	}
	if m.SubType != 0 {
		kind += " " + strconv.Itoa(m.SubType)
	}
	if m.Priority != events.Low && m.Priority != "" {
		kind += " " + word(string(m.Priority))
	}
	if kind != "" {
		kind = " (" + kind[1:] + ")"
	}
	line := fmt.Sprintf("%s %4s  %s%s: %s", l.clock(m.Time), place, l.speaker(m.Sender), kind, printable(m.Data))
	if m.Extended != "" {
		line += fmt.Sprintf(" (with %s)", value(m.Extended))
	}
	return line, nil
}

// past is a part of a room's history.
type past struct {
	events   []jsontext.Value // oldest first
	complete bool
	more     bool
	next     uint64 // where to continue if there is more
}

func (c *historyCmd) Run(ctx context.Context, s *session) error {
	switch {
	case c.Before != nil && !c.Messages:
		return usageError{errors.New("--before is for messages; add --messages, or use --after")}
	case c.Count < 0:
		return usageError{fmt.Errorf("--count is %d; it must be the number of lines to show, or 0 for all", c.Count)}
	}
	rooms, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which(), room.ErrUserNotInRoom: {"members", c.Room}}
	var p *past
	for p == nil && err == nil { // once more if another room takes the name meanwhile
		s.replies = nil
		p, err = c.read(ctx, s, rooms)
	}
	if err != nil || s.JSON {
		return s.answer(err, nil)
	}
	return c.print(s, p)
}

// read asks for the history of the room as it is now, page by page. It returns nil if the
// room became another one between the pages.
func (c *historyCmd) read(ctx context.Context, s *session, rooms *client.Client) (*past, error) {
	now, err := rooms.Get(ctx, room.ReadRequest{Freshness: newest, RoomID: c.Room})
	if err != nil {
		return nil, err
	}
	s.replies = nil // this reply is not part of the history
	p := &past{complete: true}
	q := room.HistoryRequest{Freshness: room.Freshness{MinRevision: now.Revision}, RoomID: c.Room, InstanceID: now.InstanceID}
	at := c.begin(&q, now.Sequence)
	for {
		if c.Count > 0 {
			q.Count = min(c.Count-len(p.events), room.MaxPage)
		}
		reply, err := rooms.History(ctx, q)
		if err != nil {
			return nil, err
		}
		if reply.InstanceID != now.InstanceID {
			return nil, nil
		}
		if q.BeforeMessageSeq != nil {
			p.events = append(reply.Events, p.events...)
		} else {
			p.events = append(p.events, reply.Events...)
		}
		p.complete = p.complete && reply.Complete
		if reply.NextFlag == "" {
			return p, nil
		}
		if *at, err = strconv.ParseUint(reply.NextFlag, 10, 64); err != nil {
			return nil, fmt.Errorf("the reply's nextFlag is %q, which is not a position", reply.NextFlag)
		}
		if p.next = *at; c.Count > 0 && len(p.events) >= c.Count {
			p.more = true
			return p, nil
		}
	}
}

// begin sets where the request begins, and returns that position for the next page.
func (c *historyCmd) begin(q *room.HistoryRequest, head uint64) *uint64 {
	at := new(uint64)
	switch {
	case c.After != nil:
		*at = *c.After
	case c.Before != nil:
		*at = *c.Before
	case !c.Messages && c.Count > 0:
		*at = head - min(head, uint64(c.Count)) // the newest
	}
	switch {
	case !c.Messages:
		q.AfterSequence = at
	case c.After != nil:
		q.AfterMessageSeq = at
	default:
		q.BeforeMessageSeq = at
	}
	return at
}

// print shows the past to people.
func (c *historyCmd) print(s *session, p *past) error {
	l := s.look
	l.dated = true
	if !p.complete {
		s.remark("some of it is no longer kept")
	}
	for _, raw := range p.events {
		line, err := l.event(raw, 0)
		if err != nil {
			s.remark("something arrived that is not an event: %s", printable(err.Error()))
			continue
		}
		fmt.Fprintln(s.stdout, line)
	}
	if len(p.events) == 0 {
		fmt.Fprintln(s.stdout, c.nothing(l))
	}
	if p.more {
		s.remark("there is more%s", c.further(s, p.next))
	}
	return nil
}

func (c *historyCmd) nothing(l look) string {
	line := "nothing happened in " + l.roomID(c.Room)
	if c.Messages {
		line = "nothing was said in " + l.roomID(c.Room)
	}
	switch {
	case c.After != nil:
		line += fmt.Sprintf(" after %d", *c.After)
	case c.Before != nil:
		line += fmt.Sprintf(" before %d", *c.Before)
	}
	return line
}

// further is what to type to see the rest.
func (c *historyCmd) further(s *session, next uint64) string {
	if strings.HasPrefix(c.Room, "-") {
		return "" // the ID would be taken for a flag
	}
	args := []string{"history", c.Room}
	if c.Messages {
		args = append(args, "--messages")
	}
	from := "--after"
	if c.Messages && c.After == nil {
		from = "--before"
	}
	return ": " + s.typed(append(args, from, strconv.FormatUint(next, 10))...)
}

// event is the line for a fact or a message.
func (l look) event(raw []byte, seq uint64) (string, error) {
	line, err := l.message(raw, seq)
	if errors.Is(err, events.ErrUnknownType) {
		return l.fact(raw)
	}
	return line, err
}
