package roomsvc

import (
	"container/heap"
	"sync"
	"sync/atomic"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// standby is how soon an instance that does not lead looks again whether a due room
// has been ended.
const standby = time.Second

// timers end empty rooms when they are due. Every instance keeps them; only the one
// that leads acts. Waiting goes by the monotonic clock: a room whose emptying was seen
// as it happened waits its whole delay from there. The wall clock only says how much of
// a delay was over before this instance was there.
type timers struct {
	leading atomic.Bool
	mu      sync.Mutex
	due     dueRooms
	of      map[subjects.Room]*dueRoom // what is in due
	wake    chan struct{}
}

// dueRoom is an empty room and the fact that emptied it: should it fill and empty
// again, that will be another dueRoom.
type dueRoom struct {
	at         time.Time // when to look
	due        time.Time // when it is to end
	room       subjects.Room
	instanceID string
	emptyBy    uint64
	index      int // in due
}

type dueRooms []*dueRoom

func (d dueRooms) Len() int           { return len(d) }
func (d dueRooms) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d dueRooms) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}
func (d *dueRooms) Push(x any) {
	x.(*dueRoom).index = len(*d)
	*d = append(*d, x.(*dueRoom))
}
func (d *dueRooms) Pop() any {
	last := (*d)[len(*d)-1]
	(*d)[len(*d)-1] = nil
	*d = (*d)[:len(*d)-1]
	return last
}

func (t *timers) init() { t.of, t.wake = map[subjects.Room]*dueRoom{}, make(chan struct{}, 1) }

// start looks through all rooms and then waits for what becomes due.
func (t *timers) start(s *Service) {
	s.workers.Add(1)
	go func() { defer s.workers.Done(); t.run(s) }()
	for _, mb := range s.rep.all() {
		mb.mu.Lock()
		t.resume(mb)
		mb.mu.Unlock()
	}
}

// resume takes a room that may have become empty before this instance was there. Its
// mailbox is locked.
func (t *timers) resume(mb *mailbox) {
	if st := mb.state; st != nil && st.Due() {
		t.wait(mb, time.Duration(st.DestroyAt()-events.TimeOf(time.Now()))*time.Millisecond)
	}
}

// changed takes a room that has become due just now, or that was due. Its mailbox is locked.
func (t *timers) changed(mb *mailbox) {
	switch st := mb.state; {
	case st == nil || !st.Due():
		t.drop(mb.room)
	case st.Ending() && mb.busy: // it is ended where the fact comes from
	case st.End != nil: // whoever began it goes on, or is dead
		t.wait(mb, standby)
	default:
		t.wait(mb, time.Duration(st.DestroyAt()-st.EmptySince)*time.Millisecond)
	}
}

// wait makes the room due after a while, unless it waits already since this emptying.
func (t *timers) wait(mb *mailbox, left time.Duration) {
	st := mb.state
	at := time.Now().Add(max(left, 0))
	d := &dueRoom{at, at, mb.room, st.InstanceID, st.EmptyBy, 0}
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.of[d.room]; old != nil {
		if old.instanceID == d.instanceID && old.emptyBy == d.emptyBy {
			return
		}
		heap.Remove(&t.due, old.index)
	}
	t.of[d.room] = d
	heap.Push(&t.due, d)
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// drop forgets a room that waits no longer.
func (t *timers) drop(id subjects.Room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.of[id]; d != nil {
		heap.Remove(&t.due, d.index)
		delete(t.of, id)
	}
}

// lead makes this instance the one that acts. What it had to leave to others until now it
// looks at at once.
func (t *timers) lead() {
	t.leading.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, d := range t.due {
		if d.due.Before(now) {
			d.at = d.due
		}
	}
	heap.Init(&t.due)
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *timers) run(s *Service) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		t.mu.Lock()
		wait := time.Hour
		if len(t.due) > 0 {
			wait = time.Until(t.due[0].at)
		}
		t.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
			t.fire(s)
		case <-t.wake:
		case <-s.life.Done():
			return
		}
	}
}

// fire ends what is due. Rooms that are still there come up again until they are gone.
func (t *timers) fire(s *Service) {
	now := time.Now()
	t.mu.Lock()
	var due []dueRoom
	for len(t.due) > 0 && !t.due[0].at.After(now) {
		d := t.due[0]
		due = append(due, *d)
		d.at = now.Add(standby)
		heap.Fix(&t.due, 0)
	}
	t.mu.Unlock()
	if !t.leading.Load() {
		return
	}
	for _, d := range due {
		mb := s.rep.locked(d.room)
		if len(mb.tasks) == 0 { // else its turn has not come yet
			mb.tasks = append(mb.tasks, d.end)
		}
		s.begin(mb)
	}
}

// end is the next fact that ends the room, if it still is the one that was due.
func (d dueRoom) end(st *room.State, in room.Input) *events.Fact {
	if st != nil && st.InstanceID == d.instanceID && st.Ending() {
		return room.EndNext(st, in)
	}
	return room.Destroy(st, d.emptyBy, d.instanceID, in)
}
