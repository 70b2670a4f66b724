package api

import (
	"cmp"
	"regexp"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// traceParent is the header of W3C Trace Context, version 00.
var traceParent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// acting makes the command of a request, with what its caller says about itself.
func (a *API) acting(q *request, c *room.Caller, anonymous bool) (*room.Command, *room.Error) {
	cmd, err := c.Command(q.info.Verb, anonymous, a.Limits())
	if err == nil {
		q.Cmd = cmd
		cmd.UserForm, cmd.OwnForm = q.userForm, q.userForm && a.Feeds
		if cmd.OwnForm && a.Limits().TokenNames == 1 {
			cmd.Name, cmd.Info = a.Leases.Called(cmd.User)
		}
		lease := a.Leases.Of(q.session())
		q.ask = a.asked(q, c, lease.Live)
		if lease.Live {
			q.lease = room.Lease{ExpiresAt: lease.EndAt, LeaseSeconds: lease.Seconds}
		}
	}
	return cmd, err
}

// begin reads the body of a request that changes or says something, and makes its command,
// except for what belongs to the verb alone. If ok is false, begin has answered.
func begin[T any, P interface {
	*T
	asking
}](a *API, q *request, body P, anonymous bool) (cmd *room.Command, ok bool) {
	data := q.data
	if !parse(a, q, body) {
		return nil, false
	}
	c := body.For()
	cmd, err := a.acting(q, c, anonymous && !q.userForm)
	if err != nil {
		a.sendError(q, err)
		return nil, false
	}
	if a.Hooks.Wants(cmd.Verb, cmd.User, q.userForm) {
		q.question = data
	}
	c.Connection = nil // a repeat may come over another one
	if cmd.RequestID != "" {
		cmd.Digest = digest(q.info.Verb, body)
	}
	if parent := header(q.headers, "traceparent"); parent != "" && traceParent.MatchString(parent) {
		cmd.TraceParent = parent
	}
	return cmd, true
}

// changeRoom reads the body of a command that changes one room, and passes it on.
func changeRoom[T any, P interface {
	*T
	asking
}](a *API, q *request, body P, roomID *string, anonymous bool, fill func(*room.Command, *room.Limits) *room.Error) {
	cmd, ok := begin(a, q, body, anonymous)
	if !ok {
		return
	}
	if err := setRoom(&cmd.Room, "roomID", *roomID); err != nil {
		a.sendError(q, err)
		return
	}
	a.admit(q, fill(cmd, a.Limits()))
}

func setRoom(r *subjects.Room, field, id string) *room.Error {
	*r = subjects.Room(id)
	return room.ParseID(field, id)
}

// isIn says whether the request's session is in the room that it wants to join, and has
// not been away: it is not told that it is connecting.
func (a *API) isIn(q *request) (in bool) {
	if !a.Replica.Users.In(q.Cmd.User, q.Cmd.Room) { // so that most need not wait for the room's lock
		return false
	}
	a.Replica.View(q.Cmd.Room, func(st *room.State) { in = st != nil && !st.Ending() && st.Has(q.Cmd) })
	return in && !a.Leases.Of(q.session()).Ended
}

// admit passes a checked command on, or refuses it; from here on the user's devices are told.
func (a *API) admit(q *request, err *room.Error) {
	a.inTurn(q, q.Cmd.Named(), func() { a.admitNow(q, err) })
}

func (a *API) admitNow(q *request, err *room.Error) {
	if q.Cmd.RequestID != "" && a.Commit.Repeat(&q.Call) {
		return
	}
	q.Cmd.HostByToken = q.Cmd.OwnForm && a.Leases.HostOf(q.Cmd.User, q.Cmd.Room)
	if err == nil && q.info.Verb != room.Leave {
		err = q.place.Change(time.Now(), q.Cmd.Named())
	}
	err = cmp.Or(err, a.keptAway(q), a.Space.Change())
	if q.info.Brings() && q.Cmd.User != "" && !a.isIn(q) {
		a.notify(q, replica.Place{Room: q.Cmd.Room}, events.Connecting, q.info.Begins)
		q.told = true
	}
	if err != nil {
		a.Commit.Refuse(&q.Call, err)
		return
	}
	a.consult(q, func(hooks.Answer) { a.alive(q, func() { a.Commit.Enqueue(&q.Call) }) })
}
