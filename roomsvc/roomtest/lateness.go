package roomtest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// Lateness knows how late this machine was at any time since [Measure]: how much later than
// asked a timer fired, and how long a trivial question to a server took.
//
// A time limit that a test checks is exactly what is promised. On a slow or busy machine a
// test sees more, because its own timers, goroutines and sockets are late too.
// [Lateness.Within] tells the one from the other.
type Lateness struct {
	t      testing.TB
	timers probe
	echoes probe
}

const probeEvery = 10 * time.Millisecond

// Measure measures from now until the test ends. The server may go away and come back.
func Measure(t testing.TB, url string) *Lateness {
	t.Helper()
	l := &Lateness{t: t}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	running.Go(func() { l.watchTimers(ctx) })

	answers, asks := lasting(t, url), lasting(t, url)
	echo := answers.NewInbox()
	_, err := answers.Subscribe(echo, func(m *nats.Msg) { _ = m.Respond(nil) })
	if err == nil {
		err = answers.FlushTimeout(patience)
	}
	if err != nil {
		t.Fatalf("answering a trivial question: %v", err)
	}
	asks.SetDisconnectErrHandler(func(*nats.Conn, error) { l.echoes.drop() })
	running.Go(func() { l.watchEchoes(ctx, asks, echo) })
	return l
}

// lasting returns a connection that a server's restart does not end, and that sends nothing late.
func lasting(t testing.TB, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.Timeout(patience), nats.MaxReconnects(-1), nats.ReconnectWait(look), nats.ReconnectJitter(0, 0), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatalf("connecting to %s: %v", url, err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func (l *Lateness) watchTimers(ctx context.Context) {
	for ctx.Err() == nil {
		l.timers.begin(probeEvery, nil)
		pause(ctx, probeEvery)
		l.timers.end()
	}
}

func (l *Lateness) watchEchoes(ctx context.Context, nc *nats.Conn, echo string) {
	for ctx.Err() == nil {
		if nc.IsConnected() {
			asked, cancel := context.WithCancel(ctx)
			l.echoes.begin(0, cancel)
			if _, err := nc.RequestWithContext(asked, echo, nil); err == nil {
				l.echoes.end()
			} else {
				l.echoes.drop() // a server that is away is not late
			}
			cancel()
		}
		pause(ctx, probeEvery)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Between is how late the machine was at most between two moments: a timer and a question,
// one after the other.
func (l *Lateness) Between(from, to time.Time) time.Duration {
	return l.timers.worst(from, to) + l.echoes.worst(from, to)
}

// Within says whether something that took so long was done within limit, plus as much as the
// machine was late since a moment. It logs when that mattered.
func (l *Lateness) Within(took, limit time.Duration, since time.Time) bool {
	l.t.Helper()
	if took <= limit {
		return true
	}
	late := l.Between(since, time.Now())
	if took <= limit+late {
		l.t.Logf("it took %v, over the %v that it may take: this machine was %v late meanwhile", took, limit, late)
		return true
	}
	l.t.Logf("it took %v, over the %v that it may take, while this machine was only %v late", took, limit, late)
	return false
}

// probe is one kind of thing that is measured over and over.
type probe struct {
	mu    sync.Mutex // guards everything below
	spans []span     // the runs that were late

	running bool
	began   time.Time
	usual   time.Duration // what it takes without any lateness
	give    func()        // ends it
}

// span is a run that was late, when it ran, and how late it was.
type span struct {
	from, to time.Time
	late     time.Duration
}

// slight is a lateness that is not worth remembering.
const slight = time.Millisecond

func (p *probe) begin(usual time.Duration, give func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.began, p.usual, p.give = true, time.Now(), usual, give
}

func (p *probe) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.current(); p.running && s.late > slight {
		p.spans = append(p.spans, s)
	}
	p.running = false
}

// drop forgets the run in progress: it says nothing about the machine.
func (p *probe) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running && p.give != nil {
		p.give()
	}
	p.running = false
}

// current is the run in progress, as if it ended now.
func (p *probe) current() span {
	now := time.Now()
	return span{p.began, now, now.Sub(p.began) - p.usual}
}

func (p *probe) worst(from, to time.Time) (late time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.current(); p.running && s.from.Before(to) {
		late = max(0, s.late)
	}
	for i := len(p.spans) - 1; i >= 0 && p.spans[i].to.After(from); i-- { // they are in order
		if p.spans[i].from.Before(to) {
			late = max(late, p.spans[i].late)
		}
	}
	return late
}
