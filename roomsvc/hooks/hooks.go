package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/post"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/seldom"
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
		k := &hook{subject: subject, poster: s.posters[subject]}
		if k.poster != nil {
			k.subject = k.poster.Host() // the rest may be secret
		}
		h.hooks[verb] = k
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
	if k.poster != nil {
		return k.post(ctx, q.Verb, data)
	}
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

// post asks over HTTP. Only an answer with the status 200 counts.
func (k *hook) post(ctx context.Context, verb room.Verb, data []byte) (a Answer, why failure, err error) {
	answer, err := k.poster.Send(ctx, "ask_"+nuid.Next(), func(req *http.Request) error {
		req.Header.Set("Content-Type", "application/json")
		req.Body = io.NopCloser(bytes.NewReader(data))
		return nil
	})
	var network *net.OpError
	switch {
	case ctx.Err() != nil && err != nil:
		return a, slow, err
	case errors.Is(err, post.ErrPrivate):
		return a, lost, err
	case errors.As(err, &network) && network.Op == "dial":
		return a, absent, err
	case err != nil:
		return a, lost, err
	case answer.Status != http.StatusOK:
		return a, nonsense, fmt.Errorf("the status is %d, and not 200", answer.Status)
	}
	a, err = read(verb, answer.Body)
	return a, nonsense, err
}

// failed decides about a command without an answer; it returns a refusal, or nil to let it pass.
func (h *Hooks) failed(k *hook, q *Question, why failure, err error) *room.Error {
	says := why.says(h.Timeout)
	k.failed[why].count.Add(1)
	if unsaid, due := k.failed[why].line.Due(time.Now(), sayEvery); due {
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

// Counts are what has become of the questions about one verb, since this instance started.
type Counts struct {
	Asked    int64 `json:"asked"`    // questions sent
	Passed   int64 `json:"passed"`   // let pass, by an answer
	Denied   int64 `json:"denied"`   // refused, by an answer
	Replaced int64 `json:"replaced"` // said otherwise
	Silenced int64 `json:"silenced"` // heard by nobody
	Slow     int64 `json:"slow"`     // no answer in time
	Absent   int64 `json:"absent"`   // nobody was there to ask
	Nonsense int64 `json:"nonsense"` // an answer that means nothing
	Lost     int64 `json:"lost"`     // not sent, because the connection was closed or the question too large for it
	Busy     int64 `json:"busy"`     // commands refused because too many questions waited
	Waiting  int64 `json:"waiting"`  // questions that wait now
	TookMs   int64 `json:"tookMs"`   // how long all answers took together
}

// Counts returns those of each verb that has a hook.
func (h *Hooks) Counts() map[room.Verb]Counts {
	if h == nil {
		return nil
	}
	all := make(map[room.Verb]Counts, len(h.hooks))
	for verb, k := range h.hooks {
		c := Counts{
			Asked: k.asked.Load(), Passed: k.passed.Load(), Denied: k.denied.Load(), Replaced: k.replaced.Load(), Silenced: k.silenced.Load(),
			Busy: k.busy.Load(), Waiting: k.waiting.Load(), TookMs: time.Duration(k.took.Load()).Milliseconds(),
		}
		for why, n := range map[failure]*int64{slow: &c.Slow, absent: &c.Absent, nonsense: &c.Nonsense, lost: &c.Lost} {
			*n = k.failed[why].count.Load()
		}
		all[verb] = c
	}
	return all
}

// hook is one verb's.
type hook struct {
	subject string       // or host
	poster  *post.Poster // nil: it is asked over NATS

	asked, passed, denied, replaced, silenced, busy, waiting, took atomic.Int64
	failed                                                         [failures]failed
}

// answered counts an answer.
func (k *hook) answered(a *Answer, took time.Duration) {
	k.took.Add(int64(took))
	switch {
	case a.Deny != nil:
		k.denied.Add(1)
	case a.Replace != nil:
		k.replaced.Add(1)
	case a.Silent:
		k.silenced.Add(1)
	default:
		k.passed.Add(1)
	}
}

// failure is why there was no useful answer.
type failure int

const (
	slow failure = iota
	absent
	nonsense
	lost
	failures int = iota
)

// says is the failure of the application, "it", for people.
func (f failure) says(within time.Duration) string {
	switch f {
	case slow:
		return fmt.Sprintf("it did not answer within %v", within)
	case absent:
		return "nobody is there to answer for it"
	case nonsense:
		return "its answer means nothing"
	}
	return "it could not be asked"
}

// failed counts failures of one kind.
type failed struct {
	count atomic.Int64
	line  seldom.Line
}

// sayEvery is how often the log is told of one kind of failure of one hook.
const sayEvery = 10 * time.Second
