package client

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
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

// alone connects to a server on which no service runs.
func alone(t *testing.T) *nats.Conn {
	t.Helper()
	t.Parallel()
	return roomtest.Conn(t, roomtest.Server(t))
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

// answer answers a command in place of a service.
func answer[Request any](t *testing.T, nc *nats.Conn, verb room.Verb, reply func(*Request) any) {
	t.Helper()
	_, err := nc.Subscribe(subjects.Command(string(verb)), func(m *nats.Msg) {
		q := new(Request)
		if err := json.Unmarshal(m.Data, q); err != nil {
			t.Error(err)
		}
		data, err := json.Marshal(reply(q))
		if err != nil {
			t.Error(err)
		}
		if err := m.Respond(data); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
