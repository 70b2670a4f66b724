package client

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/subjects"
)

// heardAhead is how many copies a watch keeps while its caller is busy, or while it asks
// the service. Further ones are dropped; the watch notices that and reads them by history.
const heardAhead = 4096

// askEvery is how often a watch asks for the room's position if nothing else tells it: a
// third of the usual lease.
const askEvery = 20 * time.Second

// ear listens to a room, and knows when it may have missed something.
type ear struct {
	c      *Client // it retries
	roomID string
	want   func(subject string) bool
	every  time.Duration

	heard   chan *nats.Msg
	subs    map[string]*nats.Subscription
	dropped int
	doubt   bool // something was dropped since the last look at everything

	status   chan nats.Status
	renewals *renewals
	timer    *time.Timer
}

func (c *Client) newEar(roomID string, every time.Duration, want func(string) bool) *ear {
	if every <= 0 {
		every = askEvery
	}
	return &ear{
		c: c.patient(), roomID: roomID, want: want, every: every,
		heard: make(chan *nats.Msg, heardAhead), subs: map[string]*nats.Subscription{},
		status: c.nc.StatusChanged(nats.CONNECTED, nats.CLOSED), renewals: c.own.listen(), timer: time.NewTimer(every),
	}
}

func (e *ear) close() {
	for _, sub := range e.subs {
		_ = sub.Unsubscribe()
	}
	e.c.nc.RemoveStatusListener(e.status)
	e.c.own.forget(e.renewals)
	e.timer.Stop()
}

// begin finds out whether there is a room, and on which subjects to listen. It asks with
// the caller's own client, so it fails as a command of the caller would. If there is no
// room and that is allowed, the reply has no instance, and the subjects are those on which
// a room of that name could be heard.
func (e *ear) begin(ctx context.Context, c *Client, mayNotExist bool) (*GetReply, error) {
	reply, err := c.Get(ctx, ReadRequest{RoomID: e.roomID})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !gone(err) || !mayNotExist:
		return reply, err
	}
	reply = &GetReply{}
	id, err := subjects.ParseRoom(e.roomID)
	user, err2 := subjects.ParseUser(c.cfg.UserID)
	switch {
	case err != nil:
	case !c.cfg.UserForm:
		reply.Subscribe = []string{subjects.Facts(id), subjects.Messages(id)}
	case err2 == nil:
		reply.Subscribe = []string{subjects.Feed(user, id), subjects.Open(id)}
	}
	return reply, nil
}

// living is a context for a watch: it also ends when the client is closed.
func (c *Client) living(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// listen subscribes to these subjects from now on and to no others. changed is false if it
// already did.
func (e *ear) listen(ctx context.Context, names []string) (changed bool, err error) {
	names = slices.DeleteFunc(slices.Clone(names), func(s string) bool { return !e.want(s) })
	slices.Sort(names)
	if len(names) == 0 || slices.Equal(names, slices.Sorted(maps.Keys(e.subs))) {
		return false, nil
	}
	for subject, sub := range e.subs {
		if !slices.Contains(names, subject) {
			_ = sub.Unsubscribe()
			delete(e.subs, subject)
		}
	}
	for _, subject := range names {
		if e.subs[subject] == nil {
			if e.subs[subject], err = e.c.nc.ChanSubscribe(subject, e.heard); err != nil {
				delete(e.subs, subject)
				return true, err
			}
		}
	}
	return true, e.c.flush(ctx)
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

// next waits for one of three things: a copy, m; the room's position as a renewal told it,
// head; or, if it returns neither, the time to ask for the position.
func (e *ear) next(ctx context.Context) (m *nats.Msg, head *RoomHead, err error) {
	for ctx.Err() == nil && e.c.life.Err() == nil {
		e.noticeDrops()
		select {
		case m := <-e.heard:
			return m, nil, nil
		default:
		}
		if e.doubt {
			e.doubt = false
			return nil, nil, nil
		}
		select {
		case m := <-e.heard:
			return m, nil, nil
		case s := <-e.status:
			if s == nats.CLOSED {
				return nil, nil, nats.ErrConnectionClosed
			}
			return nil, nil, nil
		case <-e.renewals.signal:
			if head := e.told(); head != nil {
				e.timer.Reset(e.every + e.every/2) // the next renewal comes before the timer
				return nil, head, nil
			}
		case <-e.timer.C:
			e.sure()
			return nil, nil, nil
		case <-ctx.Done():
		}
	}
	if e.c.life.Err() != nil {
		return nil, nil, ErrClosed
	}
	return nil, nil, context.Cause(ctx)
}

// catchUp passes to take what was heard so far. take may call catchUp itself.
func (e *ear) catchUp(ctx context.Context, take func(context.Context, *nats.Msg) error) error {
	for range len(e.heard) {
		select {
		case m := <-e.heard:
			if err := take(ctx, m); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

func (e *ear) noticeDrops() {
	n := 0
	for _, sub := range e.subs {
		if dropped, err := sub.Dropped(); err == nil {
			n += dropped
		}
	}
	if n > e.dropped {
		e.doubt = true
	}
	e.dropped = n
}

// told is the room's position as the newest renewal told it.
func (e *ear) told() (head *RoomHead) {
	for _, r := range e.renewals.take() {
		for i := range r.heads {
			if r.heads[i].RoomID == e.roomID {
				head = &r.heads[i]
			}
		}
	}
	return head
}

// sure notes that nothing is known to be missing now, so that asking can wait.
func (e *ear) sure() { e.timer.Reset(e.every) }

// gone says whether the error means that there is no such room.
func gone(err error) bool { return errors.Is(err, ErrRoomNotExist) }

// persist asks until there is an answer that would not change if it asked again.
func persist[R any](ctx context.Context, ask func() (*R, error)) (*R, error) {
	for {
		r, err := ask()
		switch {
		case err == nil:
			return r, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !repeatable(err):
			return nil, err
		}
	}
}

func (e *ear) get(ctx context.Context) (*GetReply, error) {
	return persist(ctx, func() (*GetReply, error) {
		return e.c.Get(ctx, ReadRequest{RoomID: e.roomID, Freshness: Freshness{Sync: true}})
	})
}

func (e *ear) history(ctx context.Context, q HistoryRequest) (*HistoryReply, error) {
	q.RoomID = e.roomID
	return persist(ctx, func() (*HistoryReply, error) { return e.c.History(ctx, q) })
}

// number reads a number from a header of a live copy. It is 0 if the header is missing.
func number(m *nats.Msg, header string) uint64 {
	n, _ := strconv.ParseUint(m.Header.Get(header), 10, 64)
	return n
}
