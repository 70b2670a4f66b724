// Package life bounds how long the parts of one instance of the service run. A part starts its
// goroutines with [Life.Go], so that whoever ends the life can wait for all of them, and
// reports an error that it cannot continue after with [Life.Fail].
package life

import (
	"context"
	"sync"
	"time"
)

// Life is the context of an instance, and the goroutines that belong to it.
type Life struct {
	context.Context
	cancel context.CancelFunc
	failed func(error)

	mu      sync.Mutex // guards the fields below
	quiet   *sync.Cond // running is 0
	running int        // goroutines
	over    bool       // nothing starts any more
}

// New begins a life. failed is told why a part cannot continue; it may be called more than
// once, from any goroutine, and must not wait for [Life.End].
func New(failed func(error)) *Life {
	l := &Life{failed: failed}
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
	l.running++
	go func() {
		defer l.done()
		f()
	}()
	return true
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
