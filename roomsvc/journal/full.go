package journal

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/subjects"
)

// Refused says how a stream last refused something for lack of space.
func (j *Journal) Refused(stream string) Refused {
	j.acks.full.mu.Lock()
	defer j.acks.full.mu.Unlock()
	return j.acks.full.last[stream]
}

// tryTTL is how long a marker of [Journal.Try] stays in a bucket.
const tryTTL = "1m"

// largest is the space that a stream must have for whatever is appended: a fact has at most
// 64 KiB, a message a little less.
const largest = 72 << 10

// Room says what of a stream's own limits leaves no space for the largest entry, "" if they do.
func (j *Journal) Room(ctx context.Context, stream string) (full string, err error) {
	s, err := j.js.Stream(ctx, stream)
	if err != nil {
		return "", err
	}
	cfg, st := s.CachedInfo().Config, s.CachedInfo().State
	switch {
	case cfg.MaxMsgs > 0 && int64(st.Msgs) >= cfg.MaxMsgs:
		return fmt.Sprintf("it holds %d messages, and its max_msgs is %d", st.Msgs, cfg.MaxMsgs), nil
	case cfg.MaxBytes > 0 && int64(st.Bytes)+largest > cfg.MaxBytes:
		return fmt.Sprintf("it holds %d bytes, and its max_bytes is %d", st.Bytes, cfg.MaxBytes), nil
	}
	return "", nil
}

// Try appends a marker to a stream, to see whether it is stored. The buckets of rooms and leases
// are written all the time, and need none.
func (j *Journal) Try(ctx context.Context, stream string) {
	switch stream {
	case subjects.StreamRooms:
		_ = j.Probe(ctx)
	case subjects.StreamMessages:
		_, _ = j.Store(ctx, []Entry{{Subject: subjects.MessagesMarker}})
	case subjects.StreamBlocks:
		j.tryBucket(ctx, subjects.BucketBlocks)
	case subjects.StreamWebhooks:
		j.tryBucket(ctx, subjects.BucketWebhooks)
	}
}

func (j *Journal) tryBucket(ctx context.Context, bucket string) {
	_, _ = j.Store(ctx, []Entry{{Subject: subjects.KV(bucket, subjects.KeyRead), Header: nats.Header{jetstream.MsgTTLHeader: {tryTTL}}}})
}
