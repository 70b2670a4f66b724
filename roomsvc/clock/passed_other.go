//go:build !linux

package clock

import "time"

var start = time.Now()

// passed is the time that has passed.
func passed() time.Duration { return time.Since(start) }
