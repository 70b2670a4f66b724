package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// reconnectWait is how often a watch looks whether its server is back.
const reconnectWait = 250 * time.Millisecond

// Run prints facts until ctx ends, which is what a watch is ended by.
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
	facts := make(chan *nats.Msg, 1024)
	if _, err := s.nc.ChanSubscribe(subjects.Facts(id), facts); err != nil {
		return err
	}
	if err := s.announce(ctx, client, id); err != nil {
		return ended(ctx, err)
	}
	var last head
	for {
		select {
		case <-ctx.Done():
			return ended(ctx, context.Cause(ctx))
		case what := <-news:
			s.remark("%s", what)
		case m := <-facts:
			if err := s.show(m.Data, &last); err != nil {
				return err
			}
		}
	}
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

// show prints one fact, and says so if some before it did not arrive.
func (s *session) show(raw []byte, last *head) error {
	line, h, err := s.look.fact(raw)
	if err != nil {
		s.remark("something that is no fact came: %s", printable(err.Error()))
		return nil
	}
	if missed := h.Data.Sequence - last.Data.Sequence - 1; h.Data.InstanceID == last.Data.InstanceID && h.Data.Sequence > last.Data.Sequence && missed > 0 {
		s.remark("%s before the next did not arrive here", count(int(missed), "fact", "facts"))
	}
	*last = h
	if s.JSON {
		return s.line(raw)
	}
	fmt.Fprintln(s.stdout, line)
	return nil
}

// remark tells people something that is not part of the output.
func (s *session) remark(format string, args ...any) {
	fmt.Fprintf(s.stderr, "roomctl: "+format+"\n", args...)
}
