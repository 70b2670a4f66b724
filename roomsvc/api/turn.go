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
	return a.take(q, turns.Turn{Rooms: rooms, Begin: next})
}

// LiveInTurn is [API.InTurn] for a message that is not stored. It begins when the stored ones
// before it are, so that nobody hears it before them.
func (a *API) LiveInTurn(q *Request, r subjects.Room, next func()) {
	a.take(q, turns.Turn{Rooms: []subjects.Room{r}, Begin: next, Last: true})
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
