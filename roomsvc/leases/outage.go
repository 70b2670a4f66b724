package leases

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
)

// Instances that take commands store a beat, one of them every beatEvery. If more than lapse
// lies between two beats, nobody could renew a lease in between.
const (
	beatEvery = 500 * time.Millisecond
	lapse     = 2 * time.Second

	mostOutages = 32 // remembered at once; after that, the oldest ones are taken for one
)

// moment is when a message of the bucket was heard.
type moment struct {
	seq   uint64
	at    events.Time // when it was stored, by the server's clock
	local time.Time
}

// now returns the server's time, which may in fact be later.
func (m *moment) now() events.Time { return m.at + events.Time(time.Since(m.local)/time.Millisecond) }

// outage is a time in which nobody could renew a lease, by the server's clock: from the last
// beat before it to the first one after it.
type outage struct {
	From  events.Time `json:"from"`
	Until events.Time `json:"until"`
}

// beat is the value of the beats' key. Each beat is stored on the condition that it follows
// the one that it names, so no outage is missed, whoever was there to see it.
type beat struct {
	After   events.Time `json:"after"` // when the beat before it was stored; 0: there was none
	Outages []outage    `json:"outages,omitzero"`
}

// beats is what is known of the beats.
type beats struct {
	newest  moment
	outages []outage // that may still spare something, in order
}

// take takes a message under the beats' key. One that can't be read is taken for the first.
func (b *beats) take(data []byte, seq uint64, at events.Time) {
	var r beat
	if json.Unmarshal(data, &r) != nil {
		r = beat{}
	}
	b.outages = r.Outages
	if at-r.After > events.Time(lapse/time.Millisecond) {
		b.outages = append(b.outages, outage{r.After, at})
	}
	b.newest = moment{seq, at, time.Now()}
}

// next returns the beat that follows the newest one known, and that one's sequence. longest is
// how long an outage may spare something.
func (b *beats) next(longest events.Time) (expect uint64, data []byte, err error) {
	data, err = json.Marshal(&beat{b.newest.at, b.late(longest)})
	return b.newest.seq, data, err
}

// late is the outages without those that spare nothing any more: what they spared has ended
// since, or was spared again.
func (b *beats) late(longest events.Time) []outage {
	first, next := len(b.outages), b.newest.at
	for first > 0 && b.outages[first-1].Until+longest >= next {
		first--
		next = b.outages[first].From
	}
	list := slices.Clone(b.outages[first:])
	if len(list) > mostOutages {
		list = append([]outage{{list[0].From, list[1].Until}}, list[2:]...)
	}
	return list
}

// spare returns until when something lasts that was to end at a moment if nobody showed up: if
// an outage after since met that moment, it lasts for a while after the outage.
func (b *beats) spare(since, at, patience events.Time) events.Time {
	for _, o := range b.outages {
		if o.Until > since && o.From < at {
			at = max(at, o.Until+patience)
		}
	}
	return at
}
