package webhooks

import (
	"context"
	"time"
)

const countAgain = 10 * time.Second // an instance that does not lead goes through the bucket no more often

// Conditions are how webhooks are, in the order of the settings. It asks the streams, and what does
// not answer is not known.
func (w *Webhooks) Conditions(ctx context.Context) (list []Condition) {
	if w == nil {
		return nil
	}
	for _, h := range w.hooks {
		list = append(list, w.condition(ctx, h))
	}
	return list
}

func (w *Webhooks) condition(ctx context.Context, h *hook) Condition {
	c := Condition{Name: h.Name, Host: h.poster.Host(), State: Elsewhere}
	reads := h.reads.Load()
	if reads == nil {
		status, err := w.count(ctx, h)
		c.Waiting, c.Behind, c.Letters, c.Counted = status.Waiting, int64(status.Behind), int64(status.Letters), err == nil
		return c
	}
	h.meter.fate.tell(&c)
	for _, s := range *reads {
		at, working := s.oldest()
		if !working {
			c.State, c.Since, c.Until = Starting, time.Time{}, time.Time{}
		}
		if !at.IsZero() && (c.OldestAt.IsZero() || at.Before(c.OldestAt)) {
			c.OldestAt = at
		}
	}
	given, err := w.waiting(ctx, h)
	n := h.meter.read()
	c.Waiting, c.Behind, c.Letters, c.Counted = given+uint64(max(h.meter.owed.Load(), 0)), n.Behind, n.Letters, err == nil
	return c
}

// count goes through the bucket, if it was not done lately.
func (w *Webhooks) count(ctx context.Context, h *hook) (s Status, err error) {
	h.counted.mu.Lock()
	defer h.counted.mu.Unlock()
	if time.Since(h.counted.at) < countAgain {
		return h.counted.status, nil
	}
	if s, err = w.status(ctx, h); err == nil {
		h.counted.at, h.counted.status = time.Now(), s
	}
	return s, err
}
