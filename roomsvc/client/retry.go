package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/roomsvc/room"
)

// A request is sent again after a pause. The pause doubles each time, and is shortened at
// random by up to a half so that many clients do not retry in step.
const (
	firstPause = 20 * time.Millisecond
	maxPause   = 2 * time.Second
)

// repeatFor is how long after its first try a request may be sent again. The service
// remembers an outcome for two minutes; the rest of them is longer than a command can be on
// its way.
const repeatFor = 2*time.Minute - 10*time.Second

// errNoAnswer says that nobody knows the outcome of a request.
var errNoAnswer = errors.New("no answer")

// repeatable says whether the same request may succeed if it is sent again.
func repeatable(err error) bool {
	return errors.Is(err, ErrBusy) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNoService) ||
		errors.Is(err, errNoAnswer) || errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrReconnectBufExceeded)
}

// canWait says the same for a request that may wait until its user may go on. What is said may
// not: it would be heard too late.
func canWait(err error) bool { return repeatable(err) || errors.Is(err, ErrRateLimited) }

// unsure says whether the request may have had its effect in spite of the error.
func unsure(err error) bool {
	var refused *Error
	return errors.Is(err, errNoAnswer) || errors.As(err, &refused) && refused.Outcome == OutcomeUnknown
}

// again calls try until it succeeds, fails with an error that is not one to repeat it after, or
// repeatFor or ctx is over. In the last two cases it returns the error of the try that leaves the
// most open.
func again[T any](ctx context.Context, repeat func(error) bool, try func() (T, error)) (T, error) {
	began, pause := time.Now(), firstPause
	var worst error
	for {
		v, err := try()
		if err == nil || !repeat(err) {
			return v, err
		}
		if worst == nil || unsure(err) || !unsure(worst) {
			worst = err
		}
		wait := pause/2 + rand.N(pause/2)
		var refused *Error
		if errors.As(err, &refused) {
			wait = max(wait, time.Duration(refused.RetryAfterMs)*time.Millisecond)
		}
		if time.Since(began)+wait > repeatFor {
			return v, worst
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if cause := context.Cause(ctx); !errors.Is(worst, cause) {
				worst = fmt.Errorf("%w (%w)", worst, cause)
			}
			return v, worst
		}
		pause = min(2*pause, maxPause)
	}
}

// persistent is ask, but it asks until there is an answer that would not change if it asked
// again.
func persistent[Q, R any](ask func(context.Context, Q) (*R, error)) func(context.Context, Q) (*R, error) {
	return func(ctx context.Context, q Q) (*R, error) {
		for {
			r, err := ask(ctx, q)
			switch {
			case err == nil:
				return r, nil
			case ctx.Err() != nil:
				return nil, context.Cause(ctx)
			case !canWait(err):
				return nil, err
			}
		}
	}
}

// request calls try, which sends a command, until it succeeds or the client may not retry
// any more.
func (c *Client) request(ctx context.Context, verb Verb, try func(context.Context) (*nats.Msg, error)) (*nats.Msg, error) {
	if c.cfg.Once {
		return try(ctx)
	}
	end := time.Now().Add(repeatFor)
	repeat := canWait
	if verb == room.Send {
		repeat = repeatable
	}
	return again(ctx, repeat, func() (*nats.Msg, error) { return c.connectedTry(ctx, end, try) })
}

// connectedTry waits until the client is connected before it calls try. Otherwise a request
// could wait in the buffer for a connection that comes when the service has forgotten the
// request. If the connection is lost, the try is over, because its answer will not arrive.
func (c *Client) connectedTry(ctx context.Context, end time.Time, try func(context.Context) (*nats.Msg, error)) (*nats.Msg, error) {
	if err := c.connected(ctx, time.Until(end)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lost := c.nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	defer c.nc.RemoveStatusListener(lost) // which ends the goroutine
	go func() {
		if _, ok := <-lost; ok {
			cancel(nats.ErrDisconnected)
		}
	}()
	if c.nc.IsReconnecting() {
		return nil, nats.ErrDisconnected
	}
	return try(ctx)
}

// connected waits while the client is reconnecting, but no longer than most.
func (c *Client) connected(ctx context.Context, most time.Duration) error {
	if !c.nc.IsReconnecting() {
		return nil
	}
	status := c.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer c.nc.RemoveStatusListener(status)
	if !c.nc.IsReconnecting() { // it reconnected before anybody listened
		return nil
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-status:
		return nil
	case <-timer.C:
		return nats.ErrDisconnected
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", nats.ErrDisconnected, context.Cause(ctx))
	}
}

// flush waits until the server has taken all subscriptions.
func (c *Client) flush(ctx context.Context) error {
	for {
		if err := c.connected(ctx, repeatFor); err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		once, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
		err := c.nc.FlushWithContext(once)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case c.nc.IsClosed():
			return nats.ErrConnectionClosed
		}
	}
}

// try sends a request once. A refusal is returned as an error.
func (c *Client) try(ctx context.Context, subject string, body []byte) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	answer, err := c.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Header: c.spans.Headers(ctx), Data: body})
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, ErrNoService
	case ctx.Err() != nil && err != nil:
		return nil, fmt.Errorf("%w: %w", errNoAnswer, context.Cause(ctx))
	case err != nil:
		return nil, err
	}
	return answer, refusal(answer)
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
