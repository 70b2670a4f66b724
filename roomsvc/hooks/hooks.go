package hooks

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Hooks ask for one instance. A nil *Hooks asks nothing.
type Hooks struct {
	Settings
	life  *life.Life
	log   *slog.Logger
	hooks map[room.Verb]*hook

	mu      sync.Mutex            // guards the fields below
	waiting int                   // questions
	of      map[subjects.User]int // how many of them are about each user
}

// New makes hooks with settings that have been checked; nil if the application is asked
// nothing.
func New(s Settings, l *life.Life, log *slog.Logger) *Hooks {
	if len(s.Subjects) == 0 {
		return nil
	}
	h := &Hooks{Settings: s, life: l, log: log, hooks: map[room.Verb]*hook{}, of: map[subjects.User]int{}}
	for verb, subject := range s.Subjects {
		h.hooks[verb] = &hook{subject: subject}
	}
	return h
}

// Wants says whether the application is asked about such a command. One that nobody's name
// stands in is the server's own.
func (h *Hooks) Wants(verb room.Verb, u subjects.User, userForm bool) bool {
	return h != nil && h.hooks[verb] != nil && u != "" && (userForm || h.Trusted)
}

// Ask asks about a command for which [Hooks.Wants] is true, and calls then, once, with the answer
// or a refusal. It does not wait, and calls then from another goroutine unless it refuses at
// once. A command that was carried out before, by an earlier try, is not asked about, nor is it
// refused: known says so, and has it answered. Then is not called in that case, nor when the
// command's time has run out. Before it is refused or silenced, known has to be sure.
func (h *Hooks) Ask(deadline time.Time, q Question, known func(_ context.Context, sure bool) bool, then func(Answer, *room.Error)) {
	k, u := h.hooks[q.Verb], subjects.User(q.UserID)
	if !h.take(u) {
		k.busy.Add(1)
		e := room.Refuse(room.ErrBusy, "nothing happened: too many commands wait for the application to answer, %d here or %d of %q; try again", h.Most, h.share(), u)
		e.RetryAfterMs = 100
		then(Answer{}, e)
		return
	}
	k.waiting.Add(1)
	asking := h.life.Go(func() {
		ctx, cancel := context.WithDeadline(h.life, deadline)
		defer cancel()
		answer, refused, over := h.ask(ctx, k, &q, known)
		k.waiting.Add(-1)
		h.give(u)
		if !over {
			then(answer, refused)
		}
	})
	if !asking { // the instance has ended, and has answered everything
		then(Answer{}, ending())
	}
}

func ending() *room.Error {
	return room.Refuse(room.ErrBusy, "nothing happened: this instance of the service is ending; try again")
}

// ask asks, unless the command is known already. over says that nothing is left to do.
func (h *Hooks) ask(ctx context.Context, k *hook, q *Question, known func(context.Context, bool) bool) (a Answer, refused *room.Error, over bool) {
	if known(ctx, false) {
		return a, nil, true
	}
	began := time.Now()
	a, why, err := h.request(ctx, k, q)
	switch {
	case h.life.Over():
		return Answer{}, ending(), false
	case ctx.Err() != nil: // the command's own time ran out: it has been answered, or will be
		return Answer{}, nil, true
	case err != nil:
		refused = h.failed(k, q, why, err)
	default:
		k.answered(&a, time.Since(began))
	}
	if refused == nil && a.Deny != nil {
		refused = a.Deny.refusal()
	}
	return a, refused, (refused != nil || a.Silent) && known(ctx, true)
}

// request asks and reads the answer; err says that there is no useful one.
func (h *Hooks) request(ctx context.Context, k *hook, q *Question) (a Answer, why failure, err error) {
	data, err := json.Marshal(q)
	if err != nil {
		return a, lost, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	k.asked.Add(1)
	m, err := h.Conn.RequestWithContext(ctx, k.subject, data)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return a, absent, err
	case ctx.Err() != nil && err != nil:
		return a, slow, err
	case err != nil:
		return a, lost, err
	}
	a, err = read(q.Verb, m.Data)
	return a, nonsense, err
}

// failed decides about a command without an answer; it returns a refusal, or nil to let it pass.
func (h *Hooks) failed(k *hook, q *Question, why failure, err error) *room.Error {
	says := why.says(h.Timeout)
	if say, unsaid := k.failed[why].note(time.Now()); say {
		becomes := "refused"
		if h.Allow {
			becomes = "let pass"
		}
		h.log.Warn("the application was asked about a command, but "+says, "verb", q.Verb, "subject", k.subject, "error", err, "commands are", becomes, "others before it", unsaid)
	}
	if h.Allow {
		return nil
	}
	e := room.Refuse(room.ErrNotAllowed, "nothing happened: the application is asked first about each %s, but %s; try again later", q.Verb, says)
	e.RetryAfterMs = failedAgain.Milliseconds()
	return e
}

// failedAgain is when a command may have more luck.
const failedAgain = time.Second

// shareOfOne: one user may have one in so many of the questions.
const shareOfOne = 8

func (h *Hooks) share() int { return max(h.Most/shareOfOne, 1) }

// take takes a place for a question about a user, if there is one.
func (h *Hooks) take(u subjects.User) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting >= h.Most || h.of[u] >= h.share() {
		return false
	}
	h.waiting++
	h.of[u]++
	return true
}

func (h *Hooks) give(u subjects.User) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting--
	if h.of[u]--; h.of[u] == 0 {
		delete(h.of, u)
	}
}
