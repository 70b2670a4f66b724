package webhooks

import (
	"sync"
	"time"

	"natsrooms/roomsvc/webhooks/letters"
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
	status letters.Status
}
