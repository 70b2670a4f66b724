package room

import "natsrooms/events"

// Pace is how fast one sender talks in one room. Messages of high priority are counted
// separately, so that they pass when the others are refused.
type Pace struct{ low, high Usage }

// Take counts a message against a limit per second; a second's worth may come at once.
// It returns 0, or the microseconds to wait, in which case it counts nothing. now is in
// microseconds since the epoch.
func (p *Pace) Take(now int64, limit int, priority events.Priority) (wait int64) {
	used := &p.low
	if priority == events.High {
		used = &p.high
	}
	return used.Take(now, 1, int64(limit), int64(limit))
}

// Idle reports that nothing sent before now counts any more.
func (p *Pace) Idle(now int64) bool { return p.low.Idle(now) && p.high.Idle(now) }
