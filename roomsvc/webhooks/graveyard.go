package webhooks

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
)

// MostLetters is how many dead letters of one webhook are kept: the oldest make place.
const MostLetters = 10_000

// graveyard is the dead letters of one webhook.
type graveyard struct {
	hook  string
	store *store
	log   *slog.Logger
	meter *meter

	mu    sync.Mutex             // guards known
	known map[string]events.Time // when each died
}

func newGraveyard(hook string, s *store, log *slog.Logger, m *meter) *graveyard {
	return &graveyard{hook: hook, store: s, log: log, meter: m, known: map[string]events.Time{}}
}

// bury makes an event a dead letter.
func (g *graveyard) bury(ctx context.Context, e *event, tries int, why string) error {
	l := &Letter{
		Hook: g.hook, ID: e.letter(), Event: e.id, Type: e.typ, Room: string(e.room), At: events.TimeOf(e.at), Died: events.TimeOf(time.Now()), Tries: tries, Why: why,
	}
	if id, full := g.oldest(); full {
		if err := g.store.drop(ctx, g.hook, id); err != nil {
			return err
		}
		g.forget(id)
	}
	if err := g.put(ctx, l); err != nil {
		return err
	}
	g.meter.dead.Add(1)
	g.log.Warn("an event became a dead letter; roomctl webhooks shows it", "webhook", g.hook, "id", l.ID, "room", l.Room, "event", l.Event, "type", l.Type, "tries", tries, "because", why)
	return nil
}

func (g *graveyard) put(ctx context.Context, l *Letter) error {
	if err := g.store.bury(ctx, l); err != nil {
		return err
	}
	g.know(l)
	return nil
}

func (g *graveyard) drop(ctx context.Context, id string) error {
	if err := g.store.drop(ctx, g.hook, id); err != nil {
		return err
	}
	g.forget(id)
	return nil
}

func (g *graveyard) know(l *Letter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known[l.ID] = l.Died
	g.meter.letters.Store(int64(len(g.known)))
}

func (g *graveyard) forget(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.known, id)
	g.meter.letters.Store(int64(len(g.known)))
}

// oldest is the letter that has to make place for another one; full is false if none has to.
func (g *graveyard) oldest() (id string, full bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.known) < MostLetters {
		return "", false
	}
	var first events.Time
	for k, died := range g.known {
		if id == "" || died < first {
			id, first = k, died
		}
	}
	return id, true
}

// watch keeps up with the bucket until ctx ends, and passes on the letters that are to be
// delivered again. It returns an error.
func (g *graveyard) watch(ctx context.Context, pattern string, replay func(Letter)) error {
	return g.store.watch(ctx, pattern, func(e jetstream.KeyValueEntry) bool {
		if e != nil {
			g.seen(e, replay)
		}
		return true
	})
}

func (g *graveyard) seen(e jetstream.KeyValueEntry, replay func(Letter)) {
	if e.Operation() != jetstream.KeyValuePut {
		if l, ok := letterOf(e.Key(), []byte("{}")); ok {
			g.forget(l.ID)
		}
		return
	}
	if l, ok := letterOf(e.Key(), e.Value()); ok {
		g.know(&l)
		if l.Replay {
			replay(l)
		}
	}
}
