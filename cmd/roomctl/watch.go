package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// reconnectWait is how often a watch looks whether its server is back.
const reconnectWait = 250 * time.Millisecond

// Run prints facts and messages until ctx ends, which is what a watch is ended by.
func (c *watchCmd) Run(ctx context.Context, s *session) error {
	id, err := subjects.ParseRoom(c.Room)
	if err != nil {
		return usageError{fmt.Errorf("the room's ID %w", err)}
	}
	news := make(chan string, 16)
	tell := func(format string, args ...any) {
		select {
		case news <- fmt.Sprintf(format, args...):
		default:
		}
	}
	client, err := s.client(
		func(o *nats.Options) error { o.AllowReconnect = true; return nil },
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			tell("the connection broke (%v); what happens until it is back is not shown", cmp.Or(err, nats.ErrDisconnected))
		}),
		nats.ReconnectHandler(func(*nats.Conn) { tell("connected again") }),
	)
	if err != nil {
		return err
	}
	heard := make(chan *nats.Msg, 1024)
	for _, subject := range s.places(id) {
		if _, err := s.nc.ChanSubscribe(subject, heard); err != nil {
			return err
		}
	}
	if err := s.announce(ctx, client, id); err != nil {
		return ended(ctx, err)
	}
	var seen watched
	for {
		select {
		case <-ctx.Done():
			return ended(ctx, context.Cause(ctx))
		case what := <-news:
			s.remark("%s", what)
		case m := <-heard:
			if err := s.show(m, &seen); err != nil {
				return err
			}
		}
	}
}

// places is where whoever watches may hear a room.
func (s *session) places(id subjects.Room) []string {
	if !s.userForm {
		return []string{subjects.Facts(id), subjects.Messages(id)}
	}
	return []string{subjects.Feed(subjects.User(s.As), id), subjects.Open(id)}
}

// isMessage tells messages from facts. An end user hears both at one subject.
func isMessage(m *nats.Msg) bool {
	if _, ok := subjects.RoomOfMessages(m.Subject); ok {
		return true
	}
	var e struct {
		Type string `json:"type"`
	}
	return json.Unmarshal(m.Data, &e) == nil && e.Type == events.MessageSent
}

// watched is how far a watch has got.
type watched struct {
	fact    head
	message uint64 // where the newest stored one is
}

// announce says how the room is before its first fact.
func (s *session) announce(ctx context.Context, client *roomsvc.Client, id subjects.Room) error {
	reply, err := client.Get(ctx, room.ReadRequest{RoomID: string(id)})
	switch {
	case errors.Is(err, room.ErrRoomNotExist):
		s.remark("there is no room %s yet; what happens in it will be shown", word(string(id)))
	case err != nil:
		return err
	default:
		s.remark("watching %s %s", word(string(id)), size(reply.Room.MemberCount, reply.Sequence))
	}
	return nil
}

// ended makes a success of the signal that ends a watch.
func ended(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return nil
	}
	return err
}

// show prints a fact or a message, and says so if some before it did not arrive.
func (s *session) show(m *nats.Msg, seen *watched) error {
	line, err := "", error(nil)
	if isMessage(m) {
		line, err = s.showMessage(m, seen)
	} else {
		line, err = s.showFact(m.Data, &seen.fact)
	}
	switch {
	case err != nil:
		s.remark("something that is no event came: %s", printable(err.Error()))
	case s.JSON:
		return s.line(m.Data)
	default:
		fmt.Fprintln(s.stdout, line)
	}
	return nil
}

func (s *session) showFact(raw []byte, last *head) (string, error) {
	line, h, err := s.look.fact(raw)
	if err != nil {
		return "", err
	}
	if missed := h.Data.Sequence - last.Data.Sequence - 1; h.Data.InstanceID == last.Data.InstanceID && h.Data.Sequence > last.Data.Sequence && missed > 0 {
		s.remark("%s before the next did not arrive here", count(int(missed), "fact", "facts"))
	}
	*last = h
	return line, nil
}

// showMessage takes the place of a stored message, and of the room's one before it, from
// the headers of the copy. A live one has none.
func (s *session) showMessage(m *nats.Msg, seen *watched) (string, error) {
	seq, _ := strconv.ParseUint(m.Header.Get(nats.JSSequence), 10, 64)
	line, err := s.look.message(m.Data, seq)
	if err != nil || seq == 0 {
		return line, err
	}
	if before, err := strconv.ParseUint(m.Header.Get(nats.JSLastSequence), 10, 64); err == nil && seen.message > 0 && before > seen.message {
		s.remark("some messages before the next did not arrive here")
	}
	seen.message = max(seen.message, seq)
	return line, nil
}

// remark tells people something that is not part of the output.
func (s *session) remark(format string, args ...any) {
	fmt.Fprintf(s.stderr, "roomctl: "+format+"\n", args...)
}
