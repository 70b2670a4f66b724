package api

import (
	"cmp"
	"regexp"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/ids"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// traceParent is the header of W3C Trace Context, version 00.
var traceParent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// acting makes the command of a request, with what its caller says about itself.
func (a *API) acting(q *Request, c *room.Caller, anonymous bool) (*room.Command, *room.Error) {
	cmd, err := c.Command(q.Info.Verb, anonymous, a.Limits())
	if err == nil {
		q.Cmd = cmd
		cmd.UserForm, cmd.OwnForm = q.UserForm, q.UserForm && a.Feeds
		if cmd.OwnForm && a.Limits().TokenNames == 1 {
			cmd.CalledByToken = true
			cmd.Name, cmd.Info = a.Leases.Called(cmd.User)
		}
		lease := a.Leases.Of(q.Session())
		q.Ask = a.asked(q, c, lease.Live)
		if lease.Live {
			q.Lease = room.Lease{ExpiresAt: lease.EndAt, LeaseSeconds: lease.Seconds}
		}
	}
	return cmd, err
}

// Begin reads the body of a request that changes or says something, and makes its command,
// except for what belongs to the verb alone. If ok is false, begin has answered.
func Begin[T any, P interface {
	*T
	Asking
}](a *API, q *Request, body P, anonymous bool) (cmd *room.Command, ok bool) {
	data := q.data
	if !Parse(a, q, body) {
		return nil, false
	}
	c := body.For()
	cmd, err := a.acting(q, c, anonymous && !q.UserForm)
	if err != nil {
		a.SendError(q, err)
		return nil, false
	}
	if a.Hooks.Wants(cmd.Verb, cmd.User, q.UserForm) {
		q.question = data
	}
	c.Connection = nil // a repeat may come over another one
	if cmd.RequestID != "" {
		cmd.Digest = digest(q.Info.Verb, body)
	}
	if parent := header(q.headers, "traceparent"); parent != "" && traceParent.MatchString(parent) {
		cmd.TraceParent = parent
	}
	return cmd, true
}

// ChangeRoom reads the body of a command that changes one room, and passes it on.
func ChangeRoom[T any, P interface {
	*T
	Asking
}](a *API, q *Request, body P, roomID *string, anonymous bool, fill func(*room.Command, *room.Limits) *room.Error) {
	cmd, ok := Begin(a, q, body, anonymous)
	if !ok {
		return
	}
	if err := SetRoom(&cmd.Room, "roomID", *roomID); err != nil {
		a.SendError(q, err)
		return
	}
	a.Admit(q, fill(cmd, a.Limits()))
}

func SetRoom(r *subjects.Room, field, id string) *room.Error {
	*r = subjects.Room(id)
	return room.ParseID(field, id)
}

// isIn says whether the request's session is in the room that it wants to join, and has
// not been away: it is not told that it is connecting.
func (a *API) isIn(q *Request) (in bool) {
	if !a.Replica.Users.In(q.Cmd.User, q.Cmd.Room) { // so that most need not wait for the room's lock
		return false
	}
	a.Replica.View(q.Cmd.Room, func(st *room.State) { in = st != nil && !st.Ending() && st.Has(q.Cmd) })
	return in && !a.Leases.Of(q.Session()).Ended
}

// Admit passes a checked command on, or refuses it; from here on the user's devices are told.
func (a *API) Admit(q *Request, err *room.Error) {
	a.InTurn(q, q.Cmd.Named(), func() { a.admitNow(q, err) })
}

func (a *API) admitNow(q *Request, err *room.Error) {
	if q.Cmd.RequestID != "" && a.Commit.Repeat(&q.Call) {
		return
	}
	a.ByToken(q)
	if err == nil && q.Info.Verb != room.Leave {
		err = q.Place.Change(time.Now(), q.Cmd.Named())
	}
	err = cmp.Or(err, a.keptAway(q), a.Space.Change())
	if q.Info.Brings() && q.Cmd.User != "" && !a.isIn(q) {
		a.notify(q, replica.Place{Room: q.Cmd.Room}, events.Connecting, q.Info.Begins)
		q.told = true
	}
	if err != nil {
		a.Commit.Refuse(&q.Call, err)
		return
	}
	a.Consult(q, func(hooks.Answer) { a.Alive(q, func() { a.Commit.Enqueue(&q.Call) }) })
}

// ByToken notes whether a token makes the command's user a host of its room, as far as this
// instance has heard.
func (a *API) ByToken(q *Request) {
	q.Cmd.HostByToken = a.hostByToken(q.Cmd, q.Cmd.Room)
}

func (a *API) hostByToken(c *room.Command, r subjects.Room) bool {
	return c.OwnForm && a.Leases.HostOf(c.User, r)
}

// Runs says whether the user of a read runs the room.
func (a *API) Runs(q *Request, st *room.State) bool {
	c := *q.Cmd
	c.HostByToken = a.hostByToken(&c, st.Room)
	return st.Runs(&c)
}

// keptAway refuses a command that would bring somebody in who is blocked, or whose ID, or the
// room's, is new and could be taken for another one.
func (a *API) keptAway(q *Request) *room.Error {
	if !q.Info.Brings() {
		return nil
	}
	if refused := a.Blocks.Book.Refused(q.Cmd.User); refused != nil || a.Limits().StrictIDs == 0 {
		return refused
	}
	return ids.Check(q.Cmd, a.Replica.Head(q.Cmd.Room) != nil, len(a.Replica.Users.Of(q.Cmd.User)) > 0)
}
