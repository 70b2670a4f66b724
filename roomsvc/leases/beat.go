package leases

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Instances that take commands store a beat, one of them every beatEvery. If more than lapse
// lies between two beats, nobody could renew a lease in between.
const (
	beatEvery = 500 * time.Millisecond
	lapse     = 2 * time.Second

	mostOutages = 32 // remembered at once; after that, the oldest ones are taken for one
	beatTries   = 3
)

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

// errNotServing says that this instance cannot store a beat, because it takes no commands.
var errNotServing = errors.New("this instance takes no commands")

// Serve says whether this instance takes commands. It begins with a beat, if the bucket takes
// one soon; while the instance serves, and nobody else does, it stores one every half second.
func (b *Book) Serve(ctx context.Context, yes bool) {
	if b.serving.Swap(yes); !yes {
		return
	}
	_ = b.Beat(ctx) // the first of those that follow makes up for it
	b.life.Go(b.beats)
}

func (b *Book) beats() {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for b.serving.Load() {
		select {
		case <-ticker.C:
		case <-b.life.Done():
			return
		}
		b.mu.Lock()
		last := b.known.beat.local
		b.mu.Unlock()
		if time.Since(last) >= beatEvery-beatEvery/10 {
			_ = b.Beat(b.life)
		}
	}
}

// Beat stores a beat and returns when it is known here: at some moment of the call, an
// instance took commands and the bucket could be written. Whatever ends because nobody gave a
// sign of life may be ended only after such a moment.
func (b *Book) Beat(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, resend)
	defer cancel()
	for range beatTries {
		if !b.serving.Load() {
			return errNotServing
		}
		b.mu.Lock()
		expect, data, marshal := b.known.nextBeat()
		b.mu.Unlock()
		if marshal != nil {
			return marshal
		}
		var seq uint64
		entry := []journal.Entry{{Subject: subjects.KV(subjects.BucketSessions, subjects.KeyBeat), Guarded: true, Expect: expect, Data: data}}
		if seq, err = b.journal.Store(ctx, entry); err == nil {
			return b.passed.Wait(ctx, seq)
		}
		if !errors.Is(err, journal.ErrConflict) {
			return err
		}
		if err := b.pass(ctx); err != nil { // another instance was faster, perhaps before this call
			return err
		}
	}
	return err
}

// nextBeat returns the beat that follows the newest one known, and that one's sequence.
func (k *ledger) nextBeat() (expect uint64, data []byte, err error) {
	data, err = json.Marshal(&beat{k.beat.at, k.lateOutages()})
	return k.beat.seq, data, err
}

// takeBeat takes a message under the beats' key. One that can't be read is taken for the first.
func (k *ledger) takeBeat(data []byte, seq uint64, at events.Time) {
	var r beat
	if json.Unmarshal(data, &r) != nil {
		r = beat{}
	}
	k.outages = r.Outages
	if at-r.After > events.Time(lapse/time.Millisecond) {
		k.outages = append(k.outages, outage{r.After, at})
	}
	k.beat = moment{seq, at, time.Now()}
}

// lateOutages is the outages without those that spare nothing any more: what they spared has
// ended since, or was spared again.
func (k *ledger) lateOutages() []outage {
	longest, next := k.patience(room.MaxLease), k.beat.at
	first := len(k.outages)
	for first > 0 && k.outages[first-1].Until+longest >= next {
		first--
		next = k.outages[first].From
	}
	list := slices.Clone(k.outages[first:])
	if len(list) > mostOutages {
		list = append([]outage{{list[0].From, list[1].Until}}, list[2:]...)
	}
	return list
}

// patience is how long a session of a lease may take to show itself after an outage.
func (k *ledger) patience(seconds int) events.Time {
	return events.Time(max(k.grace, time.Duration(seconds)*time.Second/3) / time.Millisecond)
}

// spare returns until when something lasts that was to end at a moment if nobody showed up: if
// an outage after since met that moment, it lasts for a while after the outage.
func (k *ledger) spare(since, at, patience events.Time) events.Time {
	for _, o := range k.outages {
		if o.Until > since && o.From < at {
			at = max(at, o.Until+patience)
		}
	}
	return at
}

// spared returns until when a lease lasts that was to end at a moment.
func (k *ledger) spared(l *lease, at events.Time) events.Time {
	return k.spare(l.stored, at, k.patience(l.seconds))
}

// outlived reports whether a lease that was found to have run out has really ended, by the
// newest beat, which came after that. If it has not, it is put off.
func (k *ledger) outlived(e Ending) bool {
	l := k.leases[e.Session]
	if l == nil || l.seq != e.Seq || l.ended {
		return false
	}
	until := k.spared(l, e.At)
	left := until - k.beat.at
	if until == e.At || left <= 0 { // in the first case it has ended by this machine's clock
		return true
	}
	k.due.Set(e.Session, time.Now().Add(time.Duration(left)*time.Millisecond), l)
	return false
}

// Spares returns how much longer something lasts that is empty since a moment and was to end
// after a delay: within the grace time after an outage it does not end, unless its delay is
// shorter. [Book.Beat] must have succeeded after that delay.
func (b *Book) Spares(since events.Time, delay time.Duration) (left time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := since + events.Time(delay/time.Millisecond)
	until := b.known.spare(since, at, events.Time(min(b.known.grace, delay)/time.Millisecond))
	if until == at { // it has ended, by whatever clock
		return 0
	}
	return time.Duration(until-b.known.beat.at) * time.Millisecond
}
