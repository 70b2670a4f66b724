package api

import (
	"sync"
	"time"
)

// sayEvery is the time between two lines of the log about commands of users of other accounts.
const sayEvery = time.Minute

// imports says when the log gets a line about commands in the user form that come from another
// account.
type imports struct {
	mu     sync.Mutex // guards the fields below it
	next   time.Time  // when something may be said again
	unsaid int        // commands that nothing was said about
}

// say decides whether the log gets a line now, and how many commands had none before it.
func (i *imports) say(now time.Time) (unsaid int, ok bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if now.Before(i.next) {
		i.unsaid++
		return 0, false
	}
	unsaid, i.unsaid, i.next = i.unsaid, 0, now.Add(sayEvery)
	return unsaid, true
}
