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

	// mostSessions is how many sessions an end user may have that have a lease, or had one
	// in the last minutes: one with a random ID for each command would fill the bucket.
	mostSessions = 1000
)

// asked is what a request says of its session's life, which has a lease if live.
func (a *API) asked(q *request, c *room.Caller, live bool) leases.Ask {
	ask := leases.Ask{Seconds: c.LeaseSeconds, Connection: c.Connection, Renewal: q.info.Verb == room.Renew}
	if q.userForm && (q.info.Brings() || ask.Renewal && !live && a.present(q.Cmd)) {
		ask.Default = a.Limits().LeaseSeconds
	}
	if q.userForm && a.Feeds {
		ask.Most = mostSessions
	}
	return ask
}

// present says whether the command's session is in a room. Whoever renews then, and has no
// lease, was brought in by somebody else, and begins one: it would never be missed.
func (a *API) present(c *room.Command) bool {
	return slices.ContainsFunc(a.Replica.Users.Of(c.User), func(known *replica.Room) (in bool) {
		known.View(func(st *room.State) { in = st.Has(c) })
		return in
	})
}

// alive renews the lease of the request's session where it has one, and begins one where it
// is to have one: before anything is stored of its joining. Then it goes on with next.
func (a *API) alive(q *request, next func()) {
	if q.Cmd.User == "" || a.Leases.None() && q.ask.Seconds == nil && q.ask.Default == 0 && !q.ask.Renewal {
		next()
		return
	}
	a.touch(q, q.ask, next)
}

func (a *API) touch(q *request, ask leases.Ask, next func()) {
	needed := q.info.Brings() || ask.Renewal
	a.Leases.Touch(q.session(), ask, q.Deadline, func(g leases.Grant, err error) {
		switch {
		case errors.Is(err, leases.ErrTooMany) && needed:
			e := room.Invalid("sessionID", "%q would be one session more of %q than the %d that a user may have had in the last minutes; go on with one of those", q.Cmd.Session, q.Cmd.User, ask.Most)
			e.Limit, e.Actual = int64(ask.Most), int64(ask.Most)+1
			a.Commit.Refuse(&q.Call, e)
		case err != nil && needed:
			e := room.Refuse(room.ErrBusy, "nothing happened: the lease of session %s of %q could not be stored; try again", q.Cmd.Session, q.Cmd.User)
			e.RetryAfterMs = 1000
			a.Commit.Refuse(&q.Call, e)
		case err != nil: // it has what it had
			next()
		case g.Ended && q.info.Brings() && !ask.Afresh:
			a.Life.Go(func() { a.afresh(q, ask, next) })
		default:
			q.Cmd.Lease, q.over = g.Seconds, g.Ended
			q.lease = room.Lease{ExpiresAt: g.EndAt, LeaseSeconds: g.Seconds}
			next()
		}
	})
}

// afresh lets a session begin anew whose lease has run out: what is left of it goes first.
func (a *API) afresh(q *request, ask leases.Ask, next func()) {
	ctx, cancel := context.WithDeadline(a.Life, q.Deadline)
	defer cancel()
	id := q.session()
	known := a.Leases.Of(id)
	if known.Live { // another command of it was faster
		a.touch(q, ask, next)
		return
	}
	done, ended := a.Expire(ctx, []leases.Ending{{Session: id, At: known.EndAt, Seq: known.Seq}})
	if ask.Afresh = len(ended) > 0; !ask.Afresh { // it was renewed, or that is to be tried again
		a.Life.Pause(afreshAgain)
	}
	for _, out := range done {
		select {
		case <-out:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return // whoever sweeps answers the call
	}
	a.touch(q, ask, next)
}
