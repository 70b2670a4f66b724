package api

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/roomsvc/answers"
	"natsrooms/roomsvc/blocks"
	"natsrooms/roomsvc/clock"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/departed"
	"natsrooms/roomsvc/erase"
	"natsrooms/roomsvc/guard"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/messages"
	"natsrooms/roomsvc/meter"
	"natsrooms/roomsvc/past"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/seldom"
	"natsrooms/roomsvc/space"
	"natsrooms/roomsvc/talk"
	"natsrooms/roomsvc/traces"
	"natsrooms/roomsvc/turns"
)

// Sizes of answers.
const (
	MaxReply  = 256 << 10 // the most bytes that a reply may have; pages end before that
	LeaseRoom = 64        // the bytes of a session's lease in a reply
	PageRoom  = MaxReply - 48<<10
)

// ignoredHeader names the unknown fields of a request.
const ignoredHeader = "Room-Ignored-Fields"

// Verb is one row of the table of verbs: how a command is taken in and, if it changes or says
// something, how it is answered.
type Verb struct {
	Take   func(*API, *Request)                         // checks a request's form and hands it on
	Answer func(*API, *Request, *commit.Result, *Cache) // of a change that was carried out
	Repeat func(*API, *Request, *commit.Result)         // of a request that was carried out before
}

// Config is what an API works with. All of it is needed.
type Config struct {
	Verbs    map[room.Verb]Verb
	Life     *life.Life
	Log      *slog.Logger
	Clock    *clock.Clock
	Conn     *nats.Conn // for commands of trusted callers
	Users    *nats.Conn // for commands of end users, and their answers; it may be the same
	Replica  *replica.Replica
	Sync     *replica.Sync
	Commit   *commit.Committer
	Messages *messages.Store
	Talk     *talk.Talk
	Eraser   *erase.Eraser
	Past     *past.Reader
	Leases   *leases.Book
	Departed *departed.Departed
	Expire   func(context.Context, []leases.Ending) (done []<-chan struct{}, ended []leases.Ending) // ends leases
	Space    *space.Guard
	Blocks   *blocks.Warden      // knows who is kept out
	Limits   func() *room.Limits // as they are now

	Answers     *answers.Leave            // to commands on Conn; nil: none is needed
	UserAnswers *answers.Leave            // to commands on Users; nil: none is needed
	Guard       *guard.Guard              // of what end users ask for; nil: nobody connects as an end user
	Feeds       bool                      // end users connect as themselves
	Source      string                    // prefix of the source of every event
	MaxInFlight int                       // requests worked on at once
	Listened    func(subject string) bool // says whether anybody would hear what is published on a subject; nil: it is not known
	Version     string
	Hooks       *hooks.Hooks // ask the application; nil: it is asked nothing
	Traces      *traces.Tracer
	Stats       func() any // what the micro service returns under "data"
}

// API takes requests and answers them, for one instance.
type API struct {
	Config
	Answered []meter.Verb  // of the answers to each of [room.Commands]
	Unread   meter.Counter // reads of the past that a stream did not answer
	inFlight atomic.Int64
	letting  sync.Once
	turns    turns.Turns
	imports  seldom.Line // about commands of users of other accounts
	pulse    *life.Pulse
}

// New makes an API, which takes requests once [API.Listen] is called.
func New(c Config) *API {
	return &API{Config: c, Answered: make([]meter.Verb, len(room.Commands)), pulse: life.NewPulse()}
}

// InFlight is how many requests are being worked on, or wait for that.
func (a *API) InFlight() (n int64) {
	if a.Guard != nil {
		n = int64(a.Guard.Lined()) // first: from there they get into flight
	}
	return n + a.inFlight.Load()
}

func (a *API) Encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		a.Log.Error("a reply can't be encoded", "error", err)
	}
	return data
}

// Reply sends a success.
func (a *API) Reply(q *Request, v any) { a.Send(q, a.Encode(v), nil) }

// Answer sends a success, unless the request has been answered.
func (a *API) Answer(q *Request, v any) {
	if q.Answer() {
		a.Reply(q, v)
	}
}

// Refuse sends a refusal, unless the request has been answered.
func (a *API) Refuse(q *Request, e *room.Error) {
	if q.Answer() {
		a.SendError(q, e)
	}
}

// SendError sends a refusal. One from before the command's turn is answered in its turn too, if
// the service has looked at what the command is.
func (a *API) SendError(q *Request, e *room.Error) {
	if !q.inLine {
		q.turn.Session, q.turn.Rooms = q.whose()
	}
	a.sendError(q, e)
}

func (a *API) sendError(q *Request, e *room.Error) {
	q.code = 1 + slices.Index(room.Codes, e.Code)
	a.Send(q, a.Encode(e.Body()), nats.Header{micro.ErrorHeader: {e.Code.Name}, micro.ErrorCodeHeader: {strconv.Itoa(e.Code.Number)}})
}

// withLease is a reply, which may go to many callers, with the lease of one session added.
func withLease(reply []byte, l room.Lease) []byte {
	data := make([]byte, 0, len(reply)+LeaseRoom)
	data = append(data, reply[:len(reply)-1]...)
	data, _ = l.ExpiresAt.AppendText(append(data, `,"expiresAt":"`...))
	data = strconv.AppendInt(append(data, `","leaseSeconds":`...), int64(l.LeaseSeconds), 10)
	return append(data, '}')
}

// Send sends the one answer to a request, in its turn: after those to the commands of its session
// on the same rooms that came before it.
func (a *API) Send(q *Request, data []byte, h nats.Header) {
	q.answer = a.answer(q, data, h)
	if q.turn.Session.User == "" { // nobody's turn
		a.post(q)
		return
	}
	if !q.inLine {
		q.turn.From = q
		if a.turns.Refused(&q.turn) {
			a.postInTurn(&q.turn)
		} else {
			q.Place.Aside()
		}
		return
	}
	send, begin := a.turns.End(&q.turn)
	if send {
		a.postInTurn(&q.turn)
	} else {
		q.Place.Aside()
	}
	if begin != nil { // whoever waited for this answer goes on
		a.Life.Go(begin)
	}
}

// postInTurn publishes an answer, and those that have waited for it.
func (a *API) postInTurn(turn *turns.Turn) {
	a.post(turn.From.(*Request))
	for next := a.turns.Sent(turn); len(next) > 0; next = next[1:] {
		a.post(next[0].From.(*Request))
		next = append(next, a.turns.Sent(next[0])...)
	}
}

// answer makes a request's answer; it is nil if nobody waits for one.
func (a *API) answer(q *Request, data []byte, h nats.Header) *nats.Msg {
	if q.reply == "" {
		return nil
	}
	if h == nil && q.Lease.ExpiresAt != 0 && len(data) > 0 { // a refusal may be sent while the lease is being worked on
		data = withLease(data, q.Lease)
	}
	m := &nats.Msg{Subject: q.reply, Header: h, Data: data}
	if q.ignored != "" {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		m.Header[ignoredHeader] = []string{q.ignored}
	}
	return m
}

// post publishes a request's answer.
func (a *API) post(q *Request) {
	m := q.answer
	q.answer = nil
	a.inFlight.Add(-1)
	q.meter.Answered(q.code, time.Since(q.arrived))
	q.endSpan()
	q.Place.Done()
	if m == nil {
		return
	}
	q.answers.Before(q.reply, q.named)
	if err := q.conn.PublishMsg(m); err != nil {
		a.Log.Warn("an answer was lost", "verb", q.Info.Verb, "error", err)
	}
}

func busy(format string, args ...any) *room.Error {
	e := room.Refuse(room.ErrBusy, format, args...)
	e.RetryAfterMs = 100
	return e
}
