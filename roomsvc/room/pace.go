package room

import "natsrooms/events"

// Pace is how fast one sender talks in one room. Messages of high priority are counted
// apart from the others, so that they pass where the others are refused.
type Pace struct {
	due [2]int64 // microseconds since the epoch: when all that was sent is paid for
}

const second = 1_000_000

// Take counts a message against a limit of so many a second, a second's worth of which
// may come at once. It is 0, or the microseconds to wait, and then nothing is counted.
// now is in microseconds since the epoch.
func (p *Pace) Take(now int64, limit int, priority events.Priority) (wait int64) {
	due := &p.due[0]
	if priority == events.High {
		due = &p.due[1]
	}
	next := max(*due, now) + second/int64(limit)
	if wait = next - now - second; wait > 0 {
		return wait
	}
	*due = next
	return 0
}

// Idle says that nothing sent before now counts any more.
func (p *Pace) Idle(now int64) bool { return max(p.due[0], p.due[1]) <= now }
