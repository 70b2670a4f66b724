package upkeep

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/clock"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/due"
	"natsrooms/roomsvc/lead"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// standby is how soon an instance that does not lead looks again whether a due room has been
// ended.
const standby = time.Second

// EmptyRooms ends empty rooms when they are due. Every instance keeps track of them; only the
// leading one acts. Waiting goes by the monotonic clock: a room that was seen to become empty
// waits its whole delay from that moment. The wall clock only says how much of a delay had
// passed before this instance existed.
type EmptyRooms struct {
	// Book knows of outages; it is set before [EmptyRooms.Run].
	Book  *leases.Book
	Clock *clock.Clock // of facts; set before [EmptyRooms.Resume]

	assign  func(subjects.Room, commit.Task) // see [commit.Committer.AssignOnce]
	leading atomic.Bool
	wake    chan struct{}

	mu    sync.Mutex // guards queue
	queue due.Queue[subjects.Room, dueRoom]
}

// dueRoom is an empty room and the fact that emptied it; if the room fills and empties again,
// that is another dueRoom.
type dueRoom struct {
	room       subjects.Room
	instanceID string
	emptyBy    uint64
	since      events.Time
	delay      time.Duration // 0: it does not wait for anybody
}

// NewEmptyRooms has no rooms. assign passes what ends a room to the committer.
func NewEmptyRooms(assign func(subjects.Room, commit.Task)) *EmptyRooms {
	return &EmptyRooms{assign: assign, wake: make(chan struct{}, 1)}
}

// Resume takes in a room that may have become empty before this instance existed.
func (e *EmptyRooms) Resume(id subjects.Room, h *room.Head) {
	if h != nil && h.Due() {
		// A room that was emptied by another clock, which is ahead, waits no longer than its delay.
		e.wait(id, h, min(time.Duration(h.DestroyAt()-e.Clock.Now()), time.Duration(h.DestroyAt()-h.EmptySince))*time.Millisecond)
	}
}

// Changed takes in a room that has become due just now, or that was due; h is nil if the room
// has ended. own says that this instance's committer is at work with it.
func (e *EmptyRooms) Changed(id subjects.Room, h *room.Head, own bool) {
	switch {
	case h == nil || !h.Due():
		e.drop(id)
	case h.Ending() && own: // the instance that stored the fact ends it
	case h.End != nil: // the instance that began it continues, or is dead
		e.wait(id, h, standby)
	default: // it was emptied by this fact, or it waits for longer or shorter than before
		e.wait(id, h, time.Duration(h.DestroyAt()-h.FactAt)*time.Millisecond)
	}
}

// wait makes a room due after a while, unless it already waits because of this emptying.
func (e *EmptyRooms) wait(id subjects.Room, h *room.Head, left time.Duration) {
	d := dueRoom{room: id, instanceID: h.InstanceID, emptyBy: h.EmptyBy, since: h.EmptySince}
	if !h.Ending() {
		d.delay = time.Duration(h.DestroyAt()-h.EmptySince) * time.Millisecond
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if old, ok := e.queue.Get(id); ok && old == d {
		return
	}
	if e.queue.Set(id, time.Now().Add(max(left, 0)), d) {
		e.look()
	}
}

// drop forgets a room that no longer waits.
func (e *EmptyRooms) drop(id subjects.Room) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue.Drop(id)
}

// look wakes the goroutine that waits for the first moment.
func (e *EmptyRooms) look() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Lead is the duty: this instance acts. It looks at once at what it had to leave to others.
func (e *EmptyRooms) Lead(ctx context.Context, t *lead.Term) error {
	e.leading.Store(true)
	defer e.leading.Store(false)
	e.recall()
	t.Begun()
	<-ctx.Done()
	return nil
}

func (e *EmptyRooms) recall() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue.Recall()
	e.look()
}

// Run waits for what becomes due, as long as the life lasts.
func (e *EmptyRooms) Run(l *life.Life) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(e.next())
		select {
		case <-timer.C:
			e.fire(l)
		case <-e.wake:
		case <-l.Done():
			return
		}
	}
}

// next is how long it takes until something is due.
func (e *EmptyRooms) next() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at, ok := e.queue.Next(); ok {
		return time.Until(at)
	}
	return time.Hour
}

// fire ends what is due. Rooms that still exist come up again until they are gone. A room that
// waited for somebody is ended only if somebody could have come until then.
func (e *EmptyRooms) fire(ctx context.Context) {
	now := time.Now()
	e.mu.Lock()
	rooms := e.queue.Take(now, now.Add(standby))
	e.mu.Unlock()
	if !e.leading.Load() {
		return
	}
	open := sync.OnceValue(func() bool { return e.Book.Beat(ctx) == nil })
	for _, d := range rooms {
		if d.delay > 0 && (!open() || e.spared(d)) {
			continue
		}
		e.assign(d.room, d.end)
	}
}

// spared puts a room off if an outage of the service kept everybody from it when it was to end.
func (e *EmptyRooms) spared(d dueRoom) bool {
	left := e.Book.Spares(d.since, d.delay)
	if left <= 0 {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if now, ok := e.queue.Get(d.room); ok && now == d {
		e.queue.Set(d.room, time.Now().Add(left), d)
	}
	return true
}

// end is the next fact that ends the room, if it is still the one that was due.
func (d dueRoom) end(st *room.State, in room.Input) *events.Fact {
	if st != nil && st.InstanceID == d.instanceID && st.Ending() {
		return room.EndNext(st, in)
	}
	return room.Destroy(st, d.emptyBy, d.instanceID, in)
}
