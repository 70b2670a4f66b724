package api

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/turns"
	"natsrooms/subjects"
)

// InTurn takes a command further once those commands of its session on the same rooms are
// answered that came before it; rooms is nil for one on all rooms of the session. Its time runs
// while it waits. What changes or says something may wait later too; a read has a limit of its
// own by then.
func (a *API) InTurn(q *Request, rooms []subjects.Room, next func()) (begun bool) {
	return a.take(q, turns.Turn{Rooms: rooms, Begin: next})
}

// LiveInTurn is [API.InTurn] for a message that is not stored. It begins when the stored ones
// before it are, so that nobody hears it before them.
func (a *API) LiveInTurn(q *Request, r subjects.Room, next func()) {
	a.take(q, turns.Turn{Rooms: about(r), Begin: next, Last: true})
}

func (a *API) take(q *Request, t turns.Turn) (begun bool) {
	q.data = nil
	if q.Info.Kind != room.Reads {
		a.Commit.Track(&q.Call)
	}
	if q.Cmd.User == "" {
		t.Begin()
		return true
	}
	t.From, t.Session, t.Slow = q, q.Session(), q.question != nil
	switch q.Info.Kind {
	case room.Reads, room.Says, room.Erases:
		t.Kind = string(q.Info.Kind)
	case room.ChangesOne:
		t.Kind = string(q.Info.Verb)
	case room.ChangesSeveral: // takes part in no queue of a room
	}
	q.turn, q.inLine = t, true
	begun = a.turns.Take(&q.turn)
	if !begun && q.Info.Kind == room.Reads {
		a.Commit.Track(&q.Call)
	}
	return begun
}

// SendError sends a refusal. One from before the command's turn is answered in its turn too, if
// the service has looked at what the command is.
func (a *API) SendError(q *Request, e *room.Error) {
	if !q.inLine {
		q.turn.Session, q.turn.Rooms = q.whose()
	}
	a.sendError(q, e)
}

// whose is the session that a request belongs to that is refused before it was read to the end,
// and the rooms that it is about, as far as its body says so: otherwise it is of the session of
// those who name none, and about all its rooms. The session has no user if nobody knows
// whose request it is.
func (q *Request) whose() (s leases.Session, rooms []subjects.Room) {
	switch q.Info.Verb {
	case room.Block, room.Unblock, room.Blocked, room.EraseUser: // the user that it names is not its caller
		return s, nil
	}
	body := fields(q.data)
	if s.User = q.user; !q.UserForm {
		s.User = subjects.User(body.text("userID"))
	}
	if s.ID = body.text("sessionID"); s.ID == "" {
		s.ID = room.DefaultSession
	}
	names := []string{body.text("roomID")}
	if q.Info.Verb == room.Switch {
		names = []string{body.text("fromRoomID"), fields(body["toRoomInfo"]).text("roomID")}
	}
	for _, name := range names {
		if name == "" {
			return s, nil
		}
		rooms = append(rooms, subjects.Room(name))
	}
	return s, rooms
}

// object is a JSON object whose fields may be of a wrong kind.
type object map[string]jsontext.Value

// fields reads an object; it is nil if it is none.
func fields(data []byte) (o object) {
	if len(data) > 0 && len(data) <= maxRequest && json.Unmarshal(data, &o) != nil {
		return nil
	}
	return o
}

// text is a field's value; it is empty if it is no string.
func (o object) text(field string) (s string) {
	_ = json.Unmarshal(o[field], &s)
	return s
}
