package roomsvc

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
	"natsrooms/subjects"
)

const (
	askFor   = 5 * time.Second  // a step of the start may take that only asks the server
	askSoon  = time.Second / 10 // between the first two tries of a step of the start, and then twice as long each time
	askAgain = time.Second      // but no longer than this
	tellWait = 10 * time.Second // between two lines about what a start waits for
	stuckFor = 15 * time.Second // after which a start that can store nothing is over, with a server in this process
)

// start knows how long a start may wait for a server that is not able to answer yet, or to store.
type start struct {
	life  *life.Life
	log   *slog.Logger
	nc    *nats.Conn
	wait  time.Duration
	until time.Time
	ours  bool // the server is in this process
}

// patiently does a step of the start that only asks the server, as [start.again] does.
func (s *start) patiently(ctx context.Context, step func(context.Context) error) error {
	return s.again(ctx, func(ctx context.Context) error {
		once, cancel := context.WithTimeout(ctx, max(min(askFor, time.Until(s.until)), askAgain))
		defer cancel()
		return step(once)
	})
}

// again does a step of the start again and again while the cluster is not able to answer: after
// a start of its own it takes seconds to elect who leads, and while its servers are replaced, leaders change.
func (s *start) again(ctx context.Context, step func(context.Context) error) error {
	var told time.Time
	for pause := askSoon; ; pause = min(2*pause, askAgain) {
		err := step(ctx)
		if err == nil || ctx.Err() != nil || !journal.Passing(s.nc, err) {
			return err
		}
		left := time.Until(s.until)
		if left <= 0 {
			return fmt.Errorf("the NATS server at %s could not answer within %v: %w; look whether enough servers of the cluster run, and have a leader (nats server report jetstream), then start again", s.nc.ConnectedUrlRedacted(), s.wait, err)
		}
		if time.Since(told) > tellWait {
			told = time.Now()
			s.log.Warn("waiting for the NATS server, which may be electing who leads", "because", err, "gives up in", left.Round(time.Second))
		}
		s.life.Pause(min(pause, left))
	}
}

// unstuck ends a start, which lasts as long as ctx, that can't go on because nothing is stored.
func (s *start) unstuck(ctx context.Context, j *journal.Journal) {
	limit := stuckFor
	if !s.ours {
		limit = max(s.wait, limit)
	}
	look := time.NewTicker(time.Second)
	defer look.Stop()
	var since time.Time // when it was first seen that nothing is stored
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		why := stuck(j)
		switch {
		case why == nil:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > limit:
			s.life.Fail(why)
			return
		}
	}
}

// stuck says why nothing is stored; nil if something is, or need not be.
func stuck(j *journal.Journal) error {
	for _, stream := range subjects.Streams {
		if r := j.Refused(stream); r.Why != "" && !r.Took {
			return fmt.Errorf("a start has to store something, and the stream %s takes nothing (%s); raise the limit that is reached, of the stream, the account or the server, and start again", stream, r.Why)
		}
	}
	if silence := j.Silence(); silence > time.Second {
		return fmt.Errorf("a start has to store something, and the journal has not stored anything for %v; look at the NATS server: its disk may be full, and then it has to be started again once there is space", silence.Round(time.Second))
	}
	return nil
}
