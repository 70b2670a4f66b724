package worlds

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/docs/contract"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/roomtest"
)

// How long a test waits, and how often it looks.
const (
	Patience = 30 * time.Second // bounds every wait; none is expected to take nearly as long
	Look     = 20 * time.Millisecond
)

// World is one server, some instances of the service, and a trusted caller.
type World struct {
	T      *testing.T
	Node   *roomtest.Node // nil if the server was started elsewhere
	Store  string         // where Node stores everything, if [New] started it
	NC     *nats.Conn     // the caller's
	JS     jetstream.JetStream
	Client *client.Client  // on NC; sends each command once
	Ctx    context.Context // ends with the test, or with its patience

	// Options are for every instance's connection, after those that it has anyway.
	Options []nats.Option

	// Breaks says that the test takes away what an instance needs to stop in order. It is
	// no failure then if an instance does not.
	Breaks bool

	url     string
	answers contract.Sample
}

// New makes a world on a server of its own, whose store can be taken apart.
func New(t *testing.T) *World {
	t.Helper()
	store := filepath.Join(t.TempDir(), "store")
	w := On(t, roomtest.Start(t, func(o *server.Options) { o.StoreDir = store }))
	w.Store = store
	return w
}

// On makes a world on a node.
func On(t *testing.T, node *roomtest.Node) *World {
	t.Helper()
	w := At(t, node.ClientURL())
	w.Node = node
	return w
}

// At makes a world on a server that was started elsewhere.
func At(t *testing.T, url string) *World {
	t.Helper()
	w := &World{T: t, url: url, NC: Connect(t, url)}
	var err error
	if w.JS, err = jetstream.New(w.NC); err != nil {
		t.Fatal(err)
	}
	w.Client = client.New(w.NC, client.Config{Once: true})
	limit := 20 * Patience
	if os.Getenv("NATSROOMS_LONG") != "" {
		limit = 2 * time.Hour // of several such tests side by side
	}
	var cancel context.CancelFunc
	w.Ctx, cancel = context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return w
}

// Connect connects to a server until the test ends. The connection comes back after a break
// within a few milliseconds, however often.
func Connect(t testing.TB, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	opts = append([]nats.Option{
		nats.Name(t.Name()), nats.Timeout(Patience), nats.MaxReconnects(-1), nats.ReconnectWait(Look), nats.ReconnectJitter(0, 0),
	}, opts...)
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatalf("connecting to %s: %v", url, err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Until waits for a condition.
func (w *World) Until(limit time.Duration, what string, ok func() bool) {
	w.T.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	ticker := time.NewTicker(Look)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			w.T.Fatalf("waited %v for %s", limit, what)
		}
	}
}

// Brief bounds a question to the cluster: between two leaders it may get no answer at all.
func (w *World) Brief() (context.Context, context.CancelFunc) {
	return context.WithTimeout(w.Ctx, 2*time.Second)
}

// Try turns such a question into a condition to wait for.
func (w *World) Try(ask func(context.Context) bool) func() bool {
	return func() bool {
		ctx, cancel := w.Brief()
		defer cancel()
		return ask(ctx)
	}
}

// Measure begins to measure how late this machine is; see [roomtest.Lateness].
func (w *World) Measure() *roomtest.Lateness {
	w.T.Helper()
	return roomtest.Measure(w.T, w.url)
}
