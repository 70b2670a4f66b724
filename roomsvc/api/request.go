package api

import (
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/answers"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/guard"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/turns"
	"natsrooms/subjects"
)

// request is a command or a question as it arrived, and how it is to be answered.
type request struct {
	commit.Call
	info     *room.CommandInfo
	reply    string
	named    time.Time // since when reply has been in use
	userForm bool
	user     subjects.User // from the subject, in the user form
	data     []byte        // until it is parsed
	question []byte        // the same, for the application, if that is to be asked
	headers  nats.Header
	ignored  string       // names of unknown fields
	told     bool         // the user's devices have been told that it arrived
	place    *guard.Place // among the commands of its user that wait; nil: it counts as nobody's
	conn     *nats.Conn   // where it arrived, and its answer goes
	answers  *answers.Leave

	ask   leases.Ask // what it says about its session's life
	lease room.Lease // its session's lease, if it has one
	turn  turns.Turn // among the commands of its session
	over  bool       // its session's lease has ended
}

// session is the session whose request it is.
func (q *request) session() leases.Session {
	return leases.Session{User: q.Cmd.User, ID: q.Cmd.Session}
}

// asking is the body of any request.
type asking interface{ For() *room.Caller }
