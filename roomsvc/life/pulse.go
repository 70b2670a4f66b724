package life

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

// Pulse notices that the process has stood still: stopped, starved or suspended. It goes by
// the monotonic clock.
type Pulse struct {
	started time.Time
	beat    atomic.Int64 // time of the last beat, since started
	epoch   atomic.Int64 // how often the process has stood still
}

// Epoch is how often the process has stood still so far.
func (p *Pulse) Epoch() int64 { return p.epoch.Load() }

// NewPulse begins to count.
func NewPulse() *Pulse { return &Pulse{started: time.Now()} }

// Still says that no beat came for too long.
func (p *Pulse) Still() bool {
	return time.Since(p.started)-time.Duration(p.beat.Load()) > pulseStill
}

// Run beats until ctx ends, and calls woke after every standstill.
func (p *Pulse) Run(ctx context.Context, woke func()) {
	ticker := time.NewTicker(pulseBeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		still := p.Still()
		if still {
			p.epoch.Add(1)
		}
		p.beat.Store(int64(time.Since(p.started)))
		if still {
			woke()
		}
	}
}
