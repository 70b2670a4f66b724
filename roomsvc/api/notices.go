package api

import (
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

var noticeHeader = nats.Header{"Content-Type": {events.ContentType}}

// notify tells the devices of a request's user where its session stands in a room. What is
// told of an end user's request goes the way of its answer: the NATS server may be at work for
// long with what such a user has subscribed to many times.
func (a *API) notify(q *Request, p replica.Place, st events.State, ev events.Event) {
	if q.Cmd.User != "" {
		a.publishNotice(q.conn, a.notice(q.Cmd, p, st, ev))
	}
}

func (a *API) notice(c *room.Command, p replica.Place, st events.State, ev events.Event) *events.Notice {
	return &events.Notice{
		ID: nuid.Next(), Time: a.Clock.Now(), Room: p.Room, InstanceID: p.InstanceID, Sequence: p.Sequence,
		User: c.User, SessionID: c.Session, State: st, Event: ev, RequestID: c.RequestID,
	}
}

// publishNotice publishes a notice, unless nobody would hear it. Nearly every command has one, and
// many users do without: a program that waits for the answer knows as much.
func (a *API) publishNotice(nc *nats.Conn, n *events.Notice) {
	subject := subjects.UserState(n.User, n.Room)
	if a.Listened != nil && !a.Listened(subject) {
		return
	}
	data, err := n.Encode(a.Source)
	if err == nil {
		err = nc.PublishMsg(&nats.Msg{Subject: subject, Header: noticeHeader, Data: data})
	}
	if err != nil {
		a.Log.Warn("a notice was lost", "user", n.User, "room", n.Room, "error", err)
	}
}

// tellDone tells the user's devices about a command that was carried out.
func (a *API) tellDone(r *commit.Result) {
	q := r.From.(*Request)
	if q.Info.Brings() {
		a.notify(q, r.At, events.Connected, events.Success)
	}
	for _, p := range r.Left {
		a.notify(q, p, events.Disconnected, events.Success)
	}
}

// tellRefused tells them about one that was refused: the session stands where it did.
func (a *API) tellRefused(q *Request, r *commit.Result) {
	if !q.Info.Brings() || r.Cmd.User == "" {
		return
	}
	n := a.notice(r.Cmd, replica.Place{Room: r.Cmd.Room}, events.Disconnected, q.Info.Fails)
	if r.State.Has(r.Cmd) {
		n.State = events.Connected
	}
	n.Error = noticeError(r.Refused)
	a.publishNotice(q.conn, n)
}

// tellRepeated tells them where the session of a repeated command stands. They were told when
// it arrived, because its first try was not known yet and may have reached an instance that
// died.
func (a *API) tellRepeated(q *Request, r *commit.Result) {
	n := a.notice(r.Cmd, replica.Place{Room: r.Cmd.Room}, events.Disconnected, events.Success)
	if r.State.Has(r.Cmd) {
		p := r.State.Position()
		n.State, n.InstanceID, n.Sequence = events.Connected, p.InstanceID, p.Sequence
	}
	if r.Refused != nil {
		n.Event, n.Error = q.Info.Fails, noticeError(r.Refused)
	}
	a.publishNotice(q.conn, n)
}

func noticeError(e *room.Error) *events.NoticeError {
	return &events.NoticeError{Code: e.Code.Name, Number: e.Code.Number, Until: e.Until}
}

// PutOut makes the notices for the sessions that a fact puts out of a room; st is the room's
// state before it. tell publishes them; it is nil if there are none.
func (a *API) PutOut(st *room.State, f *events.Fact) (tell func()) {
	var notices []*events.Notice
	var banned *events.NoticeError
	if f.Ban != nil {
		banned = &events.NoticeError{Code: room.ErrBanned.Name, Number: room.ErrBanned.Number, Until: f.Ban.Until}
	}
	for i := range f.Left {
		l := &f.Left[i]
		event, sessions := whyOut(l, st)
		for _, session := range sessions {
			notices = append(notices, &events.Notice{
				ID: nuid.Next(), Time: a.Clock.Now(), Room: f.Room, InstanceID: f.InstanceID, Sequence: f.Sequence,
				User: subjects.User(l.UserID), SessionID: session.SessionID, State: events.Disconnected, Event: event, Error: banned, ReasonText: l.ReasonText, RequestID: l.RequestID,
			})
		}
	}
	if len(notices) == 0 {
		return nil
	}
	return func() {
		for _, n := range notices {
			a.publishNotice(a.Conn, n)
		}
	}
}

// whyOut says which sessions an entry puts out without their having asked, and why.
func whyOut(l *events.Left, st *room.State) (events.Event, []room.MemberSession) {
	one := []room.MemberSession{{SessionID: l.SessionID}}
	switch l.Reason {
	case events.ReasonKicked:
		return events.KickedOut, st.Member(subjects.User(l.UserID)).Sessions
	case events.ReasonDestroyed:
		return events.RoomNotExist, st.Member(subjects.User(l.UserID)).Sessions
	case events.ReasonExpired:
		return events.ConnectTimeout, one
	case events.ReasonReplaced:
		return events.KickedOutByOtherDevice, one
	}
	return events.Success, nil
}
