package client

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/room"
)

// do sends a command as ask does, and notes what the reply states of the session's lease.
func do[Reply any](ctx context.Context, c *Client, verb Verb, q *Caller, request any) (*Reply, error) {
	ctx, span := c.spans.Asks(ctx, verb)
	reply, err := ask[Reply](ctx, c, verb, q, request)
	span.End(err)
	if err != nil {
		return nil, err
	}
	if r, ok := any(reply).(interface{ Session() Lease }); ok && c.isOwn(q) {
		c.leased(r.Session())
	}
	return reply, nil
}

// came notes where the session is after a command that made it join a room.
func (c *Client) came(q *Caller, r *JoinedReply, err error) error {
	if err == nil && c.isOwn(q) {
		c.own.put(r.Room.RoomID, stay{r.InstanceID, r.Sequence})
		if r.Left != nil {
			c.own.drop(r.Left.RoomID)
		}
	}
	return err
}

// went notes which rooms the session is not in any more.
func (c *Client) went(q *Caller, err error, roomIDs ...string) error {
	gone := err == nil || errors.Is(err, ErrUserNotInRoom) || errors.Is(err, ErrRoomNotExist)
	if gone && c.isOwn(q) {
		c.own.drop(roomIDs...)
	}
	return err
}

// leased notes the session's lease as a reply states it.
func (c *Client) leased(l Lease) {
	if l.ExpiresAt == 0 {
		return
	}
	p := c.own
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leases++
	was := p.lease
	p.lease = time.Duration(max(l.LeaseSeconds, room.MinLease)) * time.Second
	if p.lease < was {
		select {
		case p.sooner <- struct{}{}:
		default:
		}
	}
	if !p.kept && !p.closed {
		p.kept = true
		status := c.nc.StatusChanged(nats.CONNECTED, nats.CLOSED) // from now on, not from when the goroutine runs
		p.keeper.Go(func() { c.keep(status) })
	}
}

// keep renews the session's lease until the session has none, or is in no room, and whenever
// status says that the client has reconnected.
func (c *Client) keep(status chan nats.Status) {
	defer c.nc.RemoveStatusListener(status)
	for {
		timer := time.NewTimer(c.own.third())
		select {
		case <-timer.C:
		case <-status:
		case <-c.own.sooner:
		case <-c.life.Done():
		}
		timer.Stop()
		if !c.keeps(c.own.third()) {
			return
		}
	}
}

// keeps renews once and says whether the session has to be renewed again.
func (c *Client) keeps(patience time.Duration) bool {
	c.own.mu.Lock()
	leases := c.own.leases
	c.own.mu.Unlock()
	p := c.patient()
	p.cfg.Timeout = min(p.cfg.Timeout, patience)
	leased, rooms, err := p.renewal(c.life)
	c.own.mu.Lock()
	defer c.own.mu.Unlock()
	over := c.life.Err() != nil || c.nc.IsClosed()
	if leased && rooms == 0 {
		leases++ // by this renewal; further ones are of a command that may have joined a room since
	}
	idle := err == nil && (!leased || rooms == 0) && c.own.leases == leases
	if rooms == 0 && len(c.own.rooms) > 0 { // it is not known whether they are lost
		idle = false
	}
	c.own.kept = !over && !idle
	return c.own.kept
}

// renewal renews the session and passes the result to all listeners. It returns whether the
// session has a lease, and in how many rooms it is.
func (c *Client) renewal(ctx context.Context) (leased bool, rooms int, err error) {
	p := c.own
	p.mu.Lock()
	before, moves, moving := maps.Clone(p.rooms), p.moves, p.moving
	p.mu.Unlock()
	var n renewal
	for next := ""; ; {
		q := RenewRequest{NextFlag: next}
		page, err := do[RenewReply](ctx, c, room.Renew, c.caller(&q.Caller), &q)
		if err != nil {
			return false, 0, err
		}
		n.heads, leased = append(n.heads, page.Rooms...), page.ExpiresAt != 0
		if next = page.NextFlag; next == "" {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if moves == p.moves && moving == 0 {
		n.lost = p.settle(before, n.heads)
	}
	for r := range p.told {
		r.add(n)
	}
	return leased, len(n.heads), nil
}

// Close ends the client's watches with [ErrClosed] and lets the lease of its session run
// out, although the connection stays open: a last renewal says that it does not speak for the
// session any more. Close leaves no room; commands still work. When it
// returns, the client has no goroutine any more apart from those that use it.
func (c *Client) Close() {
	c.end(ErrClosed)
	c.own.close()
	if len(c.own.in()) > 0 && c.own.third() > 0 && c.mortal() {
		c.unvouch()
	}
}

// unvouch says that the connection, which may stay open, does not speak for the session any
// more, by a renewal that names no connection. It waits for no answer: if it gets lost, the
// session stays until the connection closes.
func (c *Client) unvouch() {
	q := RenewRequest{Caller: Caller{UserID: c.cfg.UserID, SessionID: c.id}}
	subject, err := c.subject(room.Renew, &q.Caller)
	if err != nil {
		return
	}
	if body, err := json.Marshal(&q); err == nil {
		_ = c.nc.Publish(subject, body)
	}
}
