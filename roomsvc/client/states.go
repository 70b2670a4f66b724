package client

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// restoreWithin is how long the client tries to learn what became of its session when
// the connection is back, unless the session's lease is longer.
const restoreWithin = time.Minute

// States gives what becomes of the client's own session, room by room: the service's
// notices, and those that only the client can know of, because its connection was lost.
// [Config.UserID] says whose.
//
//	the connection is lost            connecting, networkInterrupted
//	it is back                        connecting, networkInterrupted
//	the session is still in the room  connected, success
//	it is not                         disconnected, connectTimeout
//	the room is gone                  disconnected, roomNotExist
//	that can't be known               disconnected, networkDisconnected
//
// The client's own notices have no ID and no instance. The last of these is said too when
// the connection is closed for good. A session that is found in a room after all is
// connected, success. Notices of the service come at most once; what they would have said
// of a session that is out is said after the next renewal. It stops as [Client.Watch] does.
//
// It listens from this call on until ctx ends or the iteration does, so ask for it before
// entering a room. There is one iteration.
func (c *Client) States(ctx context.Context) (iter.Seq2[*Notice, error], error) {
	user, err := subjects.ParseUser(c.cfg.UserID)
	if err != nil {
		return nil, room.Invalid("userID", "%v", err)
	}
	ctx, cancel := c.living(ctx)
	s := &states{c: c.patient(), user: user, away: map[string]State{}, heard: make(chan *nats.Msg, heardAhead)}
	s.status = c.nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED)
	s.renewals = c.own.listen()
	sub, err := c.nc.ChanSubscribe(subjects.UserStates(user), s.heard)
	context.AfterFunc(ctx, func() {
		_ = sub.Unsubscribe() // refused if there is none
		c.nc.RemoveStatusListener(s.status)
		c.own.forget(s.renewals)
	})
	if err == nil {
		err = c.flush(ctx)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return func(yield func(*Notice, error) bool) {
		defer cancel()
		s.yield = yield
		for err == nil {
			err = s.next(ctx)
		}
		if !errors.Is(err, errBrokenOff) {
			yield(nil, err)
		}
	}, nil
}

// states is one States under way.
type states struct {
	c     *Client
	user  subjects.User
	yield func(*Notice, error) bool
	away  map[string]State // what was said of rooms that a broken connection made doubtful

	heard    chan *nats.Msg
	status   chan nats.Status
	lost     bool // the connection, as far as was told by status
	renewals *renewals
}

// next waits for what comes next. The connection comes first: what a renewal said is
// of the connection after it.
func (s *states) next(ctx context.Context) error {
	connected := s.c.nc.IsConnected() // asked before the look: what it says was told before
	select {
	case now, ok := <-s.status:
		return s.network(ctx, now, ok)
	default:
	}
	if connected && s.lost { // not told to who had too many changes before it
		return s.network(ctx, nats.CONNECTED, true)
	}
	select {
	case now, ok := <-s.status:
		return s.network(ctx, now, ok)
	case m := <-s.heard:
		return s.notice(m)
	case <-s.renewals.signal:
		return s.settle(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// say makes a notice of the client's own.
func (s *states) say(roomID string, state State, event Event) error {
	if delete(s.away, roomID); event == NetworkInterrupted || event == NetworkDisconnected {
		s.away[roomID] = state
	}
	return s.emit(&Notice{
		Time: events.TimeOf(time.Now()), Room: subjects.Room(roomID), User: s.user, SessionID: s.c.session(), State: state, Event: event,
	})
}

func (s *states) emit(n *Notice) error {
	if !s.yield(n, nil) {
		return errBrokenOff
	}
	return nil
}

// notice hands on what the service says of this session.
func (s *states) notice(m *nats.Msg) error {
	n, err := events.DecodeNotice(m.Data)
	if err != nil || n.SessionID != s.c.session() {
		return nil
	}
	if n.State == Disconnected && s.c.own.out(string(n.Room), stay{n.InstanceID, n.Sequence}) {
		delete(s.away, string(n.Room))
	}
	return s.emit(n)
}

// network says what the state of the connection means for every room. Nobody listens any
// more, and ctx has ended, when it is not ok.
func (s *states) network(ctx context.Context, now nats.Status, ok bool) error {
	if !ok {
		return context.Cause(ctx)
	}
	if s.c.nc.IsClosed() { // likewise
		now = nats.CLOSED
	}
	if now == nats.RECONNECTING && s.lost { // an attempt that failed
		return nil
	}
	s.lost = now == nats.RECONNECTING
	rooms := s.doubtful()
	state, event := Connecting, NetworkInterrupted
	if now == nats.CLOSED {
		state, event = Disconnected, NetworkDisconnected
	}
	for _, id := range rooms {
		if err := s.say(id, state, event); err != nil {
			return err
		}
	}
	switch {
	case now == nats.CLOSED:
		return nats.ErrConnectionClosed
	case now == nats.CONNECTED && len(rooms)+len(s.away) > 0:
		return s.restore(ctx, rooms)
	}
	return nil
}

// doubtful is where the session is, and where it was when the connection was lost.
func (s *states) doubtful() []string {
	rooms := s.c.own.in()
	for id := range s.away {
		rooms = append(rooms, id)
	}
	slices.Sort(rooms)
	return slices.DeleteFunc(slices.Compact(rooms), func(id string) bool {
		state, away := s.away[id]
		return away && state == Disconnected
	})
}

// restore asks what became of the session.
func (s *states) restore(ctx context.Context, rooms []string) error {
	s.c.own.mu.Lock()
	within := max(restoreWithin, s.c.own.lease)
	s.c.own.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_, _, err := s.c.renewal(limited)
	switch {
	case err == nil:
		return s.settle(ctx)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	for _, id := range rooms {
		if err := s.say(id, Disconnected, NetworkDisconnected); err != nil {
			return err
		}
	}
	return nil
}

// settle says what renewals changed.
func (s *states) settle(ctx context.Context) error {
	for _, r := range s.renewals.take() {
		for _, h := range r.heads {
			if _, away := s.away[h.RoomID]; !away || !s.c.nc.IsConnected() { // of before it was lost
				continue
			}
			if err := s.say(h.RoomID, Connected, Success); err != nil {
				return err
			}
		}
		for _, was := range r.lost {
			event := s.why(ctx, was)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := s.say(was.RoomID, Disconnected, event); err != nil {
				return err
			}
			delete(s.away, was.RoomID)
		}
	}
	return nil
}

// why is the reason for which the session is not in a room any more.
func (s *states) why(ctx context.Context, was RoomHead) Event {
	is, err := s.c.Get(ctx, ReadRequest{RoomID: was.RoomID, Freshness: Freshness{Sync: true}})
	switch {
	case err == nil && is.InstanceID != was.InstanceID:
		return RoomNotExist // another one of that name
	case err == nil, errors.Is(err, ErrNotAllowed): // only members may ask
		return ConnectTimeout
	case gone(err):
		return RoomNotExist
	}
	return NetworkDisconnected
}
