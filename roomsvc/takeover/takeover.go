// Package takeover replaces the stream of messages if an earlier version made it. That version
// told the server never to delete anything from the stream, and a server does not take that
// back. So the stream is copied aside, deleted, and made again from the copy: with the same
// messages under the same numbers, with their times and headers, and with the durable consumers
// where they had got to.
//
// What is there shows how far that has come, so it goes on wherever it was interrupted:
//
//	ROOM_MESSAGES     its copy    what comes next
//	denies deletion   none        copy it
//	denies deletion   there       once all is copied: take no more messages, copy the rest, delete it
//	none              there       make it from the copy
//	a copy            there       once all is copied: take messages from now on
//	as it should be   there       delete the copy
//
// Only one instance may do this at a time. Messages are refused from the moment at which the old
// stream takes no more until the new one does.
package takeover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/subjects"
)

const (
	look    = 50 * time.Millisecond
	stalled = 30 * time.Second // without progress of a copy
	asleep  = 100 * 365 * 24 * time.Hour
)

// Prepare looks at what is there of the stream that cfg describes. It does what the package is
// for if it may, and says whether the stream still denies deletion then. Its errors are
// sentences for people.
func Prepare(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig, may bool) (denies bool, err error) {
	t := &taking{js: js, cfg: cfg}
	for {
		copied, err := t.exists(ctx, subjects.StreamAside)
		if err != nil {
			return false, err
		}
		if copied && !may {
			return false, fmt.Errorf("the stream %s is being replaced, and that was interrupted; start one instance with --take-over, alone, and it goes on", cfg.Name)
		}
		old, err := t.stream(ctx, cfg.Name)
		if err != nil {
			return false, err
		}
		denies = old != nil && old.CachedInfo().Config.DenyDelete
		if !copied && (!denies || !may) {
			return denies, nil
		}
		var aside jetstream.Stream
		if copied {
			if aside, err = t.stream(ctx, subjects.StreamAside); err != nil {
				return false, err
			}
		}
		if err := t.step(ctx, old, aside); err != nil {
			return false, fmt.Errorf("replacing the stream %s, so that messages can be erased from it: %w; nothing is lost, and another start with --take-over goes on", cfg.Name, err)
		}
	}
}

type taking struct {
	js  jetstream.JetStream
	cfg jetstream.StreamConfig
}

// exists says whether there is a stream of that name, which the service may not open.
func (t *taking) exists(ctx context.Context, name string) (found bool, err error) {
	list := t.js.StreamNames(ctx)
	for n := range list.Name() {
		found = found || n == name
	}
	if err := list.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return false, fmt.Errorf("looking for streams: %w", err)
	}
	return found, nil
}

// stream is the stream of that name; nil if there is none.
func (t *taking) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	stream, err := t.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening the stream %s: %w", name, err)
	}
	return stream, nil
}

// step does what comes next; one of the two exists.
func (t *taking) step(ctx context.Context, old, aside jetstream.Stream) error {
	switch {
	case old == nil:
		return t.makeAgain(ctx, aside)
	case aside == nil:
		cfg := t.copyOf(old.CachedInfo(), old.CachedInfo().Config.Name)
		cfg.Name, cfg.Description = subjects.StreamAside, "natsrooms: a copy of "+t.cfg.Name+" while that is replaced"
		cfg.MaxAge, cfg.MaxMsgsPerSubject = 0, -1 // it keeps everything, so that nothing is lost on the way
		_, err := t.js.CreateStream(ctx, cfg)
		return err
	case old.CachedInfo().Config.DenyDelete:
		return t.remove(ctx, old, aside)
	case old.CachedInfo().Config.Mirror != nil:
		return t.open(ctx, old, aside)
	}
	return t.js.DeleteStream(ctx, subjects.StreamAside)
}

// copyOf is the settings of a copy of what is called origin; it takes no messages itself.
func (t *taking) copyOf(of *jetstream.StreamInfo, origin string) jetstream.StreamConfig {
	cfg := t.cfg
	cfg.Subjects, cfg.SubjectTransform, cfg.RePublish = nil, nil, nil
	cfg.Mirror, cfg.Replicas = &jetstream.StreamSource{Name: origin}, of.Config.Replicas
	return cfg
}

// remove deletes the old stream once everything in it, and its consumers, are in the copy.
func (t *taking) remove(ctx context.Context, old, aside jetstream.Stream) error {
	if err := t.copied(ctx, old, aside); err != nil {
		return err
	}
	cfg := old.CachedInfo().Config
	if cfg.Subjects[0] != subjects.Closed {
		// The newest message of the stream gives the copy its last number, so there has to be one.
		if _, err := t.js.Publish(ctx, subjects.MessagesMarker, nil); err != nil {
			return err
		}
		cfg.Subjects, cfg.SubjectTransform, cfg.RePublish = []string{subjects.Closed}, nil, nil
		if _, err := t.js.UpdateStream(ctx, cfg); err != nil {
			return err
		}
	}
	if err := t.copied(ctx, old, aside); err != nil {
		return err
	}
	if err := t.copyConsumers(ctx, old, aside, true); err != nil {
		return err
	}
	if cfg = aside.CachedInfo().Config; cfg.Mirror != nil { // it is not to follow the new stream
		cfg.Mirror, cfg.Subjects = nil, []string{subjects.ClosedAside}
		if _, err := t.js.UpdateStream(ctx, cfg); err != nil {
			return err
		}
	}
	return t.js.DeleteStream(ctx, t.cfg.Name)
}

// makeAgain makes the stream from the copy.
func (t *taking) makeAgain(ctx context.Context, aside jetstream.Stream) error {
	cfg := t.copyOf(aside.CachedInfo(), subjects.StreamAside)
	_, err := t.js.CreateStream(ctx, cfg)
	return err
}

// open lets the new stream take messages once it has everything.
func (t *taking) open(ctx context.Context, stream, aside jetstream.Stream) error {
	if err := t.copied(ctx, aside, stream); err != nil {
		return err
	}
	if err := t.copyConsumers(ctx, aside, stream, false); err != nil {
		return err
	}
	cfg := t.cfg
	cfg.Replicas = stream.CachedInfo().Config.Replicas
	_, err := t.js.UpdateStream(ctx, cfg)
	return err
}

// copied waits until a copy has come to the end of its origin.
func (t *taking) copied(ctx context.Context, origin, copy jetstream.Stream) error {
	last, moved := uint64(0), time.Now()
	for {
		from, err := origin.Info(ctx)
		if err != nil {
			return err
		}
		to, err := copy.Info(ctx)
		if err != nil {
			return err
		}
		if to.State.LastSeq >= from.State.LastSeq {
			return nil
		}
		if to.State.LastSeq > last {
			last, moved = to.State.LastSeq, time.Now()
		}
		if time.Since(moved) > stalled {
			return fmt.Errorf("the copy %s has not got on for %v: it is at %d of %d; see whether the server has space for it", to.Config.Name, stalled, to.State.LastSeq, from.State.LastSeq)
		}
		wait := time.NewTimer(look)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return fmt.Errorf("it is copied up to %d of %d: %w", to.State.LastSeq, from.State.LastSeq, context.Cause(ctx))
		}
	}
}

// copyConsumers gives a copy the durable consumers of its origin, as far as they have got. Those
// of a stream that is only there for a while sleep.
func (t *taking) copyConsumers(ctx context.Context, origin, copy jetstream.Stream, sleep bool) error {
	list := origin.ListConsumers(ctx)
	for have := range list.Info() {
		cfg := have.Config
		if cfg.Durable == "" {
			continue
		}
		cfg.PauseUntil = nil
		if sleep {
			until := time.Now().Add(asleep)
			cfg.PauseUntil = &until
		}
		if floor := have.AckFloor.Stream; floor > 0 || have.Delivered.Stream > 0 && cfg.AckPolicy == jetstream.AckNonePolicy {
			if cfg.AckPolicy == jetstream.AckNonePolicy {
				floor = have.Delivered.Stream
			}
			cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jetstream.DeliverByStartSequencePolicy, floor+1, nil
		}
		create := func() error { _, err := copy.CreateOrUpdateConsumer(ctx, cfg); return err }
		if cfg.DeliverSubject != "" {
			create = func() error {
				_, err := t.js.CreateOrUpdatePushConsumer(ctx, copy.CachedInfo().Config.Name, cfg)
				return err
			}
		}
		if err := create(); err != nil && !errors.Is(err, jetstream.ErrConsumerExists) {
			return fmt.Errorf("the consumer %s: %w", cfg.Durable, err)
		}
	}
	if err := list.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return err
	}
	return nil
}
