package journal

import (
	"context"
	"fmt"

	"natsrooms/subjects"
)

// Refused says how a stream last refused something for lack of space.
func (j *Journal) Refused(stream string) Refused {
	j.acks.full.mu.Lock()
	defer j.acks.full.mu.Unlock()
	return j.acks.full.last[stream]
}

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

// Try appends a marker to the journal, or to the stream of messages, to see whether it is
// stored. Other streams are written all the time.
func (j *Journal) Try(ctx context.Context, stream string) {
	switch stream {
	case subjects.StreamRooms:
		_ = j.Probe(ctx)
	case subjects.StreamMessages:
		_, _ = j.Store(ctx, []Entry{{Subject: subjects.MessagesMarker}})
	}
}
