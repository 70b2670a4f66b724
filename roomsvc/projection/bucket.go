// Package projection keeps the key-value bucket `rooms`: the state of every room as of one
// fact, for others to read and for a fast start. The journal is the truth. The bucket lags
// it by milliseconds and is written by one instance at a time.
package projection

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/streams"
	"natsrooms/subjects"
)

// markerTTL is how long a deleted key can still be seen to be deleted.
const markerTTL = time.Hour

// Projected is the value of the key `=projected`.
type Projected struct {
	room.Mark `json:",embed"`
	Journal   string    `json:"journal"` // identity of the journal that the bucket follows
	Safe      room.Mark `json:"safe"`    // the mark of some minutes ago, surely on the disk
	Torn      bool      `json:"torn,omitzero"`
}

// Bucket is the open bucket.
type Bucket struct {
	journal  *journal.Journal
	stream   jetstream.Stream
	settings Settings
	created  time.Time // when the stream was; only [Bucket.Check] changes it
}

// Settings of the bucket's stream.
type Settings struct {
	Replicas int   // 0: as many as the stream has, 1 for a new one
	MaxBytes int64 // 0: as the stream has, unlimited for a new one
}

// Open creates or opens the bucket's stream.
func Open(ctx context.Context, j *journal.Journal, s Settings) (*Bucket, error) {
	stream, err := openStream(ctx, j, s)
	if err != nil {
		return nil, err
	}
	return &Bucket{j, stream, s, stream.CachedInfo().Created}, nil
}

// Check makes the bucket again if it was deleted. It reports whether the bucket is not the one
// that was there at the last look, so that everything must be written anew. It is for one
// goroutine at a time.
func (b *Bucket) Check(ctx context.Context) (another bool, err error) {
	if _, err := journal.Still(ctx, b.stream, b.created); !errors.Is(err, journal.ErrGone) {
		return false, err
	}
	stream, err := openStream(ctx, b.journal, b.settings)
	if err != nil {
		return false, err
	}
	b.created = stream.CachedInfo().Created
	return true, nil
}

// Wanted is what the bucket needs of its stream.
func Wanted(s Settings) streams.Want {
	return streams.Want{
		Config: jetstream.StreamConfig{
			Name:                   subjects.StreamState,
			Description:            "natsrooms: the state of every room, written by the service alone",
			Subjects:               []string{subjects.KVPattern(subjects.BucketState)},
			Storage:                jetstream.FileStorage,
			Discard:                jetstream.DiscardNew,
			MaxMsgsPerSubject:      1,
			AllowRollup:            true,
			DenyDelete:             true,
			AllowDirect:            true,
			AllowMsgTTL:            true,
			SubjectDeleteMarkerTTL: markerTTL,
			AllowAtomicPublish:     true,
		},
		Replicas: s.Replicas,
		MaxBytes: s.MaxBytes,
	}
}

func openStream(ctx context.Context, j *journal.Journal, s Settings) (jetstream.Stream, error) {
	return j.Streams.Open(ctx, Wanted(s))
}

// Snapshot is what the bucket held when it was loaded.
type Snapshot struct {
	Projected Projected // the zero value if the bucket has none
	Heads     map[subjects.Room]room.Head
	Members   map[subjects.Room]map[subjects.User]Stored
	Kept      map[subjects.Room]map[subjects.User]KeptBy
	Keys      map[string]struct{} // every key that has a value, except `=projected`
}

func newSnapshot() *Snapshot {
	return &Snapshot{Heads: map[subjects.Room]room.Head{}, Members: map[subjects.Room]map[subjects.User]Stored{}, Kept: map[subjects.Room]map[subjects.User]KeptBy{}, Keys: map[string]struct{}{}}
}

// Stored is a member and the room's instance it belongs to.
type Stored struct {
	*room.Member
	InstanceID string
}

// KeptBy is what an absent user left behind and the room's instance it belongs to.
type KeptBy struct {
	room.Kept
	InstanceID string
}

// Load reads the bucket.
func (b *Bucket) Load(ctx context.Context) (*Snapshot, error) {
	s := newSnapshot()
	return s, b.each(ctx, func() {}, s.take)
}

// Revisions returns the revision of each record, by its key's number in seed. Between parts of
// the bucket it calls rest, so that others can work.
func (b *Bucket) Revisions(ctx context.Context, seed maphash.Seed, rest func()) (map[uint64]uint64, error) {
	held := map[uint64]uint64{}
	return held, b.each(ctx, rest, func(m jetstream.Msg) error {
		key := subjects.KeyOfKV(subjects.BucketState, m.Subject())
		number := maphash.String(seed, key)
		if journal.IsMarker(m.Headers()) {
			delete(held, number)
			return nil
		}
		_, _, _, ok := subjects.ParseKey(key)
		if _, _, kept := subjects.ParseKeptKey(key); !ok && !kept {
			return nil
		}
		var r struct {
			Revision uint64 `json:"revision"`
		}
		if err := json.Unmarshal(m.Data(), &r); err != nil {
			return fmt.Errorf("the key %s of the bucket %s can't be read: %w", key, subjects.BucketState, err)
		}
		held[number] = r.Revision
		return nil
	})
}

// part is how many messages are read between two rests.
const part = 2000

// each passes the bucket's messages to take, in order and until nothing comes after what was
// read, although others may be writing meanwhile. A record that is rewritten moves to the end,
// so it could be missed if each stopped any earlier. The number of pending messages that comes
// with a message does not tell: the server miscounts it while records move.
func (b *Bucket) each(ctx context.Context, rest func(), take func(jetstream.Msg) error) error {
	end, err := b.end(ctx)
	if err != nil || end == 0 {
		return err
	}
	r := reading{b: b}
	if err := r.open(ctx, 0); err != nil {
		return fmt.Errorf("reading the bucket %s: %w", subjects.BucketState, err)
	}
	defer func() { r.it.Stop() }()
	n := 0
	for at := uint64(0); at < end; {
		m, err := r.next(ctx, at)
		if err != nil {
			return fmt.Errorf("reading the bucket %s: %w", subjects.BucketState, err)
		}
		if m == nil {
			return nil
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if err := take(m); err != nil {
			return err
		}
		if n++; n%part == 0 {
			rest()
		}
		if at = meta.Sequence.Stream; at >= end {
			if end, err = b.end(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

const (
	quiet  = 500 * time.Millisecond // how long each waits for a message before it looks whether there is one
	silent = 10                     // times that it waits for one that is there, before it asks for it again
)

// reading reads the bucket from its beginning to its end.
type reading struct {
	b  *Bucket
	it jetstream.MessagesContext
}

// open begins after a sequence.
func (r *reading) open(ctx context.Context, at uint64) error {
	cons, err := r.b.journal.JetStream().OrderedConsumer(ctx, subjects.StreamState, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: at + 1})
	if err != nil {
		return err
	}
	it, err := cons.Messages(jetstream.PullMaxMessages(part))
	if err != nil {
		return err
	}
	if r.it != nil {
		r.it.Stop()
	}
	r.it = it
	return nil
}

// next returns the next message of the bucket, or nil if there is none after the one at
// sequence at. The bucket's newest message may be gone: the markers of deleted keys expire.
// In a cluster the request for messages can be lost, if the server that it reaches first does not know
// yet where the consumer is; nobody would notice, so after a while it is made again.
func (r *reading) next(ctx context.Context, at uint64) (jetstream.Msg, error) {
	rest := journal.NewReader(r.b.journal.JetStream(), r.b.stream, subjects.KVPattern(subjects.BucketState))
	for n := 1; ; n++ {
		once, cancel := context.WithTimeout(ctx, quiet)
		m, err := r.it.Next(jetstream.NextContext(once))
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return m, err
		}
		if left, err := rest.Count(ctx, at+1); err != nil || left == 0 {
			return nil, err
		}
		if n%silent == 0 {
			if err := r.open(ctx, at); err != nil {
				return nil, err
			}
		}
	}
}

func (b *Bucket) end(ctx context.Context) (uint64, error) {
	info, err := b.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("asking for the state of %s: %w", subjects.StreamState, err)
	}
	if info.State.Msgs == 0 {
		return 0, nil
	}
	return info.State.LastSeq, nil
}

func (s *Snapshot) take(m jetstream.Msg) error {
	key := subjects.KeyOfKV(subjects.BucketState, m.Subject())
	gone := journal.IsMarker(m.Headers())
	if key == subjects.KeyProjected {
		s.Projected = Projected{}
		if !gone {
			if err := json.Unmarshal(m.Data(), &s.Projected); err != nil {
				return fmt.Errorf("the key %s of the bucket %s can't be read: %w", key, subjects.BucketState, err)
			}
		}
		return nil
	}
	if r, u, ok := subjects.ParseKeptKey(key); ok {
		return s.takeKept(key, r, u, gone, m.Data())
	}
	r, u, member, ok := subjects.ParseKey(key)
	if !ok {
		return nil
	}
	if gone {
		delete(s.Keys, key)
		if !member {
			delete(s.Heads, r)
		} else {
			delete(s.Members[r], u)
		}
		return nil
	}
	s.Keys[key] = struct{}{}
	if !member {
		h, err := room.DecodeHead(m.Data())
		if err != nil {
			return fmt.Errorf("the key %s of the bucket %s can't be read: %w", key, subjects.BucketState, err)
		}
		s.Heads[r] = h
		return nil
	}
	return s.takeMember(key, r, u, m.Data())
}

func (s *Snapshot) takeMember(key string, r subjects.Room, u subjects.User, data []byte) error {
	v, instance, err := room.DecodeMember(data)
	if err != nil {
		return fmt.Errorf("the key %s of the bucket %s can't be read: %w", key, subjects.BucketState, err)
	}
	if s.Members[r] == nil {
		s.Members[r] = map[subjects.User]Stored{}
	}
	s.Members[r][u] = Stored{v, instance}
	return nil
}

func (s *Snapshot) takeKept(key string, r subjects.Room, u subjects.User, gone bool, data []byte) error {
	if gone {
		delete(s.Keys, key)
		delete(s.Kept[r], u)
		return nil
	}
	s.Keys[key] = struct{}{}
	k, instance, err := room.DecodeKept(u, data)
	if err != nil {
		return fmt.Errorf("the key %s of the bucket %s can't be read: %w", key, subjects.BucketState, err)
	}
	if s.Kept[r] == nil {
		s.Kept[r] = map[subjects.User]KeptBy{}
	}
	s.Kept[r][u] = KeptBy{k, instance}
	return nil
}

// Mark reads `=projected`, according to the leader of the bucket's stream, and the key's own
// sequence in the bucket, which guards the next batch. Both are zero if there is no mark.
func (b *Bucket) Mark(ctx context.Context) (Projected, uint64, error) {
	var p Projected
	m, err := b.stream.GetLastMsgForSubject(ctx, subjects.KV(subjects.BucketState, subjects.KeyProjected))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return p, 0, nil
	}
	if err != nil {
		return p, 0, err
	}
	if len(m.Data) == 0 {
		return p, m.Sequence, nil
	}
	return p, m.Sequence, json.Unmarshal(m.Data, &p)
}
