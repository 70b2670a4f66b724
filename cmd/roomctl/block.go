package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

func (c *blockCmd) Run(ctx context.Context, s *session) error {
	if c.For < 0 || c.For%time.Second != 0 {
		return usageError{fmt.Errorf("--for is %s; it must be whole seconds, such as 24h", c.For)}
	}
	before, err := moment(c.IssuedBefore)
	if err != nil {
		return usageError{err}
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	reply, err := client.Block(ctx, room.BlockRequest{
		Caller: room.Caller{UserID: c.User, RequestID: c.RequestID}, Seconds: int64(c.For / time.Second), Reason: c.Reason, TokenID: c.TokenID, IssuedBefore: before,
	})
	if err == nil {
		s.blocking(ctx, c.User, c.TokenID != "" || before != 0)
	}
	return s.answer(err, func(l look) string { return l.barred(&reply.Barred) })
}

// moment reads a time that somebody typed.
func moment(text string) (t events.Time, err error) {
	switch text {
	case "":
		return 0, nil
	case "now":
		return events.TimeOf(time.Now()), nil
	}
	if err := t.UnmarshalText([]byte(text)); err != nil {
		return 0, fmt.Errorf("--issued-before is %q; it must be a time like 2026-01-31T12:00:00Z, or now", text)
	}
	return t, nil
}

func (c *unblockCmd) Run(ctx context.Context, s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	reply, err := client.Unblock(ctx, room.UnblockRequest{Caller: room.Caller{UserID: c.User, RequestID: c.RequestID}, Tokens: c.Tokens})
	return s.answer(err, func(l look) string { return l.barred(&reply.Barred) })
}

func (c *blockedCmd) Run(ctx context.Context, s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	s.lists.names = []string{"userList"}
	var all []room.Barred
	q := room.BlockedRequest{Caller: room.Caller{UserID: c.User}}
	for more := true; more && err == nil; {
		var reply *room.BlockedReply
		if reply, err = client.Blocked(ctx, q); err == nil {
			all, q.NextFlag = append(all, reply.UserList...), reply.NextFlag
			more = reply.NextFlag != ""
		}
	}
	return s.answer(err, func(l look) string {
		if len(all) == 0 {
			return "nobody is blocked, and no token is refused"
		}
		lines := make([]string, len(all))
		for i := range all {
			lines[i] = l.barred(&all[i])
		}
		return strings.Join(lines, "\n")
	})
}

// barred says what is refused to a user.
func (l look) barred(b *room.Barred) string {
	var parts []string
	if b.Blocked {
		part := "is blocked" + l.ending(b.Until)
		if b.Reason != "" {
			part += " (" + printable(b.Reason) + ")"
		}
		parts = append(parts, part)
	}
	for _, t := range b.Tokens {
		parts = append(parts, "its token "+word(t.TokenID)+" is refused"+l.ending(t.Until))
	}
	if b.IssuedBefore != 0 {
		parts = append(parts, "its tokens from before "+l.time(b.IssuedBefore)+" are refused")
	}
	if len(parts) == 0 {
		parts = []string{"is not blocked"}
	}
	return l.user(b.UserID) + " " + strings.Join(parts, "; ")
}

// ending says when what is refused ends, after the words before it.
func (l look) ending(t events.Time) string {
	if t == 0 {
		return ""
	}
	return " until " + l.time(t)
}
