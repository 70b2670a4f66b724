package webhooks

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/subjects"
)

// replayer delivers dead letters again that somebody has marked. Each is tried once.
type replayer struct {
	js     jetstream.JetStream
	sender *sender
	graves *graveyard
	log    *slog.Logger

	running sync.WaitGroup
	mu      sync.Mutex // guards at
	at      map[string]bool
}

// run does so until ctx ends.
func (r *replayer) run(ctx context.Context) {
	defer r.running.Wait()
	for ctx.Err() == nil {
		err := r.graves.watch(ctx, subjects.DeadKeys(r.sender.Name), func(l Letter) { r.again(ctx, l) })
		if ctx.Err() != nil {
			return
		}
		r.log.Warn("following the dead letters of a webhook", "webhook", r.sender.Name, "error", err)
		sleep(ctx, goOnAfter)
	}
}

// again tries a letter, unless that is done already.
func (r *replayer) again(ctx context.Context, l Letter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at[l.ID] {
		return
	}
	r.at[l.ID] = true
	r.running.Go(func() {
		r.try(ctx, l)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.at, l.ID)
	})
}

func (r *replayer) try(ctx context.Context, l Letter) {
	e, err := r.read(ctx, l.ID)
	t := try{verdict: failed}
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		t.why = "the stream does not hold it any more: it was erased, or is too old"
	case err != nil:
		t.why = "it could not be read: " + err.Error()
	default:
		t = r.sender.try(ctx, e, true)
		l.Tries++
	}
	switch t.verdict {
	case ended: // whoever leads next finds the mark
		return
	case delivered:
		err = r.graves.drop(ctx, l.ID)
	default:
		l.Replay, l.Why, l.Died = false, t.why, events.TimeOf(time.Now())
		err = r.graves.put(ctx, &l)
	}
	if err != nil && ctx.Err() == nil {
		r.log.Warn("noting what became of a dead letter", "webhook", l.Hook, "id", l.ID, "error", err)
	}
}

// read reads the event that a letter is about.
func (r *replayer) read(ctx context.Context, id string) (*event, error) {
	name, number, _ := strings.Cut(id, ".")
	o := originOf(name)
	seq, err := strconv.ParseUint(number, 10, 64)
	if o == nil || err != nil {
		return nil, errors.New("its ID is none")
	}
	ctx, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	stream, err := r.js.Stream(ctx, o.stream)
	if err != nil {
		return nil, err
	}
	m, err := stream.GetMsg(ctx, seq)
	if err != nil {
		return nil, err
	}
	return decode(o, m.Subject, seq, m.Time, m.Data)
}
