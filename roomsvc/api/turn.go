package api

import (
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/turns"
	"natsrooms/subjects"
)

// InTurn takes a command further once those commands of its session on the same rooms are
// answered that came before it; rooms is nil for one on all rooms of the session. Its time runs
// while it waits. What changes or says something may wait later too; a read has a limit of its
// own by then.
func (a *API) InTurn(q *Request, rooms []subjects.Room, next func()) (begun bool) {
	if q.Info.Kind != room.Reads {
		a.Commit.Track(&q.Call)
	}
	if q.Cmd.User == "" {
		next()
		return true
	}
	q.turn = turns.Turn{Session: q.Session(), Rooms: rooms, Begin: next, Slow: q.question != nil}
	switch q.Info.Kind {
	case room.Reads, room.Says, room.Erases:
		q.turn.Kind = string(q.Info.Kind)
	case room.ChangesOne:
		q.turn.Kind = string(q.Info.Verb)
	case room.ChangesSeveral: // takes part in no queue of a room
	}
	begun = a.turns.Take(&q.turn)
	if !begun && q.Info.Kind == room.Reads {
		a.Commit.Track(&q.Call)
	}
	return begun
}
