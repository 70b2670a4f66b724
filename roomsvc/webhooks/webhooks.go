package webhooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/lead"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/post"
	"natsrooms/subjects"
)

// Config is what webhooks work with. All of it is needed.
type Config struct {
	Settings // checked
	Bucket   Bucket
	Life     *life.Life
	Log      *slog.Logger
	Journal  *journal.Journal
	Source   string // prefix of the source of every event
}

// Webhooks are those of one instance. A nil *Webhooks has none.
type Webhooks struct {
	Config
	store *store
	hooks []*hook
}

// hook is one webhook.
type hook struct {
	Hook
	poster *post.Poster
	meter  meter
	reads  atomic.Pointer[[]*source] // while this instance leads

	counted counted // while it does not
}

// Open reads the secrets and makes the bucket; nil if there is no webhook.
func Open(ctx context.Context, c Config) (*Webhooks, error) {
	if len(c.Hooks) == 0 {
		return nil, nil
	}
	w := &Webhooks{Config: c}
	for _, h := range c.Hooks {
		p, err := Poster(h)
		if err != nil {
			return nil, err
		}
		w.hooks = append(w.hooks, &hook{Hook: h, poster: p})
	}
	var err error
	if w.store, err = openStore(ctx, c.Journal, c.Bucket); err != nil {
		return nil, err
	}
	return w, nil
}

// Poster reads the secrets of a webhook, and says what is wrong with them.
func Poster(h Hook) (*post.Poster, error) {
	p, err := post.New(post.Config{URL: h.URL, Secrets: h.Secrets, Private: h.Private, Timeout: h.Timeout})
	if err != nil {
		return nil, fmt.Errorf("webhook %q: %w", h.Name, err)
	}
	return p, nil
}

// Check makes the bucket again if it was deleted. It is for one goroutine at a time.
func (w *Webhooks) Check(ctx context.Context) {
	if w == nil {
		return
	}
	_, err := w.Journal.JetStream().Stream(ctx, subjects.StreamWebhooks)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return
	}
	if _, err = openStore(ctx, w.Journal, w.Bucket); err != nil {
		w.Log.Warn("making the bucket again", "bucket", subjects.BucketWebhooks, "error", err)
		return
	}
	w.Log.Warn("the bucket was deleted while the service ran, and is made again; dead letters are gone, and so is where rooms go on that webhooks are behind with", "bucket", subjects.BucketWebhooks)
}

const beginWithin = time.Second

// Lead is the duty to deliver.
func (w *Webhooks) Lead(ctx context.Context, t *lead.Term) error {
	var running, beginning sync.WaitGroup
	for _, h := range w.hooks {
		w.start(ctx, h, t.Until, &running, &beginning)
	}
	began := make(chan struct{})
	running.Go(func() { beginning.Wait(); close(began) })
	select {
	case <-began:
	case <-time.After(beginWithin): // the lead must not wait for long
	case <-ctx.Done():
	}
	t.Begun()
	running.Wait()
	return nil
}

// start starts what delivers to one webhook.
func (w *Webhooks) start(ctx context.Context, h *hook, until func() time.Time, running, beginning *sync.WaitGroup) {
	graves := newGraveyard(h.Name, w.store, w.Log, &h.meter)
	send := newSender(h.Hook, &w.Settings, h.poster, w.Source, w.Log, until, &h.meter)
	var reads []*source
	for _, o := range h.origins() {
		s := &source{origin: o, js: w.Journal.JetStream(), store: w.store, sender: send, graves: graves, log: w.Log}
		reads = append(reads, s)
		beginning.Add(1)
		running.Go(func() { s.run(ctx, sync.OnceFunc(beginning.Done)) })
	}
	h.meter.fate.forget()
	h.reads.Store(&reads)
	running.Go(func() {
		<-ctx.Done()
		h.reads.Store(nil)
	})
	again := &replayer{js: w.Journal.JetStream(), sender: send, graves: graves, log: w.Log, at: map[string]bool{}}
	running.Go(func() { again.run(ctx) })
}

// origins are the streams that it reads.
func (h *Hook) origins() (list []*origin) {
	if h.wantsFacts() {
		list = append(list, facts)
	}
	if h.wantsMessages() {
		list = append(list, messages)
	}
	return list
}

// Counts returns those of each webhook.
func (w *Webhooks) Counts() map[string]Counts {
	if w == nil {
		return nil
	}
	all := map[string]Counts{}
	for _, h := range w.hooks {
		c := h.meter.read()
		if reads := h.reads.Load(); reads != nil {
			for _, s := range *reads {
				if at, _ := s.oldest(); !at.IsZero() {
					c.Oldest = max(c.Oldest, time.Since(at))
				}
			}
		}
		all[h.Name] = c
	}
	return all
}

// waiting is how many events a webhook has still to be given, as the consumers have it.
func (w *Webhooks) waiting(ctx context.Context, h *hook) (n uint64, err error) {
	for _, o := range h.origins() {
		cons, err := w.Journal.JetStream().Consumer(ctx, o.stream, consumerOf(h.Name))
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue
		}
		if err != nil {
			return 0, err
		}
		info := cons.CachedInfo()
		n += info.NumPending + uint64(info.NumAckPending)
	}
	return n, nil
}
