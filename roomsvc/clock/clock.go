// Package clock is the time that an instance writes into facts and messages. It is what this
// machine's clock said when the instance started, and the time that has passed since. So a
// clock that is set back or forth while the instance lives makes no stay longer or shorter, and
// no time goes back or stands still.
package clock

import (
	"fmt"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/health"
	"natsrooms/roomsvc/life"
)

const (
	lookEvery = time.Second
	agree     = 2 * time.Second // clocks that differ by less agree
)

// Clock tells the time. A nil one tells that of this machine's clock.
type Clock struct {
	wall  func() time.Time
	base  time.Time     // when it was made
	since time.Duration // the time that had passed then, on a scale of its own
}

// New makes a clock; wall reads the clock of this machine, and is [time.Now] if it is nil.
func New(wall func() time.Time) *Clock {
	if wall == nil {
		wall = time.Now
	}
	return &Clock{wall: wall, base: wall().Round(0), since: passed()}
}

// Now is the time.
func (c *Clock) Now() events.Time {
	if c == nil {
		return events.TimeOf(time.Now())
	}
	return events.TimeOf(c.base.Add(passed() - c.since))
}

// Of is the time at a moment of this process, as [time.Now] returned it.
func (c *Clock) Of(moment time.Time) events.Time {
	return c.Now() - events.Time(time.Since(moment)/time.Millisecond)
}

// Agrees says whether a time is that of a moment of this process, as far as clocks agree.
func (c *Clock) Agrees(at events.Time, moment time.Time) bool {
	return time.Duration(c.Of(moment)-at).Abs() <= agree/time.Millisecond
}

// ahead is how far this machine's clock is ahead of the time.
func (c *Clock) ahead() time.Duration {
	return time.Duration(events.TimeOf(c.wall())-c.Now()) * time.Millisecond
}

// Watch reports, as long as the life lasts, that this machine's clock was set, and that the
// clock of the NATS server is another one. server is how far that one is ahead of the time, and
// whether that is known.
func (c *Clock) Watch(l *life.Life, book *health.Book, server func() (time.Duration, bool)) {
	for !l.Over() {
		book.Tell("clock", was(c.ahead()))
		if ahead, ok := server(); ok {
			book.Tell("server-clock", differs(ahead))
		}
		l.Pause(lookEvery)
	}
}

func was(ahead time.Duration) error {
	if ahead.Abs() <= agree {
		return nil
	}
	way := "forward"
	if ahead < 0 {
		way = "back"
	}
	return fmt.Errorf("the clock of this machine was set %s by %v while the service ran; stays and delays are right all the same, but the times in facts go on from the old clock until this instance is started again: have the clock set by NTP, and start the instance again when it is right", way, ahead.Abs().Round(time.Second))
}

// serverAgree is more than a word from the server may take to get here.
const serverAgree = 5 * time.Second

func differs(ahead time.Duration) error {
	if ahead.Abs() <= serverAgree {
		return nil
	}
	way := "ahead of"
	if ahead < 0 {
		way = "behind"
	}
	return fmt.Errorf("the clock of the NATS server is %v %s that of this instance; have both set by NTP: what is kept for a time is kept longer or shorter by that much", ahead.Abs().Round(time.Second), way)
}
