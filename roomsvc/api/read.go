package api

import (
	"context"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Read answers from memory, once that is as new as the caller asks for.
func (a *API) Read(q *Request, f room.Freshness, r subjects.Room, answer func() (any, *room.Error)) {
	a.InTurn(q, about(r), func() { a.Alive(q, func() { a.readNow(q, f, r, answer) }) })
}

// about is the room that a read names; nil if it names none.
func about(r subjects.Room) []subjects.Room {
	if r == "" {
		return nil
	}
	return []subjects.Room{r}
}

func (a *API) readNow(q *Request, f room.Freshness, r subjects.Room, answer func() (any, *room.Error)) {
	if !f.Sync && a.seen(f.MinRevision, r) {
		v, refused := answer()
		switch {
		case refused == nil:
			a.Answer(q, v)
			return
		case !unproved(refused):
			a.Refuse(q, refused)
			return
		}
		f.Sync = true
	}
	a.readLater(q, f, r, func(context.Context) (any, *room.Error) { return answer() })
}

// ReadAside answers what may take a while: until this instance is new enough, or a stream has
// answered. begun says that it has not to wait for its turn.
func (a *API) ReadAside(q *Request, f room.Freshness, r subjects.Room, answer func(context.Context) (any, *room.Error)) (begun bool) {
	return a.InTurn(q, about(r), func() { a.Alive(q, func() { a.readLater(q, f, r, answer) }) })
}

// ReadBeside answers from memory what takes long enough that nobody else should wait for it.
func (a *API) ReadBeside(q *Request, f room.Freshness, r subjects.Room, answer func() (any, *room.Error)) {
	if q.Place == nil {
		a.Read(q, f, r, answer)
		return
	}
	a.ReadAside(q, f, r, Long(q, func(context.Context) (any, *room.Error) { return answer() }))
}

// Long is a read that takes its turn among those of its user, once this instance is new enough.
func Long(q *Request, answer func(context.Context) (any, *room.Error)) func(context.Context) (any, *room.Error) {
	return func(ctx context.Context) (any, *room.Error) {
		done, err := q.Place.Read(ctx)
		if err != nil {
			return nil, busy("nothing happened: other reads took all the time; try again")
		}
		defer done()
		return answer(ctx)
	}
}

func (a *API) readLater(q *Request, f room.Freshness, r subjects.Room, answer func(context.Context) (any, *room.Error)) {
	q.Place.Aside()
	a.Life.Go(func() {
		ctx, cancel := context.WithDeadline(a.Life, q.Deadline)
		defer cancel()
		refused := a.Fresh(ctx, f, r)
		var v any
		if refused == nil {
			v, refused = answer(ctx)
		}
		if unproved(refused) && !f.Sync {
			f.Sync = true
			if refused = a.Fresh(ctx, f, r); refused == nil {
				v, refused = answer(ctx)
			}
		}
		if refused != nil {
			a.Refuse(q, refused)
		} else {
			a.Answer(q, v)
		}
	})
}

// unproved says whether memory that is out of date may be the cause of such a refusal: the
// caller may have joined a moment ago, through another instance. Such an answer needs a sync
// point.
func unproved(e *room.Error) bool {
	return e != nil && (e.Code == room.ErrRoomNotExist || e.Code == room.ErrNotAllowed || e.Code == room.ErrUserNotInRoom)
}

// Fresh waits until this instance is as new as the caller asks for.
func (a *API) Fresh(ctx context.Context, f room.Freshness, r subjects.Room) *room.Error {
	var err error
	if f.Sync {
		err = a.Sync.Pass(ctx)
	}
	if err == nil && !a.seen(f.MinRevision, r) {
		err = a.Replica.Passed.Wait(ctx, f.MinRevision)
	}
	if err == nil {
		return nil
	}
	e := room.Refuse(room.ErrBusy, "nothing happened: this instance has not seen what you ask for, it is at revision %d; try again", a.Replica.Passed.Seq())
	if !f.Sync {
		e.Field, e.Limit, e.Actual = "minRevision", int64(a.Replica.Passed.Seq()), int64(f.MinRevision)
	}
	return e
}

// seen says whether a revision has been applied: by the follower, or in that room.
func (a *API) seen(revision uint64, r subjects.Room) bool {
	if revision <= a.Replica.Passed.Seq() {
		return true
	}
	head := a.Replica.Head(r)
	return head != nil && head.Revision >= revision
}

// View calls f with the room's state under its lock, if the room exists and the caller may
// read it.
func (a *API) View(q *Request, r subjects.Room, f func(*room.State) any) (any, *room.Error) {
	var v any
	refused := room.Refuse(room.ErrRoomNotExist, "there is no room %q; enter creates it", r)
	a.Replica.View(r, func(st *room.State) {
		if st == nil || st.Ending() {
			return
		}
		if refused = a.mayRead(q, st); refused == nil {
			v = f(st)
		}
	})
	return v, refused
}

// BeginFor reads a request's body and learns for whom it acts. If it returns false, it has
// answered.
func BeginFor[T any, P interface {
	*T
	Asking
}](a *API, q *Request, body P, anonymous bool) bool {
	if !Parse(a, q, body) {
		return false
	}
	if _, err := a.acting(q, body.For(), anonymous); err != nil {
		a.SendError(q, err)
		return false
	}
	return true
}

// BeginRead reads the body of a read; roomID is nil where the read names no room.
func BeginRead[T any, P interface {
	*T
	Asking
}](a *API, q *Request, body P, roomID *string) (r subjects.Room, ok bool) {
	if !BeginFor(a, q, body, !q.UserForm) {
		return "", false
	}
	if roomID != nil {
		if err := SetRoom(&r, "roomID", *roomID); err != nil {
			a.SendError(q, err)
			return "", false
		}
	}
	return r, true
}
