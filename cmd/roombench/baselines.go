package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/subjects"
)

// Sizes of what a join sends, gets back and stores, in bytes. A further user in a fact is between
// a join, 40, and a leaving, 78.
const (
	joinBytes  = 64
	replyBytes = 420
	factBytes  = 560
	moreBytes  = 60
)

// Subjects of the stream of baselines: what is appended, and what it is stored and heard as if it
// is set up like the journal. One token follows.
const (
	rawPrefix = "roombench-raw."
	rawStored = "roombench-evt."
)

// answerer answers requests on a subject at once, without any work, until its connection closes.
func (b *bench) answerer() (subject string, nc *nats.Conn, err error) {
	if nc, err = nats.Connect(b.Nats); err != nil {
		return "", nil, err
	}
	subject, answer := nats.NewInbox(), make([]byte, replyBytes)
	if _, err = nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond(answer) }); err == nil {
		err = nc.Flush()
	}
	if err != nil {
		nc.Close()
	}
	return subject, nc, err
}

// echo is a request that is answered at once.
func (b *bench) echo(n, inFlight int) (timing, error) {
	subject, nc, err := b.answerer()
	if err != nil {
		return timing{}, err
	}
	defer nc.Close()
	ask := make([]byte, joinBytes)
	return b.each(n, inFlight, func(w, _ int) error {
		_, err := b.conn(w).Request(subject, ask, requestTimeout)
		return err
	})
}

// inStream makes a stream for a baseline, and deletes it after f. With republish it is set up
// like the journal: the subject is renamed, and every stored message is heard live. Either way
// it has as many replicas.
func (b *bench) inStream(republish bool, f func(jetstream.Stream) error) error {
	cfg := jetstream.StreamConfig{
		Name: "ROOMBENCH", Subjects: []string{rawPrefix + "*"}, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, MaxAge: time.Hour,
	}
	if republish {
		cfg.SubjectTransform = &jetstream.SubjectTransformConfig{Source: rawPrefix + "*", Destination: rawStored + "{{wildcard(1)}}"}
		cfg.RePublish = &jetstream.RePublish{Source: rawStored + "*", Destination: rawStored + "{{wildcard(1)}}"}
		cfg.DenyDelete, cfg.DenyPurge, cfg.AllowMsgTTL, cfg.AllowAtomicPublish = true, true, true, true
	}
	journal, err := b.js[0].Stream(b.ctx, subjects.StreamRooms)
	if err != nil {
		return err
	}
	cfg.Replicas = journal.CachedInfo().Config.Replicas
	stream, err := b.js[0].CreateStream(b.ctx, cfg)
	if err != nil {
		return fmt.Errorf("making the stream of the baseline: %w", err)
	}
	defer func() { _ = b.js[0].DeleteStream(b.ctx, cfg.Name) }()
	return f(stream)
}

// appendRaw is a conditional JetStream publish of a fact's size. Each goroutine has a
// subject of its own, so that no condition fails but for a moment: a replicated stream may
// acknowledge a message before it takes the next one of that subject, as the journal knows too.
func (b *bench) appendRaw(n, inFlight int, republish bool) (t timing, err error) {
	last, data := make([]uint64, inFlight), make([]byte, factBytes)
	err = b.inStream(republish, func(jetstream.Stream) error {
		t, err = b.each(n, inFlight, func(w, _ int) error {
			for {
				ack, err := b.js[w%len(b.js)].Publish(b.ctx, fmt.Sprintf("%s%d", rawPrefix, w), data, jetstream.WithExpectLastSequencePerSubject(last[w]))
				if err == nil {
					last[w] = ack.Sequence
				}
				if api := new(jetstream.APIError); !errors.As(err, &api) || api.ErrorCode != stillTaken {
					return err
				}
			}
		})
		return err
	})
	return t, err
}

// stillTaken is the code with which a replicated stream refuses a message while it has another one
// of that subject in hand.
const stillTaken = jetstream.ErrorCode(10164)

// compared sets a scenario against its baseline.
func compared(t, base timing, name string) Result {
	return Result{
		Ops: t.n, PerSecond: t.perSecond(), P50: t.at(0.5), P99: t.at(0.99), Baseline: name, Base: base.perSecond(), Ratio: t.perSecond() / base.perSecond(),
	}
}
