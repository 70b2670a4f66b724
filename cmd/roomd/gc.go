package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A room service makes much short-lived garbage on a small heap, and trades memory for
// time: so many bytes of garbage may pile up before they are collected, or as many as are
// in use if that is more, but never more than mostGC percent of the bytes in use. GOGC in
// the environment overrides this.
const (
	mostGarbage = 256 << 20
	leastGC     = 100
	mostGC      = 400
	gcLook      = 2 * time.Second
)

// tuneGC keeps the garbage collector's percentage for as long as the process lives.
func tuneGC() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	now := 0
	for {
		metrics.Read(live)
		if percent := gcPercent(live[0].Value.Uint64()); percent != now {
			now = percent
			debug.SetGCPercent(percent)
		}
		time.Sleep(gcLook)
	}
}

// gcPercent is the percentage for a heap with live bytes in use.
func gcPercent(live uint64) int {
	return int(min(max(mostGarbage*100/max(live, 1), leastGC), mostGC))
}
