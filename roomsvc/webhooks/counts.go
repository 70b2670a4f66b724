package webhooks

import (
	"sync/atomic"
	"time"
)

// Counts are what has become of a webhook's deliveries since this instance started, and how it is
// now; of the last two, only the instance that leads knows more than 0.
type Counts struct {
	Delivered uint64        `json:"delivered"` // events that were taken, each repeat counted
	Failed    uint64        `json:"failed"`    // tries that failed
	Dead      uint64        `json:"dead"`      // events that became dead letters
	Took      time.Duration `json:"-"`         // how long all answers took together
	Behind    int64         `json:"behind"`    // rooms that wait for another try
	Letters   int64         `json:"letters"`   // dead letters there are
	Oldest    time.Duration `json:"-"`         // the age of the oldest event that is held and not delivered
}

// meter counts.
type meter struct {
	delivered, failed, dead atomic.Uint64
	took                    atomic.Int64
	behind, letters         atomic.Int64
	owed                    atomic.Int64 // events that rooms wait for that are behind, as far as they were counted
	fate                    fate
}

func (m *meter) read() Counts {
	return Counts{
		Delivered: m.delivered.Load(), Failed: m.failed.Load(), Dead: m.dead.Load(), Took: time.Duration(m.took.Load()),
		Behind: m.behind.Load(), Letters: m.letters.Load(),
	}
}
