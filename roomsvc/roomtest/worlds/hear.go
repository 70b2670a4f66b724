package worlds

import (
	"context"
	"testing"

	"natsrooms/roomsvc/client"
)

// Step is one step of [client.Client.Messages]: a message or a note.
type Step struct {
	client.Heard
	Note client.NoteKind // empty: it is a message
	Told client.Note     // the note itself
	err  error
}

// Hear listens to a room's messages, until the test ends, and returns when messages come as
// they are said. Each call of what it returns is the next step, from the first one on.
func Hear(t testing.TB, ctx context.Context, c *client.Client, q client.MessagesRequest) (next func() Step) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	steps, over := make(chan Step, 1024), make(chan struct{})
	listens := make(chan struct{})
	q.Note = func(n client.Note) {
		if n.Kind == client.NoteListening {
			close(listens)
			return
		}
		steps <- Step{Heard: client.Heard{After: n.After}, Note: n.Kind, Told: n}
	}
	go func() {
		defer close(over)
		for h, err := range c.Messages(ctx, q) {
			steps <- Step{Heard: h, err: err}
		}
	}()
	t.Cleanup(func() { cancel(); <-over })
	select {
	case <-listens:
	case <-over:
		t.Fatalf("it ends with %v", (<-steps).err)
	}
	return func() Step {
		t.Helper()
		s := <-steps
		if s.err != nil {
			t.Fatalf("it ends with %v", s.err)
		}
		return s
	}
}
