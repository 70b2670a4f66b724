package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A room service makes much short-lived garbage on a small heap, and trades memory for
// time: so many bytes of garbage may pile up before they are collected, but never more than
// mostGC percent of the bytes in use. Where much is in use, because there are hundreds of
// thousands of members, it is less by a quarter of that: memory is what such a deployment
// counts, and its heap has few pointers to follow. It is never less than leastGC percent.
// GOGC in the environment overrides this.
const (
	mostGarbage = 256 << 20
	leastGC     = 40
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
	garbage := mostGarbage - min(live/4, mostGarbage)
	return int(min(max(garbage*100/max(live, 1), leastGC), mostGC))
}
