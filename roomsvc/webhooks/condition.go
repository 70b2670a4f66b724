package webhooks

import (
	"context"
	"sync"
	"time"
)

// State is how deliveries to a webhook go.
type State string

// The states of a webhook.
const (
	Elsewhere  State = "elsewhere"  // this instance does not lead
	Starting   State = "starting"   // its place in the stream is looked for, or the stream does not answer
	Delivering State = "delivering" // the last try was taken, or there was none
	Failing    State = "failing"    // the last try failed
	Paused     State = "paused"     // the receiver has asked that nothing is sent for a while
)

// Condition is how a webhook is now, for people. Only the instance that leads knows all of it.
type Condition struct {
	Name     string
	Host     string // where it leads, without what may be secret
	State    State
	Since    time.Time // failing: the first failure after the last event that was taken, or after the change of the lead
	Until    time.Time // paused: how long
	Why      string    // of the last failure since the change of the lead; "": there was none
	WhyAt    time.Time
	Waiting  uint64 // events to deliver, at least: those are not counted that rooms waited for before the change of the lead
	Behind   int64  // rooms that wait for another try
	Letters  int64  // dead letters
	Counted  bool   // Waiting, Behind and Letters are known
	OldestAt time.Time
}

const countAgain = 10 * time.Second // an instance that does not lead goes through the bucket no more often

// fate is what has become of the last tries of a webhook.
type fate struct {
	mu           sync.Mutex // guards everything below
	since, until time.Time
	why          string
	whyAt        time.Time
}

func (f *fate) failed(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.why, f.whyAt = why, time.Now()
	if f.since.IsZero() {
		f.since = f.whyAt
	}
}

func (f *fate) taken() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.since = time.Time{}
}

func (f *fate) pause(until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.until = until
}

// forget is for a change of the lead.
func (f *fate) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.since, f.until, f.why, f.whyAt = time.Time{}, time.Time{}, "", time.Time{}
}

// tell says how it is for whoever leads.
func (f *fate) tell(c *Condition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.Why, c.WhyAt, c.State = f.why, f.whyAt, Delivering
	switch {
	case time.Now().Before(f.until):
		c.State, c.Until = Paused, f.until
	case !f.since.IsZero():
		c.State, c.Since = Failing, f.since
	}
}

// counted is what an instance that does not lead has found in the bucket.
type counted struct {
	mu     sync.Mutex // guards everything below
	at     time.Time
	status Status
}

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
