package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/client"
	"natsrooms/subjects"
)

// reconnectWait is how often a watch checks whether its server is back.
const reconnectWait = 250 * time.Millisecond

// Run prints facts and messages until ctx ends, which is how a watch normally ends.
func (c *watchCmd) Run(ctx context.Context, s *session) error {
	if _, err := subjects.ParseRoom(c.Room); err != nil {
		return usageError{fmt.Errorf("the room's ID %w", err)}
	}
	if s.JSON {
		return usageError{errors.New("a watch has no end, so it is not one document: use --json-lines")}
	}
	news, tell := told()
	err := s.dial(
		func(o *nats.Options) error { o.AllowReconnect = true; return nil },
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			tell("the connection broke (%v); what happens meanwhile is read when it is back", cmp.Or(err, nats.ErrDisconnected))
		}),
		nats.ReconnectHandler(func(*nats.Conn) { tell("connected again") }),
	)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := printer{s, c.Room, false}
	steps := make(chan step)
	follow(ctx, s.watcher(), c.Room, steps)
	for {
		select {
		case <-ctx.Done():
			return ended(ctx, context.Cause(ctx))
		case what := <-news:
			s.remark("%s", what)
		case st := <-steps:
			if st.err != nil {
				return ended(ctx, st.err)
			}
			if err := p.print(st); err != nil {
				return err
			}
		}
	}
}

// told is a channel of what is to be told to people, and what puts it there unless too much is
// waiting.
func told() (news chan string, tell func(format string, args ...any)) {
	news = make(chan string, 16)
	return news, func(format string, args ...any) {
		select {
		case news <- fmt.Sprintf(format, args...):
		default:
		}
	}
}

// watcher is a client for watching. A trusted one acts for no user; an end user's client keeps
// the user's session in its rooms meanwhile.
func (s *session) watcher() *client.Client {
	cfg := client.Config{Timeout: s.Timeout, Once: true}
	if s.userForm {
		cfg.UserID, cfg.SessionID, cfg.UserForm = s.As, s.Session, true
	}
	return client.New(s.nc, cfg)
}

// step is one update of a room's watch, one message in the room, a note about its messages, or
// an error.
type step struct {
	room   string
	update *client.Update
	heard  *client.Heard
	note   *client.Note
	err    error
}

// follow watches a room, which need not exist yet, and listens to its messages, until ctx
// ends.
func follow(ctx context.Context, c *client.Client, id string, steps chan<- step) {
	send := func(st step) {
		select {
		case steps <- st:
		case <-ctx.Done():
		}
	}
	go func() {
		for u, err := range c.Watch(ctx, client.WatchRequest{RoomID: id, MayNotExist: true}) {
			send(step{room: id, update: &u, err: err})
		}
	}()
	go func() {
		note := func(n client.Note) { send(step{room: id, note: &n}) }
		for h, err := range c.Messages(ctx, client.MessagesRequest{RoomID: id, MayNotExist: true, Note: note}) {
			send(step{room: id, heard: &h, err: err})
		}
	}()
}

// ended turns the signal that ends a watch into a success.
func ended(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return nil
	}
	return err
}

// printer prints the steps of one room.
type printer struct {
	*session
	room      string
	recovered bool // the last step was read later instead of arriving live
}

func (p *printer) print(st step) error {
	p.comment(st)
	raw := st.raw()
	switch {
	case raw == nil && !p.programs() && st.note != nil && st.note.Kind == client.NoteDeleted:
	case raw == nil:
		return nil
	case p.programs():
		return p.line(raw)
	}
	line, err := p.look.step(st)
	if err != nil {
		p.remark("something arrived that is not an event: %s", printable(err.Error()))
		return nil
	}
	fmt.Fprintln(p.stdout, line)
	return nil
}

// raw is the step's event, nil if it has none.
func (st step) raw() []byte {
	switch {
	case st.update != nil:
		return st.update.Raw
	case st.heard != nil:
		return st.heard.Raw
	case st.note != nil:
		return st.note.Raw
	}
	return nil
}

// step is the line for a step's event.
func (l look) step(st step) (string, error) {
	switch {
	case st.update != nil:
		return l.fact(st.update.Raw)
	case st.note != nil:
		return l.deleted(st.note), nil
	}
	return l.message(st.heard.Raw, st.heard.Message.Seq)
}

// comment tells people about steps that are not events.
func (p *printer) comment(st step) {
	recovered := false
	switch {
	case st.update != nil:
		recovered = st.update.Recovered
		p.commentRoom(st.update)
	case st.heard != nil:
		recovered = st.heard.Recovered
	case st.note.Kind == client.NoteLost:
		p.remark("some messages were missed and are no longer kept")
	default:
		return
	}
	if recovered && !p.recovered {
		p.remark("what follows did not arrive live, and was read afterwards")
	}
	p.recovered = recovered
}

func (p *printer) commentRoom(u *client.Update) {
	id := word(p.room)
	switch {
	case u.Fact != nil:
	case u.Roster == nil && u.Fresh == client.FreshStart:
		p.remark("there is no room %s yet; what happens in it will be shown", id)
	case u.Roster == nil:
		p.remark("the room %s is gone", id)
	case u.Fresh == client.FreshStart:
		p.remark("watching %s %s", id, size(u.Roster.Len(), u.Roster.Sequence()))
	case u.Fresh == client.FreshInstance:
		p.remark("%s is another room of that name now %s", id, size(u.Roster.Len(), u.Roster.Sequence()))
	default:
		p.remark("some facts were missed and are no longer kept; the room is now %s", size(u.Roster.Len(), u.Roster.Sequence()))
	}
}

// remark tells people something that is not part of the output.
func (s *session) remark(format string, args ...any) {
	fmt.Fprintf(s.stderr, "roomctl: "+format+"\n", args...)
}
