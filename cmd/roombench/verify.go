package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/subjects"
)

// verifyTimeout is how long reading the journal, and waiting for the bucket, may take.
const verifyTimeout = 2 * time.Minute

// place is a user in a room.
type place struct{ room, user string }

// head is from where the journal is read later: its newest sequence, or 0 if that can't be
// learned, which only costs time.
func (b *bench) head() uint64 {
	head, _ := b.end()
	return head
}

// end is the journal's newest sequence.
func (b *bench) end() (uint64, error) {
	stream, err := b.js[0].Stream(b.ctx, subjects.StreamRooms)
	if err != nil {
		return 0, err
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// facts calls f for the facts of rooms whose names begin with prefix, after from, up to the
// journal's head.
func (b *bench) facts(from uint64, prefix string, f func(*events.Fact) error) (n int, err error) {
	end, err := b.end()
	if err != nil {
		return 0, err
	}
	err = b.read(subjects.StreamRooms, from, end, func(m jetstream.Msg, _ uint64) error {
		if r, ok := subjects.RoomOfFacts(m.Subject()); !ok || !strings.HasPrefix(string(r), prefix) {
			return nil
		}
		fact, err := events.DecodeFact(m.Data())
		if err != nil {
			return err
		}
		n++
		return f(fact)
	})
	return n, err
}

// read calls f for what a stream has after from, up to head.
func (b *bench) read(stream string, from, head uint64, f func(m jetstream.Msg, seq uint64) error) error {
	ctx, cancel := context.WithTimeout(b.ctx, verifyTimeout)
	defer cancel()
	cons, err := b.js[0].OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from + 1})
	if err != nil {
		return err
	}
	it, err := cons.Messages()
	if err != nil {
		return err
	}
	defer it.Stop()
	for seq := from; seq < head; {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("reading %s back: %w", stream, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if seq = meta.Sequence.Stream; seq > head {
			return nil
		}
		if err := f(m, seq); err != nil {
			return err
		}
	}
	return nil
}

// verifyJoins checks that every acknowledged join is in exactly one fact, and in the bucket.
func (b *bench) verifyJoins(from uint64, want map[place]struct{}) (facts int, err error) {
	seen := make(map[place]struct{}, len(want))
	facts, err = b.facts(from, b.run, func(f *events.Fact) error {
		for i := range f.Joined {
			p := place{string(f.Room), f.Joined[i].UserID}
			if _, twice := seen[p]; twice {
				return fmt.Errorf("the join of %s into %s is in two facts", p.user, p.room)
			}
			seen[p] = struct{}{}
		}
		return nil
	})
	if err != nil {
		return facts, err
	}
	for p := range want {
		if _, ok := seen[p]; !ok {
			return facts, fmt.Errorf("the join of %s into %s was acknowledged, but no fact has it", p.user, p.room)
		}
	}
	return facts, b.verifyBucket(want)
}

// verifyPlaces checks that each user is where its last acknowledged switch took it, and in
// no other room.
func (b *bench) verifyPlaces(from uint64, want map[place]struct{}) (facts int, err error) {
	in := map[place]struct{}{}
	facts, err = b.facts(from, b.run, func(f *events.Fact) error {
		for i := range f.Joined {
			in[place{string(f.Room), f.Joined[i].UserID}] = struct{}{}
		}
		for i := range f.Left {
			delete(in, place{string(f.Room), f.Left[i].UserID})
		}
		return nil
	})
	if err != nil {
		return facts, err
	}
	if len(in) != len(want) {
		return facts, fmt.Errorf("%d users are in %d places", len(want), len(in))
	}
	for p := range want {
		if _, ok := in[p]; !ok {
			return facts, fmt.Errorf("%s should be in %s, but is not", p.user, p.room)
		}
	}
	return facts, b.verifyBucket(want)
}

// settled waits until the bucket has everything that the journal has now.
func (b *bench) settled() error {
	ctx, cancel := context.WithTimeout(b.ctx, verifyTimeout)
	defer cancel()
	kv, err := b.js[0].KeyValue(ctx, subjects.BucketState)
	if err != nil {
		return fmt.Errorf("opening the bucket: %w", err)
	}
	// The newest message in the stream may be a marker: what counts is the last fact.
	last, err := b.lastFact(ctx)
	if err != nil {
		return err
	}
	w, err := kv.Watch(ctx, subjects.KeyProjected)
	if err != nil {
		return fmt.Errorf("watching the bucket: %w", err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case e := <-w.Updates():
			var p struct {
				Revision uint64 `json:"revision"`
			}
			if e == nil || json.Unmarshal(e.Value(), &p) != nil {
				continue
			}
			if p.Revision >= last {
				return nil
			}
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) { // it was stopped
				return ctx.Err()
			}
			return fmt.Errorf("the bucket did not reach revision %d in %v", last, verifyTimeout)
		}
	}
}

// lastFact is the sequence of the newest fact; 0 if there is none.
func (b *bench) lastFact(ctx context.Context) (uint64, error) {
	stream, err := b.js[0].Stream(ctx, subjects.StreamRooms)
	if err != nil {
		return 0, err
	}
	for seq := stream.CachedInfo().State.LastSeq; seq > 0; seq-- {
		m, err := stream.GetMsg(ctx, seq)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return 0, fmt.Errorf("looking for the newest fact: %w", err)
		case m.Subject != subjects.Sync:
			return seq, nil
		}
	}
	return 0, nil
}

// verifyBucket checks that the members wanted are in the bucket, and no others.
func (b *bench) verifyBucket(want map[place]struct{}) error {
	if err := b.settled(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(b.ctx, verifyTimeout)
	defer cancel()
	kv, err := b.js[0].KeyValue(ctx, subjects.BucketState)
	if err != nil {
		return err
	}
	keys, err := kv.ListKeys(ctx)
	if err != nil {
		return fmt.Errorf("listing the bucket: %w", err)
	}
	rooms := map[string]struct{}{}
	for p := range want {
		rooms[p.room] = struct{}{}
	}
	found := map[place]struct{}{}
	for key := range keys.Keys() {
		r, u, member, ok := subjects.ParseKey(key)
		if _, ours := rooms[string(r)]; !ok || !member || !ours {
			continue
		}
		p := place{string(r), string(u)}
		if _, ok := want[p]; !ok {
			return fmt.Errorf("the bucket has %s in %s, but the user is not there", u, r)
		}
		found[p] = struct{}{}
	}
	for p := range want {
		if _, listed := found[p]; listed {
			continue
		}
		// What the listing lacks is asked for by name, which says for certain whether it is there.
		if _, err := kv.Get(ctx, subjects.MemberKey(subjects.Room(p.room), subjects.User(p.user))); err != nil {
			return fmt.Errorf("the bucket lists %d of %d members, and %s is not in %s: %w", len(found), len(want), p.user, p.room, err)
		}
	}
	return nil
}
