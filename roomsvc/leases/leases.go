// Package leases keeps how long sessions may go without a sign of life. Each session that
// has a lease has a key in the bucket `room_sessions`. Every change of a lease is a message
// stored on the condition that it follows the previous one, so if a renewal and an end come
// at the same instant, exactly one of them wins.
//
// Every instance follows the bucket and knows all leases. The leading instance ends those
// that have run out by putting a marker over them; whoever then meets the marker is too late.
// What is left of a lease is counted on the monotonic clock, from when its newest message was
// heard. Only leases from before an instance's start are counted by the server's clock, which
// the instance learns from a message of its own.
//
// No lease runs out while nobody could have renewed it. Instances that take commands store
// beats; from the time between two beats every instance knows how long there was an outage,
// and which leases it spares. A lease is ended only after a beat that was sent after its end.
package leases

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/clock"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/streams"
	"natsrooms/subjects"
)

// Settings of the bucket.
type Settings struct {
	Replicas int           // 0: as many as its stream has, 1 for a new one
	MaxBytes int64         // of its stream; 0: as it has, unlimited for a new one
	Clock    *clock.Clock  // of facts
	Grace    time.Duration // how long a lease lasts after its session's connection has ended
}

// Open creates the bucket if it is missing, and returns when everything in it is known. It is
// followed until life ends; if that becomes impossible, life fails.
func Open(ctx context.Context, life *life.Life, j *journal.Journal, s Settings, log *slog.Logger) (*Book, error) {
	b := &Book{journal: j, life: life, known: newLedger(s.Grace, s.Clock, log)}
	var err error
	b.stream, err = open(ctx, j, s)
	if err != nil {
		return nil, err
	}
	b.created = b.stream.CachedInfo().Created
	if err := b.follow(ctx); err != nil {
		return nil, fmt.Errorf("reading the bucket %s: %w", subjects.BucketSessions, err)
	}
	return b, nil
}

// Make creates the bucket if it is missing.
func Make(ctx context.Context, j *journal.Journal, s Settings) error {
	_, err := open(ctx, j, s)
	return err
}

// Wanted is what the bucket of leases needs of its stream.
func Wanted(s Settings) streams.Want {
	return streams.Want{
		Config: jetstream.StreamConfig{
			Name:                   subjects.StreamSessions,
			Description:            "natsrooms: leases of sessions; who leads",
			Subjects:               []string{subjects.KVPattern(subjects.BucketSessions)},
			Storage:                jetstream.FileStorage,
			Discard:                jetstream.DiscardNew,
			MaxMsgsPerSubject:      1,
			AllowRollup:            true,
			DenyDelete:             true,
			AllowMsgTTL:            true,
			SubjectDeleteMarkerTTL: time.Hour,
		},
		Replicas: s.Replicas,
		MaxBytes: s.MaxBytes,
	}
}

func open(ctx context.Context, j *journal.Journal, s Settings) (jetstream.Stream, error) {
	return j.Streams.Open(ctx, Wanted(s))
}
