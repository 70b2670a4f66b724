// Package feeds carries what happens in rooms to end users. They may not subscribe to a
// room's own subjects, because a subscription would outlive their leaving. In a room that is
// for its members, each member gets copies on a feed of its own while it is a member; an open
// room has one subject for everybody who is connected.
//
// Every instance keeps the audiences from the facts in the journal's order, and the leading
// instance publishes. So it is exact on every instance who hears a fact: those who are members
// before or after it, which makes a member's own leaving the last thing that it hears.
//
// Facts and messages are in one order, although they are in two streams. A message names the
// fact that it comes after. It waits until that fact has been published, and is for those who
// were in by then. In the other direction, a fact that takes somebody out is published when a
// marker has been heard that was stored among the messages after the fact: so everything has
// been heard that was stored before the fact. A message that comes later still, after its sender
// is out, crossed that fact on its way; it goes to nobody. Those who miss it will notice.
package feeds

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/meter"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/traces"
	"natsrooms/subjects"
)

const (
	most      = 16384            // how many facts and messages may wait; after that messages are dropped, and facts only update the audiences
	tooMany   = most / 2         // if more wait, or something has waited for tooOld, it goes to nobody: live copies are at most once
	between   = time.Millisecond // the shortest time from one marker among the messages to the next
	atOnce    = 32               // how many messages of a room that wait go to one member after the other, so that the server writes them together
	tellEvery = time.Minute
	markFor   = time.Second // how long a marker may take; after that the facts that wait for it are published
)

// Feeds publishes to end users.
type Feeds struct {
	Meter  meter.Feeds
	Traces *traces.Tracer // set before the start; nil: nothing is traced

	// Listened says whether anybody would hear what is published on a subject, and is set before the
	// start; nil: it is not known.
	Listened func(subject string) bool

	nc    *nats.Conn
	log   *slog.Logger
	mark  func(context.Context, string) error // stores a marker among the messages
	until atomic.Pointer[func() time.Time]    // when the lead ends; nil: this instance does not lead
	life  *life.Life

	// Only the publishing goroutine uses these.
	rooms map[subjects.Room]*audience
	early early     // messages whose fact has not been published
	drops int       // copies dropped since the last warning
	told  time.Time // when that warning was logged

	arrived chan struct{} // tells that facts wait for a marker
	goes    chan struct{} // tells that something waits to go out

	mu     sync.Mutex // guards the fields below
	facts  []item     // facts that wait for a marker
	marker *marker    // on its way; nil: none is
	out    []item     // what waits to go out
	lost   int        // messages dropped because too much was waiting
}

// marker is what is stored among the messages to know that all before it have been heard.
type marker struct {
	text  string
	facts int           // how many facts wait for it
	heard chan struct{} // closed once it was heard
}

// New returns feeds, which take facts after [Feeds.Start]. mark stores a marker among the
// messages, which is heard at [subjects.MessagesPoint], and returns when it is stored.
func New(nc *nats.Conn, log *slog.Logger, mark func(ctx context.Context, text string) error) *Feeds {
	return &Feeds{
		nc: nc, log: log, mark: mark, rooms: map[subjects.Room]*audience{}, early: early{},
		arrived: make(chan struct{}, 1), goes: make(chan struct{}, 1),
	}
}

// Start takes the rooms as they are before the first fact, and publishes until life ends.
func (f *Feeds) Start(life *life.Life, rooms []*room.State) {
	f.life = life
	for _, st := range rooms {
		a := newAudience(st.Room, st.Head)
		f.rooms[st.Room] = a
		a.now = st.Sequence
		st.After(0, func(m *room.Member) bool { a.add(m, st.Room, m.JoinedIn()); return true })
	}
	life.Go(f.publish)
	life.Go(f.marking)
}

// Fact takes the next stored fact in the journal's order; trace is its header of that name.
func (f *Feeds) Fact(c room.Change, data []byte, trace string) {
	h := nats.Header{"Content-Type": {events.ContentType}, sequenceHeader: {strconv.FormatUint(c.Revision, 10)}}
	i := item{at: time.Now(), room: c.Room, change: &c, header: h, data: data, trace: trace}
	f.mu.Lock()
	waits := len(f.facts) > 0 || f.until.Load() != nil && takesOut(&c)
	if waits && len(f.facts) >= most {
		i.strip()
	}
	if waits {
		f.facts = append(f.facts, i)
	}
	f.mu.Unlock()
	if waits {
		wake(f.arrived)
	} else {
		f.send(i)
	}
}

// takesOut says whether a fact may take somebody out of its room.
func takesOut(c *room.Change) bool {
	return c.Type == events.MemberLeft || c.Type == events.SessionLeft || c.Type == events.RoomDestroyed
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
		i.strip()
	}
	f.out = append(f.out, i)
	f.mu.Unlock()
	wake(f.goes)
}

// Waiting is how many facts and messages wait to go out.
func (f *Feeds) Waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.facts) + len(f.out)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// next returns what has waited longest, or nothing if nothing waits: a fact, or messages of one room.
// many says that too much is waiting.
func (f *Feeds) next() (items []item, many bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.out) == 0 {
		f.out = nil
		return nil, false
	}
	n := 1
	for first := &f.out[0]; first.said != nil && n < min(atOnce, len(f.out)) && f.out[n].said != nil && f.out[n].room == first.room; {
		n++
	}
	items = slices.Clone(f.out[:n])
	clear(f.out[:n]) // release what they hold, which may be large
	f.out = f.out[n:]
	f.Meter.Dropped.Add(f.lost)
	f.drops, f.lost = f.drops+f.lost, 0
	return items, len(f.out) > tooMany
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
	sub, err := f.nc.Subscribe(subjects.MessagesHeard, f.hear)
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

// hear takes a message that was published on the room's own subject, or a marker.
func (f *Feeds) hear(m *nats.Msg) {
	if m.Subject == subjects.MessagesPoint {
		f.passed(string(m.Data))
		return
	}
	r, ok := subjects.RoomOfMessages(m.Subject)
	if !ok {
		return
	}
	said, err := events.DecodeAccepted(m.Data)
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
	f.send(item{at: time.Now(), room: r, said: said, header: h, data: m.Data, trace: m.Header.Get(traces.Header)})
}

// passed lets the facts go out that waited for a marker.
func (f *Feeds) passed(text string) {
	f.mu.Lock()
	k := f.marker
	if k == nil || k.text != text {
		f.mu.Unlock()
		return
	}
	facts := f.facts[:k.facts]
	f.facts, f.marker = f.facts[k.facts:], nil
	if len(f.facts) == 0 {
		f.facts = nil
	}
	f.out = append(f.out, facts...)
	f.mu.Unlock()
	close(k.heard)
	wake(f.goes)
}

// marking stores markers as long as facts wait for them, one at a time: all facts that have come
// by then share it.
func (f *Feeds) marking() {
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
		for k := f.nextMarker(); k != nil; k = f.nextMarker() {
			f.store(k)
		}
		pace.Reset(between)
	}
}

// nextMarker is the marker for the facts that wait now, or nil if none does.
func (f *Feeds) nextMarker() *marker {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.facts) == 0 {
		return nil
	}
	f.marker = &marker{nuid.Next(), len(f.facts), make(chan struct{})}
	return f.marker
}

// store stores a marker and waits until it is heard. If that cannot be, or does not matter
// because another instance leads, the facts go out without.
func (f *Feeds) store(k *marker) {
	defer f.passed(k.text)
	if f.until.Load() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(f.life, markFor)
	defer cancel()
	if err := f.mark(ctx, k.text); err != nil {
		f.log.Debug("storing a marker among the messages", "error", err)
		return
	}
	select {
	case <-k.heard:
	case <-ctx.Done():
		f.log.Debug("a marker among the messages was not heard")
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
		for items, many := f.next(); len(items) > 0 && !f.life.Over(); items, many = f.next() {
			if err := f.pass(items, many); err != nil && !f.life.Over() {
				f.dropped(len(items), items[0].room, "the connection does not take copies for end users, who will miss some and ask for them", "error", err)
			}
		}
	}
}

// pass publishes a fact and updates the audience, or publishes messages. What is too late goes to
// nobody.
func (f *Feeds) pass(items []item, late bool) error {
	i := &items[0]
	if i.change == nil {
		return f.passMessages(items, late)
	}
	c := i.change
	a := f.rooms[i.room]
	if a == nil && c.Head != nil {
		a = newAudience(i.room, c.Head)
		f.rooms[i.room] = a
	}
	if a == nil {
		return nil
	}
	a.come(c)
	err := f.publishTo(a, items, late)
	a.leave(c)
	if c.Head == nil {
		delete(f.rooms, i.room)
		return err
	}
	return errors.Join(err, f.publishTo(a, f.early.take(a, i.room), late))
}

// passMessages publishes those messages of a room whose fact, which they come after, has been
// published, and keeps the others until then.
func (f *Feeds) passMessages(items []item, late bool) error {
	a := f.rooms[items[0].room]
	ripe := items[:0]
	for _, i := range items {
		switch {
		case f.early.has(&i) || i.said.After > 0 && !a.reached(i.said):
			f.early.keep(&i)
		case a != nil && i.said.InstanceID == a.instance:
			ripe = append(ripe, i)
		}
	}
	return f.publishTo(a, ripe, late)
}

// publishTo publishes items to an audience, if this instance leads.
func (f *Feeds) publishTo(a *audience, items []item, late bool) (err error) {
	items = slices.DeleteFunc(items, func(i item) bool { return i.said != nil && a.crossed(i.said) })
	if len(items) == 0 || !f.leads() {
		return nil
	}
	late = late || items[0].at.IsZero()
	for part := range slices.Chunk(items, atOnce) {
		n := len(part)
		if !late {
			var failed error
			n, failed = f.copy(a, part)
			err = errors.Join(err, failed)
		}
		if n > 0 {
			f.dropped(n, part[0].room, "too much happens to make copies of it for end users, who will miss some and ask for them. Create rooms with large audiences with delivery open")
		}
	}
	return err
}

// copy publishes a few items, and returns how many of them were too late for somebody.
func (f *Feeds) copy(a *audience, items []item) (late int, err error) {
	for n := range items {
		items[n].begin(f.Traces)
	}
	late, err = a.hear(f.nc, f.Listened, items)
	for n := range items {
		f.Meter.Copies.Add(items[n].copies)
		items[n].end(err)
	}
	return late, err
}

// dropped records that n facts or messages did not reach everybody, and logs that now and then.
func (f *Feeds) dropped(n int, r subjects.Room, why string, more ...any) {
	f.drops += n
	f.Meter.Dropped.Add(n)
	if now := time.Now(); now.Sub(f.told) > tellEvery {
		f.log.Warn(why, append(more, "room", r, "dropped", f.drops)...)
		f.told, f.drops = now, 0
	}
}
