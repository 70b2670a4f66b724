package past

import (
	"slices"
	"sync"

	"natsrooms/subjects"
)

// How many ended instances are remembered, and how many users' stays in them.
const (
	mostInstances = 64
	mostUsers     = 100_000
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
	users := int64(0)
	for i := len(c.list) - 1; i >= 0; i-- {
		if users += c.list[i].users.Load(); users > mostUsers || len(c.list)-i >= mostInstances {
			c.list = slices.Delete(c.list, 0, i+1)
			break
		}
	}
	c.list = append(c.list, in)
	return in
}

// drop forgets an instance: something of it is no longer kept.
func (c *cache) drop(in *instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = slices.DeleteFunc(c.list, func(known *instance) bool { return known == in })
}
