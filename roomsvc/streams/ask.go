package streams

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	askFirst  = 250 * time.Millisecond // the first try to ask may take
	askFor    = 5 * time.Second        // all tries together
	madeAgain = 50 * time.Millisecond  // between two looks for a stream that another instance makes
)

// Ask puts a question to the server that is safe to repeat. While a cluster elects who leads,
// nobody answers some of them, so it asks again, with more patience each time, for 5 s.
func Ask[T any](ctx context.Context, question func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	for patience := askFirst; ; patience *= 2 {
		once, cancel := context.WithTimeout(ctx, patience)
		answer, err := question(once)
		unanswered := err != nil && once.Err() != nil && ctx.Err() == nil
		cancel()
		if !unanswered {
			return answer, err
		}
	}
}

// Find looks up a stream. Nobody answers for one that the cluster has assigned to servers of
// which none leads it yet, see [Ask].
func Find(ctx context.Context, js jetstream.JetStream, name string) (jetstream.Stream, error) {
	return Ask(ctx, func(ctx context.Context) (jetstream.Stream, error) { return js.Stream(ctx, name) })
}

// made finds a stream that another instance is making, which takes its servers a moment.
func made(ctx context.Context, js jetstream.JetStream, name string) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	again := time.NewTicker(madeAgain)
	defer again.Stop()
	for {
		stream, err := Find(ctx, js, name)
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return stream, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}
