package upkeep

import (
	"context"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/clock"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/lead"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
)

const keptEvery = time.Minute

// QuietRooms is the duty that appends a room.kept to every room whose newest fact is older
// than half of the time for which the journal keeps facts, as keep says, so that each room always has a fact
// there.
func QuietRooms(rep *replica.Replica, k *commit.Committer, now *clock.Clock, keep func() time.Duration) lead.Duty {
	return func(ctx context.Context, t *lead.Term) error {
		t.Begun()
		tick := time.NewTicker(keptEvery)
		defer tick.Stop()
		for {
			keepQuiet(rep, k, now.Now()-events.Time(keep()/2/time.Millisecond))
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

func keepQuiet(rep *replica.Replica, k *commit.Committer, old events.Time) {
	for _, known := range rep.All() {
		if h := known.Head(); h == nil || h.FactAt >= old {
			continue
		}
		k.Assign(known.ID, func(st *room.State, in room.Input) *events.Fact {
			if st == nil || st.FactAt >= old {
				return nil
			}
			return room.Keep(st, in)
		})
	}
}
