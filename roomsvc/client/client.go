package client

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
	"go.opentelemetry.io/otel/trace"

	"natsrooms/roomsvc/traces"
)

// ErrNoService is returned when there is a NATS server, but nobody answers commands. The
// command had no effect.
var ErrNoService = errors.New("a NATS server is there, but no room service answers")

// clientTimeout is longer than the service takes for any answer.
const clientTimeout = 15 * time.Second

// ErrClosed ends the watches of a closed [Client].
var ErrClosed = errors.New("the client is closed")

// Config says for whom a [Client] acts. With the zero value it acts for nobody: then each
// request names its user itself.
type Config struct {
	UserID string // the user of requests that name none

	// SessionID is the session of requests that name none. If it is empty, requests of
	// UserID have a random one, made by New, so that two programs or devices of a user are
	// two sessions; see [Client.SessionID]. [DefaultSession] is the session instead where
	// the next program has to find the one of this program: where the session has no lease
	// that would end it, and with Once. It is also that of requests for other users.
	SessionID string

	// UserForm sends commands on the subjects that belong to the user, so that the
	// connection needs no more rights than those of an end user. Then every request must
	// have a user.
	UserForm bool

	// LeaseSeconds is how long the user's session stays in its rooms without a sign of
	// life: 5 to 3600 seconds, or 0 for no lease. Nil leaves it to the service. See
	// [Caller].
	LeaseSeconds *int

	// Unordered lets commands of the client's session be on their way at the same time.
	// Otherwise each waits until those before it are answered, because several instances of
	// the service take up in no fixed order what is sent without waiting. Reads never wait.
	Unordered bool

	// Timeout is how long to wait for the answer to one try. Zero means 15 s. A context
	// that ends sooner takes precedence.
	Timeout time.Duration

	// Once sends each request only once. It is for a tool that prefers an error at once to
	// waiting for a service that is busy or not there, and that ends before its session
	// does: the client does not tell the service of its connection. Watches still retry.
	Once bool

	// OnReply, if it is not nil, is called with each successful reply to a command as it
	// arrived, before it is decoded. The goroutine that sent the command calls it.
	OnReply func(Verb, jsontext.Value)

	Tracer trace.TracerProvider // traces each command; nil: nothing is traced
}

// Client sends commands to the service, and watches rooms. Any number of goroutines may
// share one client, and several clients may share a connection.
//
// The client sends a request again, with the same RequestID, when the service is busy or
// not there, does not know whether the change was stored, or does not answer within
// [Config.Timeout]. It does so until the request's context ends, and for 110 s at most,
// because the service remembers an outcome for two minutes. Its methods return
//   - a [*Error] for a refusal, so that errors.Is(err, ErrRoomNotExist) works;
//   - [ErrNoService] if nobody takes commands: the command had no effect;
//   - an error that wraps [context.DeadlineExceeded], or the cause that the context was
//     cancelled with, if no answer came in time;
//   - [nats.ErrConnectionClosed] if the connection was closed, and [nats.ErrDisconnected] if
//     it was broken for 110 s.
//
// After the last two of these, and after a refusal whose Outcome is [OutcomeUnknown], the
// command may have had its effect. To find out, send the same request with the same
// RequestID again within two minutes: it has no second effect and gets the first outcome.
// Each method that changes something makes a RequestID where there is none, but it takes its
// request by value; to be able to send a request again, set its RequestID.
//
// If the session of [Config] gets a lease, the client renews it, after every third of its
// time and whenever the client has reconnected, until the session is in no room or the
// client is closed. Only then does the client have a goroutine of its own.
type Client struct {
	nc    *nats.Conn
	cfg   Config
	spans *traces.Tracer
	life  context.Context // ends when the client is closed
	end   context.CancelCauseFunc
	own   *presence
	id    string        // the client's own session
	turn  chan struct{} // full while a command of that session is on its way

	unnamed bool // the service is not told of the connection
}

// New makes a client that uses nc. It changes none of the connection's handlers, and the
// caller still has to close the connection.
func New(nc *nats.Conn, as Config) *Client {
	as.Timeout = cmp.Or(as.Timeout, clientTimeout)
	life, end := context.WithCancelCause(context.Background())
	c := &Client{nc: nc, cfg: as, spans: traces.New(as.Tracer, false), life: life, end: end, own: newPresence(), turn: make(chan struct{}, 1), id: cmp.Or(as.SessionID, DefaultSession), unnamed: as.Once}
	if as.UserID != "" && as.SessionID == "" && c.mortal() {
		c.id = nuid.Next()
	}
	return c
}

// SessionID is the client's own session: that of requests for [Config.UserID] that name none.
func (c *Client) SessionID() string { return c.id }

// mortal says whether the client's session ends when the client vanishes. It does not without
// a lease, and not if another process is to go on with it.
func (c *Client) mortal() bool {
	if c.cfg.LeaseSeconds != nil {
		return !c.unnamed && *c.cfg.LeaseSeconds != 0
	}
	return !c.unnamed && c.cfg.UserForm
}

// patient is the same client, but it retries. It is for what goes on until it succeeds.
func (c *Client) patient() *Client {
	p := *c
	p.cfg.Once, p.cfg.OnReply = false, nil
	return &p
}

// isOwn says whether a request acts for the client's own session.
func (c *Client) isOwn(q *Caller) bool {
	return c.cfg.UserID != "" && q.UserID == c.cfg.UserID && cmp.Or(q.SessionID, DefaultSession) == c.id
}
