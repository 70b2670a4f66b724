package replica

import (
	"context"
	"errors"
	"sync"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
)

// errOver says that the instance ended before a sync point was passed.
var errOver = errors.New("the instance has ended")

// Sync makes sync points: moments at which this instance has seen everything that was stored
// before. One marker is on its way at a time; calls that come meanwhile share the next one.
type Sync struct {
	life   *life.Life
	mark   func(context.Context) (uint64, error)
	passed *journal.Passed

	mu     sync.Mutex // guards next and flying
	next   *syncPoint // to be begun; nil: nobody wants one
	flying bool       // a goroutine is making them
}

type syncPoint struct {
	done chan struct{}
	err  error // once done is closed
}

// NewSync makes sync points with markers that mark appends; passed says how far the follower
// has got.
func NewSync(l *life.Life, mark func(context.Context) (uint64, error), passed *journal.Passed) *Sync {
	return &Sync{life: l, mark: mark, passed: passed}
}

// Pass returns when everything stored before the call has been applied.
func (y *Sync) Pass(ctx context.Context) error {
	p, err := y.join()
	if err != nil {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join is the sync point that begins next.
func (y *Sync) join() (*syncPoint, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if !y.flying && !y.life.Go(y.fly) {
		return nil, errOver
	}
	y.flying = true
	if y.next == nil {
		y.next = &syncPoint{done: make(chan struct{})}
	}
	return y.next, nil
}

// fly makes sync points as long as somebody wants one.
func (y *Sync) fly() {
	for p := y.begin(); p != nil; p = y.begin() {
		p.err = y.make()
		close(p.done)
	}
}

func (y *Sync) begin() (p *syncPoint) {
	y.mu.Lock()
	defer y.mu.Unlock()
	p, y.next = y.next, nil
	y.flying = p != nil
	return p
}

func (y *Sync) make() error {
	before := y.passed.Seq()
	seq, err := y.mark(y.life)
	if err != nil {
		return err
	}
	if seq <= before {
		err := journal.TailLost(before, journal.Extent{Last: seq})
		y.life.Fail(err)
		return err
	}
	return y.passed.Wait(y.life, seq)
}
