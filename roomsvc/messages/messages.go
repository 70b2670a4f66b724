// Package messages is natsrooms' second stream, ROOM_MESSAGES: what was said in rooms.
// It has an order of its own, so that talking does not slow the rooms' changes down.
package messages

import (
	"context"
	"errors"
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

// ErrDiscarded says that a message was stored, and is no longer kept.
var ErrDiscarded = errors.New("the message is no longer kept")

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

	mu    sync.RWMutex // guards heads
	heads map[subjects.Room]head
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
	return &Store{Settings: s, journal: j, stream: stream, heads: map[subjects.Room]head{}}, nil
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

// Find is where the room's message with that ID is stored, 0 if nowhere. It looks as far
// back as repeats are known.
func (s *Store) Find(ctx context.Context, r subjects.Room, id string) (seq uint64, err error) {
	return s.reader(r).Find(ctx, id, time.Now().Add(-Repeats))
}

// At is a stored message and its request's digest.
func (s *Store) At(ctx context.Context, seq uint64) (m *events.Message, digest string, err error) {
	raw, err := s.stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, "", ErrDiscarded
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading %d of the stream %s: %w", seq, subjects.StreamMessages, err)
	}
	if m, err = events.DecodeMessage(raw.Data); err != nil {
		return nil, "", err
	}
	m.Seq = seq
	return m, raw.Header.Get(journal.DigestHeader), nil
}

// Said takes the acknowledgement of a message.
func (s *Store) Said(r subjects.Room, seq uint64) { s.note(r, seq, time.Time{}) }

// note takes what is known of a room's head; asked is when the stream was asked for it.
func (s *Store) note(r subjects.Room, seq uint64, asked time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.heads[r]
	if seq == 0 && asked.Sub(h.asked) >= s.Keep {
		h.seq = 0 // others may have said something since, that has been discarded meanwhile
	}
	h.seq = max(h.seq, seq)
	if asked.After(h.asked) {
		h.asked = asked
	}
	s.heads[r] = h
}

// head is what this instance knows of a room's newest message.
type head struct {
	seq   uint64
	asked time.Time // when the stream said so; zero: only by messages that went through here
}

// How new heads are, and how many the stream is asked for at a time, and for how long.
// What is known is said where it does not answer.
const (
	headFresh  = 100 * time.Millisecond
	headsAsked = 32
	headsWait  = time.Second
)

// Heads is the sequences of the newest messages of rooms, 0 where there is none.
func (s *Store) Heads(ctx context.Context, rooms []subjects.Room) map[subjects.Room]uint64 {
	now := time.Now()
	var old []subjects.Room
	s.mu.RLock()
	for _, r := range rooms {
		if now.Sub(s.heads[r].asked) > headFresh {
			old = append(old, r)
		}
	}
	s.mu.RUnlock()
	s.ask(ctx, old, now)
	heads := make(map[subjects.Room]uint64, len(rooms))
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range rooms {
		heads[r] = s.heads[r].seq
	}
	return heads
}

// ask brings heads up to date.
func (s *Store) ask(ctx context.Context, rooms []subjects.Room, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, headsWait)
	defer cancel()
	next := make(chan subjects.Room)
	var askers sync.WaitGroup
	for range min(headsAsked, len(rooms)) {
		askers.Go(func() {
			for r := range next {
				if seq, _, _, err := s.reader(r).Last(ctx); err == nil {
					s.note(r, seq, now)
				}
			}
		})
	}
	for _, r := range rooms {
		next <- r
	}
	close(next)
	askers.Wait()
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
