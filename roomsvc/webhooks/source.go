package webhooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// mostHeld is how many events a consumer hands over that are not acknowledged yet.
	mostHeld  = 512
	pullMost  = 128
	ackWithin = time.Hour          // a lane may hold an event for long; whoever leads next does not wait for this
	unusedFor = 7 * 24 * time.Hour // after which a consumer is deleted that nobody reads
	goOnAfter = time.Second        // after an error
	tellAgain = time.Minute        // the log is told of an error
)

// errOutOfOrder says that something was lost or came again; the consumer has to begin again.
var errOutOfOrder = errors.New("the stream was not handed over in order")

// source reads one stream for one webhook.
type source struct {
	origin *origin
	js     jetstream.JetStream
	store  *store
	sender *sender
	graves *graveyard
	log    *slog.Logger

	mu    sync.Mutex // guards lanes
	lanes *lanes     // nil: it is not at work
}

// consumerOf is what a webhook's consumer is called.
func consumerOf(hook string) string { return "webhook-" + hook }

func (s *source) config() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:           consumerOf(s.sender.Name),
		Description:       "natsrooms: what a webhook has been given",
		DeliverPolicy:     jetstream.DeliverNewPolicy,
		AckPolicy:         jetstream.AckExplicitPolicy,
		AckWait:           ackWithin,
		MaxAckPending:     mostHeld,
		MaxDeliver:        -1,
		FilterSubject:     s.origin.pattern,
		InactiveThreshold: unusedFor,
	}
}

// run delivers what the stream has until ctx ends. began is called once, when it is at work or has
// failed for the first time.
func (s *source) run(ctx context.Context, began func()) {
	var told time.Time
	for ctx.Err() == nil {
		err := s.once(ctx, began)
		began()
		if ctx.Err() != nil {
			return
		}
		level := slog.LevelDebug
		if time.Since(told) > tellAgain {
			level, told = slog.LevelWarn, time.Now()
		}
		s.log.Log(ctx, level, "a webhook begins again where everything before was delivered", "webhook", s.sender.Name, "stream", s.origin.stream, "because", err)
		sleep(ctx, goOnAfter)
	}
}

// once reads until something goes wrong. Everything that is not acknowledged comes first, in order.
func (s *source) once(ctx context.Context, began func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.js.Stream(ctx, s.origin.stream)
	if err != nil {
		return err
	}
	cons, err := stream.CreateOrUpdateConsumer(ctx, s.config())
	if err != nil {
		return fmt.Errorf("making the consumer %s: %w", consumerOf(s.sender.Name), err)
	}
	behind, err := s.store.places(ctx, s.sender.Name, s.origin)
	if err != nil {
		return err
	}
	if !time.Now().Before(s.sender.until()) {
		return errors.New("another instance may lead")
	}
	if _, err := s.js.ResetConsumer(ctx, s.origin.stream, consumerOf(s.sender.Name)); err != nil {
		return fmt.Errorf("having the consumer %s begin after what is acknowledged: %w", consumerOf(s.sender.Name), err)
	}
	it, err := cons.Messages(jetstream.PullMaxMessages(pullMost))
	if err != nil {
		return err
	}
	defer it.Stop()
	defer context.AfterFunc(ctx, it.Stop)()
	l := newLanes(ctx, &lanes{origin: s.origin, stream: stream, store: s.store, sender: s.sender, graves: s.graves, log: s.log}, behind)
	s.set(l)
	defer func() {
		cancel()
		s.set(nil)
		l.wait()
	}()
	began()
	return s.read(it, l)
}

func (s *source) set(l *lanes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lanes = l
}

// oldest is when the oldest event was stored that is held and not delivered; working is false while
// nothing is read.
func (s *source) oldest() (at time.Time, working bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lanes == nil {
		return at, false
	}
	return s.lanes.oldest(), true
}

// read hands over to the lanes.
func (s *source) read(it jetstream.MessagesContext, l *lanes) error {
	var handed, seq uint64
	for {
		m, err := it.Next()
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if handed > 0 && meta.Sequence.Consumer != handed+1 || meta.Sequence.Stream <= seq {
			return errOutOfOrder
		}
		handed, seq = meta.Sequence.Consumer, meta.Sequence.Stream
		ack := func() { _ = m.Ack() } // without the connection it is lost, and the event is delivered again
		e, err := decode(s.origin, m.Subject(), seq, meta.Timestamp, m.Data())
		if err != nil || !s.sender.wants(e.room, e.typ) {
			ack()
			continue
		}
		l.take(held{e, ack})
	}
}
