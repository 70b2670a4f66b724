package api

import (
	"context"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// read answers from memory, once that is as new as the caller asks for.
func (a *API) read(q *request, f room.Freshness, r subjects.Room, answer func() (any, *room.Error)) {
	a.inTurn(q, about(r), func() { a.alive(q, func() { a.readNow(q, f, r, answer) }) })
}

// about is the room that a read names; nil if it names none.
func about(r subjects.Room) []subjects.Room {
	if r == "" {
		return nil
	}
	return []subjects.Room{r}
}

func (a *API) readNow(q *request, f room.Freshness, r subjects.Room, answer func() (any, *room.Error)) {
	if !f.Sync && a.seen(f.MinRevision, r) {
		v, refused := answer()
		switch {
		case refused == nil:
			a.answer(q, v)
			return
		case !unproved(refused):
			a.refuse(q, refused)
			return
		}
		f.Sync = true
	}
	a.readLater(q, f, r, func(context.Context) (any, *room.Error) { return answer() })
}

// readAside answers what may take a while: until this instance is new enough, or a stream has
// answered. begun says that it has not to wait for its turn.
func (a *API) readAside(q *request, f room.Freshness, r subjects.Room, answer func(context.Context) (any, *room.Error)) (begun bool) {
	return a.inTurn(q, about(r), func() { a.alive(q, func() { a.readLater(q, f, r, answer) }) })
}

// readBeside answers from memory what takes long enough that nobody else should wait for it.
func (a *API) readBeside(q *request, f room.Freshness, r subjects.Room, answer func() (any, *room.Error)) {
	if q.place == nil {
		a.read(q, f, r, answer)
		return
	}
	a.readAside(q, f, r, long(q, func(context.Context) (any, *room.Error) { return answer() }))
}

// long is a read that takes its turn among those of its user, once this instance is new enough.
func long(q *request, answer func(context.Context) (any, *room.Error)) func(context.Context) (any, *room.Error) {
	return func(ctx context.Context) (any, *room.Error) {
		done, err := q.place.Read(ctx)
		if err != nil {
			return nil, busy("nothing happened: other reads took all the time; try again")
		}
		defer done()
		return answer(ctx)
	}
}

func (a *API) readLater(q *request, f room.Freshness, r subjects.Room, answer func(context.Context) (any, *room.Error)) {
	a.Life.Go(func() {
		ctx, cancel := context.WithDeadline(a.Life, q.Deadline)
		defer cancel()
		refused := a.fresh(ctx, f, r)
		var v any
		if refused == nil {
			v, refused = answer(ctx)
		}
		if unproved(refused) && !f.Sync {
			f.Sync = true
			if refused = a.fresh(ctx, f, r); refused == nil {
				v, refused = answer(ctx)
			}
		}
		if refused != nil {
			a.refuse(q, refused)
		} else {
			a.answer(q, v)
		}
	})
}

// unproved says whether memory that is out of date may be the cause of such a refusal: the
// caller may have joined a moment ago, through another instance. Such an answer needs a sync
// point.
func unproved(e *room.Error) bool {
	return e != nil && (e.Code == room.ErrRoomNotExist || e.Code == room.ErrNotAllowed || e.Code == room.ErrUserNotInRoom)
}

// fresh waits until this instance is as new as the caller asks for.
func (a *API) fresh(ctx context.Context, f room.Freshness, r subjects.Room) *room.Error {
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

// view calls f with the room's state under its lock, if the room exists and the caller may
// read it.
func (a *API) view(q *request, r subjects.Room, f func(*room.State) any) (any, *room.Error) {
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

// beginFor reads a request's body and learns for whom it acts. If it returns false, it has
// answered.
func beginFor[T any, P interface {
	*T
	asking
}](a *API, q *request, body P, anonymous bool) bool {
	if !parse(a, q, body) {
		return false
	}
	if _, err := a.acting(q, body.For(), anonymous); err != nil {
		a.sendError(q, err)
		return false
	}
	return true
}

// beginRead reads the body of a read; roomID is nil where the read names no room.
func beginRead[T any, P interface {
	*T
	asking
}](a *API, q *request, body P, roomID *string) (r subjects.Room, ok bool) {
	if !beginFor(a, q, body, !q.userForm) {
		return "", false
	}
	if roomID != nil {
		if err := setRoom(&r, "roomID", *roomID); err != nil {
			a.sendError(q, err)
			return "", false
		}
	}
	return r, true
}
