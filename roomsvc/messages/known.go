package messages

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
	"natsrooms/subjects"
)

// Known is which requests have had a message stored in the last [Repeats], through whichever
// instance. What others store becomes known when the stream has told of it; see [Known.Catch]. A
// nil *Known knows nothing.
type Known struct {
	store  *Store
	passed journal.Passed // how far the stream has told

	mu    sync.Mutex        // guards the fields below
	seqs  map[string]uint64 // by the message's ID
	order []known           // oldest first
}

// known is when an ID became known.
type known struct {
	id string
	at time.Time
}

// Know begins to learn what is stored, and what was stored lately, for as long as the life lasts.
func (s *Store) Know(l *life.Life) *Known {
	k := &Known{store: s, seqs: map[string]uint64{}}
	l.Go(func() {
		for !l.Over() {
			if err := k.follow(l); err != nil {
				l.Pause(knowAgain)
			}
		}
	})
	return k
}

// knowAgain is the pause after the stream could not be followed.
const knowAgain = time.Second

// follow takes in what is stored, until that ends.
func (k *Known) follow(ctx context.Context) error {
	since := time.Now().Add(-Repeats)
	cons, err := k.store.journal.JetStream().OrderedConsumer(ctx, subjects.StreamMessages, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subjects.MessagesPattern}, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since, HeadersOnly: true,
	})
	if err != nil {
		return err
	}
	cc, err := cons.Consume(k.take, jetstream.PullMaxMessages(2000))
	if err != nil {
		return err
	}
	defer func() {
		cc.Stop()
		<-cc.Closed()
	}()
	select {
	case <-cc.Closed():
	case <-ctx.Done():
	}
	return ctx.Err()
}

func (k *Known) take(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		return
	}
	if h := m.Headers(); h.Get(journal.DigestHeader) != "" { // without one, nobody repeats it
		k.Note(h.Get(jetstream.MsgIDHeader), meta.Sequence.Stream, meta.Timestamp)
	}
	if seq := meta.Sequence.Stream; seq > k.passed.Seq() {
		k.passed.Reach(seq)
	}
}

// Catch returns when it is known what has been stored in a room before the call.
func (k *Known) Catch(ctx context.Context, r subjects.Room) error {
	if k == nil {
		return nil
	}
	m, err := k.store.stream.GetLastMsgForSubject(ctx, subjects.Messages(r))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound), err == nil && time.Since(m.Time) > Repeats:
		return nil
	case err != nil:
		return err
	}
	return k.passed.Wait(ctx, m.Sequence)
}

// Note notes that a message was stored under an ID.
func (k *Known) Note(id string, seq uint64, at time.Time) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget(time.Now())
	if k.seqs[id] == 0 {
		k.seqs[id], k.order = seq, append(k.order, known{id, at})
	}
}

// Find is the sequence under which the message with that ID is stored; 0 if it is not known to be.
func (k *Known) Find(id string) uint64 {
	if k == nil {
		return 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget(time.Now())
	return k.seqs[id]
}

// forget drops, under the lock, what the stream does not recognise any more either.
func (k *Known) forget(now time.Time) {
	n := 0
	for n < len(k.order) && now.Sub(k.order[n].at) > Repeats {
		delete(k.seqs, k.order[n].id)
		n++
	}
	k.order = k.order[n:]
}
