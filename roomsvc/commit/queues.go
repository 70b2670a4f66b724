package commit

import (
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

// tracked is every changing call that may be unanswered, oldest first.
type tracked struct {
	mu    sync.Mutex // guards both
	calls []*Call
	open  int // how many of them were open at the last look
}

// expired takes out calls that have run out of time or are answered.
func (t *tracked) expired(now time.Time) (expired []*Call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	calls := t.calls
	for len(calls) > 0 && (calls[0].Answered() || now.After(calls[0].Deadline)) {
		expired = append(expired, calls[0])
		calls = calls[1:]
	}
	if len(calls) > 2*t.open+1024 {
		kept := make([]*Call, 0, t.open)
		for _, c := range calls {
			if !c.Answered() {
				kept = append(kept, c)
			}
		}
		calls, t.open = kept, len(kept)
	}
	t.calls = calls
	return expired
}
