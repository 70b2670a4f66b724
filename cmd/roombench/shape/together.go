package shape

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// together does n pieces of work at a time and waits for all. The first that fails, or the end of
// ctx, or no progress for too long, stops the others: stop makes their connections fail.
func together(ctx context.Context, n int, progress func() int64, stop func(), work func(i int) error) error {
	var first atomic.Pointer[error]
	fail := func(err error) {
		if first.CompareAndSwap(nil, &err) {
			stop()
		}
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := work(i); err != nil {
				fail(err)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	watch(ctx, done, progress, fail)
	<-done
	if err := first.Load(); err != nil {
		return *err
	}
	return nil
}

// watch returns when done is closed, or fails if there is no progress.
func watch(ctx context.Context, done <-chan struct{}, progress func() int64, fail func(error)) {
	tick := time.NewTicker(answerWithin)
	defer tick.Stop()
	for last := int64(-1); ; {
		select {
		case <-done:
			return
		case <-ctx.Done():
			fail(ctx.Err())
			return
		case <-tick.C:
		}
		now := progress()
		if now == last {
			fail(fmt.Errorf("no answer came for %v, after %d", answerWithin, now))
			return
		}
		last = now
	}
}

// meter measures commands of many clients: from when so many have been answered, that everybody
// is at work, until enough have been answered after that.
type meter struct {
	cfg      *Config
	warm, n  int64
	entries  func() int64 // heard by everybody so far
	answers  atomic.Int64
	over     atomic.Bool
	from, to mark
}

// mark is one end of what is measured.
type mark struct {
	at             time.Time
	server, driver time.Duration
	entries        int64
}

func newMeter(cfg *Config, clients, n int, entries func() int64) *meter {
	return &meter{cfg: cfg, warm: int64(max(clients, n/10)), n: int64(n), entries: entries}
}

func (m *meter) mark() mark {
	server, driver := m.cfg.CPU()
	return mark{time.Now(), server, driver, m.entries()}
}

// count books an answer, and says whether its time counts.
func (m *meter) count() bool {
	k := m.answers.Add(1)
	switch k {
	case m.warm:
		m.from = m.mark()
	case m.warm + m.n:
		m.to = m.mark()
		m.over.Store(true)
	}
	return k > m.warm && k <= m.warm+m.n
}

// measured is the result, once everybody has stopped; took is not sorted yet.
func (m *meter) measured(took []time.Duration) Measured {
	lasted := m.to.at.Sub(m.from.at)
	return Measured{
		N: int(m.n), Took: sorted(took), Lasted: lasted, Deliveries: float64(m.to.entries-m.from.entries) / lasted.Seconds(),
		Server: m.to.server - m.from.server, Driver: m.to.driver - m.from.driver,
	}
}
