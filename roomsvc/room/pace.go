package room

import "natsrooms/events"

// Pace is how fast one sender talks in one room. Messages of high priority are counted
// separately, so that they pass when the others are refused.
type Pace struct {
	due [2]int64 // microseconds since the epoch: when everything sent so far is paid for
}

const second = 1_000_000

// Take counts a message against a limit per second; a second's worth may come at once.
// It returns 0, or the microseconds to wait, in which case it counts nothing. now is in
// microseconds since the epoch.
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

// Idle reports that nothing sent before now counts any more.
func (p *Pace) Idle(now int64) bool { return max(p.due[0], p.due[1]) <= now }
