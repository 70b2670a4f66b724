package main

import (
	"errors"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"natsrooms/subjects"
)

// A server that is too busy to let anybody in within a millisecond has not lost its store, and
// neither has one where somebody deletes a stream.
func TestWhatIsNotBroken(t *testing.T) {
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
	for stream, counts := range map[string]bool{"": true, subjects.StreamRooms: true, "SOMEBODYS": false} {
		h := &server.HealthStatus{Errors: []server.HealthzError{{Type: server.HealthzErrorStream, Stream: stream, Error: "lost"}}}
		if got := broken(h, nil) != nil; got != counts {
			t.Errorf("trouble with the stream %q counts: %v", stream, got)
		}
	}
}
