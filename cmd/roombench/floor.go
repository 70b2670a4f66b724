package main

import (
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/cmd/roombench/plain"
	"natsrooms/cmd/roombench/shape"
)

// plainChurn is clients that enter and leave n times as trusted ones do, at a service without
// rooms that answers once it has appended a message, which is heard by those who would be in the
// room. It is added to all.
func (b *bench) plainChurn(cfg shape.Config, prefix string, rooms, n int, all *shape.Measured) error {
	return b.inStream(true, func(stream jetstream.Stream) error {
		nc, err := nats.Connect(b.Nats)
		if err != nil {
			return err
		}
		defer nc.Close()
		cfg.Feeds, cfg.Plain = false, &shape.Plain{Stored: rawStored}
		if cfg.Plain.Commands, err = plain.Start(nc, rawPrefix, plain.Sizes{Fact: factBytes, More: moreBytes, Reply: replyBytes}); err != nil {
			return err
		}
		crowd, err := shape.Gather(cfg, prefix, rooms, b.Clients, b.Listeners)
		if err != nil {
			return err
		}
		defer crowd.Close()
		m, err := crowd.Churn(b.ctx, n, shape.Truth{Roster: b.held(stream)})
		if err != nil {
			return fmt.Errorf("plain NATS: %w", err)
		}
		*all = combined(*all, m)
		return nil
	})
}

// held says how many messages the stream of baselines has of a room, each of which was one append.
func (b *bench) held(stream jetstream.Stream) func(id string) (shape.Roster, error) {
	return func(id string) (shape.Roster, error) {
		info, err := stream.Info(b.ctx, jetstream.WithSubjectFilter(rawStored+id))
		if err != nil {
			return shape.Roster{}, err
		}
		return shape.Roster{Sequence: info.State.Subjects[rawStored+id]}, nil
	}
}

// floor is what clients would get from a service without rooms.
func (b *bench) floor(m, plain shape.Measured) []Figure {
	same := timingOf(plain).perSecond()
	figures := []Figure{
		{"the same by plain NATS", same, "/s"},
		{"ratio to the same by plain NATS", timingOf(m).perSecond() / same, ""},
	}
	figures = append(figures, costs(plain, b.PID, "each by plain NATS")...)
	return append(figures, Figure{"copies heard by plain NATS", float64(plain.Copies), ""})
}
