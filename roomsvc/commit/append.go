package commit

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/traces"
)

// Timing of appends.
const (
	firstResend = time.Second
	nextResend  = 2 * time.Second
	mostResend  = 8 * time.Second // of several facts
	mostDoubts  = 8
	firstDoubt  = 20 * time.Millisecond // each further one is twice as long, five seconds in all
)

// flight is an append on its way: one fact for each of one or more rooms.
type flight struct {
	entries []journal.Entry
	appends []*replica.Append // one for each room of the round; nil where it has no fact
	fate    chan journal.Fate // the first that becomes known
}

// resolve settles the flight's fate; the first call counts.
func (f *flight) resolve(last uint64, err error) {
	select {
	case f.fate <- journal.Fate{Last: last, Err: err}:
	default:
	}
}

// launch makes the flight of facts, at most one for each room. Unless it is empty, trace is their
// header of that name.
func (k *Committer) launch(views []replica.View, facts []*events.Fact, trace string) (*flight, error) {
	fl := &flight{appends: make([]*replica.Append, len(facts)), fate: make(chan journal.Fate, 1)}
	for i, f := range facts {
		if f == nil {
			continue
		}
		entry, err := journal.Fact(f, k.Source, views[i].Revision)
		if err != nil {
			return nil, errors.Join(journal.ErrRefused, err)
		}
		if trace != "" {
			entry.Header[traces.Header] = []string{trace}
		}
		fl.entries = append(fl.entries, entry)
		fl.appends[i] = fl.of(f, entry.Data, len(fl.entries))
	}
	return fl, nil
}

// of is the n-th entry's append, which learns the fate of all of them.
func (f *flight) of(fact *events.Fact, data []byte, n int) *replica.Append {
	return &replica.Append{Fact: fact, Data: data, Decided: func(revision uint64, ours bool) {
		if ours {
			f.resolve(revision+uint64(len(f.entries)-n), nil)
		} else {
			f.resolve(0, journal.ErrConflict)
		}
	}}
}

// append sends the flight until its fate is known: by an acknowledgement, or because the
// follower saw the rooms' next facts. "Not stored so far" proves nothing, so the same bytes
// are sent again on the same condition, which lets only one copy in.
func (k *Committer) append(fl *flight) (last uint64, err error) {
	most := nextResend
	if len(fl.entries) > 1 {
		most = mostResend // a batch costs the server files and a sync: one that is slow must not get them faster than it takes them
	}
	return k.Journal.Commit(k.Life, fl.entries, journal.Resend{
		First: firstResend, Next: nextResend, Most: most, Known: fl.fate, Resent: k.Meter.Resends.Inc,
		Conflict: func() (uint64, error) {
			// Our own fact may be in the way: from an earlier try, or because a deposed leader
			// of the stream refused what the new leader has stored.
			if k.Sync.Pass(k.Life) != nil {
				return 0, journal.ErrUnknown
			}
			fl.resolve(0, journal.ErrConflict)
			fate := <-fl.fate
			return fate.Last, fate.Err
		},
	})
}

// catchUp makes sure that a room, whose baton is held, is as new as what was in the way of its
// fact, which was to follow the fact at expect.
func (k *Committer) catchUp(b *mailbox, expect uint64) {
	ctx, cancel := context.WithTimeout(k.Life, Timeout)
	defer cancel()
	moved := func() bool { return b.room.Revision() != expect }
	if moved() || k.Sync.Pass(ctx) != nil || moved() {
		return
	}
	// Nothing is new, and yet there was a conflict: the room's newest fact is from before this
	// instance's time, or has left the journal by age or by damage.
	last, err := k.Journal.LastOf(ctx, b.room.ID)
	if err != nil || last.Seq == expect {
		return
	}
	extent, err := k.Journal.Extent(ctx)
	if err != nil {
		k.Log.Warn("reading the journal's extent", "error", err)
		return
	}
	switch {
	case last.Seq > expect && b.room.Head() == nil && last.Seq <= k.Replica.Passed.Seq(), last.Seq == 0 && extent.First > expect:
		at := events.Time(0)
		if f, err := replica.Decode(last); err == nil {
			at = f.Time
		}
		b.room.Skip(expect, last.Seq, at)
	case last.Seq < expect && !moved():
		k.doubt(b, expect, extent)
	}
}

// doubt waits a while when the journal does not have the room's fact at expect: either the
// journal lost it, or a deposed leader refuses and answers from a past that it takes for the
// present. The latter ends with the first word from its successor; the former stays, or shows
// itself by a marker.
func (k *Committer) doubt(b *mailbox, expect uint64, extent journal.Extent) {
	if b.doubt.expect != expect {
		b.doubt = doubt{expect: expect}
	}
	if b.doubt.times++; b.doubt.times > mostDoubts {
		k.Life.Fail(journal.TailLost(expect, extent))
		return
	}
	k.Life.Pause(firstDoubt<<(b.doubt.times-1) + rand.N(jitterHigh))
}
