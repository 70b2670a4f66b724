package journal

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Fate is what became of an append: the sequence of its last entry, or one of this
// package's errors.
type Fate struct {
	Last uint64
	Err  error
}

// Refusal says which refusals of the stream end [Journal.Commit]. The stream may refuse a
// later try although it stored an earlier one.
type Refusal int

const (
	RefusalFirst  Refusal = iota // only a refusal of the first try, which proves that nothing was stored
	RefusalAlways                // a refusal of any try
	RefusalNever                 // no refusal
)

// Resend says how [Journal.Commit] continues while the fate of an append is unknown.
type Resend struct {
	First, Next time.Duration // how long to wait for the answer to the first try, and to each later one
	Most        time.Duration // if it is longer than Next, each try waits twice as long as the one before, up to this
	Pause       time.Duration // between an answer that proves nothing and the next try; 0: what is left of the wait
	Refusal     Refusal

	// Conflict is asked what a conflict means, since an earlier try may be in the way. As
	// long as it returns ErrUnknown, the append continues. If it is nil, the conflict is returned.
	Conflict func() (last uint64, err error)

	// Known delivers the fate if it becomes known in another way, and takes precedence over
	// any answer. It may be nil.
	Known <-chan Fate

	Resent func() // is called whenever the entries are sent again; nil: nobody counts that
}

// Commit sends entries, repeatedly the same bytes under the same conditions, until it is
// known what became of them. If ctx ends first, the error is [ErrUnknown] and that of ctx.
func (j *Journal) Commit(ctx context.Context, entries []Entry, r Resend) (last uint64, err error) {
	return r.commit(ctx, func() (<-chan Fate, func()) { return j.try(entries) })
}

func (r *Resend) commit(ctx context.Context, try func() (answer <-chan Fate, forget func())) (last uint64, err error) {
	wait := time.NewTimer(r.First)
	defer wait.Stop()
	next := r.Next
	for first := true; ; first = false {
		answer, forget := try()
		fate, known := r.await(ctx, answer, wait, first)
		forget()
		if known {
			return fate.Last, fate.Err
		}
		wait.Reset(next)
		next = max(next, min(2*next, r.Most))
		if r.Resent != nil {
			r.Resent()
		}
	}
}

// Append sends entries once; if there is more than one, as one atomic batch. answered is
// called at most once, from a goroutine of the connection, with the sequence of the LAST
// entry (a batch's entries are adjacent) or with one of this package's errors (with
// [ErrRepeated] the sequence is that of the message already stored). forget stops waiting
// for an answer.
func (j *Journal) Append(entries []Entry, answered func(last uint64, err error)) (forget func(), err error) {
	return j.acks.send(entries, answered)
}

// Store sends entries once and waits for the answer. If ctx ends first, the error is
// [ErrUnknown] and that of ctx.
func (j *Journal) Store(ctx context.Context, entries []Entry) (last uint64, err error) {
	answer, forget := j.try(entries)
	defer forget()
	select {
	case fate := <-answer:
		return fate.Last, fate.Err
	case <-ctx.Done():
		return 0, unknown(ctx)
	}
}

func (j *Journal) try(entries []Entry) (answer <-chan Fate, forget func()) {
	answers := make(chan Fate, 1)
	forget, err := j.Append(entries, func(last uint64, err error) { answers <- Fate{last, err} })
	if err != nil {
		answers <- Fate{0, err}
	}
	return answers, forget
}

// await returns when the fate is known, or false when it is time for the next try.
func (r *Resend) await(ctx context.Context, answer <-chan Fate, wait *time.Timer, first bool) (fate Fate, known bool) {
	for {
		select {
		case fate = <-r.Known:
			return fate, true
		default:
		}
		select {
		case fate = <-r.Known:
			return fate, true
		case fate = <-answer:
			if fate, known = r.judge(fate, first); known {
				return fate, true
			}
			if r.Pause > 0 {
				wait.Reset(r.Pause)
			}
		case <-wait.C:
			return Fate{}, false
		case <-ctx.Done():
			return Fate{0, unknown(ctx)}, true
		}
	}
}

// judge says what an answer proves; known is false if it proves nothing.
func (r *Resend) judge(answer Fate, first bool) (fate Fate, known bool) {
	switch {
	case errors.Is(answer.Err, ErrConflict) && r.Conflict != nil:
		answer.Last, answer.Err = r.Conflict()
	case errors.Is(answer.Err, ErrRefused):
		return answer, r.Refusal == RefusalAlways || r.Refusal == RefusalFirst && first
	}
	return answer, !errors.Is(answer.Err, ErrUnknown)
}

func unknown(ctx context.Context) error { return fmt.Errorf("%w: %w", ErrUnknown, ctx.Err()) }
