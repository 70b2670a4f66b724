package webhooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/streams"
	"natsrooms/roomsvc/webhooks/letters"
	"natsrooms/subjects"
)

const (
	keepStore   = 30 * 24 * time.Hour // what is in the bucket
	markerTTL   = time.Hour           // what tells that a key was deleted
	storeWithin = 5 * time.Second
)

// Letter is a dead letter.
type Letter = letters.Letter

// place is where a room that is behind goes on.
type place struct {
	From uint64      `json:"from"` // sequence in the stream of the first event that was not delivered
	At   events.Time `json:"time"` // when that was stored
}

// Bucket is the settings of the bucket's stream.
type Bucket struct {
	Replicas int   // 0: as many as the stream has, 1 for a new one
	MaxBytes int64 // 0: as the stream has, unlimited for a new one
}

// store is the bucket of places and dead letters.
type store struct {
	journal *journal.Journal
	kv      jetstream.KeyValue
}

// Wanted is what the bucket of webhooks needs of its stream.
func Wanted(b Bucket) streams.Want {
	return streams.Want{
		Config: jetstream.StreamConfig{
			Name:                   subjects.StreamWebhooks,
			Description:            "natsrooms: what webhooks are behind with, and dead letters",
			Subjects:               []string{subjects.KVPattern(subjects.BucketWebhooks)},
			Storage:                jetstream.FileStorage,
			Discard:                jetstream.DiscardNew,
			MaxAge:                 keepStore,
			MaxMsgsPerSubject:      1,
			AllowRollup:            true,
			DenyDelete:             true,
			AllowMsgTTL:            true,
			SubjectDeleteMarkerTTL: markerTTL,
		},
		Replicas: b.Replicas,
		MaxBytes: b.MaxBytes,
	}
}

func openStore(ctx context.Context, j *journal.Journal, b Bucket) (*store, error) {
	_, err := j.Streams.Open(ctx, Wanted(b))
	if err != nil {
		return nil, err
	}
	kv, err := j.JetStream().KeyValue(ctx, subjects.BucketWebhooks)
	if err != nil {
		return nil, fmt.Errorf("opening the bucket %s: %w", subjects.BucketWebhooks, err)
	}
	return &store{j, kv}, nil
}

func (s *store) put(ctx context.Context, key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	// It goes the way of all that is stored, so that it is told if the bucket is full.
	_, err = s.journal.Store(ctx, []journal.Entry{{Subject: subjects.KV(subjects.BucketWebhooks, key), Data: data}})
	return err
}

// remove deletes a key; one that is not there is no error.
func (s *store) remove(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	if err := s.kv.Delete(ctx, key); err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return err
	}
	return nil
}

// each passes the values on whose keys match. The bucket may change meanwhile.
func (s *store) each(ctx context.Context, pattern string, take func(key string, value []byte)) error {
	return s.watch(ctx, pattern, func(e jetstream.KeyValueEntry) bool {
		if e != nil {
			take(e.Key(), e.Value())
		}
		return e != nil
	}, jetstream.IgnoreDeletes())
}

// watch passes entries on whose keys match, and what becomes of them, for as long as take says so;
// nil comes after those that were there at first.
func (s *store) watch(ctx context.Context, pattern string, take func(jetstream.KeyValueEntry) (more bool), opts ...jetstream.WatchOpt) error {
	w, err := s.kv.Watch(ctx, pattern, opts...)
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case e, open := <-w.Updates():
			switch {
			case !open:
				return errors.New("the connection was lost while the bucket was read")
			case !take(e):
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// places are where the rooms go on that a webhook is behind with.
func (s *store) places(ctx context.Context, hook string, o *origin) (map[subjects.Room]place, error) {
	all := map[subjects.Room]place{}
	err := s.each(ctx, subjects.BehindKeys(hook, o.name), func(key string, value []byte) {
		var p place
		if r, ok := subjects.RoomOfBehind(key); ok && json.Unmarshal(value, &p) == nil && p.From > 0 {
			all[r] = p
		}
	})
	return all, err
}

func (s *store) note(ctx context.Context, hook string, o *origin, r subjects.Room, p place) error {
	return s.put(ctx, subjects.BehindKey(hook, o.name, r), &p)
}

func (s *store) forget(ctx context.Context, hook string, o *origin, r subjects.Room) error {
	return s.remove(ctx, subjects.BehindKey(hook, o.name, r))
}

// letters are the dead letters of a webhook, in no order.
func (s *store) letters(ctx context.Context, hook string) (list []Letter, err error) {
	err = s.each(ctx, subjects.DeadKeys(hook), func(key string, value []byte) {
		if l, ok := letterOf(key, value); ok {
			list = append(list, l)
		}
	})
	return list, err
}

func letterOf(key string, value []byte) (l Letter, ok bool) {
	hook, id, ok := subjects.LetterOfKey(key)
	if !ok || json.Unmarshal(value, &l) != nil {
		return l, false
	}
	l.Hook, l.ID = hook, id
	return l, true
}

func (s *store) bury(ctx context.Context, l *Letter) error {
	return s.put(ctx, subjects.DeadKey(l.Hook, l.ID), l)
}

func (s *store) drop(ctx context.Context, hook, id string) error {
	return s.remove(ctx, subjects.DeadKey(hook, id))
}
