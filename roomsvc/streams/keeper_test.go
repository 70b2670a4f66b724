package streams

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/health"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// rig is a keeper of one stream on a real server.
type rig struct {
	*testing.T
	ctx  context.Context
	nc   *nats.Conn
	js   jetstream.JetStream
	keep *Keeper
	book *health.Book
}

func newRig(t *testing.T) *rig {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	nc := roomtest.Conn(t, roomtest.Server(t))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, ctx, nc, js, New(js, "1.2.3"), health.New(slog.New(slog.DiscardHandler))}
}

func want(keep int64) Want {
	return Want{
		Config:   jetstream.StreamConfig{Name: subjects.StreamMessages, Subjects: []string{"said"}, Discard: jetstream.DiscardNew, DenyPurge: true},
		Fresh:    map[string]string{"natsrooms-id": "x" + strconv.FormatInt(keep, 10)},
		Settings: []Setting{{"keep", keep, func(c *jetstream.StreamConfig, n int64) { c.MaxAge = time.Duration(n) * time.Minute }}},
	}
}

func (r *rig) open(k *Keeper, w Want) *jetstream.StreamConfig {
	r.Helper()
	s, err := k.Open(r.ctx, w)
	if err != nil {
		r.Fatal(err)
	}
	return &s.CachedInfo().Config
}

func (r *rig) edit(change func(*jetstream.StreamConfig)) *jetstream.StreamConfig {
	r.Helper()
	s, err := r.js.Stream(r.ctx, subjects.StreamMessages)
	if err != nil {
		r.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	change(&cfg)
	if _, err = r.js.UpdateStream(r.ctx, cfg); err != nil {
		r.Fatal(err)
	}
	if err := r.keep.check(r.ctx, subjects.StreamMessages, slog.New(slog.DiscardHandler), r.book); err != nil {
		r.Fatal(err)
	}
	if s, err = r.js.Stream(r.ctx, subjects.StreamMessages); err != nil {
		r.Fatal(err)
	}
	return &s.CachedInfo().Config
}

// A setting is decided by whoever was started last, and comes back if it is edited; the identity
// of a stream is that of its first day.
func TestSettings(t *testing.T) {
	r := newRig(t)
	r.open(r.keep, want(10))
	cfg := r.open(New(r.js, "1.2.3"), want(20))
	if cfg.MaxAge != 20*time.Minute || cfg.Metadata["natsrooms-id"] != "x10" {
		t.Errorf("opened again: %v, %v", cfg.MaxAge, cfg.Metadata)
	}
	if cfg = r.edit(func(*jetstream.StreamConfig) {}); cfg.MaxAge != 20*time.Minute || r.book.Text() != "" {
		t.Errorf("nothing was edited: %v, %q", cfg.MaxAge, r.book.Text())
	}
	if n := r.keep.Value(subjects.StreamMessages, "keep"); n != 20 || r.keep.Value(subjects.StreamRooms, "keep") != 0 {
		t.Errorf("the first keeper takes it for %d", n)
	}
	if cfg = r.edit(func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }); cfg.MaxAge != 20*time.Minute || !strings.Contains(r.book.Text(), "max_age is 1h0m0s and has to be 20m0s") {
		t.Errorf("edited: %v, %q", cfg.MaxAge, r.book.Text())
	}
	if cfg = r.edit(func(c *jetstream.StreamConfig) { c.Metadata["natsrooms.keep"] = "soon" }); cfg.Metadata["natsrooms.keep"] != "20" {
		t.Errorf("not a number: %v", cfg.Metadata)
	}
	if cfg = r.edit(func(c *jetstream.StreamConfig) { c.Metadata = nil }); cfg.Metadata["natsrooms-id"] != "x10" || cfg.Metadata["natsrooms.keep"] != "20" {
		t.Errorf("without metadata: %v", cfg.Metadata)
	}
}

// Whoever starts with the same settings as another one before it changes nothing.
func TestSameSettings(t *testing.T) {
	r := newRig(t)
	first := r.open(r.keep, want(10))
	updates, err := r.nc.SubscribeSync(subjects.StreamUpdated)
	if err != nil {
		t.Fatal(err)
	}
	if cfg := r.open(New(r.js, "1.2.3"), want(10)); cfg.Metadata["natsrooms-id"] != first.Metadata["natsrooms-id"] {
		t.Errorf("opened again: %v", cfg.Metadata)
	}
	r.open(New(r.js, "1.2.3"), want(20))
	if _, err := updates.NextMsgWithContext(r.ctx); err != nil {
		t.Errorf("nothing is changed by other settings: %v", err)
	}
	if err := r.nc.FlushTimeout(time.Minute); err != nil {
		t.Fatal(err)
	}
	if n, _, err := updates.Pending(); n > 0 || err != nil {
		t.Errorf("the stream was changed %d times more, %v", n, err)
	}
}

// What a newer version has set up is left alone by an older one that runs, and by one that starts.
func TestNewerForm(t *testing.T) {
	r := newRig(t)
	r.open(r.keep, want(10))
	cfg := r.edit(func(c *jetstream.StreamConfig) {
		c.Metadata[metaForm], c.Discard, c.MaxAge = strconv.Itoa(Form+1), jetstream.DiscardOld, time.Hour
	})
	if cfg.Discard != jetstream.DiscardOld || cfg.MaxAge != time.Hour || r.book.Text() != "" {
		t.Errorf("while it runs: %+v, %q", cfg, r.book.Text())
	}
	if cfg = r.open(New(r.js, "1.2.3"), want(10)); cfg.Discard != jetstream.DiscardOld || cfg.Metadata[metaForm] != strconv.Itoa(Form+1) {
		t.Errorf("when it starts: %+v", cfg)
	}
}

// What can't be put right makes the instance unfit, and says what to do.
func TestSealed(t *testing.T) {
	r := newRig(t)
	r.open(r.keep, want(10))
	r.edit(func(c *jetstream.StreamConfig) { c.Sealed = true })
	if err := r.book.Err(); err == nil || !strings.Contains(err.Error(), "sealed is true and has to be false") || !strings.Contains(err.Error(), "restore") {
		t.Errorf("it says %v", err)
	}
}

// An edit of the same name by an instance that starts may be impossible; that is explained.
func TestCannotOpen(t *testing.T) {
	r := newRig(t)
	r.open(r.keep, want(10))
	w := want(10)
	w.Config.Storage = jetstream.MemoryStorage
	if _, err := New(r.js, "1.2.3").Open(r.ctx, w); err == nil || !strings.Contains(err.Error(), "the stream ROOM_MESSAGES can't be set up as natsrooms needs it") {
		t.Errorf("%v", err)
	}
}
