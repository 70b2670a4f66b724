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

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
	"natsrooms/subjects"
)

// Open creates the bucket if it is missing, and returns when everything in it is known. It is
// followed until life ends; if that becomes impossible, life fails. grace is how long a lease
// lasts after its session's connection has ended.
func Open(ctx context.Context, life *life.Life, j *journal.Journal, replicas int, grace time.Duration, log *slog.Logger) (*Book, error) {
	b := &Book{journal: j, life: life, known: newLedger(grace, log)}
	var err error
	b.stream, err = j.OpenStream(ctx, jetstream.StreamConfig{
		Name:                   subjects.StreamSessions,
		Description:            "natsrooms: leases of sessions; who leads",
		Subjects:               []string{subjects.KVPattern(subjects.BucketSessions)},
		Storage:                jetstream.FileStorage,
		Discard:                jetstream.DiscardNew,
		MaxMsgsPerSubject:      1,
		Replicas:               max(replicas, 1),
		AllowRollup:            true,
		DenyDelete:             true,
		AllowMsgTTL:            true,
		SubjectDeleteMarkerTTL: time.Hour,
	}, replicas)
	if err != nil {
		return nil, err
	}
	b.created = b.stream.CachedInfo().Created
	if err := b.follow(ctx); err != nil {
		return nil, fmt.Errorf("reading the bucket %s: %w", subjects.BucketSessions, err)
	}
	return b, nil
}
