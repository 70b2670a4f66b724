package journal

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/subjects"
)

// lookEvery is how often to look for a second journal while nothing is appended.
const lookEvery = 5 * time.Second

// Guard watches for a second journal as long as ctx lasts, and returns what it finds. From then
// on no acknowledgement is passed on.
func (j *Journal) Guard(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case err := <-j.acks.rival:
			return err
		case <-j.acks.twice:
			if err := j.acks.confirm(ctx); err != nil {
				return err
			}
		case <-look.C:
			if j.acks.takers(ctx) < 2 {
				continue
			}
			if err := j.acks.confirm(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Silence is for how long appends to the journal have gone unanswered; 0 if none is.
func (j *Journal) Silence() time.Duration {
	since := j.acks.quiet.since.Load()
	if since == 0 {
		return 0
	}
	return time.Since(time.Unix(0, since))
}

// Probe appends a marker and returns once the journal has answered, whatever it answers.
func (j *Journal) Probe(ctx context.Context) error {
	_, err := j.Store(ctx, []Entry{{Subject: subjects.Sync, Header: nats.Header{jetstream.MsgTTLHeader: {MarkerTTL.String()}}}})
	if ctx.Err() != nil {
		return err
	}
	return nil
}

// Space asks the server how many bytes the account holds, and how many it may hold besides; 0
// and 0 if there is no limit.
func (j *Journal) Space(ctx context.Context) (used, free int64, err error) {
	info, err := j.js.AccountInfo(ctx)
	if err != nil {
		return 0, 0, err
	}
	least := func(t jetstream.Tier) {
		if most := t.Limits.MaxStore; most > 0 && (used+free == 0 || most-int64(t.Store) < free) {
			used, free = int64(t.Store), max(most-int64(t.Store), 0)
		}
	}
	least(info.Tier)
	for _, t := range info.Tiers {
		least(t)
	}
	return used, free, nil
}
