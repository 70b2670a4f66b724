package shape

import (
	"context"
	"sync/atomic"
	"time"
)

// Stormed is what came of a storm.
type Stormed struct {
	Measured
	All   time.Duration // until everybody was answered
	Last  time.Duration // until the last fact was heard by anybody
	Facts int           // of it, as a listener heard them
}

// gate lets n pass at the same moment, once all have come.
type gate struct {
	n     int64
	came  atomic.Int64
	open  chan struct{}
	first func() // called at that moment
}

func newGate(n int, first func()) *gate {
	return &gate{n: int64(n), open: make(chan struct{}), first: first}
}

func (g *gate) pass(ctx context.Context) error {
	if g.came.Add(1) == g.n {
		g.first()
		close(g.open)
	}
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Storm makes all clients enter the crowd's first room at once; from then on they listen too.
func (c *Crowd) Storm(ctx context.Context, t Truth) (Stormed, error) {
	m := newMeter(&c.cfg, 0, len(c.clients), c.entries)
	for _, l := range c.clients {
		l.stamps = true
	}
	before := c.newest()[0]
	g := newGate(len(c.clients), func() { m.from = m.mark() })
	err := c.all(ctx, m.answers.Load, func(l *client) error {
		if err := g.pass(ctx); err != nil {
			return err
		}
		err := l.enter(0)
		l.took = append(l.took, l.answered.Sub(m.from.at))
		m.answers.Add(1)
		return err
	})
	if err != nil {
		return Stormed{}, err
	}
	newest := c.newest()
	if err := c.quiet(ctx, newest); err != nil {
		return Stormed{}, err
	}
	m.to = m.mark()
	m.to.at = c.lastHeard()
	var took []time.Duration
	for _, l := range c.clients {
		took = append(took, l.took...)
	}
	s := Stormed{Measured: m.measured(took), All: c.lastAnswer().Sub(m.from.at), Last: c.lastHeard().Sub(m.from.at), Facts: int(newest[0] - before)}
	return s, c.check(newest, t, &s.Measured)
}
