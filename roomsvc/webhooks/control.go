package webhooks

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/webhooks/letters"
	"natsrooms/subjects"
)

const (
	mostListed   = 200 // dead letters in a reply
	answerWithin = 10 * time.Second
	mostAsked    = 16 // questions that are worked on at a time
)

// What back ends ask, and are answered.
type (
	Question = letters.Question
	Reply    = letters.Reply
	Status   = letters.Status
)

var letterIDs = regexp.MustCompile(`^(facts|messages)\.[0-9]{1,20}$`)

// Listen answers back ends that ask about webhooks. Any instance with webhooks does.
func (w *Webhooks) Listen(nc *nats.Conn) error {
	busy := make(chan struct{}, mostAsked)
	sub, err := nc.QueueSubscribe(subjects.Webhooks, subjects.QueueGroup, func(m *nats.Msg) {
		if m.Reply == "" || !subjects.ReplyAllowed(m.Subject, m.Reply) {
			return
		}
		select {
		case busy <- struct{}{}:
		default:
			respond(m, nil, room.Refuse(room.ErrBusy, "nothing happened: others ask about webhooks; try again"))
			return
		}
		started := w.Life.Go(func() {
			defer func() { <-busy }()
			ctx, cancel := context.WithTimeout(w.Life, answerWithin)
			defer cancel()
			reply, refused := w.answer(ctx, subjects.WebhookAction(m.Subject), m.Data)
			respond(m, reply, refused)
		})
		if !started {
			<-busy
		}
	})
	if err != nil {
		return fmt.Errorf("listening for questions about webhooks: %w", err)
	}
	context.AfterFunc(w.Life, func() { _ = sub.Unsubscribe() })
	return nil
}

func respond(m *nats.Msg, reply *Reply, refused *room.Error) {
	out := nats.NewMsg(m.Reply)
	var v any = reply
	if refused != nil {
		v = refused.Body()
		out.Header = nats.Header{micro.ErrorHeader: {refused.Code.Name}, micro.ErrorCodeHeader: {strconv.Itoa(refused.Code.Number)}}
	}
	out.Data, _ = json.Marshal(v) // plain data
	_ = m.RespondMsg(out)         // a broken connection loses the answer, as it loses any
}

func (w *Webhooks) answer(ctx context.Context, action string, body []byte) (*Reply, *room.Error) {
	var q Question
	if err := json.Unmarshal(body, &q, json.RejectUnknownMembers(true)); err != nil {
		return nil, room.Refuse(room.ErrParamInvalid, "the body is no JSON object with webhook, ids and the like: %v", err)
	}
	if q.Hook != "" && !names.MatchString(q.Hook) {
		return nil, room.Invalid("webhook", "is %q, which no webhook is called", q.Hook)
	}
	switch action {
	case subjects.WebhooksList:
		return w.list(ctx, &q)
	case subjects.WebhooksReplay, subjects.WebhooksDrop:
		return w.settle(ctx, action, &q)
	}
	return nil, room.Refuse(room.ErrParamInvalid, "webhooks do not know %q, but %s", action, strings.Join(subjects.WebhookActions, ", "))
}

// of is a webhook of this instance, nil if there is none.
func (w *Webhooks) of(name string) *hook {
	if i := slices.IndexFunc(w.hooks, func(h *hook) bool { return h.Name == name }); i >= 0 {
		return w.hooks[i]
	}
	return nil
}

func unread(err error) *room.Error {
	return room.Refuse(room.ErrBusy, "nothing happened: the store of webhooks did not answer (%v); try again", err)
}

// list is how webhooks are, and the dead letters if it is about one.
func (w *Webhooks) list(ctx context.Context, q *Question) (*Reply, *room.Error) {
	reply := &Reply{Webhooks: []Status{}}
	for _, h := range w.hooks {
		if q.Hook != "" && h.Name != q.Hook {
			continue
		}
		status, err := w.status(ctx, h)
		if err != nil {
			return nil, unread(err)
		}
		reply.Webhooks = append(reply.Webhooks, status)
	}
	if q.Hook == "" {
		return reply, nil
	}
	list, err := w.store.letters(ctx, q.Hook)
	if err != nil {
		return nil, unread(err)
	}
	if len(reply.Webhooks) == 0 && len(list) == 0 {
		return nil, w.unknown(q.Hook)
	}
	slices.SortFunc(list, func(a, b Letter) int { return byID(a.ID, b.ID) })
	for _, l := range list {
		if q.NextFlag != "" && byID(l.ID, q.NextFlag) <= 0 {
			continue
		}
		if len(reply.Letters) == mostListed {
			reply.NextFlag = reply.Letters[mostListed-1].ID
			break
		}
		reply.Letters = append(reply.Letters, l)
	}
	return reply, nil
}

// byID orders letters: facts before messages, each as their streams have them.
func byID(a, b string) int {
	from, x, _ := strings.Cut(a, ".")
	other, y, _ := strings.Cut(b, ".")
	return cmp.Or(cmp.Compare(from, other), cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
}

func (w *Webhooks) unknown(name string) *room.Error {
	list := make([]string, len(w.hooks))
	for i, h := range w.hooks {
		list[i] = h.Name
	}
	return room.Invalid("webhook", "is %q, and there is none of that name; there are %s", name, strings.Join(list, ", "))
}

func (w *Webhooks) status(ctx context.Context, h *hook) (Status, error) {
	s := Status{Name: h.Name, Host: h.poster.Host()}
	var err error
	if s.Waiting, err = w.waiting(ctx, h); err != nil {
		return s, err
	}
	for _, o := range h.origins() {
		behind, err := w.store.places(ctx, h.Name, o)
		if err != nil {
			return s, err
		}
		s.Behind += len(behind)
	}
	list, err := w.store.letters(ctx, h.Name)
	s.Letters = len(list)
	return s, err
}

// settle marks dead letters to be delivered again, or drops them.
func (w *Webhooks) settle(ctx context.Context, action string, q *Question) (*Reply, *room.Error) {
	switch {
	case q.Hook == "":
		return nil, room.Invalid("webhook", "is missing: name the webhook")
	case q.All == (len(q.IDs) > 0):
		return nil, room.Invalid("ids", "or all must be given, and not both")
	case action == subjects.WebhooksReplay && w.of(q.Hook) == nil:
		return nil, w.unknown(q.Hook)
	}
	for _, id := range q.IDs {
		if !letterIDs.MatchString(id) {
			return nil, room.Invalid("ids", "has %q, which is no ID of a dead letter, such as facts.123", id)
		}
	}
	list, err := w.store.letters(ctx, q.Hook)
	if err != nil {
		return nil, unread(err)
	}
	reply := &Reply{}
	for _, l := range list {
		if !q.All && !slices.Contains(q.IDs, l.ID) {
			continue
		}
		if action == subjects.WebhooksDrop {
			err = w.store.drop(ctx, l.Hook, l.ID)
		} else {
			l.Replay = true
			err = w.store.bury(ctx, &l)
		}
		if err != nil {
			return nil, room.Refuse(room.ErrBusy, "%d of them are done, then the store of webhooks did not answer (%v); ask again for the rest", reply.Done, err)
		}
		reply.Done++
	}
	return reply, nil
}
