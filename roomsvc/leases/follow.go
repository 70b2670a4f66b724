package leases

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/subjects"
)

// clockTTL is how long a message of [Book.ask] stays in the bucket.
const clockTTL = time.Minute

// follow reads the bucket up to a message of this instance, and keeps following it.
func (b *Book) follow(ctx context.Context) error {
	cons, err := b.journal.JetStream().OrderedConsumer(ctx, subjects.StreamSessions, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return err
	}
	cc, err := cons.Consume(b.take, jetstream.PullMaxMessages(2000))
	if err != nil {
		return err
	}
	if err = b.pass(ctx); err == nil && !b.life.Go(func() { b.following(cc) }) {
		err = b.life.Err()
	}
	if err != nil {
		stop(cc)
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known.start(b.known.heard)
	return nil
}

// following waits for the end of the life, which it fails if the consumer ends first.
func (b *Book) following(cc jetstream.ConsumeContext) {
	select {
	case <-cc.Closed():
		if !b.life.Over() {
			b.life.Fail(errGone)
		}
	case <-b.life.Done():
	}
	stop(cc)
}

// stop ends a consumer and returns when it delivers nothing more.
func stop(cc jetstream.ConsumeContext) {
	cc.Stop()
	<-cc.Closed()
}

// pass returns when everything stored in the bucket before the call is known.
func (b *Book) pass(ctx context.Context) error {
	b.mu.Lock()
	before := b.known.heard.seq
	b.mu.Unlock()
	seq, err := b.ask(ctx)
	if err != nil {
		return err
	}
	if seq <= before {
		b.life.Fail(errGone)
		return errGone
	}
	return b.passed.Wait(ctx, seq)
}

// prove makes sure that the bucket has not lost its newest messages. If it has, prove ends the
// service, because what is known here would no longer be true.
func (b *Book) prove() {
	ctx, cancel := context.WithTimeout(b.life, resend)
	defer cancel()
	_ = b.pass(ctx)
}

// Check notices that the bucket is no longer the one that was opened.
func (b *Book) Check(ctx context.Context) {
	info, err := journal.Still(ctx, b.stream, b.created)
	b.mu.Lock()
	heard := b.known.heard.seq
	b.mu.Unlock()
	switch {
	case errors.Is(err, journal.ErrGone):
		b.life.Fail(errGone)
	case err == nil && info.State.LastSeq < heard: // unless that is the word of a deposed leader
		b.prove()
	}
}

// ask stores an empty message and returns its sequence. If the fate of one such message stays
// unknown, that does not matter: another one does as well.
func (b *Book) ask(ctx context.Context) (uint64, error) {
	question := []journal.Entry{{Subject: subjects.KV(subjects.BucketSessions, subjects.KeyClock), Header: nats.Header{jetstream.MsgTTLHeader: {clockTTL.String()}}}}
	return b.journal.Commit(ctx, question, journal.Resend{First: resend, Next: resend, Pause: askAgain, Refusal: journal.RefusalAlways})
}

// rest waits, unless ctx ends first.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errGone says that the bucket is not the one that this instance has read.
var errGone = errors.New("the bucket " + subjects.BucketSessions + " was deleted, or has lost its newest leases, while the service ran; start it again: where leases are missing, sessions get one full lease more")

// askAgain is the pause before a write that was not stored is tried again.
const askAgain = 100 * time.Millisecond

// take is called with each message of the bucket.
func (b *Book) take(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		return
	}
	key := subjects.KeyOfKV(subjects.BucketSessions, m.Subject())
	gone := journal.IsMarker(m.Headers())
	b.mu.Lock()
	defer b.mu.Unlock()
	if meta.Sequence.Stream < b.known.heard.seq {
		b.life.Go(b.prove)
		return
	}
	b.known.heard = moment{meta.Sequence.Stream, events.TimeOf(meta.Timestamp), time.Now()}
	defer b.passed.Reach(meta.Sequence.Stream)
	switch key {
	case subjects.KeyAlive:
		b.known.alive = !gone && string(m.Data()) == b.journal.ID
	case subjects.KeyBeat:
		b.known.beats.take(m.Data(), meta.Sequence.Stream, events.TimeOf(meta.Timestamp))
	default:
		if u, ok := subjects.UserOfGrant(key); ok {
			b.known.takeGrants(u, m.Data(), gone, events.TimeOf(meta.Timestamp))
		} else if u, session, ok := subjects.ParseSessionKey(key); ok {
			b.known.takeLease(Session{u, session}, m.Data(), gone, meta.Sequence.Stream, events.TimeOf(meta.Timestamp))
		}
	}
}
