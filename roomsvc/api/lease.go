package api

import (
	"context"
	"errors"
	"slices"
	"time"

	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
)

const (
	afreshAgain = 20 * time.Millisecond

	// mostSessions is how many sessions of an end user may have a lease, or have had one in
	// the last minutes. A user that used a random session ID for each command would fill the
	// bucket.
	mostSessions = 1000
)

// asked is what a request says about its session's life; the session gets a lease if live.
func (a *API) asked(q *Request, c *room.Caller, live bool) leases.Ask {
	ask := leases.Ask{Seconds: c.LeaseSeconds, Connection: c.Connection, Own: q.UserForm && a.Feeds, Renewal: q.Info.Verb == room.Renew}
	if q.UserForm && (q.Info.Brings() || ask.Renewal && !live && a.present(q.Cmd)) {
		ask.Default = a.Limits().LeaseSeconds
	}
	if q.UserForm && a.Feeds {
		ask.Most = mostSessions
	}
	return ask
}

// present says whether the command's session is in a room. A session that renews there and has
// no lease was brought in by somebody else; it begins one, since otherwise nobody would ever
// miss it.
func (a *API) present(c *room.Command) bool {
	return slices.ContainsFunc(a.Replica.Users.Of(c.User), func(known *replica.Room) (in bool) {
		known.View(func(st *room.State) { in = st.Has(c) })
		return in
	})
}

// Alive renews the lease of the request's session if it has one, and begins one if it is to
// have one, before anything about its joining is stored. Then it continues with next.
func (a *API) Alive(q *Request, next func()) {
	if q.Cmd.User == "" || a.Leases.None() && q.Ask.Seconds == nil && q.Ask.Default == 0 && !q.Ask.Renewal {
		next()
		return
	}
	a.touch(q, q.Ask, next)
}

func (a *API) touch(q *Request, ask leases.Ask, next func()) {
	needed := q.Info.Brings() || ask.Renewal
	a.Leases.Touch(q.Session(), ask, q.Deadline, func(g leases.Grant, err error) {
		switch {
		case errors.Is(err, leases.ErrTooMany) && needed:
			e := room.Invalid("sessionID", "%q would be one more session of %q than the %d that a user may have had in the last minutes; use one of those", q.Cmd.Session, q.Cmd.User, ask.Most)
			e.Limit, e.Actual = int64(ask.Most), int64(ask.Most)+1
			a.Commit.Refuse(&q.Call, e)
		case err != nil && needed:
			e := room.Refuse(room.ErrBusy, "nothing happened: the lease of session %s of %q could not be stored; try again", q.Cmd.Session, q.Cmd.User)
			e.RetryAfterMs = 1000
			a.Commit.Refuse(&q.Call, e)
		case err != nil: // it keeps what it had
			next()
		case g.Ended && q.Info.Brings() && !ask.Afresh:
			a.Life.Go(func() { a.afresh(q, ask, next) })
		default:
			q.Cmd.Lease, q.Over = g.Seconds, g.Ended
			q.Lease = room.Lease{ExpiresAt: g.EndAt, LeaseSeconds: g.Seconds}
			next()
		}
	})
}

// afresh lets a session begin again whose lease has expired: what is left of it is removed
// first.
func (a *API) afresh(q *Request, ask leases.Ask, next func()) {
	ctx, cancel := context.WithDeadline(a.Life, q.Deadline)
	defer cancel()
	id := q.Session()
	known := a.Leases.Of(id)
	if known.Live { // another of its commands was faster
		a.touch(q, ask, next)
		return
	}
	done, ended := a.Expire(ctx, []leases.Ending{{Session: id, At: known.EndAt, Seq: known.Seq}})
	if ask.Afresh = len(ended) > 0; !ask.Afresh { // it was renewed, or ending it is to be tried again
		a.Life.Pause(afreshAgain)
	}
	for _, out := range done {
		select {
		case <-out:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return // the sweep answers the call
	}
	a.touch(q, ask, next)
}
