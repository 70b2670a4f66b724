package commit

import (
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// New makes a committer and starts what it does on its own.
func New(c Config) *Committer {
	k := &Committer{Config: c, boxes: map[subjects.Room]*mailbox{}}
	k.multi.wake = make(chan struct{}, 1)
	c.Life.Go(k.runMulti)
	c.Life.Go(k.sweeping)
	return k
}

// Enqueue takes in a call, which is settled later. The caller has tracked it before, with
// [Committer.Track], so that it is answered when its time runs out.
func (k *Committer) Enqueue(c *Call) {
	if c.Cmd.Verb.Info().Kind == room.ChangesSeveral {
		k.multi.add(c)
	} else {
		k.put(c.Cmd.Room, func(b *mailbox) { b.queue = append(b.queue, c) })
	}
	if k.Life.Over() {
		k.timeOut(c) // nobody else will answer it
	}
}

// Assign takes in work of the service's own.
func (k *Committer) Assign(id subjects.Room, t Task) {
	k.put(id, func(b *mailbox) { b.tasks = append(b.tasks, t) })
}

// AssignOnce does the same unless work of the service's own already waits there.
func (k *Committer) AssignOnce(id subjects.Room, t Task) {
	k.put(id, func(b *mailbox) {
		if len(b.tasks) == 0 {
			b.tasks = append(b.tasks, t)
		}
	})
}
