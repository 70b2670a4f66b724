package webhooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/subjects"
)

const (
	// MostBehind is how many rooms may be behind at a time, of facts and of messages each, without
	// holding up others.
	MostBehind = 1000

	noteEvery = time.Second     // where a room that is behind has got
	readAgain = 2 * time.Second // after a stream did not answer
)

// held is an event that the consumer has handed over.
type held struct {
	*event
	ack func()
}

// lanes delivers the events of one stream, each room's in order.
type lanes struct {
	ctx    context.Context
	origin *origin
	stream jetstream.Stream
	store  *store
	sender *sender
	graves *graveyard
	log    *slog.Logger

	running sync.WaitGroup

	mu     sync.Mutex // guards the fields below, and those of all lanes
	lanes  map[subjects.Room]*lane
	behind int
}

// lane is one room that has something to deliver.
type lane struct {
	room  subjects.Room
	queue []held // the first is being delivered

	behind bool
	from   uint64      // if behind: sequence of the first event that was not delivered
	at     events.Time // when that was stored
	seen   uint64      // if behind: the newest that the consumer has handed over
	owed   int64       // if behind: the events that it waits for, from first on
	first  uint64      // 0: none was counted
	tries  int         // of that first event, all of which failed
	why    string      // of the last
	after  time.Duration

	failing bool   // the last try failed
	last    *event // which event that was

	noted time.Time // when the bucket was last told
}

// newLanes goes on with the rooms that are behind. It works until ctx ends.
func newLanes(ctx context.Context, all *lanes, behind map[subjects.Room]place) *lanes {
	all.ctx, all.lanes = ctx, map[subjects.Room]*lane{}
	all.mu.Lock()
	defer all.mu.Unlock()
	for r, p := range behind {
		n := &lane{room: r, behind: true, from: p.From, at: p.At, seen: p.From, noted: time.Now()}
		all.lanes[r] = n
		all.count(1)
		all.running.Go(func() { all.run(n) })
	}
	return all
}

// wait returns when nothing is being delivered any more, after ctx has ended.
func (l *lanes) wait() {
	l.running.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(-l.behind)
	for _, n := range l.lanes {
		l.owe(n, -n.owed)
	}
}

func (l *lanes) count(n int) {
	l.behind += n
	l.sender.meter.behind.Add(int64(n))
}

// owe counts events of a lane that is behind.
func (l *lanes) owe(n *lane, more int64) {
	n.owed += more
	l.sender.meter.owed.Add(more)
}

// take takes an event that the consumer hands over, in the stream's order. It does not wait.
func (l *lanes) take(h held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.lanes[h.room]
	switch {
	case n == nil:
		n = &lane{room: h.room, queue: []held{h}}
		l.lanes[h.room] = n
		l.running.Go(func() { l.run(n) })
	case n.behind: // it will be read from the stream
		n.seen = max(n.seen, h.seq)
		if n.first == 0 {
			n.first = h.seq
		}
		l.owe(n, 1)
		h.ack()
	default:
		n.queue = append(n.queue, h)
	}
}

// oldest is when the oldest event was stored that is not delivered; zero if there is none.
func (l *lanes) oldest() (at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.lanes {
		t := n.at.Time()
		switch {
		case n.behind:
		case len(n.queue) > 0:
			t = n.queue[0].at
		default:
			continue
		}
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	return at
}

// run delivers what a lane has, until it has nothing more.
func (l *lanes) run(n *lane) {
	for l.ctx.Err() == nil {
		if l.isBehind(n) {
			if !l.catchUp(n) {
				return
			}
			continue
		}
		e, ok := l.first(n)
		if !ok || !l.deliver(n, e) {
			return
		}
	}
}

func (l *lanes) isBehind(n *lane) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return n.behind
}

// first is the event to deliver next. A lane that has none ends.
func (l *lanes) first(n *lane) (h held, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(n.queue) == 0 {
		delete(l.lanes, n.room)
		return h, false
	}
	return n.queue[0], true
}

// deliver delivers the first event of a lane that is not behind; false: the lead is over.
func (l *lanes) deliver(n *lane, e held) bool {
	switch l.attempt(n, e.event) {
	case ended:
		return false
	case failed:
		if l.fallBehind(n) {
			return true
		}
		return l.rest(n) // there is no place: it holds what it has
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e.ack()
	n.queue[0] = held{}
	n.queue = n.queue[1:]
	return true
}

// attempt tries an event once. Afterwards it is delivered, or refused and among the dead letters,
// or it has failed and is worth another try.
func (l *lanes) attempt(n *lane, e *event) verdict {
	t := try{verdict: failed, why: n.why}
	if !n.failing || !l.sender.aged(e) { // what is too old anyway is not tried while others fail
		t = l.sender.try(l.ctx, e, n.behind)
		if t.verdict == failed {
			n.tries++
			n.failing, n.last, n.why, n.after = true, e, t.why, t.after
		}
	}
	switch t.verdict {
	case ended:
		return ended
	case delivered:
		n.failing, n.tries, n.last = false, 0, nil
		return delivered
	case failed:
		if !l.sender.aged(e) {
			return failed
		}
		t.why = fmt.Sprintf("it was given up after %v: %s", l.sender.settings.GiveUp, t.why)
	case refused:
		n.tries++
	}
	if !l.bury(n, e, t.why) {
		return failed
	}
	return refused
}

// bury makes the first event of a lane a dead letter.
func (l *lanes) bury(n *lane, e *event, why string) bool {
	if err := l.graves.bury(l.ctx, e, n.tries, why); err != nil {
		if l.ctx.Err() == nil {
			l.log.Warn("a dead letter could not be stored; it is tried again", "webhook", l.sender.Name, "room", e.room, "event", e.id, "error", err)
		}
		n.tries, n.after = max(n.tries, 1), 0 // so that there is a pause
		return false
	}
	n.tries, n.last = 0, nil
	return true
}

// rest waits for the next try.
func (l *lanes) rest(n *lane) bool { return sleep(l.ctx, l.sender.wait(max(n.tries, 1), n.after)) }

// fallBehind notes where the lane has got, and gives back what it holds. It returns false if that
// is not possible.
func (l *lanes) fallBehind(n *lane) bool {
	l.mu.Lock()
	if l.behind >= MostBehind {
		l.mu.Unlock()
		return false
	}
	l.count(1) // the place is taken
	first := n.queue[0]
	l.mu.Unlock()
	p := place{first.seq, events.TimeOf(first.at)}
	if err := l.store.note(l.ctx, l.sender.Name, l.origin, n.room, p); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.count(-1)
		if l.ctx.Err() == nil {
			l.log.Warn("it could not be noted where a room has got; it holds others up", "webhook", l.sender.Name, "room", n.room, "error", err)
		}
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n.behind, n.from, n.at, n.noted = true, p.From, p.At, time.Now()
	for _, h := range n.queue {
		n.seen = h.seq
		h.ack()
	}
	n.first = first.seq
	l.owe(n, int64(len(n.queue)))
	n.queue = nil
	return true
}

// catchUp delivers the next event of a room that is behind, from the stream; false: the lead is
// over, or the lane has ended.
func (l *lanes) catchUp(n *lane) bool {
	if n.tries > 0 && !l.rest(n) {
		return false
	}
	l.mu.Lock()
	seen := n.seen
	l.mu.Unlock()
	e, err := l.read(n)
	if gone := n.last; gone != nil && gone.seq == n.from && (err == nil && e.seq > n.from || errors.Is(err, jetstream.ErrMsgNotFound)) {
		if l.bury(n, gone, "the stream does not hold it any more: it was erased, or is too old; before that "+n.why) {
			l.passed(n, gone)
		}
		return l.ctx.Err() == nil
	}
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return l.caughtUp(n, seen)
	case err != nil:
		if l.ctx.Err() == nil {
			l.log.Debug("reading what a webhook is behind with", "webhook", l.sender.Name, "room", n.room, "error", err)
		}
		return sleep(l.ctx, readAgain)
	case !l.sender.wants(e.room, e.typ):
		l.passed(n, e)
		return true
	}
	l.reach(n, e.seq, e.at)
	switch l.attempt(n, e) {
	case ended:
		return false
	case failed:
		return true
	}
	l.passed(n, e)
	return true
}

// read reads the first event that was not delivered. What is no event of ours is passed over.
func (l *lanes) read(n *lane) (*event, error) {
	for from := n.from; ; {
		ctx, cancel := context.WithTimeout(l.ctx, storeWithin)
		m, err := l.stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(l.origin.subject(n.room)))
		cancel()
		if err != nil {
			return nil, err
		}
		e, err := decode(l.origin, m.Subject, m.Sequence, m.Time, m.Data)
		if err == nil {
			return e, nil
		}
		from = m.Sequence + 1
	}
}

// reach says where a lane has got.
func (l *lanes) reach(n *lane, from uint64, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.from, n.at = from, events.TimeOf(at)
}

// passed says that an event is done with.
func (l *lanes) passed(n *lane, e *event) {
	l.reach(n, e.seq+1, e.at)
	l.paid(n, e)
	if time.Since(n.noted) < noteEvery {
		return
	}
	n.noted = time.Now()
	if err := l.store.note(l.ctx, l.sender.Name, l.origin, n.room, place{n.from, n.at}); err != nil && l.ctx.Err() == nil {
		l.log.Debug("noting where a webhook has got", "webhook", l.sender.Name, "room", n.room, "error", err)
	}
}

// paid says that a lane waits for one event less, if that was counted.
func (l *lanes) paid(n *lane, e *event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.owed > 0 && e.seq >= n.first && l.sender.wants(e.room, e.typ) {
		l.owe(n, -1)
	}
}

// caughtUp says that a lane is not behind any more, unless the consumer has handed over something
// since the stream was found to have nothing. From then on the lane holds what it is handed, and
// only then the note goes: whoever leads next must find the one or the other.
func (l *lanes) caughtUp(n *lane, seen uint64) bool {
	l.mu.Lock()
	if n.seen != seen {
		l.mu.Unlock()
		return true
	}
	n.behind, n.failing, n.first = false, false, 0
	l.count(-1)
	l.owe(n, -n.owed)
	l.mu.Unlock()
	for {
		err := l.store.forget(l.ctx, l.sender.Name, l.origin, n.room)
		if err == nil {
			return true
		}
		if !sleep(l.ctx, readAgain) {
			return false
		}
	}
}
