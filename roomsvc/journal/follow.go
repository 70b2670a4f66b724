package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/subjects"
)

// neverAged is how long everything is certainly kept, with a margin for clocks that differ.
// After a message younger than this only markers can be missing, so there is no need to ask.
const neverAged = MinKeep / 2

// gapAgain is the pause before an unanswered question about a gap is asked again.
const gapAgain = time.Second

// ErrAged says that the facts a follower needs next are no longer kept.
var ErrAged = errors.New("facts that were not yet read are no longer kept")

// Follow calls take for every stored message from sequence from on, in order, each exactly
// once. It returns only when ctx ends, take fails, or with [ErrAged]; after that take is
// not called again.
func (j *Journal) Follow(ctx context.Context, from uint64, take func(Message) error) error {
	cons, err := j.js.OrderedConsumer(ctx, subjects.StreamRooms, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1),
	})
	if err != nil {
		return fmt.Errorf("following the stream %s: %w", subjects.StreamRooms, err)
	}
	f := &follower{next: max(from, 1), take: take, failed: make(chan error, 1), gap: func(next uint64) error { return j.checkGap(ctx, next) }}
	cc, err := cons.Consume(f.message, jetstream.PullMaxMessages(2000))
	if err != nil {
		return fmt.Errorf("following the stream %s: %w", subjects.StreamRooms, err)
	}
	defer func() {
		cc.Stop()
		f.stop()
		<-cc.Closed()
	}()
	select {
	case err := <-f.failed:
		return err
	case <-cc.Closed():
		if ctx.Err() == nil {
			return fmt.Errorf("the consumer of %s ended", subjects.StreamRooms)
		}
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follower takes what a consumer delivers, one message at a time. After a message that
// can't be taken it takes nothing more, because that message must not be skipped.
type follower struct {
	// mu guards next, at and stopped: a recreated consumer may call while the last call of
	// its predecessor is still running.
	mu      sync.Mutex
	next    uint64
	at      time.Time // when the message before next was stored
	take    func(Message) error
	gap     func(next uint64) error // checks a gap where next was expected
	stopped bool
	failed  chan error
}

func (f *follower) message(m jetstream.Msg) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return
	}
	if err := f.pass(m); err != nil {
		f.stopped = true
		f.failed <- err
	}
}

// stop returns when no message is being taken, and none will be.
func (f *follower) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
}

func (f *follower) pass(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	seq := meta.Sequence.Stream
	if seq < f.next {
		return nil // a recreated consumer starts where the first one did
	}
	if seq > f.next && time.Since(f.at) > neverAged {
		if err := f.gap(f.next); err != nil {
			return err
		}
	}
	f.next, f.at = seq+1, meta.Timestamp
	h := m.Headers()
	batch := h.Get(batchIDHeader)
	return f.take(Message{seq, m.Subject(), h.Get(DigestHeader), m.Data(), meta.Timestamp, batch, batch != "" && h.Get(batchCommitHeader) == "", h.Get("traceparent")})
}

// checkGap tells a gap left by expired markers from one left by facts that were not read in
// time. Facts are removed only from the front, so a stream that still starts at or before
// next has lost none.
func (j *Journal) checkGap(ctx context.Context, next uint64) error {
	for {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		extent, err := j.Extent(once)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrAnother), errors.Is(err, jetstream.ErrStreamNotFound):
			return err
		case err != nil: // for a while there may be no leader to answer
			select {
			case <-time.After(gapAgain):
			case <-ctx.Done():
			}
		case extent.First > next:
			return fmt.Errorf("%w: the next one would be %d, the oldest kept is %d", ErrAged, next, extent.First)
		default:
			return nil
		}
	}
}

// Mark appends a marker and returns its sequence. Everything acknowledged before the call
// is stored before the marker. Unlike a read, a marker can't be answered from an old state,
// since storing it takes a quorum.
func (j *Journal) Mark(ctx context.Context) (uint64, error) {
	marker := []Entry{{Subject: subjects.Sync, Header: nats.Header{jetstream.MsgTTLHeader: {MarkerTTL.String()}}}}
	seq, err := j.Commit(ctx, marker, Resend{First: markAgain, Next: markAgain, Refusal: RefusalNever})
	if err != nil { // the fate of the last marker does not matter: another one does as well
		return 0, ctx.Err()
	}
	return seq, nil
}

// markAgain is how long to wait for a marker's acknowledgement before sending the next one.
const markAgain = time.Second
