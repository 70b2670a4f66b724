package worlds

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
)

// Instance is a running service on a connection of its own.
type Instance struct {
	*roomsvc.Service
	NC   *nats.Conn
	Wire *Wire // under NC
	Log  *Log  // what it logs, unless its Config had a logger

	t      *testing.T
	breaks *bool
}

// Open starts an instance on the world's server. The instance may refuse to start.
func (w *World) Open(cfg roomsvc.Config, opts ...nats.Option) (*Instance, error) {
	w.T.Helper()
	return w.OpenAt(w.url, cfg, opts...)
}

// OpenAt starts an instance that connects to url.
func (w *World) OpenAt(url string, cfg roomsvc.Config, opts ...nats.Option) (*Instance, error) {
	w.T.Helper()
	i := &Instance{t: w.T, breaks: &w.Breaks, Wire: &Wire{}, Log: &Log{}}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(i.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	all := []nats.Option{nats.IgnoreDiscoveredServers(), nats.SetCustomDialer(i.Wire), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}
	i.NC = Connect(w.T, url, append(append(all, w.Options...), opts...)...)
	ctx, cancel := context.WithTimeout(w.Ctx, Patience)
	defer cancel()
	var err error
	i.Service, err = roomsvc.New(ctx, i.NC, cfg)
	return i, err
}

// Start starts an instance that runs until the test ends, or until the test stops it.
func (w *World) Start(cfg roomsvc.Config, opts ...nats.Option) *Instance {
	w.T.Helper()
	return w.StartAt(w.url, cfg, opts...)
}

// StartAt starts an instance that connects to url.
func (w *World) StartAt(url string, cfg roomsvc.Config, opts ...nats.Option) *Instance {
	w.T.Helper()
	i, err := w.OpenAt(url, cfg, opts...)
	if err != nil {
		w.T.Fatalf("starting an instance: %v\n%s", err, i.Log)
	}
	w.T.Cleanup(func() {
		i.End()
		if w.T.Failed() {
			w.T.Logf("the instance %q said\n%s", cfg.Instance, i.Log)
		}
	})
	return i
}

// Refuses tries to start an instance that must refuse, and checks what it says.
func (w *World) Refuses(cfg roomsvc.Config, says ...string) {
	w.T.Helper()
	i, err := w.Open(cfg)
	if err == nil {
		i.End()
		w.T.Fatalf("the service starts; want an error with %q\n%s", says, i.Log)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) || strings.Contains(err.Error(), "\n") {
			w.T.Errorf("it says %q; want %q in it, on one line", err, s)
		}
	}
}

// End stops the instance in order. It may have ended before.
func (i *Instance) End() {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	select {
	case <-i.Done():
		return
	default:
	}
	switch err := i.Stop(ctx); {
	case err == nil:
	case *i.breaks:
		i.t.Logf("stopping an instance: %v", err)
	default:
		i.t.Errorf("stopping an instance: %v", err)
	}
}

// EndAfter does something and then stops the instance.
func (i *Instance) EndAfter(f func()) { f(); i.End() }

// Kill cuts the instance off whatever it is doing; what its connection has not sent yet is
// lost. The instance ends because it can't go on: it must have been started with
// [nats.NoReconnect].
func (i *Instance) Kill() {
	i.Wire.Cut()
	select {
	case <-i.Done():
	case <-time.After(Patience):
		i.t.Errorf("an instance goes on %v after its connection was cut for good", Patience)
	}
}

// Said checks that the instance logged something.
func (i *Instance) Said(what string) {
	i.t.Helper()
	if !strings.Contains(i.Log.String(), what) {
		i.t.Errorf("it does not say %q; it says\n%s", what, i.Log)
	}
}
