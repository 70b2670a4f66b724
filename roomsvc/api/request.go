package api

import (
	"github.com/nats-io/nats.go/micro"

	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// request is a command or a question as it came, and how it is to be answered.
type request struct {
	commit.Call
	info     *room.CommandInfo
	reply    string
	userForm bool
	user     subjects.User // of the subject, in the user form
	data     []byte        // until it is parsed
	headers  micro.Headers
	ignored  string        // names of unknown fields
	told     bool          // the user's devices have heard that it came
	sharer   subjects.User // to whose share of the commands in flight it counts; empty: to nobody's

	ask   leases.Ask // what it says of its session's life
	lease room.Lease // its session's, if it has one
	over  bool       // its session's lease is over
}

// session is whose request it is.
func (q *request) session() leases.Session {
	return leases.Session{User: q.Cmd.User, ID: q.Cmd.Session}
}

// asking is the body of any request.
type asking interface{ For() *room.Caller }
