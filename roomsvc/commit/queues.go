package commit

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// multi is the queue of calls that change several rooms at once: switch and leaveAll.
// Everything that waits shares one atomic batch, with one fact for each room, so a class that
// moves to its break-out rooms costs one append. One batch is on its way at a time.
type multi struct {
	mu    sync.Mutex // guards queue
	queue []*Call
	wake  chan struct{}

	working atomic.Bool // a batch is being decided or is on its way
}

func (m *multi) add(c *Call) {
	m.mu.Lock()
	m.queue = append(m.queue, c)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *multi) takeAll() []*Call {
	m.mu.Lock()
	defer m.mu.Unlock()
	calls := m.queue
	m.queue = nil
	return calls
}

func (m *multi) putBack(calls []*Call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = append(calls, m.queue...)
}

// tracked is every call that may be unanswered and is not sure to be answered in time otherwise.
type tracked struct {
	mu    sync.Mutex // guards calls
	calls []*Call
}

// expired takes out calls that have run out of time, and drops those that are answered.
func (t *tracked) expired(now time.Time) (expired []*Call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls = slices.DeleteFunc(t.calls, func(c *Call) bool {
		over := now.After(c.Deadline) && !c.Answered()
		if over {
			expired = append(expired, c)
		}
		return over || c.Answered()
	})
	return expired
}
