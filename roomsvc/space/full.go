package space

import (
	"context"
	"fmt"
	"time"

	"natsrooms/roomsvc/health"
	"natsrooms/roomsvc/journal"
	"natsrooms/subjects"
)

const (
	fullFor  = 3 * time.Second // a stream that refused something counts as full for that long at least
	tryEvery = 2 * time.Second // how often it is looked whether it has space again
	tryFor   = 2 * time.Second // such a look may take
)

// limits reports which streams take nothing more because a limit is reached: their own, the
// account's or the server's. One goroutine uses it.
type limits struct {
	journal *journal.Journal
	health  *health.Book
	tried   map[string]time.Time // when it was last looked whether a full stream has space
	freed   map[string]time.Time // when it refused for the last time before it had space again
}

func newLimits(j *journal.Journal, h *health.Book) *limits {
	return &limits{j, h, map[string]time.Time{}, map[string]time.Time{}}
}

// means is what follows when a stream is full, and which flags decide how much it holds.
var means = map[string]struct{ so, keep, bytes string }{
	subjects.StreamRooms:    {"every change of a room is refused as BUSY", "--facts-keep", "--facts-bytes"},
	subjects.StreamMessages: {"messages that are to be stored are refused as BUSY", "--messages-keep and --messages-per-room", "--messages-bytes"},
	subjects.StreamState:    {"the bucket falls behind the rooms, and starts take longer and longer", "", "--state-bytes"},
	subjects.StreamSessions: {"leases can't be written, so nobody new can come in with one, and none ends", "", "--state-bytes"},
	subjects.StreamBlocks:   {"block and unblock are refused, and who is blocked stays so", "", "--state-bytes"},
	subjects.StreamWebhooks: {"rooms that a webhook can't deliver hold up its others, and no event becomes a dead letter", "", "--state-bytes"},
}

// look looks at all streams. A refusal shows at once that one is full; that this is over shows
// when there is space for whatever may come, and something has been stored.
func (l *limits) look(ctx context.Context) {
	for _, stream := range subjects.AllStreams {
		r := l.journal.Refused(stream)
		if r.Why == "" || r.At.Equal(l.freed[stream]) {
			continue
		}
		now := time.Now()
		if now.Sub(l.tried[stream]) < tryEvery && !l.tried[stream].Before(r.At) {
			continue
		}
		l.tried[stream] = now
		held, free := l.free(ctx, stream, &r)
		if free {
			l.freed[stream] = r.At
			l.health.Unfit("full:"+stream, nil)
			continue
		}
		l.health.Unfit("full:"+stream, because(stream, &r, held))
	}
}

// free says whether a stream that refused something has space again and, if not, which limit
// leaves none, if that can be seen.
func (l *limits) free(ctx context.Context, stream string, r *journal.Refused) (held string, free bool) {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	held, err := l.held(ctx, stream, r)
	if err != nil || held != "" || time.Since(r.At) < fullFor {
		return held, false
	}
	if !r.Took {
		l.journal.Try(ctx, stream)
		*r = l.journal.Refused(stream)
	}
	return "", r.Took
}

// held says which limit leaves no space in a stream, "" if none that can be seen does.
func (l *limits) held(ctx context.Context, stream string, r *journal.Refused) (string, error) {
	held, err := l.journal.Room(ctx, stream)
	if err != nil || held != "" || r.Server() {
		return held, err
	}
	used, free, err := l.journal.Space(ctx)
	if err == nil && used+free > 0 && free < leastFree {
		held = fmt.Sprintf("the account holds %d bytes, and may hold %d more", used, free)
	}
	return held, err
}

// leastFree is the space that an account must have for anything that is stored.
const leastFree = 72 << 10

func because(stream string, r *journal.Refused, held string) error {
	m := means[stream]
	if held != "" {
		held = "; " + held
	}
	what := fmt.Sprintf("raise the limit of the stream (%s, or nats stream edit %s --max-bytes)", m.bytes, stream)
	switch {
	case r.Account():
		what = "raise the storage of the account"
	case r.Server():
		what = "raise max_file_store of the NATS server, or give it a larger disk"
	}
	if m.keep != "" {
		what += ", or keep less with " + m.keep
	}
	return fmt.Errorf("the stream %s takes nothing more (%s)%s; %s; %s", stream, r.Why, held, m.so, what)
}
