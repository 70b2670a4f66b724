package client

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/client/follow"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// restoreWithin is for how long the client tries to find out whether its session is still
// in its rooms after it has reconnected, unless the session's lease is longer.
const restoreWithin = time.Minute

// noticesAhead is how many notices are kept while the caller of States is busy. Further ones
// are dropped.
const noticesAhead = 4096

// errBrokenOff says that the caller broke out of the loop.
var errBrokenOff = errors.New("broken off")

// States yields what happens to the client's own session, room by room: the service's
// notices, and those that only the client can make, because its connection was lost.
// [Config.UserID] says whose session it is.
//
//	the connection is lost            connecting, networkInterrupted
//	it is back                        connecting, networkInterrupted
//	the session is still in the room  connected, success
//	it is not                         disconnected, and why, see below
//	that can't be known               disconnected, networkDisconnected
//
// Why a session is not in a room any more, the service says as long as it keeps the fact:
//
//	it was kicked, with the reason given          kickedOut
//	it was banned, with the reason given          kickedOut; Error says BANNED, and until when
//	a newer session of the user took its place    kickedOutByOtherDevice
//	the room was destroyed                        roomNotExist
//	its lease ran out                             connectTimeout
//	it left, by a command of another program      success
//
// If the fact is no longer kept, or is not among the 4,096 newest facts of its room, or the
// service had no time to look for it, that is not known: then the event is roomNotExist if there
// is no such room or if it was made again, and otherwise connectTimeout; it has no Sequence.
//
// The client's own notices have no ID. The last of these is also yielded
// when the connection is closed for good. If the session is found in a room after all, the
// notice is connected, success. The service's notices arrive at most once; if one is lost
// that would have said that the session left a room, the client says so after the next
// renewal. The iteration stops as [Client.Watch] does.
//
// States listens from this call on until ctx or the iteration ends, so call it before
// entering a room. The sequence can be iterated over once.
func (c *Client) States(ctx context.Context) (iter.Seq2[*Notice, error], error) {
	user, err := subjects.ParseUser(c.cfg.UserID)
	if err != nil {
		return nil, room.Invalid("userID", "%v", err)
	}
	ctx, cancel := follow.Within(ctx, c.life)
	s := &states{c: c.patient(), user: user, away: map[string]State{}, heard: make(chan *nats.Msg, noticesAhead)}
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

// states is the state of one call of States.
type states struct {
	c     *Client
	user  subjects.User
	yield func(*Notice, error) bool
	away  map[string]State // the state that was yielded for rooms that a broken connection made doubtful

	heard    chan *nats.Msg
	status   chan nats.Status
	lost     bool // the connection is lost, as far as status has told
	renewals *renewals
}

// next handles the next event. The connection comes first, because the answer to a renewal
// belongs to the connection after it.
func (s *states) next(ctx context.Context) error {
	connected := s.c.nc.IsConnected() // asked before status is read: what it says was sent there before
	select {
	case now, ok := <-s.status:
		return s.network(ctx, now, ok)
	default:
	}
	if connected && s.lost { // status was full of earlier changes, so this one was not sent
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

// say yields a notice of the client's own.
func (s *states) say(roomID string, state State, event Event) error {
	if delete(s.away, roomID); event == NetworkInterrupted || event == NetworkDisconnected {
		s.away[roomID] = state
	}
	return s.tell(&Notice{Room: subjects.Room(roomID), State: state, Event: event})
}

// tell yields a notice of this session's.
func (s *states) tell(n *Notice) error {
	n.Time, n.User, n.SessionID = events.TimeOf(time.Now()), s.user, s.c.id
	return s.emit(n)
}

func (s *states) emit(n *Notice) error {
	if !s.yield(n, nil) {
		return errBrokenOff
	}
	return nil
}

// notice yields what the service says of this session.
func (s *states) notice(m *nats.Msg) error {
	n, err := events.DecodeNotice(m.Data)
	if err != nil || n.SessionID != s.c.id {
		return nil
	}
	if n.State == Disconnected && s.c.own.out(string(n.Room), stay{n.InstanceID, n.Sequence}) {
		delete(s.away, string(n.Room))
	}
	return s.emit(n)
}

// network says what the state of the connection means for every room. If ok is false,
// nobody listens any more and ctx has ended.
func (s *states) network(ctx context.Context, now nats.Status, ok bool) error {
	if !ok {
		return context.Cause(ctx)
	}
	if s.c.nc.IsClosed() { // this may not have been sent either
		now = nats.CLOSED
	}
	if now == nats.RECONNECTING && s.lost { // an attempt to reconnect failed
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

// doubtful lists the rooms that the session is in, and those it was in when the connection
// was lost.
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

// restore asks whether the session is still in its rooms.
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
			if _, away := s.away[h.RoomID]; !away || !s.c.nc.IsConnected() { // the renewal is older than the loss of the connection
				continue
			}
			if err := s.say(h.RoomID, Connected, Success); err != nil {
				return err
			}
		}
		told := s.departures(ctx, r.lost)
		for _, was := range r.lost {
			n := &Notice{Room: subjects.Room(was.RoomID), State: Disconnected}
			if d, ok := told[was]; ok {
				n.InstanceID, n.Sequence, n.Event, n.ReasonText = d.InstanceID, d.Sequence, leftEvents[d.Reason], d.ReasonText
				if d.Code != "" {
					n.Error = &events.NoticeError{Code: d.Code, Number: d.Number, Until: d.Until}
				}
			} else {
				n.Event = s.guess(ctx, was)
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			delete(s.away, was.RoomID)
			if err := s.tell(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// leftEvents is what the reasons of facts are in notices.
var leftEvents = map[LeftReason]Event{
	ReasonLeft: Success, ReasonSwitched: Success, ReasonExpired: ConnectTimeout,
	ReasonKicked: KickedOut, ReasonDestroyed: RoomNotExist, ReasonReplaced: KickedOutByOtherDevice,
}

// departures asks why the session is not in rooms any more. What is missing in the answer is
// not known any more, or could not be asked.
func (s *states) departures(ctx context.Context, lost []Stay) map[Stay]Departure {
	told := map[Stay]Departure{}
	for part := range slices.Chunk(lost, room.MaxStays) {
		q := RenewRequest{Rooms: part}
		r, err := do[RenewReply](ctx, s.c, room.Renew, s.c.caller(&q.Caller), &q)
		if err != nil {
			break
		}
		for _, d := range r.Left {
			told[Stay{RoomID: d.RoomID, InstanceID: d.InstanceID}] = d
		}
	}
	return told
}

// guess is why the session may not be in a room any more.
func (s *states) guess(ctx context.Context, was Stay) Event {
	is, err := s.c.Get(ctx, ReadRequest{RoomID: was.RoomID, Freshness: Freshness{Sync: true}})
	switch {
	case err == nil && is.InstanceID != was.InstanceID:
		return RoomNotExist // another one of that name
	case err == nil, errors.Is(err, ErrNotAllowed): // only members may ask
		return ConnectTimeout
	case errors.Is(err, ErrRoomNotExist):
		return RoomNotExist
	}
	return NetworkDisconnected
}
