package api

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

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
