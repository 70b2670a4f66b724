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
// that leads acts. Waiting goes by the monotonic clock; the wall clock only says how
// much of a delay was over when the room's emptying was first seen.
type timers struct {
	leading atomic.Bool
	mu      sync.Mutex
	due     dueRooms
	wake    chan struct{}
}

// dueRoom is an empty room and the fact that emptied it: should it fill and empty
// again, that will be another dueRoom.
type dueRoom struct {
	at         time.Time
	room       subjects.Room
	instanceID string
	emptyBy    uint64
}

type dueRooms []dueRoom

func (d dueRooms) Len() int           { return len(d) }
func (d dueRooms) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d dueRooms) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *dueRooms) Push(x any)        { *d = append(*d, x.(dueRoom)) }
func (d *dueRooms) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}

// start looks through all rooms and then waits for what becomes due.
func (t *timers) start(s *Service) {
	s.workers.Add(1)
	go func() { defer s.workers.Done(); t.run(s) }()
	for _, mb := range s.rep.all() {
		mb.mu.Lock()
		t.add(mb)
		mb.mu.Unlock()
	}
}

// add takes a room that may be empty, or whose end has begun; whoever began it may be
// dead. Its mailbox is locked.
func (t *timers) add(mb *mailbox) {
	st := mb.state
	if st == nil || st.EmptySince == 0 && st.End == nil || st.Ending() && mb.busy {
		return
	}
	if st.End != nil {
		t.put(dueRoom{time.Now().Add(standby), mb.room, st.InstanceID, st.EmptyBy})
		return
	}
	left := time.Duration(st.DestroyAt()-events.TimeOf(time.Now())) * time.Millisecond
	t.put(dueRoom{time.Now().Add(max(left, 0)), mb.room, st.InstanceID, st.EmptyBy})
}

func (t *timers) put(d dueRoom) {
	t.mu.Lock()
	heap.Push(&t.due, d)
	t.mu.Unlock()
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
		due = append(due, heap.Pop(&t.due).(dueRoom))
	}
	t.mu.Unlock()
	for _, d := range due {
		h := s.rep.head(d.room)
		if h == nil || h.InstanceID != d.instanceID || h.EmptyBy != d.emptyBy {
			continue
		}
		if t.leading.Load() {
			s.assign(d.room, d.end)
		}
		d.at = now.Add(standby)
		t.put(d)
	}
}

// end is the next fact that ends the room, if it still is the one that was due.
func (d dueRoom) end(st *room.State, in room.Input) *events.Fact {
	if st != nil && st.InstanceID == d.instanceID && st.Ending() {
		return room.EndNext(st, in)
	}
	return room.Destroy(st, d.emptyBy, d.instanceID, in)
}
