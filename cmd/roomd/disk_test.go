package main

import (
	"errors"
	"testing"
	"time"

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

// A server that makes a stream says for a moment that it has lost it. That is not believed until
// it goes on saying so; that it is well is believed at once.
func TestDoubt(t *testing.T) {
	lost := errors.New("lost")
	now := time.Now()
	var d doubt
	var broken error
	for i, step := range []struct {
		after time.Duration
		said  error
		want  error
	}{
		{0, lost, nil}, {doubtFor / 2, nil, nil}, {0, lost, nil}, {doubtFor - 1, lost, nil}, {1, lost, lost}, {0, lost, lost}, {0, nil, nil}, {doubtFor, lost, nil},
	} {
		now = now.Add(step.after)
		if broken = d.believe(step.said, broken, now); !errors.Is(broken, step.want) {
			t.Errorf("step %d: %v, want %v", i, broken, step.want)
		}
	}
}
