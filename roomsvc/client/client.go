package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
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
	UserID    string // the user of requests that name none
	SessionID string // the session of requests that name none; if it is empty, the service takes [DefaultSession]

	// UserForm sends commands on the subjects that belong to the user, so that the
	// connection needs no more rights than those of an end user. Then every request must
	// have a user.
	UserForm bool

	// LeaseSeconds is how long the user's session stays in its rooms without a sign of
	// life: 5 to 3600 seconds, or 0 for no lease. Nil leaves it to the service. See
	// [Caller].
	LeaseSeconds *int

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
	nc   *nats.Conn
	cfg  Config
	life context.Context // ends when the client is closed
	end  context.CancelCauseFunc
	own  *presence

	unnamed bool // the service is not told of the connection
}

// New makes a client that uses nc. It changes none of the connection's handlers, and the
// caller still has to close the connection.
func New(nc *nats.Conn, as Config) *Client {
	as.Timeout = cmp.Or(as.Timeout, clientTimeout)
	life, end := context.WithCancelCause(context.Background())
	return &Client{nc, as, life, end, newPresence(), as.Once}
}

// Close ends the client's watches with [ErrClosed] and lets the lease of its session run
// out. It leaves no room, and the connection stays open; commands still work.
func (c *Client) Close() { c.end(ErrClosed) }

// patient is the same client, but it retries. It is for what goes on until it succeeds.
func (c *Client) patient() *Client {
	p := *c
	p.cfg.Once, p.cfg.OnReply = false, nil
	return &p
}

// Create makes a room with the user as its first member, or an empty one if there is no
// user.
func (c *Client) Create(ctx context.Context, q CreateRequest) (*JoinedReply, error) {
	r, err := ask[JoinedReply](ctx, c, room.Create, c.changing(&q.Caller), &q)
	return r, c.came(&q.Caller, r, err)
}

// Join adds the user's session to a room that exists.
func (c *Client) Join(ctx context.Context, q RoomRequest) (*JoinedReply, error) {
	r, err := ask[JoinedReply](ctx, c, room.Join, c.changing(&q.Caller), &q)
	return r, c.came(&q.Caller, r, err)
}

// Enter adds the user's session to a room, and makes the room if there is none. It also
// succeeds if the session is in the room already.
func (c *Client) Enter(ctx context.Context, q CreateRequest) (*JoinedReply, error) {
	r, err := ask[JoinedReply](ctx, c, room.Enter, c.changing(&q.Caller), &q)
	return r, c.came(&q.Caller, r, err)
}

// Switch moves the user's session from one room to another. The session is never in both
// rooms, nor in neither of them.
func (c *Client) Switch(ctx context.Context, q SwitchRequest) (*JoinedReply, error) {
	defer c.own.leaving()()
	r, err := ask[JoinedReply](ctx, c, room.Switch, c.changing(&q.Caller), &q)
	return r, c.came(&q.Caller, r, err)
}

// Leave takes the user's session out of a room.
func (c *Client) Leave(ctx context.Context, q RoomRequest) (*LeftReply, error) {
	defer c.own.leaving()()
	r, err := ask[LeftReply](ctx, c, room.Leave, c.changing(&q.Caller), &q)
	return r, c.went(&q.Caller, err, q.RoomID)
}

// LeaveAll takes the user's session out of every room that it is in.
func (c *Client) LeaveAll(ctx context.Context, q LeaveAllRequest) (*LeftAllReply, error) {
	defer c.own.leaving()()
	r, err := ask[LeftAllReply](ctx, c, room.LeaveAll, c.changing(&q.Caller), &q)
	if err != nil {
		return nil, err
	}
	return r, c.went(&q.Caller, nil, r.RoomIDList...)
}

// Get describes a room.
func (c *Client) Get(ctx context.Context, q ReadRequest) (*GetReply, error) {
	return ask[GetReply](ctx, c, room.Get, c.caller(&q.Caller), &q)
}

// Members lists one page of a room's members, oldest first. There are more if NextFlag is
// not empty. A page with another InstanceID belongs to another room of the same name.
func (c *Client) Members(ctx context.Context, q MembersRequest) (*MembersReply, error) {
	return ask[MembersReply](ctx, c, room.Members, c.caller(&q.Caller), &q)
}

// MemberOf tells which of some users are members of a room.
func (c *Client) MemberOf(ctx context.Context, q MemberOfRequest) (*MemberOfReply, error) {
	return ask[MemberOfReply](ctx, c, room.MemberOf, c.caller(&q.Caller), &q)
}

// Rooms lists one page of the rooms that the user is in.
func (c *Client) Rooms(ctx context.Context, q RoomsRequest) (*RoomsReply, error) {
	return ask[RoomsReply](ctx, c, room.Rooms, c.caller(&q.Caller), &q)
}

// List lists one page of all rooms, or of those whose ID starts with a prefix. It is for
// trusted callers.
func (c *Client) List(ctx context.Context, q ListRequest) (*ListReply, error) {
	return ask[ListReply](ctx, c, room.List, c.caller(&q.Caller), &q)
}

// Renew tells the service that the session is still there, and lists the rooms that the
// session is in, with the position of each. A caller that has not seen a room up to there
// has missed something.
func (c *Client) Renew(ctx context.Context, q RenewRequest) (*RenewReply, error) {
	return ask[RenewReply](ctx, c, room.Renew, c.caller(&q.Caller), &q)
}

// SetAttributes changes attributes of a room, all of them in one step. Keys that belong to
// other users are not changed, and ErrorKeys names them. With IfRevision the change is
// refused with [ErrRevisionMismatch] if attributes were changed after that revision; the
// error's Attributes and At say what is there now.
func (c *Client) SetAttributes(ctx context.Context, q SetAttributesRequest) (*SetAttributesReply, error) {
	return ask[SetAttributesReply](ctx, c, room.SetAttributes, c.changing(&q.Caller), &q)
}

// SetMemberAttributes sets attributes of members of a room.
func (c *Client) SetMemberAttributes(ctx context.Context, q SetMemberAttributesRequest) (*SetMemberAttributesReply, error) {
	return ask[SetMemberAttributesReply](ctx, c, room.SetMemberAttributes, c.changing(&q.Caller), &q)
}

// Send sends a message to a room. Text and custom messages are stored when it returns; the
// others are live only. Without a user, the message is from the server itself.
func (c *Client) Send(ctx context.Context, q SendRequest) (*SendReply, error) {
	return ask[SendReply](ctx, c, room.Send, c.changing(&q.Caller), &q)
}

// History reads one page of the facts or of the messages of an instance of a room.
func (c *Client) History(ctx context.Context, q HistoryRequest) (*HistoryReply, error) {
	return ask[HistoryReply](ctx, c, room.History, c.caller(&q.Caller), &q)
}

// Kick puts users out of a room, with all their sessions. It is for trusted callers.
func (c *Client) Kick(ctx context.Context, q KickRequest) (*KickReply, error) {
	return ask[KickReply](ctx, c, room.Kick, c.changing(&q.Caller), &q)
}

// Destroy ends a room and puts everybody out. It is for trusted callers.
func (c *Client) Destroy(ctx context.Context, q DestroyRequest) (*DestroyReply, error) {
	return ask[DestroyReply](ctx, c, room.DestroyRoom, c.changing(&q.Caller), &q)
}

// SetAccess changes which end users may join a room. It is for trusted callers.
func (c *Client) SetAccess(ctx context.Context, q SetAccessRequest) (*SetAccessReply, error) {
	return ask[SetAccessReply](ctx, c, room.SetAccess, c.changing(&q.Caller), &q)
}

// caller fills in for whom a request acts, and the lease if it acts for the client's own
// session.
func (c *Client) caller(q *Caller) *Caller {
	q.UserID = cmp.Or(q.UserID, c.cfg.UserID)
	q.SessionID = cmp.Or(q.SessionID, c.cfg.SessionID)
	if c.isOwn(q) && q.LeaseSeconds == nil {
		q.LeaseSeconds = c.cfg.LeaseSeconds
	}
	return q
}

// changing does the same for a request that changes something, and makes its RequestID.
func (c *Client) changing(q *Caller) *Caller {
	if q.RequestID == "" {
		q.RequestID = nuid.Next()
	}
	return c.caller(q)
}

// subject is the subject on which a command for q is sent.
func (c *Client) subject(verb Verb, q *Caller) (string, error) {
	if !c.cfg.UserForm {
		return subjects.Command(string(verb)), nil
	}
	user, err := subjects.ParseUser(q.UserID)
	if err != nil {
		return "", room.Invalid("userID", "%v", err)
	}
	return subjects.UserCommand(string(verb), user), nil
}

// ask sends a request and waits for its answer.
func ask[Reply any](ctx context.Context, c *Client, verb Verb, q *Caller, request any) (*Reply, error) {
	subject, err := c.subject(verb, q)
	if err != nil {
		return nil, err
	}
	own := q.Connection == nil && c.isOwn(q)
	answer, err := c.request(ctx, func(ctx context.Context) (*nats.Msg, error) {
		if own { // a retry may use another connection; that does not make it another request
			q.Connection = c.connection()
		}
		body, err := json.Marshal(request)
		if err != nil {
			return nil, err
		}
		return c.try(ctx, subject, body)
	})
	if err != nil && !errors.As(err, new(*Error)) {
		err = fmt.Errorf("%s: %w", verb, err)
	}
	if err != nil {
		return nil, err
	}
	if c.cfg.OnReply != nil {
		c.cfg.OnReply(verb, answer.Data)
	}
	reply := new(Reply)
	if err := json.Unmarshal(answer.Data, reply); err != nil {
		return nil, fmt.Errorf("%s succeeded, but its reply is not understood: %w", verb, err)
	}
	if r, ok := any(reply).(interface{ Session() Lease }); ok && c.isOwn(q) {
		c.leased(r.Session())
	}
	return reply, nil
}

// refusal is the error in an answer, or nil for a success. The headers decide, so that a
// refusal is recognized even if its body is of a later version.
func refusal(answer *nats.Msg) error {
	name, number := answer.Header.Get(micro.ErrorHeader), answer.Header.Get(micro.ErrorCodeHeader)
	if name == "" && number == "" {
		return nil
	}
	var body room.ErrorBody
	if err := json.Unmarshal(answer.Data, &body); err != nil || body.Error.Code == "" {
		n, _ := strconv.Atoi(number)
		body.Error = room.ErrorInfo{Code: name, Number: n, Message: "the service says no more than that", Outcome: OutcomeUnknown}
	}
	return body.Err()
}
