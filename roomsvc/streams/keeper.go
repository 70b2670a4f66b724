package streams

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/health"
	"natsrooms/subjects"
)

const (
	lookEvery = 10 * time.Second // an edit is announced, but nobody promises that the word arrives
	lookFor   = 5 * time.Second  // a look may take
	toldFor   = time.Minute      // an edit is told after it was put right
)

// codes of the server's errors that are explained.
const (
	bytesRequired  = jetstream.ErrorCode(10113)
	tooManyStreams = jetstream.ErrorCode(10027)
)

// Keeper makes the streams and keeps them. It is safe for concurrent use.
type Keeper struct {
	js      jetstream.JetStream
	version string // of this program

	mu    sync.Mutex // guards the fields below it
	open  map[string]*opened
	found []string // what was put right when the streams were opened
}

// opened is a stream that is kept.
type opened struct {
	want    Want
	created time.Time
	most    int64             // its max_bytes, as it was last
	meta    map[string]string // ours, as it was last
	edited  time.Time         // when an edit was last put right; zero: not for a while
	text    string            // what that was
}

// New makes a keeper without streams, for a program of that version.
func New(js jetstream.JetStream, version string) *Keeper {
	return &Keeper{js: js, version: version, open: map[string]*opened{}}
}

// Open makes a stream, or sets it up as an instance that starts needs it, and keeps it from then
// on. Its errors are sentences for people.
func (k *Keeper) Open(ctx context.Context, w Want) (jetstream.Stream, error) {
	name := w.Config.Name
	stream, err := Find(ctx, k.js, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		cfg := w.fresh()
		if before := k.of(name); before != nil && w.MaxBytes == 0 { // it was deleted, and is made again
			cfg.MaxBytes = before.most
		}
		if stream, err = k.js.CreateStream(ctx, cfg); err == nil {
			k.keep(stream, w)
			return stream, nil
		}
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return nil, cannot("made", name, err)
		}
		stream, err = made(ctx, k.js, name)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the stream %s: %w", name, err)
	}
	have := stream.CachedInfo().Config
	if err := Later(have.Metadata, k.version); err != nil {
		return nil, err
	}
	if !newer(&have) {
		was := w.kept(&have, mine(have.Metadata))
		// An update that changes nothing is spared: a cluster does not answer one that comes
		// before the new stream has a leader, so instances that start together would wait.
		if c := w.over(&have); changes(&have, &c) {
			if stream, err = k.js.UpdateStream(ctx, c); err != nil {
				return nil, cannot("set up as natsrooms needs it", name, err)
			}
		}
		if form := have.Metadata[metaForm]; form == "" || form == strconv.Itoa(Form) {
			k.noted(name, differences(&have, &was))
		}
	}
	k.keep(stream, w)
	return stream, nil
}

// cannot explains why a stream can't be made or set up.
func cannot(be, name string, err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == bytesRequired {
		return fmt.Errorf("the stream %s can't be %s: the account requires that each stream says how much it may store; give --facts-bytes, --messages-bytes and --state-bytes (%w)", name, be, err)
	}
	if api != nil && api.ErrorCode == tooManyStreams {
		return fmt.Errorf("the stream %s can't be %s: the account may have no more streams, and natsrooms needs %d, and %d with webhooks; raise max_streams of the account (%w)", name, be, len(subjects.Streams), len(subjects.AllStreams), err)
	}
	return fmt.Errorf("the stream %s can't be %s: %w", name, be, err)
}

// noted remembers what was put right at the start, for [Keeper.Run] to tell.
func (k *Keeper) noted(name string, list []string) {
	if len(list) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.found = append(k.found, edit(name, list))
}

// keep keeps a stream from now on.
func (k *Keeper) keep(stream jetstream.Stream, w Want) {
	info := stream.CachedInfo()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open[w.Config.Name] = &opened{want: w, created: info.Created, most: info.Config.MaxBytes, meta: mine(info.Config.Metadata)}
}

// Value is what a setting of a stream is now, whichever instance decided it; 0 if it has none.
func (k *Keeper) Value(stream, setting string) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	o := k.open[stream]
	if o == nil {
		return 0
	}
	n, _ := strconv.ParseInt(o.meta[metaStream+setting], 10, 64)
	return n
}

func (k *Keeper) of(name string) *opened {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.open[name]
}

// Run puts right what is edited, and tells it, until ctx ends. Its error says that a later version
// has marked the store, so that this one has to end.
func (k *Keeper) Run(ctx context.Context, nc *nats.Conn, log *slog.Logger, book *health.Book) error {
	k.mu.Lock()
	for _, what := range k.found {
		log.Warn(what + "; this was put right at the start")
	}
	k.mu.Unlock()
	word := make(chan struct{}, 1)
	sub, err := nc.Subscribe(subjects.StreamUpdated, func(*nats.Msg) {
		select {
		case word <- struct{}{}:
		default:
		}
	})
	if err == nil {
		defer func() { _ = sub.Unsubscribe() }()
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		for _, name := range subjects.AllStreams {
			if err := k.check(ctx, name, log, book); err != nil {
				return err
			}
		}
		select {
		case <-word:
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// check looks at one stream and puts it right. A stream that is gone, or another one, is the
// business of others. Its error is that of [Later].
func (k *Keeper) check(ctx context.Context, name string, log *slog.Logger, book *health.Book) error {
	o := k.of(name)
	if o == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	stream, err := k.js.Stream(ctx, name)
	if err != nil || !stream.CachedInfo().Created.Equal(o.created) {
		return nil
	}
	have := stream.CachedInfo().Config
	if err := Later(have.Metadata, k.version); err != nil {
		return err
	}
	if !newer(&have) {
		k.right(ctx, o, have, log, book)
	}
	return nil
}

// right puts a stream right, if it has to be.
func (k *Keeper) right(ctx context.Context, o *opened, have jetstream.StreamConfig, log *slog.Logger, book *health.Book) {
	name := have.Name
	problem := "edited:" + name
	cfg := o.want.kept(&have, o.meta)
	list := append(differences(&have, &cfg), lost(&have, &cfg)...)
	if len(list) == 0 {
		k.mu.Lock()
		o.meta, o.most = mine(have.Metadata), have.MaxBytes
		k.mu.Unlock()
		if o.edited.IsZero() || time.Since(o.edited) > toldFor {
			o.edited = time.Time{}
			book.Unfit(problem, nil)
		}
		return
	}
	what := edit(name, list)
	if _, err := k.js.UpdateStream(ctx, cfg); err != nil {
		if ctx.Err() == nil {
			book.Unfit(problem, fmt.Errorf("%s; it can't be put right (%w): undo that edit, or restore the stream from a backup", what, err))
		}
		return
	}
	if !o.edited.IsZero() && what != o.text {
		log.Warn(what + "; this was put right")
	}
	k.mu.Lock()
	o.meta = mine(cfg.Metadata)
	k.mu.Unlock()
	o.edited, o.text = time.Now(), what
	book.Tell(problem, fmt.Errorf("%s; this was put right at once: find out who edits it, only max_bytes, max_msgs, placement, replicas, compression and description are for others to set", what))
}

// edit is a sentence about an edit.
func edit(name string, list []string) string {
	return fmt.Sprintf("somebody edited the stream %s: %s", name, strings.Join(list, ", "))
}
