package journal

import (
	"cmp"
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

// read takes what a consumer made that way delivers. It goes on with another consumer where one
// delivered less than it counts, or can't be asked: a server of a cluster may not have heard yet
// of the one that was just made, and a connection that breaks takes along what was on its way.
func (r *Reader) read(ctx context.Context, cfg jetstream.ConsumerConfig, take func(at uint64, m jetstream.Msg) bool) error {
	till := time.Now().Add(readWithin)
	for {
		err := r.try(ctx, cfg, func(at uint64, m jetstream.Msg) bool {
			till = time.Now().Add(readWithin)
			cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jetstream.DeliverByStartSequencePolicy, at+1, nil
			return take(at, m)
		})
		if err == nil {
			return nil
		}
		if !another(err) || time.Now().After(till) {
			return fmt.Errorf("reading %s: %w", cmp.Or(r.Subject, "the stream "+subjects.StreamRooms), err)
		}
		select {
		case <-time.After(readAgain):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const (
	chunk      = 64                    // messages fetched at a time
	chunkWait  = 2 * time.Second       // for a chunk, before the server is asked what became of it
	readAgain  = 50 * time.Millisecond // before another consumer is made
	readWithin = 5 * time.Second       // without a message, after which that is given up
)

var errUndelivered = errors.New("the server does not deliver what it has")

// another reports whether another consumer may do what one did not.
func another(err error) bool {
	for _, e := range []error{errUndelivered, nats.ErrNoResponders, jetstream.ErrConsumerDeleted, jetstream.ErrConsumerNotFound} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// try reads with one consumer. Silence is no answer: only the server's word ends it.
func (r *Reader) try(ctx context.Context, cfg jetstream.ConsumerConfig, take func(at uint64, m jetstream.Msg) bool) error {
	cons, err := r.stream.CreateConsumer(ctx, cfg)
	if err != nil {
		return err
	}
	defer putAway(ctx, r.stream, cons)
	d := delivery{left: cons.CachedInfo().NumPending}
	for d.left > 0 {
		before := d.taken
		if err := d.fetch(ctx, cons, take); err != nil {
			return err
		}
		if d.taken > before {
			continue
		}
		info, err := cons.Info(ctx)
		if err == nil && (info.NumPending > 0 || info.Delivered.Consumer != d.taken) {
			err = errUndelivered
		}
		return err // none: what was left has expired in the meantime
	}
	return nil
}

// delivery counts what a consumer has delivered, and what it has left.
type delivery struct{ taken, left uint64 }

// fetch takes a chunk, or what arrives of it in time. If take wants no more, nothing is left.
func (d *delivery) fetch(ctx context.Context, cons jetstream.Consumer, take func(at uint64, m jetstream.Msg) bool) error {
	once, cancel := context.WithTimeout(ctx, chunkWait)
	defer cancel()
	batch, err := cons.Fetch(int(min(d.left, chunk)), jetstream.FetchContext(once))
	if err != nil {
		return err
	}
	for m := range batch.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if d.taken++; meta.Sequence.Consumer != d.taken {
			return errUndelivered
		}
		if d.left = meta.NumPending; !take(meta.Sequence.Stream, m) {
			d.left = 0
			return nil
		}
	}
	err = batch.Error()
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		err = ctx.Err()
	}
	return err
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
	cons, err := r.stream.CreateConsumer(ctx, r.from(seq))
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", r.Subject, err)
	}
	return cons.CachedInfo().NumPending, r.stream.DeleteConsumer(ctx, cons.CachedInfo().Name)
}

func (r *Reader) from(seq uint64) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(seq, 1), FilterSubject: r.Subject,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: 30 * time.Second,
	}
}

// FirstSince returns the sequence of the first message stored at or after t, or 0 if the
// server says that there is none. If nothing arrives, that proves nothing and is an error.
func (j *Journal) FirstSince(ctx context.Context, t time.Time) (seq uint64, err error) {
	r := j.Reader("")
	cfg := r.since(t)
	cfg.HeadersOnly = true
	err = r.read(ctx, cfg, func(at uint64, _ jetstream.Msg) bool {
		seq = at
		return false
	})
	return seq, err
}
