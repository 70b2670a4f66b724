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

// neverAged is how long everything is kept, with room for clocks that differ: behind a
// message that is younger only markers can have gone, and there is no need to ask.
const neverAged = MinKeep / 2

// gapAgain is how soon a question about a gap that was not answered is asked again.
const gapAgain = time.Second

// ErrAged says that facts which a follower needs next are no longer kept.
var ErrAged = errors.New("facts that have not been seen are no longer kept")

// Message is one stored message: a fact, or a marker of [Journal.Mark].
type Message struct {
	Seq     uint64
	Subject string
	Digests string
	Data    []byte
	Time    time.Time // when it was stored
	Batch   string    // of the atomic append that it is part of, if it is
	More    bool      // the next message is of the same append
}

// Follow calls take for every stored message from sequence from on, in order and each
// once, and goes on for ever: until ctx ends, take fails, or [ErrAged]. Nothing is taken
// any more when it returns.
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

// follower takes what a consumer delivers, one message at a time. What was delivered
// behind one that can't be taken is not taken either: who follows must not pass it.
type follower struct {
	// mu guards next, at and stopped: a consumer made anew calls beside the last call of the
	// one before.
	mu      sync.Mutex
	next    uint64
	at      time.Time // when the one before it was stored
	take    func(Message) error
	gap     func(next uint64) error // checks a gap before which next was to come
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

// stop returns when nothing is being taken, and nothing will be.
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
		return nil // a consumer made anew starts where the first one did
	}
	if seq > f.next && time.Since(f.at) > neverAged {
		if err := f.gap(f.next); err != nil {
			return err
		}
	}
	f.next, f.at = seq+1, meta.Timestamp
	h := m.Headers()
	batch := h.Get(batchIDHeader)
	return f.take(Message{seq, m.Subject(), h.Get(DigestHeader), m.Data(), meta.Timestamp, batch, batch != "" && h.Get(batchCommitHeader) == ""})
}

// checkGap tells a gap that markers left when they expired from one of facts that
// were not seen in time. Facts go from the front only, so a stream that still starts
// at or before next has lost none.
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
		case err != nil: // there may be no leader to answer for a while
			select {
			case <-time.After(gapAgain):
			case <-ctx.Done():
			}
		case extent.First > next:
			return fmt.Errorf("%w: the next would be %d, the oldest kept is %d", ErrAged, next, extent.First)
		default:
			return nil
		}
	}
}

// Mark appends a marker and gives its sequence: everything acknowledged before the
// call is stored before it. Unlike a read it can't be answered from the past, since
// storing takes a quorum.
func (j *Journal) Mark(ctx context.Context) (uint64, error) {
	marker := []Entry{{Subject: subjects.Sync, Header: nats.Header{jetstream.MsgTTLHeader: {MarkerTTL.String()}}}}
	seq, err := j.Commit(ctx, marker, Resend{First: markAgain, Next: markAgain, Refusal: RefusalNever})
	if err != nil { // what became of the last one does not matter, another marker does as well
		return 0, ctx.Err()
	}
	return seq, nil
}

// markAgain is how long a marker's acknowledgement is waited for before the next one.
const markAgain = time.Second
