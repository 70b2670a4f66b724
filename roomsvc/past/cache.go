package past

import (
	"slices"
	"sync"
	"sync/atomic"

	"natsrooms/subjects"
)

// How many things of the past are remembered, and how many stays or members in them.
const (
	mostInstances = 64
	mostStays     = 100_000
)

// remembered is something of a room's past, which does not change any more.
type remembered struct {
	room    subjects.Room
	id      string
	reading chan struct{} // held by whoever reads it
	kept    atomic.Int64  // how many stays or members it has
}

func (m *remembered) self() *remembered { return m }

// hold makes sure that nobody else reads it until release is called.
func (m *remembered) hold(done <-chan struct{}) (held bool) {
	select {
	case m.reading <- struct{}{}:
		return true
	case <-done:
		return false
	}
}

func (m *remembered) release() { <-m.reading }

// cache remembers what does not change any more.
type cache[T interface {
	comparable
	self() *remembered
}] struct {
	mu   sync.Mutex // guards list
	list []T        // the oldest first
}

func (c *cache[T]) index(r subjects.Room, id string) int {
	return slices.IndexFunc(c.list, func(known T) bool { m := known.self(); return m.room == r && m.id == id })
}

// get is what is remembered, or nil.
func (c *cache[T]) get(r subjects.Room, id string) (known T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.index(r, id); i >= 0 {
		known = c.list[i]
	}
	return known
}

// put remembers something, and returns what is remembered: somebody else may have been faster.
func (c *cache[T]) put(fresh T) T {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := fresh.self()
	if i := c.index(m.room, m.id); i >= 0 {
		return c.list[i]
	}
	c.list = append(c.list, fresh)
	c.trim()
	return fresh
}

// grown notes that what is remembered has become more.
func (c *cache[T]) grown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trim()
}

// trim forgets the oldest ones, under the lock, but never the newest.
func (c *cache[T]) trim() {
	stays := int64(0)
	for i := len(c.list) - 1; i >= 0; i-- {
		if stays += c.list[i].self().kept.Load(); (stays > mostStays || len(c.list)-i > mostInstances) && i < len(c.list)-1 {
			c.list = slices.Delete(c.list, 0, i+1)
			return
		}
	}
}

// drop forgets one: something of it is no longer kept.
func (c *cache[T]) drop(gone T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = slices.DeleteFunc(c.list, func(known T) bool { return known == gone })
}
