package client

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/client/follow"
	"natsrooms/roomsvc/room"
)

// presence is what the client knows about its own session.
type presence struct {
	mu     sync.Mutex
	rooms  map[string]stay // where the session is
	moves  int             // how many leaves were begun so far, and how many were told by notices
	moving int             // how many of the former have not ended
	leases int             // how many replies named a lease
	lease  time.Duration   // the length of the newest one
	kept   bool            // a goroutine renews it
	sooner chan struct{}   // tells that goroutine that the lease is shorter now
	told   map[*renewals]struct{}
}

// stay says which instance of a room the session is in, and at which sequence it was.
type stay struct {
	instance string
	at       uint64
}

func newPresence() *presence {
	return &presence{rooms: map[string]stay{}, sooner: make(chan struct{}, 1), told: map[*renewals]struct{}{}}
}

// renewal is the service's answer to a renewal.
type renewal struct {
	heads []RoomHead // where the session is
	lost  []RoomHead // where it was before, and is not any more
}

// renewals are the answers that one listener has not looked at yet.
type renewals struct {
	mu     sync.Mutex
	list   []renewal
	signal chan struct{}
}

func (r *renewals) add(n renewal) {
	r.mu.Lock()
	r.list = append(r.list, n)
	r.mu.Unlock()
	select {
	case r.signal <- struct{}{}:
	default:
	}
}

func (r *renewals) take() []renewal {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// heads is the rooms of all renewals that were not looked at yet, the newest renewal last.
func (r *renewals) heads() (all []RoomHead) {
	for _, n := range r.take() {
		all = append(all, n.heads...)
	}
	return all
}

// listen returns renewals that get every answer from now on, until they are forgotten.
func (p *presence) listen() *renewals {
	r := &renewals{signal: make(chan struct{}, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told[r] = struct{}{}
	return r
}

func (p *presence) forget(r *renewals) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.told, r)
}

// follow is listen for what follows a room.
func (p *presence) follow() follow.Renewals {
	r := p.listen()
	return follow.Renewals{Signal: r.signal, Take: r.heads, Forget: func() { p.forget(r) }}
}

// in lists the rooms that the session is in, sorted.
func (p *presence) in() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.rooms))
}

func (p *presence) put(roomID string, in stay) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rooms[roomID] = in
}

// drop notes that the session left rooms. A renewal that is on its way may still say what
// was true of them before.
func (p *presence) drop(roomIDs ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moves++
	for _, id := range roomIDs {
		delete(p.rooms, id)
	}
}

// out notes that a notice said that the session left a room. It returns false if the notice
// is older than the session's joining, or says nothing about where the session is now.
func (p *presence) out(roomID string, then stay) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in, ok := p.rooms[roomID]; ok && (in.instance != then.instance || in.at >= then.at) {
		return false
	}
	p.moves++
	delete(p.rooms, roomID)
	return true
}

// session is the ID of the client's own session.
func (c *Client) session() string { return cmp.Or(c.cfg.SessionID, DefaultSession) }

// isOwn says whether a request acts for the client's own session.
func (c *Client) isOwn(q *Caller) bool {
	return c.cfg.UserID != "" && q.UserID == c.cfg.UserID && cmp.Or(q.SessionID, DefaultSession) == c.session()
}

// connection is what tells the service that the session is gone when it closes. It is nil
// for a session that wants no lease, and for one that another process goes on with: neither
// is gone when this connection closes.
func (c *Client) connection() *Connection {
	if c.unnamed || c.cfg.LeaseSeconds == nil && !c.cfg.UserForm || c.cfg.LeaseSeconds != nil && *c.cfg.LeaseSeconds == 0 {
		return nil
	}
	id, err := c.nc.GetClientID()
	server := c.nc.ConnectedServerId()
	if err != nil || server == "" {
		return nil
	}
	return &Connection{ServerID: server, ClientID: id}
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

// leaving is called before a command that leaves rooms, and the function that it returns is
// called after it. A renewal in between may or may not find the session in them, and
// neither means that a room was lost.
func (p *presence) leaving() (left func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moves++
	p.moving++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.moving--
	}
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
	if !p.kept && c.life.Err() == nil {
		p.kept = true
		go c.keep()
	}
}

// keep renews the session's lease until the session has none, or is in no room.
func (c *Client) keep() {
	status := c.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
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

// third is a third of the session's lease.
func (p *presence) third() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lease / 3
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
		page, err := c.Renew(ctx, RenewRequest{NextFlag: next})
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

// settle notes where the session is. It returns the rooms that the session was in before
// and, as far as the client knew, was still in.
func (p *presence) settle(before map[string]stay, heads []RoomHead) (lost []RoomHead) {
	for _, h := range heads {
		if was, ok := p.rooms[h.RoomID]; !ok || was.instance == before[h.RoomID].instance {
			p.rooms[h.RoomID] = stay{h.InstanceID, h.Sequence}
		}
		delete(before, h.RoomID)
	}
	for id, in := range before {
		if p.rooms[id].instance == in.instance {
			delete(p.rooms, id)
			lost = append(lost, RoomHead{RoomID: id, InstanceID: in.instance})
		}
	}
	slices.SortFunc(lost, func(a, b RoomHead) int { return strings.Compare(a.RoomID, b.RoomID) })
	return lost
}
