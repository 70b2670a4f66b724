package follow

import (
	"context"
	"testing"
	"time"

	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
)

// bounded is a context for a test that may wait; none is expected to take nearly as long.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// alone is a source on a server on which no service runs. Its session is not renewed, and
// the test answers what is asked.
func alone(t *testing.T) Source {
	t.Helper()
	t.Parallel()
	nc := roomtest.Conn(t, roomtest.Server(t))
	return Source{
		Conn: nc, Life: t.Context(), Flush: nc.FlushWithContext,
		Renewals: func() Renewals { return Renewals{Forget: func() {}} },
	}
}

// says answers everything that is asked.
func says[Request, Reply any](reply func(Request) *Reply) func(context.Context, Request) (*Reply, error) {
	return func(_ context.Context, q Request) (*Reply, error) { return reply(q), nil }
}

// behind answers requests for a room's history like an instance of the service that knows
// only an earlier room of that name, unless it is asked for everything that is stored.
func behind(stored *room.HistoryReply) func(context.Context, room.HistoryRequest) (*room.HistoryReply, error) {
	return says(func(q room.HistoryRequest) *room.HistoryReply {
		if !q.Sync {
			return &room.HistoryReply{InstanceID: "before"}
		}
		return stored
	})
}
