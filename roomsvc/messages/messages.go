// Package messages is natsrooms' second stream, ROOM_MESSAGES: what was said in rooms. It has
// an order of its own, so that messages do not slow the rooms' changes down.
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
	"natsrooms/roomsvc/streams"
	"natsrooms/roomsvc/takeover"
	"natsrooms/subjects"
)

// Repeats is how long a resent message is recognised by its ID. It is the two minutes for
// which a request may be repeated, plus the time that one request may take.
const Repeats = 2*time.Minute + 15*time.Second

// ErrDiscarded says that a message was stored but is no longer kept.
var ErrDiscarded = errors.New("the message is no longer kept")

// Settings of the stream.
type Settings struct {
	Keep     time.Duration // how long a message is kept
	PerRoom  int           // how many of its newest messages a room keeps
	TakeOver bool          // replaces a stream from which nothing can be erased, see [natsrooms/roomsvc/takeover]
	Replicas int           // 0: as many as the stream has, 1 for a new one
	MaxBytes int64         // of the stream; 0: as it has, unlimited for a new one
}

// Store is the open stream.
type Store struct {
	Settings
	journal *journal.Journal
	stream  jetstream.Stream
	created time.Time // when the stream was

	Erases bool // single messages can be erased; not from a stream made by an earlier version

	May func() error // why no message may be stored; nil: any may

	mu    sync.RWMutex // guards heads
	heads map[subjects.Room]head
}

// Wanted is what the store of messages needs of its stream. Whether single messages can be
// deleted is that of the stream, see [natsrooms/roomsvc/takeover].
func Wanted(s Settings) streams.Want {
	return streams.Want{
		Config: jetstream.StreamConfig{
			Name:              subjects.StreamMessages,
			Description:       "natsrooms: what was said in rooms",
			Subjects:          []string{subjects.MessagesTaken},
			SubjectTransform:  &jetstream.SubjectTransformConfig{Source: subjects.MessagesTaken, Destination: subjects.MessagesHeard},
			RePublish:         &jetstream.RePublish{Source: subjects.MessagesHeard, Destination: subjects.MessagesHeard},
			Storage:           jetstream.FileStorage,
			Retention:         jetstream.LimitsPolicy,
			Discard:           jetstream.DiscardNew, // when the stream is full; a room's newest messages replace only its own oldest
			MaxAge:            s.Keep,
			MaxMsgsPerSubject: int64(s.PerRoom),
			Replicas:          max(s.Replicas, 1),
			DenyPurge:         true,
			Duplicates:        Repeats,
		},
		Settings: []streams.Setting{
			{Name: "messages-keep", Value: s.Keep.Milliseconds(), Set: func(c *jetstream.StreamConfig, ms int64) { c.MaxAge = time.Duration(ms) * time.Millisecond }},
			{Name: "messages-per-room", Value: int64(s.PerRoom), Set: func(c *jetstream.StreamConfig, n int64) { c.MaxMsgsPerSubject = n }},
		},
		Replicas: s.Replicas,
		MaxBytes: s.MaxBytes,
	}
}

// Open creates or opens the stream. Its errors are sentences for people.
func Open(ctx context.Context, j *journal.Journal, s Settings) (*Store, error) {
	w := Wanted(s)
	denies, err := takeover.Prepare(ctx, j.JetStream(), w.Config, s.TakeOver)
	if err != nil {
		return nil, err
	}
	w.Config.DenyDelete = denies
	stream, err := j.Streams.Open(ctx, w)
	if err != nil {
		return nil, err
	}
	return &Store{Settings: s, journal: j, stream: stream, created: stream.CachedInfo().Created, Erases: !denies, heads: map[subjects.Room]head{}}, nil
}

// Check returns an error if the stream was deleted, or replaced by another one.
func (s *Store) Check(ctx context.Context) error {
	if _, err := journal.Still(ctx, s.stream, s.created); errors.Is(err, journal.ErrGone) {
		return fmt.Errorf("the stream %s %w, and what was said with it; start again, it is made anew", subjects.StreamMessages, err)
	}
	return nil
}

// Entry returns the entry to store for a message, if one may be stored. id is the same for every try of the same
// request; digest tells it from another request with that ID.
func (s *Store) Entry(m *events.Message, prefix, id, digest string) (journal.Entry, error) {
	if s.May != nil {
		if err := s.May(); err != nil {
			return journal.Entry{}, err
		}
	}
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

// Mark stores a marker with some text in it, once, and returns when the stream has answered. The
// marker is heard at [subjects.MessagesPoint], after every message that was stored before it.
func (s *Store) Mark(ctx context.Context, text string) error {
	_, err := s.journal.Store(ctx, []journal.Entry{{Subject: subjects.MessagesMarker, Data: []byte(text)}})
	return err
}

// Find returns the sequence of the room's message with that ID, or 0 if there is none. It
// looks back as far as repeats are recognised.
func (s *Store) Find(ctx context.Context, r subjects.Room, id string) (seq uint64, err error) {
	return s.reader(r).Find(ctx, id, time.Now().Add(-Repeats))
}

// At returns a stored message and the digest of its request.
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

// Said records that a message was acknowledged.
func (s *Store) Said(r subjects.Room, seq uint64) { s.note(r, seq, time.Time{}) }

// note records what is known of a room's head; asked is when the stream was asked for it, or
// zero if it was not.
func (s *Store) note(r subjects.Room, seq uint64, asked time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.heads[r]
	if seq == 0 && asked.Sub(h.asked) >= s.Keep {
		h.seq = 0 // others may have said something since, and it may have been discarded already
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
	asked time.Time // when the stream was asked; zero: known only from messages sent through this instance
}

// For how long a head counts as fresh, how many heads the stream is asked for at a time, and
// for how long to wait. If the stream does not answer, what is known is returned.
const (
	headFresh  = 100 * time.Millisecond
	headsAsked = 32
	headsWait  = time.Second
)

// Heads returns the sequence of each room's newest message, 0 where there is none.
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

// Forget drops the heads of rooms that are gone.
func (s *Store) Forget(gone func(subjects.Room) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.heads {
		if gone(r) {
			delete(s.heads, r)
		}
	}
}

func (s *Store) reader(r subjects.Room) *journal.Reader { return s.on(subjects.Messages(r)) }

func (s *Store) on(subject string) *journal.Reader {
	return journal.NewReader(s.journal.JetStream(), s.stream, subject)
}
