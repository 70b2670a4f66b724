// Package life bounds how long the parts of one instance of the service run. A part starts its
// goroutines with [Life.Go], so that whoever ends the life can wait for all of them, and
// reports an error that it cannot continue after with [Life.Fail].
package life

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// mostIdle is how many goroutines may wait for something to do.
const mostIdle = 128

// Life is the context of an instance, and the goroutines that belong to it.
type Life struct {
	context.Context
	cancel context.CancelFunc
	failed func(error)

	next chan func() // something to do for a goroutine that has nothing
	idle atomic.Int64

	mu      sync.Mutex // guards the fields below
	quiet   *sync.Cond // running is 0
	running int        // goroutines, with those that have nothing to do
	over    bool       // nothing starts any more
}

// New begins a life. failed is told why a part cannot continue; it may be called more than
// once, from any goroutine, and must not wait for [Life.End].
func New(failed func(error)) *Life {
	l := &Life{failed: failed, next: make(chan func())}
	l.Context, l.cancel = context.WithCancel(context.Background())
	l.quiet = sync.NewCond(&l.mu)
	return l
}

// Go runs f in a goroutine that [Life.End] waits for. Once End has returned, Go returns false
// and does not run f; before that, a goroutine of this life may start others.
func (l *Life) Go(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	select {
	case l.next <- f:
	default:
		l.running++
		go l.run(f)
	}
	return true
}

// run runs f, and what comes after it. The stack of a new goroutine is small and is copied each
// time that it grows, so one that has grown is used again.
func (l *Life) run(f func()) {
	defer l.done()
	for f != nil {
		f()
		f = l.rest()
	}
}

// rest waits for something to do; nil if there are enough who wait, or the life ends.
func (l *Life) rest() func() {
	defer l.idle.Add(-1)
	if l.idle.Add(1) > mostIdle {
		return nil
	}
	select {
	case f := <-l.next:
		return f
	case <-l.Done():
		return nil
	}
}

func (l *Life) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running--; l.running == 0 {
		l.quiet.Broadcast()
	}
}

// Fail reports an error that the instance cannot continue after.
func (l *Life) Fail(err error) { l.failed(err) }

// Over says whether the life has ended, or is ending.
func (l *Life) Over() bool { return l.Err() != nil }

// Pause waits, but no longer than the life lasts.
func (l *Life) Pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.Done():
	}
}

// Cancel ends the context. Goroutines notice and return; [Life.End] waits for them.
func (l *Life) Cancel() { l.cancel() }

// End cancels the context and returns when the last goroutine has returned.
func (l *Life) End() {
	l.cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.running > 0 {
		l.quiet.Wait()
	}
	l.over = true
}
