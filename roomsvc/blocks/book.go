package blocks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/streams"
	"natsrooms/subjects"
)

const (
	readTTL    = time.Minute // how long a message of [Book.Pass] stays in the bucket
	markerTTL  = time.Hour   // how long a marker does
	askAgain   = 100 * time.Millisecond
	askTime    = 2 * time.Second
	mostJitter = 20 * time.Millisecond // the most that a write waits which met another one
)

// record is the value of a user's key.
type record struct {
	room.Barred `json:",embed"`
	RequestID   string `json:"requestID,omitzero"` // of the newest request that changed it
}

// Book knows what is refused to whom. It is safe for concurrent use.
type Book struct {
	journal *journal.Journal
	stream  jetstream.Stream
	created time.Time
	life    *life.Life
	log     *slog.Logger
	changed func(subjects.User)
	passed  journal.Passed
	count   atomic.Int64

	mu     sync.Mutex // guards barred
	barred map[subjects.User]*room.Barred
}

// Wanted is what the bucket of blocks needs of its stream.
func Wanted(replicas int, maxBytes int64) streams.Want {
	return streams.Want{
		Config: jetstream.StreamConfig{
			Name:                   subjects.StreamBlocks,
			Description:            "natsrooms: users who are kept out, and tokens that are revoked",
			Subjects:               []string{subjects.KVPattern(subjects.BucketBlocks)},
			Storage:                jetstream.FileStorage,
			Discard:                jetstream.DiscardNew,
			MaxMsgsPerSubject:      1,
			AllowRollup:            true,
			DenyDelete:             true,
			AllowMsgTTL:            true,
			SubjectDeleteMarkerTTL: markerTTL,
		},
		Replicas: replicas,
		MaxBytes: maxBytes,
	}
}

// Open makes the bucket if it is missing, and returns when everything in it is known. It is
// followed until life ends. changed is told of every user whose key has changed; it must not wait.
func Open(ctx context.Context, life *life.Life, j *journal.Journal, replicas int, maxBytes int64, log *slog.Logger, changed func(subjects.User)) (*Book, error) {
	b := &Book{journal: j, life: life, log: log, changed: changed, barred: map[subjects.User]*room.Barred{}}
	var err error
	b.stream, err = j.Streams.Open(ctx, Wanted(replicas, maxBytes))
	if err != nil {
		return nil, err
	}
	b.created = b.stream.CachedInfo().Created
	if err := b.follow(ctx); err != nil {
		return nil, fmt.Errorf("reading the bucket %s: %w", subjects.BucketBlocks, err)
	}
	return b, nil
}

// Of is what is refused to a user now.
func (b *Book) Of(u subjects.User) room.Barred {
	if b.count.Load() == 0 {
		return room.Barred{UserID: string(u)}
	}
	now := events.TimeOf(time.Now())
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.barred[u]
	if known == nil {
		return room.Barred{UserID: string(u)}
	}
	r := *known
	r.Outlived(now)
	return r
}

// Refused refuses what a user asks for; nil if it is not blocked.
func (b *Book) Refused(u subjects.User) *room.Error {
	if b.count.Load() == 0 {
		return nil
	}
	r := b.Of(u)
	return r.Refusal()
}

// From is those users, in order, to whom something is refused: up to count after the given one.
func (b *Book) From(after string, count int) (list []room.Barred, more bool) {
	b.mu.Lock()
	users := slices.Sorted(maps.Keys(b.barred))
	b.mu.Unlock()
	list = []room.Barred{}
	for _, u := range users {
		if string(u) <= after && after != "" {
			continue
		}
		r := b.Of(u)
		if !r.Anything() {
			continue
		}
		if len(list) == count {
			return list, true
		}
		list = append(list, r)
	}
	return list, false
}

// Change changes what is refused to a user, and returns what it is then, known here. A request
// that is repeated changes nothing more. An error is not a refusal: it says that it was not
// stored, or with [journal.ErrUnknown] that it may have been.
func (b *Book) Change(ctx context.Context, u subjects.User, requestID string, change func(*room.Barred, events.Time) *room.Error) (room.Barred, *room.Error, error) {
	for ctx.Err() == nil {
		was, seq, err := b.read(ctx, u)
		if err != nil {
			return room.Barred{}, nil, err
		}
		now := events.TimeOf(time.Now())
		is := was
		is.Tokens = slices.Clone(was.Tokens)
		is.Outlived(now)
		if requestID == "" || requestID != was.RequestID {
			if refused := change(&is.Barred, now); refused != nil {
				return is.Barred, refused, nil
			}
			is.RequestID = requestID
		}
		if !reflect.DeepEqual(is, was) && (is.Anything() || was.Anything()) {
			seq, err = b.write(ctx, u, &is, seq, now)
		}
		switch {
		case errors.Is(err, journal.ErrConflict): // somebody else changes it at the same moment
			b.life.Pause(rand.N(mostJitter))
			continue
		case err != nil:
			return room.Barred{}, nil, err
		}
		return is.Barred, nil, b.passed.Wait(ctx, seq)
	}
	return room.Barred{}, nil, ctx.Err()
}

// read is what is stored of a user, according to the bucket's leader, and the sequence that guards
// the next write.
func (b *Book) read(ctx context.Context, u subjects.User) (r record, seq uint64, err error) {
	r.UserID = string(u)
	m, err := b.stream.GetLastMsgForSubject(ctx, subjects.KV(subjects.BucketBlocks, subjects.BlockKey(u)))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return r, 0, nil
	case err != nil:
		return r, 0, err
	case journal.IsMarker(m.Header):
		return r, m.Sequence, nil
	}
	return r, m.Sequence, json.Unmarshal(m.Data, &r)
}

// write stores it for as long as it refuses anything.
func (b *Book) write(ctx context.Context, u subjects.User, r *record, expect uint64, now events.Time) (uint64, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	h := nats.Header{}
	switch ends := r.Ends(); {
	case !r.Anything():
		h[journal.OperationHeader], data = []string{"PURGE"}, nil
		h[jetstream.MsgTTLHeader] = []string{markerTTL.String()}
	case ends != 0:
		h[jetstream.MsgTTLHeader] = []string{(time.Duration(ends-now) * time.Millisecond).Truncate(time.Second).String()}
		if ends-now < 1000 {
			h[jetstream.MsgTTLHeader] = []string{time.Second.String()}
		}
	}
	return b.journal.Store(ctx, []journal.Entry{{
		Subject: subjects.KV(subjects.BucketBlocks, subjects.BlockKey(u)), Guarded: true, Expect: expect, Header: h, Data: data,
	}})
}

// errGone says that the bucket is not the one that this instance has read.
var errGone = errors.New("the bucket " + subjects.BucketBlocks + " was deleted, or has lost its newest entries, while the service ran; restore it from a backup, or start the service again and block again whom you had blocked")

// follow reads the bucket up to a message of this instance, and keeps following it.
func (b *Book) follow(ctx context.Context) error {
	cons, err := b.journal.JetStream().OrderedConsumer(ctx, subjects.StreamBlocks, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return err
	}
	cc, err := cons.Consume(b.take)
	if err != nil {
		return err
	}
	stop := func() { cc.Stop(); <-cc.Closed() }
	following := func() {
		select {
		case <-cc.Closed():
			if !b.life.Over() {
				b.life.Fail(errGone)
			}
		case <-b.life.Done():
		}
		stop()
	}
	if err = b.Pass(ctx); err == nil && !b.life.Go(following) {
		err = b.life.Err()
	}
	if err != nil {
		stop()
	}
	return err
}

// Pass returns when everything stored in the bucket before the call is known.
func (b *Book) Pass(ctx context.Context) error {
	before := b.passed.Seq()
	question := []journal.Entry{{Subject: subjects.KV(subjects.BucketBlocks, subjects.KeyRead), Header: nats.Header{jetstream.MsgTTLHeader: {readTTL.String()}}}}
	seq, err := b.journal.Commit(ctx, question, journal.Resend{First: askTime, Next: askTime, Pause: askAgain, Refusal: journal.RefusalAlways})
	if err != nil {
		return err
	}
	if seq <= before {
		b.life.Fail(errGone)
		return errGone
	}
	return b.passed.Wait(ctx, seq)
}

// Check notices that the bucket is no longer the one that was opened.
func (b *Book) Check(ctx context.Context) {
	info, err := journal.Still(ctx, b.stream, b.created)
	switch {
	case errors.Is(err, journal.ErrGone):
		b.life.Fail(errGone)
	case err == nil && info.State.LastSeq < b.passed.Seq(): // unless that is the word of a deposed leader
		b.prove()
	}
}

// prove makes sure that the bucket has not lost its newest messages.
func (b *Book) prove() {
	ctx, cancel := context.WithTimeout(b.life, askTime)
	defer cancel()
	_ = b.Pass(ctx)
}

// take is called with each message of the bucket.
func (b *Book) take(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		return
	}
	seq := meta.Sequence.Stream
	if seq < b.passed.Seq() {
		b.life.Go(b.prove)
		return
	}
	defer b.passed.Reach(seq)
	u, ok := subjects.UserOfBlock(subjects.KeyOfKV(subjects.BucketBlocks, m.Subject()))
	if !ok {
		return
	}
	var r record
	if !journal.IsMarker(m.Headers()) {
		if err := json.Unmarshal(m.Data(), &r); err != nil {
			b.log.Error("what is refused to a user can't be read, so it stays as it was", "user", u, "error", err)
			return
		}
	}
	b.mu.Lock()
	if r.UserID = string(u); r.Anything() {
		b.barred[u] = &r.Barred
	} else {
		delete(b.barred, u)
	}
	b.count.Store(int64(len(b.barred)))
	b.mu.Unlock()
	b.changed(u)
}

// forget drops what has ended.
func (b *Book) forget(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for u, r := range b.barred {
		if ends := r.Ends(); ends != 0 && ends.Time().Before(now) {
			delete(b.barred, u)
		}
	}
	b.count.Store(int64(len(b.barred)))
}
