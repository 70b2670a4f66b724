// Package feeds carries what happens in rooms to end users. They have no right to hear
// a room's own subjects, for a subscription outlives a leave. Of a room that is for its
// members each of them gets copies of its own, on its feed, while it is a member; an
// open room has one subject for whoever is connected.
//
// Every instance keeps the audiences, by the facts in the journal's order, and the
// leading one publishes. Who hears a fact is thus exact on any instance: members before
// or after it, so a member's own leaving is the last that it hears. A message is in no
// order with the facts. It goes out when a sync point that began after it was heard is
// passed: whoever was told before it that somebody is out has that proved to him. It may
// then find another instance of its room, made under the same ID, which it is not for; nor
// is it for who came in behind it, where only those who were there may read it.
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
	most      = 16384                // facts and messages that wait to go out; of what comes then only who hears the room counts
	tooMany   = most / 2             // past it, and past tooOld, what waits goes to nobody: live copies are at most once
	tooOld    = 2 * time.Second      //
	between   = 2 * time.Millisecond // at least, from one sync point for messages to the next
	tellEvery = time.Minute
	proofFor  = 5 * time.Second // how long one may take; later what waited for it is given up
)

// Headers that every copy of what is stored carries, as the server's own copies do.
const (
	sequenceHeader     = "Nats-Sequence"      // stream sequence: a fact's revision, a message's messageSeq
	lastSequenceHeader = "Nats-Last-Sequence" // of the room's message before it
)

// Feeds publishes to end users.
type Feeds struct {
	nc    *nats.Conn
	log   *slog.Logger
	prove func(context.Context) error      // passes a sync point
	until atomic.Pointer[func() time.Time] // when the lead ends; nil: this instance does not lead
	life  *life.Life

	// Of the publishing goroutine alone.
	rooms map[subjects.Room]*audience
	drops int       // since it was told of
	told  time.Time // that there were some

	arrived chan struct{} // some messages are heard
	goes    chan struct{} // something waits to go out

	mu    sync.Mutex // guards the fields below
	heard []item     // messages that wait for a proof
	out   []item     // what waits to go out
	lost  int        // messages that had no place there
}

// audience is who hears a room.
type audience struct {
	instance string
	hidden   bool                       // messages are not for who came in behind them
	open     string                     // the subject of an open room, else empty
	feeds    map[subjects.User]listener // of each member of another
}

// listener is a member that hears a room.
type listener struct {
	feed  string
	since events.Time // when it came in
}

// item is a fact or a message on its way out.
type item struct {
	at     time.Time // when it came; zero: it goes to nobody
	room   subjects.Room
	change *room.Change    // nil: a message
	said   *events.Message // nil: a fact
	header nats.Header
	data   []byte
}

// New makes feeds; they take facts from Start on. prove must return when everything
// stored before its call has been given to [Feeds.Fact].
func New(nc *nats.Conn, log *slog.Logger, prove func(context.Context) error) *Feeds {
	return &Feeds{nc: nc, log: log, prove: prove, rooms: map[subjects.Room]*audience{}, arrived: make(chan struct{}, 1), goes: make(chan struct{}, 1)}
}

// Start takes the rooms as they are before the first fact, and runs until life ends.
func (f *Feeds) Start(life *life.Life, rooms []*room.State) {
	f.life = life
	for _, st := range rooms {
		a := f.audience(st.Room, &st.Head)
		st.After(0, func(m *room.Member) bool { a.add(m, st.Room); return true })
	}
	life.Go(f.publish)
	life.Go(f.proving)
}

// Fact takes a stored fact, in the journal's order.
func (f *Feeds) Fact(c room.Change, data []byte) {
	h := nats.Header{"Content-Type": {events.ContentType}, sequenceHeader: {strconv.FormatUint(c.Revision, 10)}}
	f.send(item{time.Now(), c.Room, &c, nil, h, data})
}

// send hands something on to be published. It never waits: the journal would wait too.
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

// next takes what has waited longest; nil: nothing waits. many says that there is too much.
func (f *Feeds) next() (i *item, many bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.out) == 0 {
		f.out = nil
		return nil, false
	}
	first := f.out[0]
	f.out[0] = item{} // what it holds may be long
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

// Lead publishes from here on, until end is called or the moment comes that until gives. What
// is said once it returned is heard, unless the server did not answer within ctx.
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

// message takes a message as everybody hears it who may hear the room's own subjects.
func (f *Feeds) message(m *nats.Msg) {
	r, ok := subjects.RoomOfMessages(m.Subject)
	if !ok {
		return
	}
	said, err := events.DecodeMessage(m.Data)
	if err != nil {
		f.log.Warn("a message that cannot be read reaches no end users", "room", r, "error", err)
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

// proving hands messages on behind all facts that were stored before they were heard.
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
				f.log.Warn("messages did not reach end users, who will miss and ask for them", "messages", len(heard), "error", err)
			}
			continue
		}
		for _, i := range heard {
			f.send(i)
		}
	}
}

// publish sends what comes, to who may hear it.
func (f *Feeds) publish() {
	for {
		select {
		case <-f.goes:
		case <-f.life.Done():
			return
		}
		for i, many := f.next(); i != nil && !f.life.Over(); i, many = f.next() {
			if err := f.pass(i, many); err != nil && !f.life.Over() {
				f.dropped(i.room, "the connection does not take copies for end users; they miss some and ask for them", "error", err)
			}
		}
	}
}

// pass takes the next thing. If it is too late it goes to nobody.
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
			f.dropped(i.room, "more happens than copies for end users can be made of; they miss some and ask for them. A room with a large audience is better made with delivery open")
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

// dropped notes that something was not said to everybody, and says so now and then.
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

// hear publishes one thing to everybody who hears the room now, as far as it is not too
// late for that: a server whose clients are slow holds publishers up.
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
