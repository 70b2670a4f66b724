package guard

import (
	"context"
	"errors"
	"time"
)

// Read waits until the command may begin a long read, and returns what ends it. Of one user only
// a few are at work, and of all of them so many that others are not held up. An error says that
// ctx is over, or that the user is cut off.
func (p *Place) Read(ctx context.Context) (done func(), err error) {
	if p == nil {
		return func() {}, nil
	}
	limit := p.guard.Limits().UserReads
	if limit == 0 {
		return func() {}, nil
	}
	own, cut := p.turns(limit)
	for i, turns := range []chan struct{}{own, p.guard.readers} {
		select {
		case turns <- struct{}{}:
			continue
		case <-cut:
			err = errCutOff
		case <-ctx.Done():
			err = ctx.Err()
		}
		if i > 0 {
			<-own
		}
		return nil, err
	}
	return func() { <-p.guard.readers; <-own }, nil
}

// Spent notes that the command took more than others do: as much as that many more.
func (p *Place) Spent(now time.Time, more int) {
	if p == nil || more == 0 {
		return
	}
	rate := p.guard.Limits().UserCommands
	if rate == 0 {
		return
	}
	p.guard.mu.Lock()
	defer p.guard.mu.Unlock()
	p.commands.Add(now.UnixMicro(), int64(more), int64(rate))
}

var errCutOff = errors.New("the user is cut off")

// turns is the user's turns to read, which stay as many as when the account was made, and what is
// closed when the user is cut off.
func (p *Place) turns(limit int) (own chan struct{}, cut <-chan struct{}) {
	p.guard.mu.Lock()
	defer p.guard.mu.Unlock()
	if p.reads == nil {
		p.reads = make(chan struct{}, limit)
	}
	if p.over == nil {
		p.over = make(chan struct{})
	}
	return p.reads, p.over
}
