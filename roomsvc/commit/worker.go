package commit

import (
	"errors"
	"time"

	"natsrooms/roomsvc/journal"
	"natsrooms/subjects"
)

// refusalRest is how long a room rests before work of the service's own that the journal
// refused is tried again.
const refusalRest = time.Second

// put adds to a room's mailbox, and starts a worker unless there is one.
func (k *Committer) put(id subjects.Room, add func(*mailbox)) {
	b := k.box(id)
	add(b)
	start := k.starts(b)
	b.mu.Unlock()
	if start {
		k.Life.Go(func() { k.work(b) })
	}
}

// starts takes the baton of a mailbox, under its lock, for a worker. What is left when the
// service ends is answered there.
func (k *Committer) starts(b *mailbox) bool {
	start := !b.busy && !b.idle() && !k.Life.Over()
	b.busy = b.busy || start
	return start
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

// release passes the baton to one that waits for it, or to a worker, or gives it up; then the
// mailbox goes too if it is empty.
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

// pass says who gets the baton of a mailbox next, or that the mailbox is gone.
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

// rest waits a while before anything is tried in the room again, and returns the calls that
// wait there.
func (k *Committer) rest(b *mailbox, why error) (calls []*Call) {
	k.Log.Warn("the journal does not accept what is due in a room", "room", b.room.ID, "error", why)
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

// step decides one run of a room, whose baton is held, and commits it. It returns false if
// another instance was faster.
func (k *Committer) step(b *mailbox) bool {
	r := &round{k: k, rooms: b.only}
	err := k.carry(r, func() {
		r.decideOne(b)
		if r.changes() {
			b.flies(true)
		}
	})
	b.flies(false)
	if err == nil {
		r.replaceDevices(b, r.facts[0])
		b.putBack(r.open, nil)
		return true
	}
	return k.unstored(b, r, err)
}

// unstored puts back a run that lost to another fact, and refuses one that the journal would
// not accept. If there was no run, work of the service's own was refused: what waits after
// that is refused too, and the room rests.
func (k *Committer) unstored(b *mailbox, r *round, err error) bool {
	r.unreserve()
	if errors.Is(err, journal.ErrConflict) {
		b.putBack(r.reopen(), nil)
		k.catchUp(b, r.views[0].Revision)
		return false
	}
	r.refuse(err)
	if len(r.decided) == 0 && errors.Is(err, journal.ErrRefused) {
		for _, c := range k.rest(b, err) {
			k.Refuse(c, NotStored(err))
		}
	}
	return true
}
