package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// caller fills in for whom a request acts, and the lease if it acts for the client's own
// session.
func (c *Client) caller(q *Caller) *Caller {
	q.UserID = cmp.Or(q.UserID, c.cfg.UserID)
	if q.SessionID = cmp.Or(q.SessionID, c.cfg.SessionID); q.SessionID == "" && q.UserID == c.cfg.UserID && q.UserID != "" {
		q.SessionID = c.id
	}
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

// about makes the RequestID of a request whose user is not its caller.
func about(q *Caller) *Caller {
	q.RequestID = cmp.Or(q.RequestID, nuid.Next())
	return q
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

// connection is what tells the service that the session is gone when it closes. It is nil
// for a session that wants no lease, and for one that another process goes on with: neither
// is gone when this connection closes.
func (c *Client) connection() *Connection {
	if !c.mortal() {
		return nil
	}
	id, err := c.nc.GetClientID()
	server := c.nc.ConnectedServerId()
	if err != nil || server == "" {
		return nil
	}
	return &Connection{ServerID: server, ClientID: id}
}

// ask sends a request and waits for its answer.
func ask[Reply any](ctx context.Context, c *Client, verb Verb, q *Caller, request any) (*Reply, error) {
	subject, err := c.subject(verb, q)
	if err != nil {
		return nil, err
	}
	if !c.cfg.Unordered && c.isOwn(q) && verb.Info().Kind != room.Reads {
		select {
		case c.turn <- struct{}{}:
			defer func() { <-c.turn }()
		case <-ctx.Done():
			return nil, fmt.Errorf("%s was not sent, since earlier commands of the session are not answered: %w", verb, context.Cause(ctx))
		}
	}
	own := q.Connection == nil && c.isOwn(q)
	answer, err := c.request(ctx, verb, func(ctx context.Context) (*nats.Msg, error) {
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
	return reply, nil
}
