package talk

import (
	"sync"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// paces is how fast users send in rooms.
type paces struct {
	mu sync.Mutex // guards of
	of map[paceKey]*room.Pace
}

type paceKey struct {
	user subjects.User
	room subjects.Room
}

// take counts a message, or says how long it is until the message may be sent.
func (p *paces) take(k paceKey, limit int, priority events.Priority) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	pace := p.of[k]
	if pace == nil {
		if p.of == nil {
			p.of = map[paceKey]*room.Pace{}
		}
		pace = &room.Pace{}
		p.of[k] = pace
	}
	return time.Duration(pace.Take(time.Now().UnixMicro(), limit, priority)) * time.Microsecond
}

// forget drops what no longer counts.
func (p *paces) forget(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, pace := range p.of {
		if pace.Idle(now.UnixMicro()) {
			delete(p.of, key)
		}
	}
}
