package commit

import (
	"natsrooms/roomsvc/replica"
	"natsrooms/subjects"
)

// box is a room's mailbox with its lock taken; it is made if there is none.
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
	if had != nil { // another goroutine was faster
		k.Replica.Release(held)
		return had
	}
	return b
}
