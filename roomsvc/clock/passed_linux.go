package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

var start = time.Now()

// passed is the time that has passed, also while the machine was suspended.
func passed() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return time.Since(start)
	}
	return time.Duration(ts.Nano())
}
