package replica

import (
	"slices"
	"sync"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// recentBytes is how much of the newest facts an instance keeps, as they are stored.
const recentBytes = 32 << 20

// Recent holds the newest facts, whatever room they belong to. A client that has missed some
// asks for a few recent ones, and a whole audience does so at once when its server comes back:
// these must not each be read from the stream.
type Recent struct {
	mu    sync.RWMutex // guards everything below
	rooms map[subjects.Room]*recentRoom
	queue []*recentRoom // the rooms that the kept facts belong to, oldest first
	bytes int
}

// recentRoom is facts of one instance of a room, one after another.
type recentRoom struct {
	instance string
	first    uint64 // sequence of the first of the facts
	facts    [][]byte
}

// take keeps a fact, in the journal's order.
func (n *Recent) take(c room.Change, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.Head == nil {
		delete(n.rooms, c.Room)
		return
	}
	r := n.rooms[c.Room]
	if r == nil || r.instance != c.InstanceID || r.first+uint64(len(r.facts)) != c.Head.Sequence {
		r = &recentRoom{instance: c.InstanceID, first: c.Head.Sequence}
		if n.rooms == nil {
			n.rooms = map[subjects.Room]*recentRoom{}
		}
		n.rooms[c.Room] = r
	}
	r.facts = append(r.facts, data)
	n.queue = append(n.queue, r)
	n.bytes += len(data)
	for n.bytes > recentBytes {
		oldest := n.queue[0]
		n.queue[0] = nil
		n.queue = n.queue[1:]
		n.bytes -= len(oldest.facts[0])
		oldest.facts[0] = nil
		oldest.facts = oldest.facts[1:]
		oldest.first++
	}
}

// After is at most count facts of a room's instance after a sequence; it is nil if some of
// them are not kept here. They must not be changed.
func (n *Recent) After(id subjects.Room, instance string, sequence uint64, count int) [][]byte {
	n.mu.RLock()
	defer n.mu.RUnlock()
	r := n.rooms[id]
	if r == nil || r.instance != instance || sequence+1 < r.first || sequence+1 >= r.first+uint64(len(r.facts)) {
		return nil
	}
	facts := r.facts[sequence+1-r.first:]
	return slices.Clone(facts[:min(count, len(facts))])
}
