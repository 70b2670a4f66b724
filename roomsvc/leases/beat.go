package leases

import (
	"context"
	"errors"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// beatTries is how often a beat may lose against another one.
const beatTries = 3

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
		last := b.known.beats.newest.local
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
		expect, data, marshal := b.known.beats.next(b.known.patience(room.MaxLease))
		b.mu.Unlock()
		if marshal != nil {
			return marshal
		}
		var seq uint64
		began := time.Now()
		entry := []journal.Entry{{Subject: subjects.KV(subjects.BucketSessions, subjects.KeyBeat), Guarded: true, Expect: expect, Data: data}}
		if seq, err = b.journal.Store(ctx, entry); err == nil {
			if err = b.passed.Wait(ctx, seq); err == nil {
				b.compare(began)
			}
			return err
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

// compare learns from a beat, which was sent at a moment and is known by now, how far the
// server's clock is ahead of that of facts.
func (b *Book) compare(sent time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if took := time.Since(sent); took < lapse {
		b.ahead = time.Duration(b.known.beats.newest.at-b.known.time.Of(sent.Add(took/2))) * time.Millisecond
		b.compared = true
	}
}

// Ahead is how far the server's clock is ahead of that of facts; ok is false if this instance
// does not know.
func (b *Book) Ahead() (ahead time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ahead, b.compared
}

// Spares returns how much longer something lasts that is empty since a moment and was to end
// after a delay: within the grace time after an outage it does not end, unless its delay is
// shorter. [Book.Beat] must have succeeded after that delay.
func (b *Book) Spares(since events.Time, delay time.Duration) (left time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := since + events.Time(delay/time.Millisecond)
	until := b.known.beats.spare(since, at, events.Time(min(b.known.grace, delay)/time.Millisecond))
	if until == at { // it has ended, by whatever clock
		return 0
	}
	return min(time.Duration(until-b.known.beats.newest.at)*time.Millisecond, b.known.grace, delay) // more only if the server's clock was set back
}
