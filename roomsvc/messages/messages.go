// Package messages is natsrooms' second stream, ROOM_MESSAGES: what was said in rooms.
// It has an order of its own, so that talking does not slow the rooms' changes down.
package messages

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/subjects"
)

// Repeats is how long a message sent again under the same ID is known to be the same.
// It is longer than the two minutes of a request by the time that one may take.
const Repeats = 2*time.Minute + 15*time.Second

// Settings of the stream.
type Settings struct {
	Keep     time.Duration // how long a message is kept
	PerRoom  int           // newest messages that a room keeps
	Replicas int           // 0: as it is, 1 for a new one
}

// Store is the open stream.
type Store struct {
	Settings
	journal *journal.Journal
	stream  jetstream.Stream

	mu    sync.RWMutex
	heads map[subjects.Room]uint64
}

// Open makes or opens the stream. Its errors are sentences for people.
func Open(ctx context.Context, j *journal.Journal, s Settings) (*Store, error) {
	cfg := jetstream.StreamConfig{
		Name:              subjects.StreamMessages,
		Description:       "natsrooms: what was said in rooms",
		Subjects:          []string{subjects.MessagesJournal},
		SubjectTransform:  &jetstream.SubjectTransformConfig{Source: subjects.MessagesJournal, Destination: subjects.MessagesTransform},
		RePublish:         &jetstream.RePublish{Source: subjects.MessagesPattern, Destination: subjects.MessagesTransform},
		Storage:           jetstream.FileStorage,
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardNew, // when it is full; a room's own newest messages push out its oldest
		MaxAge:            s.Keep,
		MaxMsgsPerSubject: int64(s.PerRoom),
		Replicas:          max(s.Replicas, 1),
		DenyDelete:        true,
		DenyPurge:         true,
		Duplicates:        Repeats,
	}
	stream, err := j.OpenStream(ctx, cfg, s.Replicas)
	if err != nil {
		return nil, err
	}
	return &Store{Settings: s, journal: j, stream: stream, heads: map[subjects.Room]uint64{}}, nil
}

// Entry makes what is stored of a message. id is the same for every try of the same
// request; digest tells it from another request under that ID.
func (s *Store) Entry(m *events.Message, prefix, id, digest string) (journal.Entry, error) {
	data, err := m.Encode(prefix)
	if err != nil {
		return journal.Entry{}, err
	}
	h := nats.Header{"Content-Type": {events.ContentType}, jetstream.MsgIDHeader: {id}}
	if digest != "" {
		h[journal.DigestHeader] = []string{digest}
	}
	return journal.Entry{Subject: subjects.MessageJournal(m.Room), Header: h, Data: data}, nil
}

// At is a stored message and its request's digest.
func (s *Store) At(ctx context.Context, seq uint64) (m *events.Message, digest string, err error) {
	raw, err := s.stream.GetMsg(ctx, seq)
	if err != nil {
		return nil, "", fmt.Errorf("reading %d of the stream %s: %w", seq, subjects.StreamMessages, err)
	}
	if m, err = events.DecodeMessage(raw.Data); err != nil {
		return nil, "", err
	}
	m.Seq = seq
	return m, raw.Header.Get(journal.DigestHeader), nil
}

// Head is the sequence of the room's newest message, 0 if none is known.
func (s *Store) Head(r subjects.Room) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.heads[r]
}

// Forget drops the heads of rooms that are no more.
func (s *Store) Forget(gone func(subjects.Room) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.heads {
		if gone(r) {
			delete(s.heads, r)
		}
	}
}

// Follow keeps the heads until ctx ends.
func (s *Store) Follow(ctx context.Context) error {
	cons, err := s.journal.JetStream().OrderedConsumer(ctx, subjects.StreamMessages, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubjects: []string{subjects.MessagesPattern}, HeadersOnly: true,
	})
	if err != nil {
		return fmt.Errorf("following the stream %s: %w", subjects.StreamMessages, err)
	}
	cc, err := cons.Consume(func(m jetstream.Msg) {
		meta, err := m.Metadata()
		r, ok := subjects.RoomOfMessages(m.Subject())
		if err != nil || !ok {
			return // nobody but the service writes there
		}
		s.mu.Lock()
		s.heads[r] = max(s.heads[r], meta.Sequence.Stream)
		s.mu.Unlock()
	}, jetstream.PullMaxMessages(2000))
	if err != nil {
		return fmt.Errorf("following the stream %s: %w", subjects.StreamMessages, err)
	}
	defer cc.Stop()
	select {
	case <-cc.Closed():
		if ctx.Err() == nil {
			return fmt.Errorf("the consumer of %s ended", subjects.StreamMessages)
		}
	case <-ctx.Done():
	}
	return nil
}
