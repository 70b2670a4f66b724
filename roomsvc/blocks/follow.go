package blocks

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/journal"
	"natsrooms/subjects"
)

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
