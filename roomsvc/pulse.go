package roomsvc

import (
	"context"
	"sync/atomic"
	"time"
)

// Timing of the pulse.
const (
	pulseBeat  = 250 * time.Millisecond
	pulseStill = 5 * time.Second
)

// pulse tells that the process has stood still: stopped, starved or suspended. It
// goes by the monotonic clock.
type pulse struct {
	started time.Time
	beat    atomic.Int64 // of the last beat, since started
	epoch   atomic.Int64 // how often the process has stood still
}

func newPulse() *pulse { return &pulse{started: time.Now()} }

// still says that no beat came for too long.
func (p *pulse) still() bool {
	return time.Since(p.started)-time.Duration(p.beat.Load()) > pulseStill
}

// run beats until ctx ends, and calls woke after every standstill.
func (p *pulse) run(ctx context.Context, woke func()) {
	ticker := time.NewTicker(pulseBeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		still := p.still()
		if still {
			p.epoch.Add(1)
		}
		p.beat.Store(int64(time.Since(p.started)))
		if still {
			woke()
		}
	}
}
