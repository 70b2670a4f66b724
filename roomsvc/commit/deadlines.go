package commit

import (
	"time"

	"natsrooms/roomsvc/room"
)

const sweepEvery = 250 * time.Millisecond

// leastWait is how long a call may wait at least, however long the journal has been silent.
const leastWait = 2 * time.Second

// Deadline is until when a call that arrives now is answered. While the journal is silent, as
// when the server that led it has died, the time counts from the beginning of that: whoever asks
// may have been trying for as long, since a client that has lost its own server sends what it
// wanted to say when it has found another one.
func (k *Committer) Deadline(now time.Time) time.Time {
	return now.Add(max(Timeout-k.Journal.Silence(), leastWait))
}

// Track has a call answered when its time runs out.
func (k *Committer) Track(c *Call) {
	k.tracked.mu.Lock()
	defer k.tracked.mu.Unlock()
	k.tracked.calls = append(k.tracked.calls, c)
}

// sweeping answers calls that run out of time. It asks nobody anything, so that a server
// that does not answer holds no answer up.
func (k *Committer) sweeping() {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-k.Life.Done():
			return
		case now := <-sweep.C:
			for _, c := range k.tracked.expired(now) {
				k.timeOut(c)
			}
		}
	}
}

// timeOut answers a call that has run out of time. A call that waits in line, in no append,
// has certainly had no effect and will have none.
func (k *Committer) timeOut(c *Call) {
	if c.Answered() {
		return
	}
	if c.state.Load() == waiting && !k.flying(c) && !c.begun.Load() && c.state.CompareAndSwap(waiting, answered) {
		e := room.Refuse(room.ErrBusy, "nothing happened: its turn did not come within %v; try again", Timeout)
		e.RetryAfterMs = 1000
		k.answer(Result{Call: c, Verdict: room.Verdict{Refused: e}})
		return
	}
	k.Refuse(c, unknown("it is not known whether this was stored; send it again with the same requestID to learn it"))
}

// flying says whether the fate of an append that the call waits for is still open.
func (k *Committer) flying(c *Call) bool {
	switch c.Cmd.Verb.Info().Kind {
	case room.ChangesSeveral:
		return k.multi.working.Load()
	case room.Says, room.Reads, room.Erases, room.Bars: // its message has not been sent; the others are in no append
		return false
	}
	b := k.find(c.Cmd.Room)
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flying
}

// End answers the calls that are left when the service has ended.
func (k *Committer) End() {
	k.tracked.mu.Lock()
	calls := k.tracked.calls
	k.tracked.calls = nil
	k.tracked.mu.Unlock()
	for _, c := range calls {
		k.timeOut(c)
	}
}
