// Package seldom keeps the log short where others decide how often something happens.
package seldom

import (
	"sync"
	"time"
)

// Line is one kind of line of the log. The zero value has not been said yet.
type Line struct {
	mu     sync.Mutex // guards the fields below
	next   time.Time  // when it may be said again
	unsaid int        // how often it was not, since then
}

// Due decides whether the line is said now, which it is once in every, and how often it was not
// since the last time.
func (l *Line) Due(now time.Time, every time.Duration) (unsaid int, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.next) {
		l.unsaid++
		return 0, false
	}
	unsaid, l.unsaid, l.next = l.unsaid, 0, now.Add(every)
	return unsaid, true
}
