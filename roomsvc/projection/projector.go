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
	"natsrooms/roomsvc/meter"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Timing of the projection.
const (
	every    = 50 * time.Millisecond  // at most one batch per this time, unless it falls behind
	rest     = 9                      // the pause after a batch, as a multiple of the time that the batch took
	longest  = 500 * time.Millisecond // the longest such pause: the batch may have waited for a dead server
	most     = 100_000                // with more records than this waiting it does not pause
	resend   = 2 * time.Second
	safeStep = 30 // how many marks are kept of the time that one takes to become safe
)

// ErrLost says that somebody else wrote the bucket: this instance does not lead.
var ErrLost = errors.New("another instance wrote the bucket")

// Projector gathers changes in the journal's order and writes them while its instance leads.
// After each batch the bucket is the state as of the batch's last fact.
type Projector struct {
	Failed meter.Counter // times that the bucket could not be written

	bucket *Bucket
	settle time.Duration
	all    func() (room.Mark, []room.Change)

	wake chan struct{}

	mu      sync.Mutex // guards the five fields below it
	pending []room.Change
	waiting int    // records in pending
	written uint64 // revision of the bucket, as far as this instance knows
	rewrite bool   // everything is to be written anew
	trouble error  // why the newest batch could not be written

	// Only Lead uses these.
	projected Projected
	marks     []timedMark
}

type timedMark struct {
	room.Mark
	at time.Time
}

// NewProjector returns a projector for the bucket as it was loaded. What was written settle
// ago is certainly on disk. all returns the whole state and the mark of a fact that the state
// certainly includes; it is called when everything must be written anew.
func NewProjector(b *Bucket, loaded Projected, settle time.Duration, all func() (room.Mark, []room.Change)) *Projector {
	return &Projector{bucket: b, settle: settle, all: all, wake: make(chan struct{}, 1), written: loaded.Revision}
}

// Rewrite has everything written anew: at once by the instance that leads, and by any other
// when it leads.
func (p *Projector) Rewrite() {
	p.mu.Lock()
	p.rewrite = true
	p.mu.Unlock()
	p.look()
}

// look wakes who writes.
func (p *Projector) look() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *Projector) mustRewrite() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rewrite
}

// Add takes the next change in the journal's order.
func (p *Projector) Add(c room.Change) {
	p.mu.Lock()
	if c.Revision > p.written {
		p.pending = append(p.pending, c)
		p.waiting += c.Records()
	}
	p.mu.Unlock()
	p.look()
}

// Follow drops the changes that another instance has written. Instances that do not lead call it.
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

// Written returns the revision that the bucket is known to have reached.
func (p *Projector) Written() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.written
}

// Lead writes until ctx ends, another instance writes ([ErrLost]), or the bucket can't be
// written; the error says why.
func (p *Projector) Lead(ctx context.Context) error {
	err := p.lead(ctx)
	if ctx.Err() == nil && !errors.Is(err, ErrLost) {
		p.Failed.Inc()
		p.mu.Lock()
		p.trouble = err
		p.mu.Unlock()
	}
	return err
}

// Trouble returns why this instance leads but can't write the bucket, or nil if it can.
func (p *Projector) Trouble() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble
}

// begin makes the bucket one that batches can be added to, and returns the first one's guard.
func (p *Projector) begin(ctx context.Context) (guard uint64, err error) {
	projected, guard, err := p.bucket.Mark(ctx)
	if err != nil {
		return 0, err
	}
	p.projected, p.marks = projected, nil
	p.projected.Journal, p.projected.Torn = p.bucket.journal.ID, false
	if projected.Journal != p.projected.Journal || projected.Revision < p.Written() {
		p.Rewrite() // it was emptied or is an old copy, so it lacks what was written before
	}
	if p.mustRewrite() || projected.Torn {
		return p.writeAll(ctx, guard)
	}
	p.trim(projected.Revision)
	return guard, nil
}

func (p *Projector) lead(ctx context.Context) error {
	guard, err := p.begin(ctx)
	if err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if p.mustRewrite() {
			if guard, err = p.begin(ctx); err != nil {
				return err
			}
		}
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

// behind reports whether so much is waiting that it must not wait for the next tick. Below
// that limit a storm of commands goes first, and what it changes twice is written once.
func (p *Projector) behind() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting > most
}

// writeSome writes one batch; full says that more is waiting than one batch can hold.
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

// record is the new value of one key; without any value the key is deleted.
type record struct {
	room     subjects.Room
	instance string
	head     *room.Head
	member   *room.Member
	kept     *room.Kept
}

// collect gathers the changes from the front that fit into one batch; n says how many they are.
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

// put adds what exists after the change to the records of a batch.
func put(c *room.Change, entries map[string]record) {
	entries[subjects.RoomKey(c.Room)] = record{room: c.Room, head: c.Head}
	for _, m := range c.Put {
		entries[subjects.MemberKey(c.Room, m.User)] = record{room: c.Room, instance: c.InstanceID, member: m}
	}
	for i, k := range c.Keep {
		r := record{room: c.Room}
		if !k.Nothing() {
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

// commit writes one batch with `=projected` as its last entry, and returns the new guard. It
// resends the same batch until the bucket's answer is known; a refusal is an answer too.
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

// writeAll writes the whole state. Until the last batch the bucket says that it is torn, so
// that nobody starts from a part of it. Records may be newer than the mark; whoever reads the
// facts after the mark skips those that a record already includes.
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
	p.written = 0 // no change that all does not include may be skipped
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
