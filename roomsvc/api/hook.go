package api

import (
	"context"

	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/talk"
)

// Consult has the application asked about a command if that is to be asked, and continues with
// its answer unless that is a refusal. The command has begun after that, for those of its
// session that wait.
func (a *API) Consult(q *Request, next func(hooks.Answer)) {
	if q.question == nil {
		next(hooks.Answer{})
		return
	}
	c := q.Cmd
	about := hooks.Question{Verb: c.Verb, RoomID: string(c.Room), UserID: string(c.User), SessionID: c.Session, Body: q.question}
	if h := a.Replica.Head(c.Room); h != nil && !h.Ending() {
		about.InstanceID = h.InstanceID
	}
	a.Hooks.Ask(q.Deadline, about, func(ctx context.Context, sure bool) bool { return a.known(ctx, q, sure) }, func(answer hooks.Answer, refused *room.Error) {
		if refused != nil {
			a.Commit.Refuse(&q.Call, refused)
			return
		}
		next(answer)
		if begin := a.turns.Begun(&q.turn); begin != nil {
			begin()
		}
	})
}

// known answers a request that was carried out before. If that is to be sure, this instance first
// catches up with what others have done; for a change that costs little, so it does in any case.
func (a *API) known(ctx context.Context, q *Request, sure bool) bool {
	if q.Cmd.RequestID == "" {
		return false
	}
	if q.Info.Kind == room.Says {
		return a.Talk.Repeated(ctx, a.Saying(q), sure) || a.Commit.Repeat(&q.Call)
	}
	_ = a.Sync.Pass(ctx) // or the command will not succeed either
	return a.Commit.Repeat(&q.Call)
}

// Saying is the message of a send, which is still to be filled in.
func (a *API) Saying(q *Request) *talk.Saying {
	return &talk.Saying{Call: &q.Call, Said: func(r *room.SendReply) { a.Answer(q, r) }}
}
