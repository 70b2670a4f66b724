package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/webhooks/letters"
	"natsrooms/subjects"
)

type webhooksCmd struct {
	Ls     webhooksLsCmd     `cmd:"" help:"List webhooks; of one, its dead letters: events that could not be delivered."`
	Replay webhooksReplayCmd `cmd:"" help:"Deliver dead letters once more."`
	Drop   webhooksDropCmd   `cmd:"" help:"Forget dead letters."`
}

type webhooksLsCmd struct {
	Name string `arg:"" optional:"" placeholder:"NAME" help:"Show the dead letters of this webhook."`
}

// lettersArgs say which dead letters.
type lettersArgs struct {
	Name string   `arg:"" placeholder:"NAME" help:"Name of the webhook."`
	IDs  []string `arg:"" optional:"" name:"id" placeholder:"ID" help:"IDs of dead letters, as webhooks ls shows them."`
	All  bool     `help:"All dead letters of the webhook."`
}

type webhooksReplayCmd struct{ lettersArgs }

type webhooksDropCmd struct{ lettersArgs }

// webhooks asks the service about webhooks.
func (s *session) webhooks(ctx context.Context, action string, q *letters.Question) (*letters.Reply, error) {
	if s.nc == nil {
		if err := s.dial(); err != nil {
			return nil, err
		}
	}
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	m, err := s.nc.RequestWithContext(ctx, subjects.Webhook(action), body)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, undoneError{"no instance of the service here has webhooks", "roomd --webhook URL --webhook-secret FILE"}
	case context.Cause(ctx) != nil && err != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	}
	if m.Header.Get(micro.ErrorHeader) != "" {
		var refused room.ErrorBody
		if err := json.Unmarshal(m.Data, &refused); err != nil {
			return nil, fmt.Errorf("the answer can't be read: %w", err)
		}
		return nil, refused.Err()
	}
	reply := &letters.Reply{}
	if err := json.Unmarshal(m.Data, reply); err != nil {
		return nil, fmt.Errorf("the answer can't be read: %w", err)
	}
	s.replies = append(s.replies, m.Data)
	return reply, nil
}

func (c *webhooksLsCmd) Run(ctx context.Context, s *session) error {
	s.lists.names = []string{"webhooks"}
	if c.Name != "" {
		s.lists.names = []string{"letters"}
	}
	reply, err := s.webhooks(ctx, subjects.WebhooksList, &letters.Question{Hook: c.Name})
	if err != nil {
		return err
	}
	all := reply.Letters
	for next := reply.NextFlag; next != ""; {
		more, err := s.webhooks(ctx, subjects.WebhooksList, &letters.Question{Hook: c.Name, NextFlag: next})
		if err != nil {
			return err
		}
		all, next = append(all, more.Letters...), more.NextFlag
	}
	return s.answer(nil, func(l look) string {
		if c.Name != "" {
			return l.letters(c.Name, all)
		}
		t := l.table("NAME", "HOST", "WAITING", "ROOMS BEHIND", "DEAD LETTERS")
		for _, h := range reply.Webhooks {
			t.AppendRow([]any{h.Name, printable(h.Host), h.Waiting, h.Behind, h.Letters})
		}
		return render(t)
	})
}

func (l look) letters(name string, list []letters.Letter) string {
	if len(list) == 0 {
		return "there are no dead letters of " + word(name)
	}
	t := l.table("ID", "ROOM", "TYPE", "STORED", "TRIES", "WHY")
	for i := range list {
		d := &list[i]
		why := printable(d.Why)
		if d.Replay {
			why = "to be delivered once more; before: " + why
		}
		t.AppendRow([]any{d.ID, l.roomID(d.Room), d.Type, l.time(d.At), d.Tries, why})
	}
	return render(t)
}

func (c *lettersArgs) settle(ctx context.Context, s *session, action, done string) error {
	if c.All == (len(c.IDs) > 0) {
		return usageError{errors.New("give the IDs of dead letters, or --all")}
	}
	reply, err := s.webhooks(ctx, action, &letters.Question{Hook: c.Name, IDs: c.IDs, All: c.All})
	if err != nil {
		return err
	}
	if reply.Done == 0 {
		return undoneError{"there are no such dead letters", s.typed("webhooks", "ls", c.Name)}
	}
	return s.answer(nil, func(look) string { return count(reply.Done, "dead letter", "dead letters") + " " + done })
}

func (c *webhooksReplayCmd) Run(ctx context.Context, s *session) error {
	return c.settle(ctx, s, subjects.WebhooksReplay, "will be delivered once more; webhooks ls shows those that fail again")
}

func (c *webhooksDropCmd) Run(ctx context.Context, s *session) error {
	return c.settle(ctx, s, subjects.WebhooksDrop, "dropped")
}
