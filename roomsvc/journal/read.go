package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/subjects"
)

// Reader reads what a stream holds on one subject, according to the stream's leader.
type Reader struct {
	js      jetstream.JetStream
	stream  jetstream.Stream
	Subject string
}

// Reader returns a reader of one subject of the journal, such as a room's facts.
func (j *Journal) Reader(subject string) *Reader { return NewReader(j.js, j.stream, subject) }

// NewReader returns a reader of one subject of a stream.
func NewReader(js jetstream.JetStream, stream jetstream.Stream, subject string) *Reader {
	return &Reader{js, stream, subject}
}

// Next returns the first message on the subject at or after seq; if there is none, at is 0
// and ok is false.
func (r *Reader) Next(ctx context.Context, seq uint64) (at uint64, data []byte, ok bool, err error) {
	m, err := r.stream.GetMsg(ctx, max(seq, 1), jetstream.WithGetMsgSubject(r.Subject))
	return r.got(m, err)
}

// Last returns the newest message on the subject.
func (r *Reader) Last(ctx context.Context) (at uint64, data []byte, ok bool, err error) {
	m, err := r.stream.GetLastMsgForSubject(ctx, r.Subject)
	return r.got(m, err)
}

func (r *Reader) got(m *jetstream.RawStreamMsg, err error) (uint64, []byte, bool, error) {
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil, false, nil
	}
	if err != nil {
		return 0, nil, false, fmt.Errorf("reading %s: %w", r.Subject, err)
	}
	return m.Sequence, m.Data, true, nil
}

// chunk is how many messages are fetched at a time.
const chunk = 64

// Read passes the messages on the subject from seq on to take, in order, until take returns
// false or there are no more.
func (r *Reader) Read(ctx context.Context, seq uint64, take func(at uint64, data []byte) bool) error {
	return r.read(ctx, r.from(seq), func(at uint64, m jetstream.Msg) bool { return take(at, m.Data()) })
}

// Find returns the sequence of the first message on the subject that was stored at or after
// since under that message ID, or 0 if there is none.
func (r *Reader) Find(ctx context.Context, id string, since time.Time) (seq uint64, err error) {
	cfg := r.since(since)
	cfg.HeadersOnly = true
	err = r.read(ctx, cfg, func(at uint64, m jetstream.Msg) bool {
		if m.Headers().Get(jetstream.MsgIDHeader) == id {
			seq = at
		}
		return seq == 0
	})
	return seq, err
}

// Whole passes messages on, as [Reader.Read] does, with their headers and times.
func (r *Reader) Whole(ctx context.Context, seq uint64, take func(at uint64, m jetstream.Msg) bool) error {
	return r.read(ctx, r.from(seq), take)
}

// Since passes the messages on that were stored at or after a moment.
func (r *Reader) Since(ctx context.Context, since time.Time, take func(at uint64, m jetstream.Msg) bool) error {
	return r.read(ctx, r.since(since), take)
}

func (r *Reader) since(t time.Time) jetstream.ConsumerConfig {
	cfg := r.from(1)
	cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &t
	return cfg
}

func (r *Reader) read(ctx context.Context, cfg jetstream.ConsumerConfig, take func(at uint64, m jetstream.Msg) bool) error {
	cons, err := r.consumer(ctx, cfg)
	if err != nil {
		return err
	}
	defer putAway(ctx, r.stream, cons)
	for left := cons.CachedInfo().NumPending; left > 0; {
		batch, err := cons.Fetch(int(min(left, chunk)), jetstream.FetchContext(ctx))
		if err != nil {
			return fmt.Errorf("reading %s: %w", r.Subject, err)
		}
		got := false
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			if !take(meta.Sequence.Stream, m) {
				return nil
			}
			got, left = true, meta.NumPending
		}
		if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
			return fmt.Errorf("reading %s: %w", r.Subject, err)
		}
		if !got {
			return ctx.Err()
		}
	}
	return nil
}

// putAwayFor is how long the server's word is waited for that it has deleted a consumer. Whoever
// waits for what was read may have no more time than that.
const putAwayFor = 250 * time.Millisecond

// putAway asks the server to delete a consumer, even if ctx is over. One whose deletion gets lost
// is deleted when nobody has used it for a while.
func putAway(ctx context.Context, stream jetstream.Stream, cons jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putAwayFor)
	defer cancel()
	_ = stream.DeleteConsumer(ctx, cons.CachedInfo().Name)
}

// Count returns how many messages there are on the subject from seq on.
func (r *Reader) Count(ctx context.Context, seq uint64) (uint64, error) {
	cons, err := r.consumer(ctx, r.from(seq))
	if err != nil {
		return 0, err
	}
	return cons.CachedInfo().NumPending, r.stream.DeleteConsumer(ctx, cons.CachedInfo().Name)
}

func (r *Reader) from(seq uint64) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(seq, 1), FilterSubject: r.Subject,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: 30 * time.Second,
	}
}

func (r *Reader) consumer(ctx context.Context, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	cons, err := r.stream.CreateConsumer(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", r.Subject, err)
	}
	return cons, nil
}

// FirstSince returns the sequence of the first message stored at or after t, or 0 if the
// server says that there is none. If nothing arrives, that proves nothing and is an error.
func (j *Journal) FirstSince(ctx context.Context, t time.Time) (uint64, error) {
	cfg := j.Reader("").from(1)
	cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime, cfg.HeadersOnly = jetstream.DeliverByStartTimePolicy, 0, &t, true
	cons, err := j.stream.CreateConsumer(ctx, cfg)
	if err != nil {
		return 0, fmt.Errorf("looking for the newest facts in the stream %s: %w", subjects.StreamRooms, err)
	}
	defer putAway(ctx, j.stream, cons)
	if cons.CachedInfo().NumPending == 0 {
		return 0, nil
	}
	m, err := cons.Next(jetstream.FetchMaxWait(firstWait))
	if errors.Is(err, nats.ErrTimeout) { // it is slow, or what was there has expired in the meantime
		if info, err := cons.Info(ctx); err == nil && info.NumPending == 0 && info.Delivered.Consumer == 0 {
			return 0, nil
		}
	}
	if err != nil {
		return 0, fmt.Errorf("looking for the newest facts in the stream %s: %w", subjects.StreamRooms, err)
	}
	meta, err := m.Metadata()
	if err != nil {
		return 0, err
	}
	return meta.Sequence.Stream, nil
}

// firstWait is how long the server may take to find a message that it claims to have.
const firstWait = 5 * time.Second
