package seldom_test

import (
	"testing"
	"time"

	"natsrooms/roomsvc/seldom"
)

func TestLine(t *testing.T) {
	var line seldom.Line
	began := time.Now()
	for _, c := range []struct {
		after  time.Duration
		unsaid int
		due    bool
	}{{0, 0, true}, {1, 0, false}, {9, 0, false}, {10, 2, true}, {15, 0, false}, {40, 1, true}, {50, 0, true}} {
		if unsaid, due := line.Due(began.Add(c.after*time.Second), 10*time.Second); unsaid != c.unsaid || due != c.due {
			t.Errorf("after %d s: %d, %v; want %+v", c.after, unsaid, due, c)
		}
	}
}
