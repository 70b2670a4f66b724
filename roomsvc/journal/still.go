package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/subjects"
)

// notFoundAgain is how long after a stream was not found it is looked for again: a server that
// has just started may not know it yet.
const notFoundAgain = 2 * time.Second

// ErrGone says that a stream was deleted.
var ErrGone = errors.New("was deleted, or replaced by another one, while the service ran")

// Still looks whether a stream that was opened when it had been created at that time is still
// there; [ErrGone] says that it is not, or is another one. Any other error proves nothing.
// Nothing else would notice: a consumer waits for a stream that is gone.
func Still(ctx context.Context, stream jetstream.Stream, created time.Time) (*jetstream.StreamInfo, error) {
	info, err := stream.Info(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		timer := time.NewTimer(notFoundAgain)
		defer timer.Stop()
		select {
		case <-timer.C:
			info, err = stream.Info(ctx)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound), err == nil && !info.Created.Equal(created):
		return nil, ErrGone
	case err != nil:
		return nil, err
	}
	return info, nil
}

// Check returns an error if the stream was deleted, or replaced by another one.
func (j *Journal) Check(ctx context.Context) error {
	if _, err := Still(ctx, j.stream, j.created); errors.Is(err, ErrGone) {
		return fmt.Errorf("the stream %s %w, and every fact with it; restore it from a backup before you start again, or delete the bucket %s too, to begin without rooms", subjects.StreamRooms, ErrGone, subjects.BucketState)
	}
	return nil
}
