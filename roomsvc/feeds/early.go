package feeds

import (
	"time"

	"natsrooms/subjects"
)

// early is messages that were heard before the fact that they come after, of each instance of a
// room in the order in which they were heard.
type early struct {
	items map[place][]item
	swept time.Time
}

// place is one instance of a room.
type place struct {
	room     subjects.Room
	instance string
}

// has says whether messages wait that an item must not overtake.
func (e *early) has(i *item) bool { return len(e.items[place{i.room, i.said.InstanceID}]) > 0 }

// keep keeps a message. What waits for too long is dropped: its room has ended.
func (e *early) keep(i *item) {
	if e.items == nil {
		e.items = map[place][]item{}
	}
	now := time.Now()
	if now.Sub(e.swept) > tooOld {
		e.swept = now
		for p, items := range e.items {
			if now.Sub(items[0].at) > tooOld {
				delete(e.items, p)
			}
		}
	}
	p := place{i.room, i.said.InstanceID}
	e.items[p] = append(e.items[p], *i)
}

// take takes out the messages that an audience has now reached.
func (e *early) take(a *audience, r subjects.Room) []item {
	p := place{r, a.instance}
	items := e.items[p]
	n := 0
	for n < len(items) && a.reached(items[n].said) {
		n++
	}
	if n == len(items) {
		delete(e.items, p)
	} else {
		e.items[p] = items[n:]
	}
	return items[:n]
}
