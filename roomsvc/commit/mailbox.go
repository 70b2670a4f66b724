package commit

import (
	"sync"
	"time"

	"natsrooms/roomsvc/replica"
	"natsrooms/subjects"
)

// refusalRest is how long a room rests before the service's own work is tried again that
// the journal refused.
const refusalRest = time.Second

// mailbox is a room at work. Whoever holds its baton commits for the room, one append at a
// time; what arrives meanwhile waits in queue and becomes the next run. It exists while
// there is something to do.
type mailbox struct {
	room *replica.Room
	only []*replica.Room // room alone

	doubt doubt // of whoever holds the baton

	mu      sync.Mutex // guards all that follows; held for moments only
	queue   []*Call
	tasks   []Task
	busy    bool            // somebody holds the baton
	waiting []chan struct{} // who wants the baton next, before the queue's worker
	flying  bool            // an append is on its way
	refusal error           // why the journal does not take the service's own work; nothing is tried until it is nil
	dropped bool            // the committer has it no more
}

// box is a room's mailbox, made when there is none, with its lock taken.
func (k *Committer) box(id subjects.Room) *mailbox {
	for {
		b := k.find(id)
		if b == nil {
			b = k.add(id)
		}
		b.mu.Lock()
		if !b.dropped {
			return b
		}
		b.mu.Unlock()
	}
}

// find is a room's mailbox, or nil.
func (k *Committer) find(id subjects.Room) *mailbox {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.boxes[id]
}

func (k *Committer) add(id subjects.Room) *mailbox {
	held := k.Replica.Hold(id)
	b := &mailbox{room: held, only: []*replica.Room{held}}
	k.mu.Lock()
	had := k.boxes[id]
	if had == nil {
		k.boxes[id] = b
	}
	k.mu.Unlock()
	if had != nil { // somebody else was faster
		k.Replica.Release(held)
		return had
	}
	return b
}

// put adds to a room's mailbox, and starts a worker unless one is there.
func (k *Committer) put(id subjects.Room, add func(*mailbox)) {
	b := k.box(id)
	add(b)
	start := k.starts(b)
	b.mu.Unlock()
	if start {
		k.Life.Go(func() { k.work(b) })
	}
}

// starts takes the baton of a mailbox, under its lock, for a worker. What is left at the
// end of the service is answered there.
func (k *Committer) starts(b *mailbox) bool {
	start := !b.busy && !b.idle() && !k.Life.Over()
	b.busy = b.busy || start
	return start
}

// idle says, under the lock, that there is nothing to commit, or no use in trying.
func (b *mailbox) idle() bool {
	return b.refusal != nil || len(b.queue) == 0 && len(b.tasks) == 0 && !b.ends()
}

// ends says that the room is to end before anything else happens in it.
func (b *mailbox) ends() bool {
	h := b.room.Head()
	return h != nil && h.Ending()
}

// ending says that the room is to end before anything else, and that this can be tried.
func (b *mailbox) ending() bool { return b.refused() == nil && b.ends() }

// refused is why the journal does not take the service's own work in the room.
func (b *mailbox) refused() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusal
}

// acquire waits until the caller holds the baton of a room.
func (k *Committer) acquire(id subjects.Room) *mailbox {
	b := k.box(id)
	if !b.busy {
		b.busy = true
		b.mu.Unlock()
		return b
	}
	turn := make(chan struct{})
	b.waiting = append(b.waiting, turn)
	b.mu.Unlock()
	<-turn
	return b
}

// release passes the baton on to who waits for it, or to a worker, or gives it up; then the
// mailbox goes too if there is nothing in it.
func (k *Committer) release(b *mailbox) {
	switch turn, start, gone := k.pass(b); {
	case turn != nil:
		close(turn)
	case start:
		k.Life.Go(func() { k.work(b) })
	case gone:
		k.Replica.Release(b.room)
	}
}

// pass says who has the baton of a mailbox next, or that the mailbox is gone.
func (k *Committer) pass(b *mailbox) (turn chan struct{}, start, gone bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 {
		turn, b.waiting = b.waiting[0], b.waiting[1:]
		return turn, false, false
	}
	b.busy = false
	start = k.starts(b)
	if gone = !start && b.refusal == nil && b.idle(); gone {
		b.dropped = true
		delete(k.boxes, b.room.ID)
	}
	return nil, start, gone
}

// work commits for a room as long as there is something to do and nobody else wants to.
func (k *Committer) work(b *mailbox) {
	for beaten := 0; ; {
		if k.step(b) {
			beaten = 0
		} else if beaten++; beaten >= patientTries {
			k.jitter()
		}
		b.mu.Lock()
		done := b.idle() || len(b.waiting) > 0 || k.Life.Over()
		b.mu.Unlock()
		if done {
			k.release(b)
			return
		}
	}
}

// rest lets a while go by before anything is tried in the room again, and gives the calls
// that wait there.
func (k *Committer) rest(b *mailbox, why error) (calls []*Call) {
	k.Log.Warn("the journal does not take what is due in a room", "room", b.room.ID, "error", why)
	b.mu.Lock()
	calls, b.queue = b.queue, nil
	b.refusal = why
	b.mu.Unlock()
	k.Life.Go(func() {
		k.Life.Pause(refusalRest)
		k.put(b.room.ID, func(b *mailbox) { b.refusal = nil })
	})
	return calls
}

// takeAll takes out what waits.
func (b *mailbox) takeAll() (queue []*Call, tasks []Task) {
	b.mu.Lock()
	defer b.mu.Unlock()
	queue, tasks = b.queue, b.tasks
	b.queue, b.tasks = nil, nil
	return queue, tasks
}

// putBack puts back, before all that arrived meanwhile, what was taken out and not decided.
func (b *mailbox) putBack(queue []*Call, tasks []Task) {
	if len(queue) == 0 && len(tasks) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue, b.tasks = append(queue, b.queue...), append(tasks, b.tasks...)
}

// flies notes whether an append is on its way.
func (b *mailbox) flies(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flying = yes
}
