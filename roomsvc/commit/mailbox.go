package commit

import (
	"sync"

	"natsrooms/events"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
)

// Task is work of the service's own in a room. It is asked for the next fact to append until
// it returns nil.
type Task func(*room.State, room.Input) *events.Fact

// mailbox is a room at work. Whoever holds its baton commits for the room, one append at a
// time; what arrives meanwhile waits in queue and becomes the next run. The mailbox exists
// while there is something to do.
type mailbox struct {
	room *replica.Room
	only []*replica.Room // room alone, as a list

	doubt doubt // used by whoever holds the baton

	mu      sync.Mutex // guards everything below; held only for moments
	queue   []*Call
	tasks   []Task
	busy    bool            // somebody holds the baton
	waiting []chan struct{} // those that want the baton next, before the queue's worker
	flying  bool            // an append is on its way
	refusal error           // why the journal does not accept the service's own work; nothing is tried until it is nil
	dropped bool            // the committer no longer has it
}

// idle says, under the lock, that there is nothing to commit, or no point in trying.
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

// refused is why the journal does not accept the service's own work in the room.
func (b *mailbox) refused() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusal
}

// takeAll takes out what waits.
func (b *mailbox) takeAll() (queue []*Call, tasks []Task) {
	b.mu.Lock()
	defer b.mu.Unlock()
	queue, tasks = b.queue, b.tasks
	b.queue, b.tasks = nil, nil
	return queue, tasks
}

// putBack puts back what was taken out and not decided, before everything that arrived
// meanwhile.
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

// doubt counts how often in a row the room's newest fact was read as one older than expect,
// although this instance has seen expect. Each was a read after a sync point.
type doubt struct {
	expect uint64
	times  int
}
