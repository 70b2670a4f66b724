package api

import (
	"cmp"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/answers"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/guard"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/meter"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/turns"
	"natsrooms/subjects"
)

// maxRequest is the most bytes that a request may have.
const maxRequest = 64 << 10

// Request is a command or a question as it arrived, and how it is to be answered.
type Request struct {
	commit.Call
	Info     *room.CommandInfo
	arrived  time.Time
	meter    *meter.Verb
	code     int // of the refusal that it gets, by its place in the table of errors, from 1 on; 0: none
	reply    string
	named    time.Time // since when reply has been in use
	UserForm bool
	user     subjects.User // from the subject, in the user form
	data     []byte        // until its turn is taken
	question []byte        // the same, for the application, if that is to be asked
	headers  nats.Header
	ignored  string       // names of unknown fields
	told     bool         // the user's devices have been told that it arrived
	Place    *guard.Place // among the commands of its user that wait; nil: it counts as nobody's
	conn     *nats.Conn   // where it arrived, and its answer goes
	answers  *answers.Leave

	Ask    leases.Ask // what it says about its session's life
	Lease  room.Lease // its session's lease, if it has one
	turn   turns.Turn // among the commands of its session
	inLine bool       // it has taken its turn
	answer *nats.Msg  // it waits for its turn to go out; nil: nobody waits for one
	Over   bool       // its session's lease has ended
}

// endSpan ends the request's span, with the answer that it gets.
func (q *Request) endSpan() {
	if q.Span == nil {
		return
	}
	q.Span.About(string(q.Cmd.Room), string(cmp.Or(q.Cmd.User, q.user)))
	if q.code > 0 {
		q.Span.End(room.Codes[q.code-1])
	} else {
		q.Span.End(nil)
	}
}

// Session is the session whose request it is.
func (q *Request) Session() leases.Session {
	return leases.Session{User: q.Cmd.User, ID: q.Cmd.Session}
}

// Asking is the body of any request.
type Asking interface{ For() *room.Caller }
