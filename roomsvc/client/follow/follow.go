// Package follow hears a room and heals what was missed: it yields every fact of a room, or
// every stored message, once and in order. Live copies may be lost on the way, so it counts
// what it hears, asks the service where the room is, and reads by history what it lacks.
//
// It is a part of [natsrooms/roomsvc/client], whose Watch and Messages it is. All that it
// knows of the client is in a [Source].
package follow

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Source is where a room is heard and read: the client as far as it is known here.
type Source struct {
	Conn *nats.Conn
	Life context.Context // what follows a room ends with it, and with its cause
	User subjects.User   // the end user who listens, who hears no subject that is not for users; empty: a trusted caller

	// Session is the end user's session that listens, and Out says whether it was in a room and
	// has left it.
	Session string
	Out     func(roomID string) bool

	// First asks for the room as a command of the caller would. The others ask until there
	// is an answer that would not change if they asked again.
	First   func(context.Context, room.ReadRequest) (*room.GetReply, error)
	Get     func(context.Context, room.ReadRequest) (*room.GetReply, error)
	Members func(context.Context, room.MembersRequest) (*room.MembersReply, error)
	History func(context.Context, room.HistoryRequest) (*room.HistoryReply, error)

	Flush    func(context.Context) error // waits until the server has taken all subscriptions
	Renewals func() Renewals             // those from now on
}

// Renewals are the renewals of the client's session. They tell where its rooms are, which
// spares asking.
type Renewals struct {
	Signal <-chan struct{}        // there are new ones
	Take   func() []room.RoomHead // what they told, the newest last
	Forget func()                 // nobody listens any more
}

// Within is ctx, but it also ends with life, and then with the cause of that.
func Within(ctx, life context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(life, func() { cancel(context.Cause(life)) })
	return ctx, func() { stop(); cancel(nil) }
}

// errBrokenOff says that the caller broke out of the loop.
var errBrokenOff = errors.New("broken off")
