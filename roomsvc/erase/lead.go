package erase

import (
	"context"
	"time"

	"natsrooms/roomsvc/lead"
	"natsrooms/roomsvc/messages"
)

const (
	lookEvery = 3 * time.Second
	leave     = 12 * time.Second // for the instance that stored an intent to carry it out: longer than a command may take
)

// Lead is the duty to carry out what was left undone by instances that are gone.
func (e *Eraser) Lead(ctx context.Context, t *lead.Term) error {
	t.Begun()
	if !e.Messages.Erases {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	done, known := uint64(0), false
	for {
		var err error
		if !known {
			done, err = e.Messages.Carried(ctx)
			known = err == nil
		}
		if known {
			done, err = e.rest(ctx, done)
		}
		if err != nil && ctx.Err() == nil {
			e.Log.Warn("looking for deletions of messages that were left undone", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// rest carries out the intents after a place, except for the newest, and returns how far it got.
func (e *Eraser) rest(ctx context.Context, done uint64) (uint64, error) {
	last, err := e.Messages.LastIntent(ctx)
	if err != nil || last <= done {
		return done, err
	}
	type stored struct {
		at uint64
		*messages.Intent
	}
	var list []stored
	err = e.Messages.Intents(ctx, done, func(at uint64, i *messages.Intent) bool {
		if i != nil && time.Since(i.Stored) < leave {
			return false
		}
		list = append(list, stored{at, i})
		return true
	})
	if err != nil || len(list) == 0 {
		return done, err
	}
	for _, s := range list {
		if s.Intent != nil {
			if err := e.Messages.Carry(ctx, s.Intent); err != nil {
				return done, err
			}
		}
		done = s.at
	}
	return done, e.Messages.MarkCarried(ctx, done)
}
