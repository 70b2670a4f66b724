package guard

import (
	"maps"
	"slices"
	"sync"
	"time"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Connections counts the connections of end users: those that asked to be let in at this
// instance, and those of which a NATS server said that they are open. The zero value has none.
type Connections struct {
	mu  sync.Mutex // guards everything below
	of  map[subjects.User]*list
	who map[room.Connection]subjects.User
}

// list is one user's.
type list struct {
	open map[room.Connection]int64 // 0: known to be open; else when it asked to be let in
	pace room.Usage                // of connecting
	full int64                     // when it was last told that it has too many
}

const (
	opensWithin = int64(10 * second) // from being let in to the word of the server; later there was no connection
	paceOf      = 10                 // a second, a user may connect one in paceOf of its connections anew
	fullEvery   = int64(5 * second)  // how often that a user has too many is a question
)

// Ask counts a connection that wants to be let in, unless its user has as many as it may, or
// connects too fast. full says that it has too many, which may be out of date and is to be found out;
// who keeps trying is not worth that each time.
func (c *Connections) Ask(now time.Time, u subjects.User, id room.Connection, most int) (ok, full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, at := c.list(u), now.UnixMicro()
	for known, asked := range l.open {
		if asked != 0 && at-asked > opensWithin {
			c.drop(known)
		}
	}
	l = c.list(u)
	if len(l.open) >= most {
		if full = l.full == 0 || at-l.full >= fullEvery; full {
			l.full = at
		}
		return false, full
	}
	rate := int64(max(most/paceOf, 1))
	if l.pace.Wait(at, 1, rate, int64(most)) > 0 {
		return false, false
	}
	l.pace.Add(at, 1, rate)
	c.put(u, id, at)
	return true, false
}

// Opened notes that a connection is open.
func (c *Connections) Opened(u subjects.User, id room.Connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(u, id, 0)
}

// Closed notes that a connection is closed.
func (c *Connections) Closed(id room.Connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(id)
}

// Of lists the connections that a user is known to have.
func (c *Connections) Of(u subjects.User) []room.Connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.of[u]; l != nil {
		return slices.Collect(maps.Keys(l.open))
	}
	return nil
}

// Are notes which connections a user has, as the servers just said.
func (c *Connections) Are(u subjects.User, ids []room.Connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.list(u).open {
		c.drop(id)
	}
	for _, id := range ids {
		c.put(u, id, 0)
	}
}

// Forget drops users who have no connection, and whose pace no longer counts.
func (c *Connections) Forget(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for u, l := range c.of {
		if len(l.open) == 0 && l.pace.Idle(now.UnixMicro()) {
			delete(c.of, u)
		}
	}
}

func (c *Connections) list(u subjects.User) *list {
	l := c.of[u]
	if l == nil {
		if c.of == nil {
			c.of, c.who = map[subjects.User]*list{}, map[room.Connection]subjects.User{}
		}
		l = &list{open: map[room.Connection]int64{}}
		c.of[u] = l
	}
	return l
}

func (c *Connections) put(u subjects.User, id room.Connection, asked int64) {
	c.list(u).open[id], c.who[id] = asked, u
}

func (c *Connections) drop(id room.Connection) {
	if l := c.of[c.who[id]]; l != nil {
		delete(l.open, id)
	}
	delete(c.who, id)
}
