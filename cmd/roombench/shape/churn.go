package shape

import (
	"context"
	"slices"
	"time"
)

// Churn makes the clients enter and leave in turn, each in a room at random, and measures n of
// their commands. Then it checks everything that was heard.
func (c *Crowd) Churn(ctx context.Context, n int, t Truth) (Measured, error) {
	m := newMeter(&c.cfg, len(c.clients), n, c.entries)
	err := c.all(ctx, m.answers.Load, func(l *client) error {
		for !m.over.Load() {
			began := time.Now()
			if err := l.turn(); err != nil {
				return err
			}
			if m.count() {
				l.took = append(l.took, l.answered.Sub(began))
			}
		}
		return nil
	})
	if err != nil {
		return Measured{}, err
	}
	var took []time.Duration
	for _, l := range c.clients {
		took = append(took, l.took...)
	}
	result := m.measured(took)
	newest := c.newest()
	if err := c.quiet(ctx, newest); err != nil {
		return Measured{}, err
	}
	if err := c.check(newest, t, &result); err != nil {
		return Measured{}, err
	}
	result.Late = max(0, c.lastHeard().Sub(c.lastAnswer()))
	return result, nil
}

// lastHeard is when the last fact was heard, by those who keep account of it.
func (c *Crowd) lastHeard() time.Time {
	var last int64
	for _, p := range c.peers() {
		last = max(last, p.heardAt.Load())
	}
	return time.Unix(0, last)
}

func (c *Crowd) lastAnswer() (last time.Time) {
	for _, l := range c.clients {
		if l.answered.After(last) {
			last = l.answered
		}
	}
	return last
}

func sorted(took []time.Duration) []time.Duration {
	slices.Sort(took)
	return took
}
