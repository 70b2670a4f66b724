package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/events/attendance"
	"natsrooms/subjects"
)

// Billing is a consumer of facts and the bucket in which it keeps its totals.
type Billing struct {
	consumer jetstream.Consumer
	kv       jetstream.KeyValue
	state    state
	revision uint64 // of the stored state
}

// state is stored as one value, together with the position in the stream that it covers:
// that shows if a fact is delivered again because its acknowledgement was lost.
type state struct {
	Seen   uint64            `json:"seen"` // stream sequence of the newest fact counted
	Totals attendance.Totals `json:"totals"`
}

const (
	name   = "billing" // of the consumer
	bucket = "billing"
	key    = "totals"
)

// Open makes or finds the consumer and the totals.
func Open(ctx context.Context, nc *nats.Conn) (*Billing, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	b := &Billing{state: state{Totals: attendance.Totals{}}}
	if b.kv, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket}); err != nil {
		return nil, err
	}
	entry, err := b.kv.Get(ctx, key)
	switch {
	case err == nil:
		b.revision = entry.Revision()
		if err := json.Unmarshal(entry.Value(), &b.state); err != nil {
			return nil, err
		}
	case !errors.Is(err, jetstream.ErrKeyNotFound):
		return nil, err
	}
	// The consumer is created again, after what has been counted. One left over from a
	// killed run would deliver new facts first, and those that the run had fetched only
	// later.
	if err := js.DeleteConsumer(ctx, subjects.StreamRooms, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, err
	}
	b.consumer, err = js.CreateConsumer(ctx, subjects.StreamRooms, jetstream.ConsumerConfig{
		Durable: name, FilterSubject: subjects.FactsPattern, AckPolicy: jetstream.AckAllPolicy,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: b.state.Seen + 1,
	})
	if err != nil {
		return nil, fmt.Errorf("a consumer of %s: %w", subjects.StreamRooms, err)
	}
	return b, nil
}

// Run counts until ctx ends. After each batch of facts it stores the totals, then
// acknowledges the facts, which shows others how far it is, then calls tell.
func (b *Billing) Run(ctx context.Context, tell func(attendance.Totals)) error {
	for {
		batch, err := b.consumer.Fetch(100, jetstream.FetchMaxWait(time.Second))
		if err != nil {
			return err
		}
		var last jetstream.Msg
		for m := range batch.Messages() {
			if err := b.count(m); err != nil {
				return err
			}
			last = m
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if last == nil {
			continue
		}
		if err := b.store(ctx); err != nil {
			return err
		}
		if err := last.Ack(); err != nil {
			return err
		}
		tell(b.state.Totals)
	}
}

func (b *Billing) count(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	if meta.Sequence.Stream <= b.state.Seen {
		return nil
	}
	b.state.Seen = meta.Sequence.Stream
	fact, err := events.DecodeFact(m.Data())
	if errors.Is(err, events.ErrUnknownType) {
		return nil // from a newer service
	}
	if err != nil {
		return err
	}
	for _, stay := range attendance.Ended(fact) {
		b.state.Totals.Add(stay, stay.LeftAt)
	}
	return nil
}

// store replaces the totals that this run last stored; a second copy of the program is
// noticed here, since the revision has then changed.
func (b *Billing) store(ctx context.Context) error {
	value, err := json.Marshal(&b.state)
	if err != nil {
		return err
	}
	b.revision, err = b.kv.Update(ctx, key, value, b.revision)
	return err
}
