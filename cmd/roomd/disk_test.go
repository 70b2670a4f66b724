package main

import (
	"errors"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// A server that is too busy to let anybody in within a millisecond has not lost its store.
func TestBusyServerIsNotBroken(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	h := s.Healthz(&server.HealthzOptions{Details: true}) // it has not been started, so it lets nobody in
	if h.Status == "ok" {
		t.Fatalf("%+v", h)
	}
	full := errors.New("the store is broken")
	for _, before := range []error{nil, full} {
		if got := broken(h, before); !errors.Is(got, before) {
			t.Errorf("it was %v before and is %v", before, got)
		}
	}
	if err := broken(&server.HealthStatus{}, full); err != nil {
		t.Errorf("a server that is well has %v", err)
	}
	h.Errors[0].Type = server.HealthzErrorJetStream
	if err := broken(h, nil); err == nil {
		t.Error("what JetStream says of itself does not count")
	}
}
