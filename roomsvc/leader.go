package roomsvc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/projection"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Timing of the lead. A leader that dies is followed within leaderTTL and two polls.
const (
	leaderTTL   = 8 * time.Second
	leaderRenew = 2 * time.Second
	leaderPoll  = time.Second
	keptEvery   = time.Minute
	tellEvery   = time.Minute // that the bucket cannot be written
)

// election finds the one instance that writes the bucket and ends empty rooms. The
// lead is a key with a TTL that its holder renews; all that a leader does is guarded
// once more by what it writes, so that two of them for a moment do no harm.
type election struct {
	s      *Service
	stream jetstream.Stream
	known  func() // says that this instance leads, does not, or could not find out
}

type leaderValue struct {
	Instance string `json:"instance"`
}

// run stands for the lead, leads, and stands again, until the service ends.
func (e *election) run() {
	poll := time.NewTicker(leaderPoll)
	defer poll.Stop()
	for !e.s.ended() {
		seq, sent, err := e.stand()
		switch {
		case err != nil && !e.s.ended():
			e.s.log.Debug("standing for the lead", "error", err)
		case seq > 0:
			e.lead(seq, sent)
		}
		e.known()
		if err := e.s.projector.Follow(e.s.life); err != nil && !e.s.ended() {
			e.s.log.Debug("reading how far the bucket is", "error", err)
		}
		select {
		case <-poll.C:
		case <-e.s.life.Done():
		}
	}
}

var leaderSubject = subjects.KV(subjects.BucketSessions, subjects.KeyLeader)

// stand takes the lead if it is free, or held under this instance's own name. It gives
// the key's sequence, 0 if another one leads, and when the claim was sent.
func (e *election) stand() (seq uint64, sent time.Time, err error) {
	ctx, cancel := context.WithTimeout(e.s.life, leaderRenew)
	defer cancel()
	m, err := e.stream.GetLastMsgForSubject(ctx, leaderSubject)
	expect := uint64(0)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
	case err != nil:
		return 0, sent, err
	default:
		expect = m.Sequence
		var held leaderValue
		if len(m.Data) > 0 && json.Unmarshal(m.Data, &held) == nil && held.Instance != e.s.cfg.Instance {
			return 0, sent, nil
		}
	}
	sent = time.Now()
	seq, err = e.claim(ctx, expect)
	if errors.Is(err, journal.ErrConflict) {
		return 0, sent, nil
	}
	return seq, sent, err
}

func (e *election) claim(ctx context.Context, expect uint64) (uint64, error) {
	value, err := json.Marshal(&leaderValue{e.s.cfg.Instance})
	if err != nil {
		return 0, err
	}
	return e.put(ctx, expect, value, nats.Header{jetstream.MsgTTLHeader: {leaderTTL.String()}})
}

func (e *election) put(ctx context.Context, expect uint64, value []byte, h nats.Header) (uint64, error) {
	return e.s.journal.Store(ctx, []journal.Entry{{Subject: leaderSubject, Guarded: true, Expect: expect, Header: h, Data: value}})
}

// lead does the leader's duties while the key can be renewed in time.
func (e *election) lead(seq uint64, sent time.Time) {
	e.s.log.Info("this instance leads")
	ctx, cancel := context.WithCancel(e.s.life)
	silence := func() {}
	stop := func() { cancel(); silence() }
	duties := make(chan error, 1)
	var others sync.WaitGroup
	others.Go(func() { e.s.keepLeases(ctx) })
	if e.s.feeds != nil {
		e.s.feeds.Until(sent.Add(leaderTTL))
		call, done := context.WithTimeout(ctx, leaderRenew)
		end, err := e.s.feeds.Lead(call)
		done()
		if err != nil {
			e.s.fail(fmt.Errorf("listening to messages for end users: %w", err))
		} else {
			silence = end
		}
	}
	e.known()
	defer others.Wait()
	defer stop()
	go func() { duties <- e.duties(ctx) }()
	e.s.timers.lead()
	defer e.s.timers.leading.Store(false)
	renew := time.NewTicker(leaderRenew)
	defer renew.Stop()
	kept := time.NewTicker(keptEvery)
	defer kept.Stop()
	e.s.keepQuietRooms()
	for {
		select {
		case <-ctx.Done():
			stop()
			<-duties
			e.resign(seq)
			return
		case err := <-duties:
			stop()
			if !e.s.ended() {
				e.s.log.Info("this instance leads no longer", "because", err)
			}
			return
		case <-kept.C:
			e.s.keepQuietRooms()
		case <-renew.C:
			at := time.Now()
			call, done := context.WithTimeout(ctx, leaderRenew)
			next, err := e.claim(call, seq)
			done()
			if err == nil {
				seq, sent = next, at
				if e.s.feeds != nil {
					e.s.feeds.Until(sent.Add(leaderTTL))
				}
				continue
			}
			if errors.Is(err, journal.ErrConflict) || time.Since(sent) > leaderTTL-leaderRenew {
				stop()
				e.s.log.Info("this instance leads no longer", "because", err)
				<-duties
				return
			}
		}
	}
}

// resign gives the lead up, so that the next one need not wait for the key to expire.
func (e *election) resign(seq uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := e.put(ctx, seq, nil, nats.Header{journal.OperationHeader: {"DEL"}}); err != nil {
		e.s.log.Debug("giving up the lead", "error", err)
	}
}

// duties writes the bucket. Another leader's batch in between means to read anew.
func (e *election) duties(ctx context.Context) error {
	for told := (time.Time{}); ; {
		err := e.s.projector.Lead(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, projection.ErrLost) {
			return err
		}
		if time.Since(told) > tellEvery {
			told = time.Now()
			e.s.log.Warn("writing the bucket", "error", err)
		}
		e.s.pause(leaderPoll)
	}
}

// keepQuietRooms appends a room.kept to every room whose newest fact is older than
// half of what the journal keeps, so that each always has one there.
func (s *Service) keepQuietRooms() {
	old := events.TimeOf(time.Now().Add(-s.cfg.FactsKeep / 2))
	for _, mb := range s.rep.all() {
		if h := mb.head.Load(); h == nil || h.FactAt >= old {
			continue
		}
		s.assign(mb.room, func(st *room.State, in room.Input) *events.Fact {
			if st == nil || st.FactAt >= old {
				return nil
			}
			return room.Keep(st, in)
		})
	}
}

// errTailLost says that the journal no longer holds a fact that was acknowledged.
func errTailLost(revision uint64, extent journal.Extent) error {
	return fmt.Errorf("the journal ends at %d and holds no fact at %d that was acknowledged: the NATS server came back without its newest data; start again, rooms that lost facts go on as new instances", extent.Last, revision)
}

func errTailLostAt(seen, now uint64) error {
	return errTailLost(seen, journal.Extent{Last: now})
}
