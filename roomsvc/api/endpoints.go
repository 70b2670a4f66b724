package api

import (
	"cmp"
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/guard"
	"natsrooms/roomsvc/intake"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// waiting is how many commands of end users may wait to be looked at, where they have a
// connection of their own. A look takes less time than a large command takes to arrive, so only
// small ones ever pile up.
const waiting = 1 << 18

// Endpoints is the set of endpoints that takes requests now. When the process has stood still,
// nobody waits any longer for the requests that piled up meanwhile; so the whole set is
// dropped and a new one is made.
type Endpoints struct {
	*intake.Intake
	api   *API
	stale func() bool
}

// Stop takes in what has arrived, and nothing after it. Once the life is over, what end users
// sent is refused here, since nobody else begins it any more.
func (e *Endpoints) Stop(ctx context.Context) {
	e.Intake.Stop(ctx)
	if e.api.Life.Over() && e.api.Guard != nil {
		e.api.Guard.Rest()
	}
}

// Watch notices that the process stood still, and calls woke each time, as long as the life
// lasts.
func (a *API) Watch(woke func()) { a.pulse.Run(a.Life, woke) }

// Listen begins to take requests. Stop on what it returns ends that.
func (a *API) Listen() (*Endpoints, error) {
	a.letting.Do(func() {
		if a.Guard != nil {
			a.Life.Go(func() { a.Guard.Run(a.Life) })
		}
	})
	epoch := a.pulse.Epoch()
	e := &Endpoints{api: a, stale: func() bool { return a.pulse.Still() || a.pulse.Epoch() != epoch }}
	s := intake.Service{Name: subjects.MicroService, Version: a.Version, Description: "rooms over NATS", QueueGroup: subjects.QueueGroup, Stats: a.Stats}
	users := a.Users
	if users == a.Conn {
		users = nil
	}
	for i := range room.Commands {
		verb := string(room.Commands[i].Verb)
		s.Endpoints = append(s.Endpoints,
			intake.Endpoint{Name: verb, Subject: subjects.Command(verb), Take: func(m *nats.Msg) { a.receive(e, i, false, m) }},
			intake.Endpoint{Name: verb + "-user", Subject: subjects.UserCommandPattern(verb), Take: func(m *nats.Msg) { a.receive(e, i, true, m) }, Conn: users, Waiting: waiting})
	}
	var err error
	if e.Intake, err = intake.Listen(a.Conn, s); err != nil {
		return nil, err
	}
	return e, nil
}

// receive takes in one request and passes it on at once; it is answered later.
func (a *API) receive(e *Endpoints, command int, userForm bool, m *nats.Msg) {
	if e.stale() {
		return
	}
	now := time.Now()
	if userForm {
		a.receiveUsers(command, m, now)
		return
	}
	a.begin(a.request(command, m, now), m.Subject, nil)
}

// request is a request as it arrived.
func (a *API) request(command int, m *nats.Msg, now time.Time) *Request {
	info := &room.Commands[command]
	q := &Request{Info: info, arrived: now, meter: &a.Answered[command], reply: m.Reply, conn: a.Conn, answers: a.Answers, data: m.Data, headers: m.Header}
	q.Cmd, q.Deadline, q.From = &room.Command{Verb: info.Verb}, a.Commit.Deadline(now), q
	return q
}

// receiveUsers takes in a request of an end user. As long as users ask for too much, nothing else
// is done here than to find that out.
func (a *API) receiveUsers(command int, m *nats.Msg, now time.Time) {
	token, verb := subjects.UserToken(m.Subject), room.Commands[command].Verb
	var place *guard.Place
	var user subjects.User
	refused, others := a.fromAnother(m, verb)
	switch {
	case a.Guard == nil:
		var err error
		if user, err = subjects.UserOfToken(token); err != nil && refused == nil {
			refused = room.Invalid("userID", "in the subject %v", err)
		}
	case !others: // otherwise it is not the user's, and does not count as such
		var tooMuch *room.Error
		if place, tooMuch = a.Guard.Take(now, token, verb, m.Size()); place == nil && tooMuch == nil {
			return
		}
		user, refused = place.User(), cmp.Or(tooMuch, refused)
	}
	q := a.request(command, m, now)
	q.UserForm, q.Place, q.user, q.conn, q.answers = true, place, user, a.Users, a.UserAnswers
	if refused != nil {
		q.data, q.headers = nil, nil
	}
	subject := m.Subject
	if place == nil {
		a.begin(q, subject, refused)
		return
	}
	a.Guard.Line(place, func() { a.begin(q, subject, refused) })
}

// begin begins a request, or answers why it was refused.
func (a *API) begin(q *Request, subject string, refused *room.Error) {
	a.inFlight.Add(1)
	if !subjects.ReplyAllowed(subject, q.reply) {
		a.Log.Debug("a command is dropped that wants its answer on a subject where none may be sent", "subject", subject, "reply", q.reply)
		q.reply = ""
		refused = room.Refuse(room.ErrNotAllowed, "nobody is told")
	}
	if a.Traces != nil && refused == nil { // whoever floods does not flood the traces
		q.Span = a.Traces.Asked(q.Info.Verb, q.UserForm, q.arrived, func(name string) string { return header(q.headers, name) })
	}
	q.named = q.answers.Asked(q.reply)
	if refused = cmp.Or(refused, a.full()); refused != nil { // at once: who asks for too much does not wait here
		a.sendError(q, refused)
		return
	}
	if refused = a.door(q); refused != nil {
		a.SendError(q, refused)
		return
	}
	a.Verbs[q.Info.Verb].Take(a, q)
}

// full refuses everything when the instance can take no more.
func (a *API) full() *room.Error {
	if a.Life.Over() {
		return room.Refuse(room.ErrBusy, "nothing happened: this instance of the service is ending; try again")
	}
	if a.inFlight.Load() > int64(a.MaxInFlight) {
		return busy("nothing happened: %d commands are being worked on here, which is the most allowed; try again", a.MaxInFlight)
	}
	return nil
}

// door refuses what needs no closer look.
func (a *API) door(q *Request) *room.Error {
	if q.UserForm && q.Info.Trusted {
		return room.Refuse(room.ErrNotAllowed, "%s is for trusted callers, at %s", q.Info.Verb, subjects.Command(string(q.Info.Verb)))
	}
	if q.UserForm {
		if refused := a.Blocks.Book.Refused(q.user); refused != nil {
			return refused
		}
	}
	if len(q.data) > maxRequest {
		big := room.Refuse(room.ErrParamInvalid, "the request has %d bytes; it may have %d", len(q.data), maxRequest)
		big.Limit, big.Actual = maxRequest, int64(len(q.data))
		return big
	}
	return nil
}
