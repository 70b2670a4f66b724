package roomsvc

import (
	"context"
	"sync"
)

// syncer makes sync points: moments at which this instance has seen everything that
// was stored before. One marker is on its way at a time; whoever comes meanwhile
// shares the next one.
type syncer struct {
	s      *Service
	mu     sync.Mutex
	next   *syncPoint
	flying bool
}

type syncPoint struct {
	done chan struct{}
	err  error
}

// pass returns when everything stored before the call has been applied.
func (y *syncer) pass(ctx context.Context) error {
	y.mu.Lock()
	if y.next == nil {
		y.next = &syncPoint{done: make(chan struct{})}
	}
	p := y.next
	if !y.flying {
		y.flying = true
		go y.fly()
	}
	y.mu.Unlock()
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (y *syncer) fly() {
	for {
		y.mu.Lock()
		p := y.next
		y.next = nil
		if p == nil {
			y.flying = false
			y.mu.Unlock()
			return
		}
		y.mu.Unlock()
		p.err = y.mark()
		close(p.done)
	}
}

func (y *syncer) mark() error {
	before := y.s.rep.passed.Seq()
	seq, err := y.s.journal.Mark(y.s.life)
	if err != nil {
		return err
	}
	if seq <= before {
		err := errTailLostAt(before, seq)
		y.s.fail(err)
		return err
	}
	return y.s.rep.passed.Wait(y.s.life, seq)
}
