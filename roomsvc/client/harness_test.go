package client

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/roomtest"
)

// patient bounds every wait of these tests; none is expected to take nearly as long.
const patient = 30 * time.Second

// bounded is a context for a test that may wait.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	t.Cleanup(cancel)
	return ctx
}

// served connects to a server on which the service runs.
func served(t *testing.T) *nats.Conn {
	t.Helper()
	t.Parallel()
	server := roomtest.Server(t)
	s, err := roomsvc.New(bounded(t), roomtest.Conn(t, server), roomsvc.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return roomtest.Conn(t, server)
}
