package projection

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Timing of the projection.
const (
	every    = 50 * time.Millisecond  // at most one batch in this time, unless it falls behind
	rest     = 9                      // times a batch's own time that it pauses after one
	longest  = 500 * time.Millisecond // and no longer: a batch may have waited for a dead server
	most     = 100_000                // records waiting, past which it does not pause
	resend   = 2 * time.Second
	safeStep = 30 // how many marks are kept of the time in which one becomes safe
)

// ErrLost says that somebody else wrote the bucket: this instance does not lead.
var ErrLost = errors.New("another instance wrote the bucket")

// Projector gathers changes in the journal's order and, while its instance leads,
// writes them: each batch is the state as of its last fact.
type Projector struct {
	bucket *Bucket
	settle time.Duration
	all    func() (room.Mark, []room.Change)

	wake chan struct{}

	mu      sync.Mutex // guards the five fields below it
	pending []room.Change
	waiting int    // records in pending
	written uint64 // revision of the bucket, as far as this instance knows
	rewrite bool   // the next leading starts by writing everything anew
	trouble error  // why the newest batch was not written

	// Of whoever leads alone.
	projected Projected
	marks     []timedMark
}

type timedMark struct {
	room.Mark
	at time.Time
}

// NewProjector starts with the bucket as it was loaded. What was written settle ago is
// surely on the disk. all gives the whole state, and a fact that it surely holds, for
// when everything must be written anew.
func NewProjector(b *Bucket, loaded Projected, settle time.Duration, all func() (room.Mark, []room.Change)) *Projector {
	return &Projector{bucket: b, settle: settle, all: all, wake: make(chan struct{}, 1), written: loaded.Revision}
}

// Rewrite makes the next leading start by writing everything anew.
func (p *Projector) Rewrite() {
	p.mu.Lock()
	p.rewrite = true
	p.mu.Unlock()
}

// Add takes the next change in the journal's order.
func (p *Projector) Add(c room.Change) {
	p.mu.Lock()
	if c.Revision > p.written {
		p.pending = append(p.pending, c)
		p.waiting += c.Records()
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Follow forgets what another instance has written; for instances that do not lead.
func (p *Projector) Follow(ctx context.Context) error {
	mark, _, err := p.bucket.Mark(ctx)
	if err != nil || mark.Torn || mark.Journal != p.bucket.journal.ID {
		return err
	}
	p.trim(mark.Revision)
	return nil
}

func (p *Projector) trim(written uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written, p.trouble = max(p.written, written), nil
	i := 0
	for i < len(p.pending) && p.pending[i].Revision <= written {
		p.waiting -= p.pending[i].Records()
		i++
	}
	p.pending = p.pending[i:]
}

// Written is the revision that the bucket is known to have got to.
func (p *Projector) Written() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.written
}

// Lead writes until ctx ends, [ErrLost], or an error that says why the bucket takes nothing.
func (p *Projector) Lead(ctx context.Context) error {
	err := p.lead(ctx)
	if ctx.Err() == nil && !errors.Is(err, ErrLost) {
		p.mu.Lock()
		p.trouble = err
		p.mu.Unlock()
	}
	return err
}

// Trouble is why this instance, which leads, does not get the bucket written; nil if it does.
func (p *Projector) Trouble() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble
}

func (p *Projector) lead(ctx context.Context) error {
	projected, guard, err := p.bucket.Mark(ctx)
	if err != nil {
		return err
	}
	p.projected, p.marks = projected, nil
	p.projected.Journal, p.projected.Torn = p.bucket.journal.ID, false
	if projected.Journal != p.projected.Journal || projected.Revision < p.Written() {
		p.Rewrite() // it was emptied, or is an old copy: it lacks what was written before
	}
	p.mu.Lock()
	rewrite := p.rewrite
	p.mu.Unlock()
	switch {
	case rewrite || projected.Torn:
		if guard, err = p.writeAll(ctx, guard); err != nil {
			return err
		}
	default:
		p.trim(projected.Revision)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		began := time.Now()
		full, err := p.writeSome(ctx, &guard)
		if err != nil {
			return err
		}
		if full && p.behind() {
			continue
		}
		took := time.Since(began)
		timer.Reset(max(every-took, min(rest*took, longest)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if full {
			continue
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// behind says that so much is waiting that it must not wait for the next tick. Short
// of that a storm of commands goes first; what it changes twice is written once.
func (p *Projector) behind() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting > most
}

// writeSome writes one batch; full says that more is waiting than one batch takes.
func (p *Projector) writeSome(ctx context.Context, guard *uint64) (full bool, err error) {
	p.mu.Lock()
	entries, n := collect(p.pending)
	var last room.Mark
	if n > 0 {
		last = p.pending[n-1].Mark
	}
	full = n < len(p.pending)
	p.mu.Unlock()
	if n == 0 {
		return false, nil
	}
	batch, err := encode(entries)
	if err != nil {
		return false, err
	}
	p.projected.Mark = last
	p.projected.Safe = p.safe(last)
	if *guard, err = p.commit(ctx, batch, *guard); err != nil {
		return false, err
	}
	p.trim(last.Revision)
	return full, nil
}

func (p *Projector) safe(now room.Mark) room.Mark {
	at := time.Now()
	if n := len(p.marks); n == 0 || at.Sub(p.marks[n-1].at) >= p.settle/safeStep {
		p.marks = append(p.marks, timedMark{now, at})
	}
	safe := p.projected.Safe
	for len(p.marks) > 0 && at.Sub(p.marks[0].at) >= p.settle {
		safe = p.marks[0].Mark
		p.marks = p.marks[1:]
	}
	return safe
}

// record is what one key comes to.
type record struct {
	room     subjects.Room
	instance string
	head     *room.Head
	member   *room.Member
	kept     *room.Kept
}

// collect gathers, from the front, the changes that one batch takes; n says how many.
func collect(pending []room.Change) (entries map[string]record, n int) {
	entries = map[string]record{}
	for _, c := range pending {
		if n > 0 && len(entries)+c.Records()+1 > journal.MaxBatch {
			return entries, n
		}
		n++
		for _, u := range c.Del {
			entries[subjects.MemberKey(c.Room, u)] = record{room: c.Room}
		}
		put(&c, entries)
	}
	return entries, n
}

// put adds what is there after the change to the records of a batch.
func put(c *room.Change, entries map[string]record) {
	entries[subjects.RoomKey(c.Room)] = record{room: c.Room, head: c.Head}
	for _, m := range c.Put {
		entries[subjects.MemberKey(c.Room, m.User)] = record{room: c.Room, instance: c.InstanceID, member: m}
	}
	for i, k := range c.Keep {
		r := record{room: c.Room}
		if k.Attributes != nil {
			r.instance, r.kept = c.InstanceID, &c.Keep[i]
		}
		entries[subjects.KeptKey(c.Room, k.User)] = r
	}
}

var deleted = nats.Header{journal.OperationHeader: {"DEL"}, jetstream.MsgTTLHeader: {markerTTL.String()}}

func encode(entries map[string]record) ([]journal.Entry, error) {
	batch := make([]journal.Entry, 0, len(entries)+1)
	for key, r := range entries {
		e := journal.Entry{Subject: subjects.KV(subjects.BucketState, key)}
		var err error
		switch {
		case r.head != nil:
			e.Data, err = r.head.Record(r.room)
		case r.member != nil:
			e.Data, err = r.member.Record(r.instance)
		case r.kept != nil:
			e.Data, err = r.kept.Record(r.instance)
		default:
			e.Header = deleted
		}
		if err != nil {
			return nil, err
		}
		batch = append(batch, e)
	}
	return batch, nil
}

// commit writes one batch and `=projected` as its last entry, and gives the new guard.
// It sends the same batch again until the bucket's answer is known; a refusal is one.
func (p *Projector) commit(ctx context.Context, batch []journal.Entry, guard uint64) (uint64, error) {
	value, err := json.Marshal(&p.projected)
	if err != nil {
		return 0, err
	}
	subject := subjects.KV(subjects.BucketState, subjects.KeyProjected)
	batch = append(batch, journal.Entry{Subject: subject, Guarded: true, Expect: guard, Data: value})
	return p.bucket.journal.Commit(ctx, batch, journal.Resend{
		First: resend, Next: resend, Refusal: journal.RefusalAlways,
		Conflict: func() (uint64, error) {
			if m, err := p.bucket.stream.GetLastMsgForSubject(ctx, subject); err == nil && bytes.Equal(m.Data, value) {
				return m.Sequence, nil // an earlier try was stored
			}
			return 0, ErrLost
		},
	})
}

// writeAll writes the whole state. Until its last batch the bucket says that it is
// torn, so that nobody starts from a part of it. Records may be newer than its mark;
// whoever reads facts after the mark skips those that a record holds.
func (p *Projector) writeAll(ctx context.Context, guard uint64) (uint64, error) {
	held, err := p.bucket.Load(ctx)
	if err != nil {
		return 0, err
	}
	entries := map[string]record{}
	for key := range held.Keys {
		entries[key] = record{}
	}
	p.mu.Lock()
	p.written = 0 // of what is not in all, nothing may be passed over
	p.mu.Unlock()
	mark, changes := p.all()
	for _, c := range changes {
		put(&c, entries)
	}
	batch, err := encode(entries)
	if err != nil {
		return 0, err
	}
	p.projected.Mark, p.projected.Safe, p.projected.Torn = room.Mark{}, room.Mark{}, true
	for len(batch) >= journal.MaxBatch {
		if guard, err = p.commit(ctx, batch[:journal.MaxBatch-1:journal.MaxBatch-1], guard); err != nil {
			return 0, err
		}
		batch = batch[journal.MaxBatch-1:]
	}
	p.projected.Mark, p.projected.Safe, p.projected.Torn = mark, p.safe(mark), false
	if guard, err = p.commit(ctx, batch, guard); err != nil {
		return 0, err
	}
	p.mu.Lock()
	p.rewrite = false
	p.mu.Unlock()
	p.trim(mark.Revision)
	return guard, nil
}
