package roomsvc

import (
	"sync"

	"natsrooms/subjects"
)

// share counts the commands in flight of each end user, so that one of them, with as many
// connections as it likes, cannot take all the places: a read may wait for seconds, for a
// revision that nobody stores.
type share struct {
	mu    sync.Mutex
	calls map[subjects.User]int
}

// One user may have this part of the commands in flight, and some in any case.
const (
	shareOfOne = 64
	leastShare = 8
)

// of is how many commands one user may have in flight.
func (h *share) of(all int) int { return max(all/shareOfOne, leastShare) }

// take counts a call as its user's, unless there are as many as may be.
func (h *share) take(c *call, u subjects.User, all int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls[u] >= h.of(all) {
		return false
	}
	if h.calls == nil {
		h.calls = map[subjects.User]int{}
	}
	h.calls[u]++
	c.sharer = u
	return true
}

// give takes back what was counted.
func (h *share) give(c *call) {
	if c.sharer == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls[c.sharer]--; h.calls[c.sharer] == 0 {
		delete(h.calls, c.sharer)
	}
}
