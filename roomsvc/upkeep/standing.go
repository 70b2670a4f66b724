package upkeep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"natsrooms/roomsvc/feeds"
	"natsrooms/roomsvc/lead"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/projection"
)

const tellEvery = time.Minute // how often to say that the bucket cannot be written

// Projection is the duty that writes the bucket. Another leader's batch in between ends the
// term: what that batch wrote has to be read first.
func Projection(p *projection.Projector, l *life.Life, log *slog.Logger) lead.Duty {
	return func(ctx context.Context, t *lead.Term) error {
		t.Begun()
		for told := (time.Time{}); ; {
			err := p.Lead(ctx)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, projection.ErrLost) {
				return err
			}
			if time.Since(told) > tellEvery {
				told = time.Now()
				log.Warn("writing the bucket", "error", err)
			}
			l.Pause(lead.Poll)
		}
	}
}

// Feeds is the duty that publishes to end users.
func Feeds(f *feeds.Feeds, l *life.Life) lead.Duty {
	return func(ctx context.Context, t *lead.Term) error {
		call, done := context.WithTimeout(ctx, lead.Renew)
		end, err := f.Lead(call, t.Until)
		done()
		if err != nil {
			l.Fail(fmt.Errorf("listening to messages for end users: %w", err))
			return err
		}
		defer end()
		t.Begun()
		<-ctx.Done()
		return nil
	}
}
