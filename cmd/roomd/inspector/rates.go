package inspector

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/subjects"
)

const (
	slots    = 5               // the rates are over so many slots
	slotTime = 2 * time.Second // each so long

	mostCounted  = 200_000 // rooms in one slot
	mostUncount  = 4096    // facts and messages that wait to be counted; what comes then is not counted
	mostUncBytes = 16 << 20
)

// rates counts facts and messages by room, for as long as somebody looks at the list of rooms.
type rates struct {
	inspector *Inspector

	mu    sync.Mutex            // guards everything below
	until time.Time             // when it stops unless somebody asks
	slot  time.Time             // when the newest slot began
	count [slots]map[string]int // the newest last
	total map[string]int
	older int // slots that are full
}

// want makes it count for a while. It does not wait, and says nothing if it can't.
func (r *rates) want(b *Backing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until = time.Now().Add(ratesFor)
	if r.total != nil {
		return
	}
	r.total, r.slot, r.older = map[string]int{}, time.Now(), 0
	for n := range r.count {
		r.count[n] = map[string]int{}
	}
	if !r.inspector.spawn(func() { r.run(b) }) {
		r.total = nil
	}
}

// run counts until nobody asks any more.
func (r *rates) run(b *Backing) {
	defer r.end()
	nc, err := r.inspector.link.get(b.Dial)
	if err != nil {
		return
	}
	for _, subject := range []string{subjects.FactsPattern, subjects.MessagesPattern} {
		sub, err := nc.Subscribe(subject, r.take)
		if err != nil {
			return
		}
		defer func() { _ = sub.Unsubscribe() }()
		_ = sub.SetPendingLimits(mostUncount, mostUncBytes)
	}
	r.mu.Lock()
	r.slot = time.Now()
	r.mu.Unlock()
	ticker := time.NewTicker(slotTime)
	defer ticker.Stop()
	for {
		select {
		case <-r.inspector.life.Done():
			return
		case <-ticker.C:
			if !r.next() {
				return
			}
		}
	}
}

// take counts one fact or message.
func (r *rates) take(m *nats.Msg) {
	id, ok := subjects.RoomOfFacts(m.Subject)
	if !ok {
		if id, ok = subjects.RoomOfMessages(m.Subject); !ok {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	newest := r.count[slots-1]
	if r.total == nil || len(newest) >= mostCounted && newest[string(id)] == 0 {
		return
	}
	newest[string(id)]++
	r.total[string(id)]++
}

// next begins another slot; false: nobody asks any more.
func (r *rates) next() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().After(r.until) {
		return false
	}
	oldest := r.count[0]
	for id, n := range oldest {
		if r.total[id] -= n; r.total[id] <= 0 {
			delete(r.total, id)
		}
	}
	clear(oldest)
	copy(r.count[:], r.count[1:])
	r.count[slots-1] = oldest
	r.older, r.slot = min(r.older+1, slots-1), time.Now()
	return true
}

func (r *rates) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total, r.count = nil, [slots]map[string]int{}
}

// now is how much there was in each room, and over how many seconds.
func (r *rates) now() (map[string]int, float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	counted := make(map[string]int, len(r.total))
	for id, n := range r.total {
		counted[id] = n
	}
	if r.total == nil {
		return counted, 0
	}
	return counted, (time.Duration(r.older)*slotTime + time.Since(r.slot)).Seconds()
}
