package api

import (
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/intake"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// maxRequest is the most bytes that a request may have.
const maxRequest = 64 << 10

// Endpoints is the set of endpoints that takes requests now. When the process has stood still,
// nobody waits any longer for the requests that piled up meanwhile; so the whole set is
// dropped and a new one is made.
type Endpoints struct {
	*intake.Intake
	stale func() bool
}

// Watch notices that the process stood still, and calls woke each time, as long as the life
// lasts.
func (a *API) Watch(woke func()) { a.pulse.Run(a.Life, woke) }

// Listen begins to take requests. Stop on what it returns ends that.
func (a *API) Listen() (*Endpoints, error) {
	epoch := a.pulse.Epoch()
	e := &Endpoints{stale: func() bool { return a.pulse.Still() || a.pulse.Epoch() != epoch }}
	s := intake.Service{Name: subjects.MicroService, Version: a.Version, Description: "rooms over NATS", QueueGroup: subjects.QueueGroup, Stats: a.Stats}
	for i := range room.Commands {
		info := &room.Commands[i]
		verb := string(info.Verb)
		s.Endpoints = append(s.Endpoints,
			intake.Endpoint{Name: verb, Subject: subjects.Command(verb), Take: func(m *nats.Msg) { a.receive(e, info, false, m) }},
			intake.Endpoint{Name: verb + "-user", Subject: subjects.UserCommandPattern(verb), Take: func(m *nats.Msg) { a.receive(e, info, true, m) }})
	}
	var err error
	if e.Intake, err = intake.Listen(a.Conn, s); err != nil {
		return nil, err
	}
	return e, nil
}

// receive takes in one request and passes it on at once; it is answered later.
func (a *API) receive(e *Endpoints, info *room.CommandInfo, userForm bool, m *nats.Msg) {
	if e.stale() {
		return
	}
	if !subjects.ReplyAllowed(m.Subject, m.Reply) {
		a.Log.Debug("a command is dropped that wants its answer on a subject where none may be sent", "subject", m.Subject, "reply", m.Reply)
		return
	}
	q := &request{info: info, reply: m.Reply, named: a.Answers.Asked(m.Reply), userForm: userForm, data: m.Data, headers: m.Header}
	q.Cmd, q.Deadline, q.From = &room.Command{Verb: info.Verb}, time.Now().Add(commit.Timeout), q
	a.inFlight.Add(1)
	if refused := a.door(q, m.Subject); refused != nil {
		a.sendError(q, refused)
		return
	}
	table[info.Verb].take(a, q)
}

// door refuses what needs no closer look, and learns whose request it is.
func (a *API) door(q *request, subject string) *room.Error {
	if a.Life.Over() {
		return room.Refuse(room.ErrBusy, "nothing happened: this instance of the service is ending; try again")
	}
	if a.inFlight.Load() > int64(a.MaxInFlight) {
		return busy("nothing happened: %d commands are being worked on here, which is the most allowed; try again", a.MaxInFlight)
	}
	if q.userForm {
		if refused := a.userDoor(q, subject); refused != nil {
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

// userDoor does the same for the user form.
func (a *API) userDoor(q *request, subject string) *room.Error {
	user, err := subjects.UserOfToken(subjects.UserToken(subject))
	if err != nil {
		return room.Invalid("userID", "in the subject %v", err)
	}
	if q.info.Trusted {
		return room.Refuse(room.ErrNotAllowed, "%s is for trusted callers, at %s", q.info.Verb, subjects.Command(string(q.info.Verb)))
	}
	if a.Feeds && !a.share.take(user, a.MaxInFlight) {
		return busy("nothing happened: %d commands of %q are being worked on here, which is the most allowed for one user; try again", shareOf(a.MaxInFlight), user)
	}
	q.user = user
	if a.Feeds {
		q.sharer = user
	}
	return nil
}

func busy(format string, args ...any) *room.Error {
	e := room.Refuse(room.ErrBusy, format, args...)
	e.RetryAfterMs = 100
	return e
}
