// Package meter counts what the service does. Counting is nothing but atomic additions, so that
// a command does not notice it; whoever shows the figures reads them when asked. Each part of
// the service has a meter of its own, whose zero value is ready.
package meter

import (
	"sync/atomic"
	"time"
)

// Counter counts upwards.
type Counter struct{ n atomic.Uint64 }

// Add adds n, which is not negative.
func (c *Counter) Add(n int) { c.n.Add(uint64(n)) }

// Inc adds one.
func (c *Counter) Inc() { c.n.Add(1) }

// Value is how many there were.
func (c *Counter) Value() uint64 { return c.n.Load() }

// durationBounds are the upper bounds of the buckets of [Durations]; a command takes about a
// millisecond, and is answered within 10 s.
var durationBounds = [...]time.Duration{
	250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
	2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Durations is a histogram of how long something took.
type Durations struct {
	buckets [len(durationBounds) + 1]Counter
	sum     atomic.Int64
}

// Observe counts one that took d.
func (h *Durations) Observe(d time.Duration) {
	i := 0
	for i < len(durationBounds) && d > durationBounds[i] {
		i++
	}
	h.buckets[i].Inc()
	h.sum.Add(int64(d))
}

// Read is the histogram as it is now, in seconds.
func (h *Durations) Read() Histogram {
	out := Histogram{Sum: time.Duration(h.sum.Load()).Seconds(), Buckets: make(map[float64]uint64, len(durationBounds))}
	out.read(h.buckets[:], func(i int) float64 { return durationBounds[i].Seconds() })
	return out
}

// sizeBuckets is how many buckets [Sizes] has: up to 1, 2, 4, ... 4096.
const sizeBuckets = 13

// Sizes is a histogram of how many there were of something.
type Sizes struct {
	buckets [sizeBuckets + 1]Counter
	sum     Counter
}

// Observe counts one of size n.
func (h *Sizes) Observe(n int) {
	i := 0
	for i < sizeBuckets && n > 1<<i {
		i++
	}
	h.buckets[i].Inc()
	h.sum.Add(n)
}

// Read is the histogram as it is now.
func (h *Sizes) Read() Histogram {
	out := Histogram{Sum: float64(h.sum.Value()), Buckets: make(map[float64]uint64, sizeBuckets)}
	out.read(h.buckets[:], func(i int) float64 { return float64(int(1) << i) })
	return out
}

// Histogram is what a histogram holds at a moment.
type Histogram struct {
	Count   uint64
	Sum     float64
	Buckets map[float64]uint64 // by upper bound: how many there were up to it
}

func (h *Histogram) read(buckets []Counter, bound func(int) float64) {
	for i := range buckets {
		h.Count += buckets[i].Value()
		if i < len(buckets)-1 {
			h.Buckets[bound(i)] = h.Count
		}
	}
}

// MostCodes is how many codes a [Verb] can tell apart.
const MostCodes = 48

// Verb counts the answers to the requests of one verb.
type Verb struct {
	Answers [1 + MostCodes]Counter // 0: done; the others by their place in the table of errors, from 1 on
	Took    Durations              // from a request's arrival to its answer
}

// Answered counts an answer: code is 0 if the request was not refused.
func (v *Verb) Answered(code int, took time.Duration) {
	if code < 0 || code > MostCodes {
		code = MostCodes
	}
	v.Answers[code].Inc()
	v.Took.Observe(took)
}

// Commit counts what becomes of changes.
type Commit struct {
	Batches   Sizes     // commands that were decided together, and stored with one append
	Took      Durations // from the first try of an append to the knowledge that it is stored
	Facts     Counter   // stored by this instance
	Conflicts Counter   // appends that another fact was in the way of; their commands are decided again
	Resends   Counter   // appends that were sent again because nothing was known of them
	Failed    Counter   // appends that the stream refused, or of which nothing was learned
}

// Talk counts messages.
type Talk struct {
	Stored, Live Counter
	Failed       Counter // that could not be stored
}

// Feeds counts copies for end users.
type Feeds struct {
	Copies  Counter
	Dropped Counter // facts and messages that did not reach everybody
}

// Guard counts how often end users reached their limits.
type Guard struct {
	Rate, Waiting, Changes Counter // requests that were refused
	Dropped                Counter // requests that got no answer
	CutOff                 Counter // users
}
