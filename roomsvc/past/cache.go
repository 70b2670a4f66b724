package past

import (
	"slices"
	"sync"

	"natsrooms/subjects"
)

// How many ended instances are remembered, and how many stays in them.
const (
	mostInstances = 64
	mostStays     = 100_000
)

// cache remembers ended instances, which do not change any more.
type cache struct {
	mu   sync.Mutex  // guards list
	list []*instance // the oldest first
}

func (c *cache) index(r subjects.Room, id string) int {
	return slices.IndexFunc(c.list, func(in *instance) bool { return in.room == r && in.id == id })
}

func (c *cache) get(r subjects.Room, id string) *instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.index(r, id); i >= 0 {
		return c.list[i]
	}
	return nil
}

// put remembers an instance, and returns the one that is remembered: somebody else may have
// been faster.
func (c *cache) put(in *instance) *instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.index(in.room, in.id); i >= 0 {
		return c.list[i]
	}
	c.list = append(c.list, in)
	c.trim()
	return in
}

// grown notes that the stays of an instance were read.
func (c *cache) grown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trim()
}

// trim forgets the oldest ones, under the lock, but never the newest.
func (c *cache) trim() {
	stays := int64(0)
	for i := len(c.list) - 1; i >= 0; i-- {
		if stays += c.list[i].kept.Load(); (stays > mostStays || len(c.list)-i > mostInstances) && i < len(c.list)-1 {
			c.list = slices.Delete(c.list, 0, i+1)
			return
		}
	}
}

// drop forgets an instance: something of it is no longer kept.
func (c *cache) drop(in *instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = slices.DeleteFunc(c.list, func(known *instance) bool { return known == in })
}
