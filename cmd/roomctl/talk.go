package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
)

// Run sends one message, or each line of standard input.
func (c *sendCmd) Run(ctx context.Context, s *session) error {
	words, err := c.words(s)
	if err != nil {
		return err
	}
	rooms, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrUserNotInRoom: {"enter", c.Room}, room.ErrRoomNotExist: s.which()}
	for text, err := range words {
		if err != nil {
			return usageError{fmt.Errorf("standard input cannot be read: %w", err)}
		}
		s.replies = nil
		reply, err := rooms.Send(ctx, room.SendRequest{
			Caller: s.caller(c.requestFlag), RoomID: c.Room, Type: c.Type, SubType: c.SubType, Data: text, Priority: c.Priority, ExtendedData: c.Extended,
		})
		if err := s.answer(err, func(l look) string { return l.sent(s.As, c.Room, reply) }); err != nil {
			return err
		}
	}
	return nil
}

// words is what to say, message by message.
func (c *sendCmd) words(s *session) (iter.Seq2[string, error], error) {
	one := func(text string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) { yield(text, nil) }
	}
	switch {
	case c.EachLine && len(c.Text) > 0:
		return nil, usageError{errors.New("--lines is for standard input; leave out the text")}
	case c.EachLine && c.RequestID != "":
		return nil, usageError{errors.New("--request-id is for one message; leave out --lines")}
	case c.EachLine && s.JSON:
		return nil, usageError{errors.New("--json is for one message; use --json-lines with --lines")}
	case len(c.Text) > 0:
		return one(strings.Join(c.Text, " ")), nil
	case isTerminal(s.stdin):
		return nil, usageError{errors.New("there is nothing to say; give the text, or send it through standard input")}
	case c.EachLine:
		return lines(s.stdin), nil
	}
	all, err := io.ReadAll(io.LimitReader(s.stdin, maxInput))
	if err != nil {
		return nil, usageError{fmt.Errorf("standard input cannot be read: %w", err)}
	}
	text := strings.TrimRight(string(all), "\r\n")
	switch {
	case text == "":
		return nil, usageError{errors.New("there is nothing to say: no text was given, and standard input is empty")}
	case !utf8.ValidString(text):
		return nil, usageError{errors.New("standard input is not UTF-8; messages must be")}
	}
	return one(text), nil
}

// maxInput is how many bytes of standard input are read for one message: more than a message
// may have, so that the service says what is too much.
const maxInput = 256 << 10

// lines is the lines of r that are not empty.
func lines(r io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		in := bufio.NewScanner(r)
		in.Buffer(nil, maxInput)
		for in.Scan() {
			text := strings.TrimRight(in.Text(), "\r")
			if !utf8.ValidString(text) {
				yield("", errors.New("a line is not UTF-8; messages must be"))
				return
			}
			if text != "" && !yield(text, nil) {
				return
			}
		}
		if err := in.Err(); err != nil {
			yield("", err)
		}
	}
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
	s.lists = listing{[]string{"events", "deleted"}, c.Messages && c.After == nil}
	var p *past
	for p == nil && err == nil { // once more if another room takes the name meanwhile
		s.replies = nil
		p, err = c.read(ctx, s, rooms)
	}
	if err != nil || s.programs() {
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
