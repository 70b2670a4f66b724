// Package feeds carries what happens in rooms to end users. They may not subscribe to a
// room's own subjects, because a subscription would outlive their leaving. In a room that is
// for its members, each member gets copies on a feed of its own while it is a member; an open
// room has one subject for everybody who is connected.
//
// Every instance keeps the audiences from the facts in the journal's order, and the leading
// instance publishes. So it is exact on every instance who hears a fact: those who are members
// before or after it, which makes a member's own leaving the last thing that it hears.
// Messages have no order relative to facts. A message is published when a sync point has been
// passed that began after the message was heard: whoever was told before it that a user is
// out can rely on that. By then the room may be another instance under the same ID, which the
// message is not for. Nor is it for users who joined after it, if only those who were there
// may read it.
package feeds

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

const (
	most      = 16384    // how many facts and messages may wait; after that messages are dropped, and facts only update the audiences
	tooMany   = most / 2 // if more wait, or something has waited for tooOld, it goes to nobody: live copies are at most once
	tooOld    = 2 * time.Second
	between   = 2 * time.Millisecond // the shortest time from one sync point for messages to the next
	tellEvery = time.Minute
	proofFor  = 5 * time.Second // how long a sync point may take; after that the messages that waited for it are given up
)

// Headers on every copy of something stored, as on the server's own copies.
const (
	sequenceHeader     = "Nats-Sequence"      // the stream sequence: a fact's revision or a message's messageSeq
	lastSequenceHeader = "Nats-Last-Sequence" // that of the room's previous message
)

// Feeds publishes to end users.
type Feeds struct {
	nc    *nats.Conn
	log   *slog.Logger
	prove func(context.Context) error      // passes a sync point
	until atomic.Pointer[func() time.Time] // when the lead ends; nil: this instance does not lead
	life  *life.Life

	// Only the publishing goroutine uses these.
	rooms map[subjects.Room]*audience
	drops int       // copies dropped since the last warning
	told  time.Time // when that warning was logged

	arrived chan struct{} // tells that messages were heard
	goes    chan struct{} // tells that something waits to go out

	mu    sync.Mutex // guards the fields below
	heard []item     // messages that wait for a sync point
	out   []item     // what waits to go out
	lost  int        // messages dropped because too much was waiting
}

// audience is who hears a room.
type audience struct {
	instance string
	hidden   bool                       // messages are not for those who joined after them
	open     string                     // the subject of an open room, otherwise empty
	feeds    map[subjects.User]listener // of each member, if the room is not open
}

// listener is a member who hears a room.
type listener struct {
	feed  string
	since events.Time // when it became a member
}

// item is a fact or a message to be published.
type item struct {
	at     time.Time // when it arrived; zero: it goes to nobody
	room   subjects.Room
	change *room.Change    // nil: a message
	said   *events.Message // nil: a fact
	header nats.Header
	data   []byte
}

// New returns feeds, which take facts after [Feeds.Start]. prove must return when everything
// stored before its call has been passed to [Feeds.Fact].
func New(nc *nats.Conn, log *slog.Logger, prove func(context.Context) error) *Feeds {
	return &Feeds{nc: nc, log: log, prove: prove, rooms: map[subjects.Room]*audience{}, arrived: make(chan struct{}, 1), goes: make(chan struct{}, 1)}
}

// Start takes the rooms as they are before the first fact, and publishes until life ends.
func (f *Feeds) Start(life *life.Life, rooms []*room.State) {
	f.life = life
	for _, st := range rooms {
		a := f.audience(st.Room, &st.Head)
		st.After(0, func(m *room.Member) bool { a.add(m, st.Room); return true })
	}
	life.Go(f.publish)
	life.Go(f.proving)
}

// Fact takes the next stored fact in the journal's order.
func (f *Feeds) Fact(c room.Change, data []byte) {
	h := nats.Header{"Content-Type": {events.ContentType}, sequenceHeader: {strconv.FormatUint(c.Revision, 10)}}
	f.send(item{time.Now(), c.Room, &c, nil, h, data})
}

// send queues something to be published. It never waits, since the journal's follower would
// wait too.
func (f *Feeds) send(i item) {
	f.mu.Lock()
	if len(f.out) >= most {
		if i.change == nil {
			f.lost++
			f.mu.Unlock()
			return
		}
		i.at, i.header, i.data = time.Time{}, nil, nil
	}
	f.out = append(f.out, i)
	f.mu.Unlock()
	wake(f.goes)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// next returns what has waited longest, or nil if nothing waits. many says that too much is waiting.
func (f *Feeds) next() (i *item, many bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.out) == 0 {
		f.out = nil
		return nil, false
	}
	first := f.out[0]
	f.out[0] = item{} // release what it holds, which may be large
	f.out = f.out[1:]
	f.drops, f.lost = f.drops+f.lost, 0
	return &first, len(f.out) > tooMany
}

// leads says whether what is published now counts: an instance that stood still leads no
// longer, before it learns so, and its copies would come after another one's.
func (f *Feeds) leads() bool {
	until := f.until.Load()
	return until != nil && time.Now().Before((*until)())
}

// Lead publishes from now on, as long as [Feeds.Until] allows, until end is called. Messages
// sent after it has returned are heard, unless the server did not answer before ctx ended.
func (f *Feeds) Lead(ctx context.Context, until func() time.Time) (end func(), err error) {
	sub, err := f.nc.Subscribe(subjects.MessagesPattern, f.message)
	if err == nil {
		err = sub.SetPendingLimits(-1, 64<<20)
	}
	if err != nil {
		return nil, err
	}
	f.until.Store(&until)
	if err := f.nc.FlushWithContext(ctx); err != nil {
		f.log.Debug("waiting for the subscription to messages", "error", err)
	}
	return func() {
		f.until.Store(nil)
		_ = sub.Unsubscribe()
	}, nil
}

// message takes a message that was published on the room's own subject.
func (f *Feeds) message(m *nats.Msg) {
	r, ok := subjects.RoomOfMessages(m.Subject)
	if !ok {
		return
	}
	said, err := events.DecodeMessage(m.Data)
	if err != nil {
		f.log.Warn("a message that cannot be read does not reach end users", "room", r, "error", err)
		return
	}
	h := nats.Header{"Content-Type": {events.ContentType}}
	for _, name := range []string{sequenceHeader, lastSequenceHeader} {
		if v := m.Header.Get(name); v != "" {
			h[name] = []string{v}
		}
	}
	f.mu.Lock()
	f.heard = append(f.heard, item{time.Now(), r, nil, said, h, m.Data})
	f.mu.Unlock()
	wake(f.arrived)
}

// proving queues messages after all facts that were stored before they were heard.
func (f *Feeds) proving() {
	pace := time.NewTimer(0)
	defer pace.Stop()
	for {
		select {
		case <-f.arrived:
		case <-f.life.Done():
			return
		}
		select {
		case <-pace.C:
		case <-f.life.Done():
			return
		}
		f.mu.Lock()
		heard := f.heard
		f.heard = nil
		f.mu.Unlock()
		ctx, cancel := context.WithTimeout(f.life, proofFor)
		err := f.prove(ctx)
		cancel()
		pace.Reset(between)
		if err != nil {
			if !f.life.Over() {
				f.log.Warn("messages did not reach end users, who will notice and ask for them", "messages", len(heard), "error", err)
			}
			continue
		}
		for _, i := range heard {
			f.send(i)
		}
	}
}

// publish publishes what is queued to those who may hear it.
func (f *Feeds) publish() {
	for {
		select {
		case <-f.goes:
		case <-f.life.Done():
			return
		}
		for i, many := f.next(); i != nil && !f.life.Over(); i, many = f.next() {
			if err := f.pass(i, many); err != nil && !f.life.Over() {
				f.dropped(i.room, "the connection does not take copies for end users, who will miss some and ask for them", "error", err)
			}
		}
	}
}

// pass publishes one item and updates the audience. If the item is too late, it goes to nobody.
func (f *Feeds) pass(i *item, late bool) error {
	a := f.rooms[i.room]
	if i.change != nil {
		if a == nil && i.change.Head != nil {
			a = f.audience(i.room, i.change.Head)
		}
		if a == nil {
			return nil
		}
		for _, m := range i.change.Put {
			a.add(m, i.room)
		}
	}
	if a == nil || i.said != nil && i.said.InstanceID != a.instance {
		return nil
	}
	var err error
	if f.leads() {
		late = late || i.at.IsZero()
		if !late {
			late, err = a.hear(f.nc, i)
		}
		if late {
			f.dropped(i.room, "too much happens to make copies of it for end users, who will miss some and ask for them. Create rooms with large audiences with delivery open")
		}
	}
	if i.change != nil {
		for _, u := range i.change.Del {
			delete(a.feeds, u)
		}
		if i.change.Head == nil {
			delete(f.rooms, i.room)
		}
	}
	return err
}

// dropped records that something did not reach everybody, and logs that now and then.
func (f *Feeds) dropped(r subjects.Room, why string, more ...any) {
	f.drops++
	if now := time.Now(); now.Sub(f.told) > tellEvery {
		f.log.Warn(why, append(more, "room", r, "dropped", f.drops)...)
		f.told, f.drops = now, 0
	}
}

func (f *Feeds) audience(r subjects.Room, h *room.Head) *audience {
	visible := h.Config.HistoryForJoiners
	a := &audience{instance: h.InstanceID, hidden: visible != nil && !*visible, feeds: map[subjects.User]listener{}}
	if h.Config.Delivery == room.DeliveryOpen {
		a.open = subjects.Open(r)
	}
	f.rooms[r] = a
	return a
}

func (a *audience) add(m *room.Member, r subjects.Room) {
	if _, ok := a.feeds[m.User]; !ok && a.open == "" {
		a.feeds[m.User] = listener{subjects.Feed(m.User, r), m.Since}
	}
}

// hear publishes one item to everybody who hears the room now, unless that takes until it is
// too late: a server with slow clients holds publishers up.
func (a *audience) hear(nc *nats.Conn, i *item) (late bool, err error) {
	m := &nats.Msg{Subject: a.open, Header: i.header, Data: i.data}
	if a.open != "" {
		return false, nc.PublishMsg(m)
	}
	n := 0
	for _, l := range a.feeds {
		if n%64 == 0 && time.Since(i.at) > tooOld {
			return true, nil
		}
		n++
		if a.hidden && i.said != nil && i.said.Time < l.since {
			continue
		}
		m.Subject = l.feed
		if err := nc.PublishMsg(m); err != nil {
			return false, err
		}
	}
	return false, nil
}
