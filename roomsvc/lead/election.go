package lead

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
	"natsrooms/subjects"
)

// Timing of the lead. A leader that dies is replaced within TTL and two polls.
const (
	TTL   = 8 * time.Second
	Renew = 2 * time.Second
	Poll  = time.Second
)

// Duty is what an instance does while it leads, until ctx ends. It calls [Term.Begun] as soon
// as what it does takes effect. An error ends the term.
type Duty func(ctx context.Context, t *Term) error

// Term is a time in which this instance leads, as a duty sees it.
type Term struct {
	until *atomic.Pointer[time.Time]
	begun func()
}

// Until is when the lead ends unless it is renewed before then.
func (t *Term) Until() time.Time { return *t.until.Load() }

// Begun says that the duty is at work.
func (t *Term) Begun() { t.begun() }

// Config is what an election works with.
type Config struct {
	Life     *life.Life
	Log      *slog.Logger
	Journal  *journal.Journal
	Stream   jetstream.Stream // of the bucket that has the key
	Instance string           // the name of this instance
	Duties   []Duty
	Between  func(context.Context) // called after each look in which this instance does not lead
}

// Election stands for the lead and leads.
type Election struct {
	Config
	known  chan struct{}
	tell   func() // closes known
	leader atomic.Pointer[string]

	// Only the goroutine of Run uses these: the key under which another instance leads, and
	// since when it has been there unchanged.
	held  uint64
	since time.Time
}

// New makes an election.
func New(c Config) *Election {
	e := &Election{Config: c, known: make(chan struct{})}
	e.tell = sync.OnceFunc(func() { close(e.known) })
	return e
}

// Known is closed once this instance leads and its duties have begun, or once it has found
// that it does not lead, or could not find out.
func (e *Election) Known() <-chan struct{} { return e.known }

// Leader is the name of the instance that leads, "" if that is not known. It is as of the last look, a
// second ago or, while nobody answers, longer.
func (e *Election) Leader() string {
	if name := e.leader.Load(); name != nil {
		return *name
	}
	return ""
}

// Run stands for the lead, leads, and stands again, until the life ends.
func (e *Election) Run() {
	poll := time.NewTicker(Poll)
	defer poll.Stop()
	for !e.Life.Over() {
		seq, sent, err := e.stand()
		switch {
		case err != nil && !e.Life.Over():
			e.Log.Debug("standing for the lead", "error", err)
			e.leader.Store(nil)
		case seq > 0:
			e.lead(seq, sent)
		}
		e.tell()
		e.Between(e.Life)
		select {
		case <-poll.C:
		case <-e.Life.Done():
		}
	}
}

var key = subjects.KV(subjects.BucketSessions, subjects.KeyLeader)

type value struct {
	Instance string `json:"instance"`
}

// stand takes the lead if it is free or held under this instance's own name. It returns the
// key's sequence, 0 if another instance leads, and when the claim was sent.
func (e *Election) stand() (seq uint64, sent time.Time, err error) {
	ctx, cancel := context.WithTimeout(e.Life, Renew)
	defer cancel()
	m, err := e.Stream.GetLastMsgForSubject(ctx, key)
	expect := uint64(0)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
	case err != nil:
		return 0, sent, err
	default:
		expect = m.Sequence
		var held value
		if len(m.Data) > 0 && json.Unmarshal(m.Data, &held) == nil && held.Instance != e.Instance && !e.stale(m.Sequence) {
			e.leader.Store(&held.Instance)
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

// stale says that a key has not been renewed for so long that its term is over. Usually the
// server has removed it by then; after its clock was set back it does so much later.
func (e *Election) stale(seq uint64) bool {
	if seq != e.held {
		e.held, e.since = seq, time.Now()
	}
	return time.Since(e.since) > TTL
}

func (e *Election) claim(ctx context.Context, expect uint64) (uint64, error) {
	data, err := json.Marshal(&value{e.Instance})
	if err != nil {
		return 0, err
	}
	return e.put(ctx, expect, data, nats.Header{jetstream.MsgTTLHeader: {TTL.String()}})
}

func (e *Election) put(ctx context.Context, expect uint64, data []byte, h nats.Header) (uint64, error) {
	return e.Journal.Store(ctx, []journal.Entry{{Subject: key, Guarded: true, Expect: expect, Header: h, Data: data}})
}

// lead does the duties while the key can be renewed in time.
func (e *Election) lead(seq uint64, sent time.Time) {
	e.Log.Info("this instance leads")
	e.leader.Store(&e.Instance)
	defer e.leader.Store(nil)
	ctx, cancel := context.WithCancel(e.Life)
	defer cancel()
	until := &atomic.Pointer[time.Time]{}
	ended := e.begin(ctx, until, sent)
	e.tell()
	running, why := e.hold(ctx, &seq, sent, until, ended)
	cancel()
	for range running {
		<-ended
	}
	if e.Life.Over() {
		e.resign(seq)
		return
	}
	e.Log.Info("this instance leads no longer", "because", why)
}

// begin starts the duties of a term and returns when they have begun.
func (e *Election) begin(ctx context.Context, until *atomic.Pointer[time.Time], sent time.Time) (ended chan error) {
	extend(until, sent)
	ended = make(chan error, len(e.Duties))
	var begun sync.WaitGroup
	for _, duty := range e.Duties {
		begun.Add(1)
		t := &Term{until, sync.OnceFunc(begun.Done)}
		e.Life.Go(func() {
			defer t.Begun()
			ended <- duty(ctx, t)
		})
	}
	begun.Wait()
	return ended
}

// hold renews the key until the term is over. It returns how many of the duties have not
// returned, and why the term is over.
func (e *Election) hold(ctx context.Context, seq *uint64, sent time.Time, until *atomic.Pointer[time.Time], ended <-chan error) (running int, why error) {
	renew := time.NewTicker(Renew)
	defer renew.Stop()
	for running = len(e.Duties); ; {
		select {
		case <-ctx.Done():
			return running, ctx.Err()
		case why = <-ended:
			if running--; why != nil {
				return running, why
			}
		case <-renew.C:
			at := time.Now()
			call, done := context.WithTimeout(ctx, Renew)
			next, err := e.claim(call, *seq)
			done()
			if err == nil {
				*seq, sent = next, at
				extend(until, sent)
				continue
			}
			if errors.Is(err, journal.ErrConflict) || time.Since(sent) > TTL-Renew {
				return running, err
			}
		}
	}
}

// extend makes the lead last from when its claim was sent.
func extend(until *atomic.Pointer[time.Time], sent time.Time) {
	end := sent.Add(TTL)
	until.Store(&end)
}

// resign gives up the lead, so that the next one need not wait for the key to expire.
func (e *Election) resign(seq uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := e.put(ctx, seq, nil, nats.Header{journal.OperationHeader: {"DEL"}}); err != nil {
		e.Log.Debug("giving up the lead", "error", err)
	}
}
