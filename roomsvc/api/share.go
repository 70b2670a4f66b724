package api

import (
	"sync"

	"natsrooms/subjects"
)

// share counts the requests in flight of each end user, so that one of them, with any number
// of connections, cannot take all the places: a read may wait for seconds for a revision that
// nobody stores.
type share struct {
	mu       sync.Mutex // guards requests
	requests map[subjects.User]int
}

// One user may have one in shareOfOne of the requests in flight, and always leastShare.
const (
	shareOfOne = 64
	leastShare = 8
)

// shareOf is how many requests one user may have in flight.
func shareOf(all int) int { return max(all/shareOfOne, leastShare) }

// take counts a request as its user's, unless the user has as many as allowed.
func (h *share) take(u subjects.User, all int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.requests[u] >= shareOf(all) {
		return false
	}
	if h.requests == nil {
		h.requests = map[subjects.User]int{}
	}
	h.requests[u]++
	return true
}

// give takes back what was counted; requests of the empty user were not.
func (h *share) give(u subjects.User) {
	if u == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.requests[u]--; h.requests[u] == 0 {
		delete(h.requests, u)
	}
}
