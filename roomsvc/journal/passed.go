package journal

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Passed tells how far a follower of a stream has got, and lets others wait for it. The zero
// value is a follower that has not begun.
type Passed struct {
	seq     atomic.Uint64
	mu      sync.Mutex // guards waiting
	waiting []waiter
}

type waiter struct {
	seq  uint64
	done chan struct{}
}

// Seq returns the sequence of the newest message that was taken.
func (p *Passed) Seq() uint64 { return p.seq.Load() }

// Reach records that the message at seq was taken.
func (p *Passed) Reach(seq uint64) {
	p.seq.Store(seq)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = slices.DeleteFunc(p.waiting, func(w waiter) bool {
		if w.seq <= seq {
			close(w.done)
		}
		return w.seq <= seq
	})
}

// Wait returns when the message at seq, or a later one, has been taken.
func (p *Passed) Wait(ctx context.Context, seq uint64) error {
	p.mu.Lock()
	if p.seq.Load() >= seq {
		p.mu.Unlock()
		return nil
	}
	w := waiter{seq, make(chan struct{})}
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		p.mu.Lock()
		p.waiting = slices.DeleteFunc(p.waiting, func(o waiter) bool { return o.done == w.done })
		p.mu.Unlock()
		return ctx.Err()
	}
}
