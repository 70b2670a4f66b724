package main

import (
	"time"

	"natsrooms/cmd/roombench/shape"
)

// storm measures n clients who enter one room at once, and hear it from then on, compared with
// an echo that as many ask once at the same moment.
func (b *bench) storm(n int, feeds bool) (r Result, err error) {
	cfg, err := b.clientConfig(feeds)
	if err != nil {
		return r, err
	}
	subject, nc, err := b.answerer()
	if err != nil {
		return r, err
	}
	defer nc.Close()
	err = b.inRooms(1, func(prefix string) error {
		echo, err := shape.EchoStorm(b.ctx, cfg, subject, n, make([]byte, joinBytes))
		if err != nil {
			return err
		}
		crowd, err := shape.Gather(cfg, prefix, 1, n, b.Listeners)
		if err != nil {
			return err
		}
		defer crowd.Close()
		s, err := crowd.Storm(b.ctx, b.truth())
		if err != nil {
			return err
		}
		t := timing{n: n, seconds: s.All.Seconds(), took: s.Took}
		r = compared(t, timing{n: n, seconds: echo.Seconds()}, "echo, all at once")
		r.Facts = s.Facts
		seconds := func(d time.Duration) float64 { return d.Seconds() }
		r.Figures = append([]Figure{
			{"all answered after", seconds(s.All), "s"},
			{"last fact heard after", seconds(s.Last), "s"},
			{"facts that a listener heard", float64(s.Facts), ""},
			{"copies heard by a client", float64(s.Copies) / float64(n+b.Listeners), ""},
			{"copies left to history", float64(s.History), ""},
		}, costs(s.Measured, b.PID, "each")...)
		return nil
	})
	return r, err
}
