package follow

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
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
	from   Source
	roomID string
	want   func(subject string) bool
	every  time.Duration

	heard   chan *nats.Msg
	subs    map[string]*nats.Subscription
	dropped int
	doubt   bool // something was dropped since the last look at everything

	status   chan nats.Status
	renewals Renewals
	timer    *time.Timer
}

func (s Source) newEar(roomID string, every time.Duration, want func(string) bool) *ear {
	if every <= 0 {
		every = askEvery
	}
	return &ear{
		from: s, roomID: roomID, want: want, every: every,
		heard: make(chan *nats.Msg, heardAhead), subs: map[string]*nats.Subscription{},
		status: s.Conn.StatusChanged(nats.CONNECTED, nats.CLOSED), renewals: s.Renewals(), timer: time.NewTimer(every),
	}
}

func (e *ear) close() {
	for _, sub := range e.subs {
		_ = sub.Unsubscribe()
	}
	e.from.Conn.RemoveStatusListener(e.status)
	e.renewals.Forget()
	e.timer.Stop()
}

// begin finds out whether there is a room, and on which subjects to listen. It fails as a
// command of the caller would. If there is no room and that is allowed, the reply has no
// instance, and the subjects are those on which a room of that name could be heard.
func (e *ear) begin(ctx context.Context, mayNotExist bool) (*room.GetReply, error) {
	reply, err := e.from.First(ctx, room.ReadRequest{RoomID: e.roomID})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !gone(err) || !mayNotExist:
		return reply, err
	}
	reply = &room.GetReply{}
	id, err := subjects.ParseRoom(e.roomID)
	switch user := e.from.User; {
	case err != nil:
	case user == "":
		reply.Subscribe = []string{subjects.Facts(id), subjects.Messages(id)}
	default:
		reply.Subscribe = []string{subjects.Feed(user, id), subjects.Open(id)}
	}
	return reply, nil
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
			if e.subs[subject], err = e.from.Conn.ChanSubscribe(subject, e.heard); err != nil {
				delete(e.subs, subject)
				return true, err
			}
		}
	}
	return true, e.from.Flush(ctx)
}

// next waits for one of three things: a copy, m; the room's position as a renewal told it,
// head; or, if it returns neither, the time to ask for the position.
func (e *ear) next(ctx context.Context) (m *nats.Msg, head *room.RoomHead, err error) {
	m, head, err = e.await(ctx)
	if m != nil && e.isOut(m) {
		return nil, nil, e.out()
	}
	return m, head, err
}

// out is what the service would say if no other session of the user were in the room.
func (e *ear) out() error {
	return room.Refuse(room.ErrNotAllowed, "session %s of %q has left %q, which only its members may hear; enter it first", e.from.Session, e.from.User, e.roomID)
}

// isOut says whether the session that listens has left the room, and a copy is only for other
// sessions of its user. Without a copy it says whether the room is to be heard by members only.
func (e *ear) isOut(m *nats.Msg) bool {
	if e.from.User == "" || !e.from.Out(e.roomID) {
		return false
	}
	if m != nil {
		whom := m.Header.Get(events.SessionsHeader)
		return whom != "" && !slices.Contains(strings.Split(whom, ","), subjects.SessionToken(e.from.Session))
	}
	return e.subs[subjects.Feed(e.from.User, subjects.Room(e.roomID))] != nil && e.subs[subjects.Open(subjects.Room(e.roomID))] == nil
}

// await waits for what next is about.
func (e *ear) await(ctx context.Context) (m *nats.Msg, head *room.RoomHead, err error) {
	for ctx.Err() == nil && e.from.Life.Err() == nil {
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
		case <-e.renewals.Signal:
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
	if e.from.Life.Err() != nil {
		return nil, nil, context.Cause(e.from.Life)
	}
	return nil, nil, context.Cause(ctx)
}

// catchUp passes to take what was heard so far. take may call catchUp itself.
func (e *ear) catchUp(ctx context.Context, take func(context.Context, *nats.Msg) error) error {
	for range len(e.heard) {
		select {
		case m := <-e.heard:
			if e.isOut(m) {
				continue
			}
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
func (e *ear) told() (head *room.RoomHead) {
	for _, h := range e.renewals.Take() {
		if h.RoomID == e.roomID {
			head = &h
		}
	}
	return head
}

// sure notes that nothing is known to be missing now, so that asking can wait.
func (e *ear) sure() { e.timer.Reset(e.every) }

func (e *ear) get(ctx context.Context) (*room.GetReply, error) {
	reply, err := e.from.Get(ctx, room.ReadRequest{RoomID: e.roomID, Freshness: room.Freshness{Sync: true}})
	if err == nil && e.isOut(nil) {
		return nil, e.out()
	}
	return reply, err
}

func (e *ear) history(ctx context.Context, q room.HistoryRequest) (*room.HistoryReply, error) {
	q.RoomID = e.roomID
	return e.from.History(ctx, q)
}

// afterAll is after the facts of any instance; JavaScript can count to it.
const afterAll = 1<<53 - 1

// after says which instance comes after one that has ended, as far as the caller may read; next
// is empty if none does. complete is false if that could not be found out.
func (e *ear) after(ctx context.Context, instanceID string) (next string, complete bool, err error) {
	all := uint64(afterAll)
	page, err := e.history(ctx, room.HistoryRequest{Freshness: room.Freshness{Sync: true}, InstanceID: instanceID, AfterSequence: &all})
	switch {
	case unreadable(err), err == nil && page.InstanceID != instanceID: // nothing is kept of it, so nothing is known
		return "", true, nil
	case err != nil:
		return "", true, err
	}
	return page.NextInstanceID, page.Complete, nil
}

// unreadable says whether the error means that the caller can't read anything of an instance.
func unreadable(err error) bool {
	return gone(err) || errors.Is(err, room.ErrNotAllowed) || errors.Is(err, room.ErrUserNotInRoom)
}

// gone says whether the error means that there is no such room.
func gone(err error) bool { return errors.Is(err, room.ErrRoomNotExist) }

// number reads a number from a header of a live copy. It is 0 if the header is missing.
func number(m *nats.Msg, header string) uint64 {
	n, _ := strconv.ParseUint(m.Header.Get(header), 10, 64)
	return n
}
