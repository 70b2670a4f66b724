package shape

import (
	"context"
	"fmt"
	"time"

	"natsrooms/cmd/roombench/wire"
)

// asker asks somebody who answers at once, one question at a time.
type asker struct {
	*wire.Conn
	lines []byte
	took  []time.Duration
}

// askers connects n of them.
func askers(cfg *Config, subject string, n int, question []byte) ([]*asker, error) {
	return dialAll(n, func(i int) (*asker, error) {
		reply := fmt.Sprintf("%s.%d", subject, i)
		c, err := subscribed(cfg, reply)
		if err != nil {
			return nil, err
		}
		return &asker{Conn: c, lines: wire.AppendPub(nil, subject, reply, nil, question)}, nil
	}, func(a *asker) { a.Close() })
}

func (a *asker) ask() error {
	if err := a.Write(a.lines); err != nil {
		return err
	}
	var m wire.Msg
	if err := a.Read(&m); err != nil {
		return err
	}
	if len(m.Data) == 0 {
		return fmt.Errorf("nobody answers the echo: %.100q", m.Header)
	}
	return nil
}

// Echo measures n questions of clients that have a connection and one question in flight each.
func Echo(ctx context.Context, cfg Config, subject string, clients, n int, question []byte) (Measured, error) {
	all, err := askers(&cfg, subject, clients, question)
	if err != nil {
		return Measured{}, err
	}
	m := newMeter(&cfg, clients, n, func() int64 { return 0 })
	defer hangUp(all)
	err = together(ctx, clients, m.answers.Load, func() { hangUp(all) }, func(i int) error {
		for !m.over.Load() {
			began := time.Now()
			if err := all[i].ask(); err != nil {
				return err
			}
			took := time.Since(began)
			if m.count() {
				all[i].took = append(all[i].took, took)
			}
		}
		return nil
	})
	if err != nil {
		return Measured{}, fmt.Errorf("echo: %w", err)
	}
	var took []time.Duration
	for _, a := range all {
		took = append(took, a.took...)
	}
	return m.measured(took), nil
}

// EchoStorm is how long it takes until all clients, who ask once at the same moment, are answered.
func EchoStorm(ctx context.Context, cfg Config, subject string, clients int, question []byte) (time.Duration, error) {
	all, err := askers(&cfg, subject, clients, question)
	if err != nil {
		return 0, err
	}
	m := newMeter(&cfg, 0, clients, func() int64 { return 0 })
	defer hangUp(all)
	g := newGate(clients, func() { m.from = m.mark() })
	err = together(ctx, clients, m.answers.Load, func() { hangUp(all) }, func(i int) error {
		if err := g.pass(ctx); err != nil {
			return err
		}
		err := all[i].ask()
		if m.answers.Add(1) == int64(clients) {
			m.to = m.mark()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("echo: %w", err)
	}
	return m.to.at.Sub(m.from.at), nil
}

// subscribed is a connection of a trusted caller that hears one subject.
func subscribed(cfg *Config, subject string) (*wire.Conn, error) {
	c, err := wire.Dial(cfg.Address, cfg.Login)
	if err != nil {
		return nil, err
	}
	if err = c.Write(wire.AppendSub(nil, subject, inboxSID)); err == nil {
		err = c.Flush()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
