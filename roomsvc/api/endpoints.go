package api

import (
	"cmp"
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/intake"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// maxRequest is the most bytes that a request may have.
const maxRequest = 64 << 10

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
	for e.api.Life.Over() {
		select {
		case begin := <-e.api.let:
			begin()
		default:
			return
		}
	}
}

// Watch notices that the process stood still, and calls woke each time, as long as the life
// lasts.
func (a *API) Watch(woke func()) { a.pulse.Run(a.Life, woke) }

// Listen begins to take requests. Stop on what it returns ends that.
func (a *API) Listen() (*Endpoints, error) {
	a.letting.Do(func() {
		if a.Guard != nil {
			a.Life.Go(a.letIn)
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
	info := &room.Commands[command]
	q := &Request{Info: info, arrived: now, meter: &a.Answered[command], reply: m.Reply, UserForm: userForm, conn: a.Conn, answers: a.Answers, data: m.Data, headers: m.Header}
	q.Cmd, q.Deadline, q.From = &room.Command{Verb: info.Verb}, a.Commit.Deadline(now), q
	if userForm {
		q.conn, q.answers = a.Users, a.UserAnswers
		a.receiveUsers(q, m, now)
		return
	}
	a.inFlight.Add(1)
	a.begin(q, m.Subject, nil)
}

// receiveUsers takes in a request of an end user. As long as users ask for too much, nothing else
// is done here than to find that out.
func (a *API) receiveUsers(q *Request, m *nats.Msg, now time.Time) {
	token, subject := subjects.UserToken(m.Subject), m.Subject
	if a.Guard == nil {
		user, err := subjects.UserOfToken(token)
		var refused *room.Error
		if q.user = user; err != nil {
			refused = room.Invalid("userID", "in the subject %v", err)
		}
		a.inFlight.Add(1)
		a.begin(q, subject, refused)
		return
	}
	place, refused := a.Guard.Take(now, token, q.Info.Verb, m.Size())
	if place == nil && refused == nil {
		return
	}
	if refused != nil {
		q.data, q.headers = nil, nil
	}
	q.Place, q.user = place, place.User()
	a.inFlight.Add(1)
	select {
	case a.let <- func() { a.begin(q, subject, refused) }:
	default: // whoever is let in is let in slowly enough, so there are very many of them
		a.inFlight.Add(-1)
		place.Done()
	}
}

// letIn begins the requests of end users that were let in.
func (a *API) letIn() {
	for {
		select {
		case begin := <-a.let:
			begin()
		case <-a.Life.Done():
			return
		}
	}
}

// begin begins a request, or answers why it was refused.
func (a *API) begin(q *Request, subject string, refused *room.Error) {
	if !subjects.ReplyAllowed(subject, q.reply) {
		a.Log.Debug("a command is dropped that wants its answer on a subject where none may be sent", "subject", subject, "reply", q.reply)
		q.reply = ""
		refused = room.Refuse(room.ErrNotAllowed, "nobody is told")
	}
	q.named = q.answers.Asked(q.reply)
	if refused = cmp.Or(refused, a.door(q)); refused != nil {
		a.SendError(q, refused)
		return
	}
	a.Verbs[q.Info.Verb].Take(a, q)
}

// door refuses what needs no closer look.
func (a *API) door(q *Request) *room.Error {
	if a.Life.Over() {
		return room.Refuse(room.ErrBusy, "nothing happened: this instance of the service is ending; try again")
	}
	if a.inFlight.Load() > int64(a.MaxInFlight) {
		return busy("nothing happened: %d commands are being worked on here, which is the most allowed; try again", a.MaxInFlight)
	}
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
