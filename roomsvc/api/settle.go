package api

import (
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/room"
)

// Settle answers calls that were decided, refused, or carried out before. The locks of their
// rooms are held.
func (a *API) Settle(results []commit.Result) {
	var same Cache
	for i := range results {
		r := &results[i]
		q := r.From.(*Request)
		switch row := a.Verbs[q.Info.Verb]; {
		case r.Repeat:
			a.settleRepeated(q, r, row)
		case r.Refused != nil:
			a.settleRefused(q, r)
		default:
			a.tellDone(r)
			if !r.Late {
				row.Answer(a, q, r, &same)
			}
		}
	}
}

// settleRefused answers a refusal, and tells the user's devices where its session stands.
func (a *API) settleRefused(q *Request, r *commit.Result) {
	if st := a.Shown(q, r.State); r.Refused.Code == room.ErrRevisionMismatch && st != nil { // otherwise the room has ended since
		at := st.Position()
		r.Refused.Attributes, r.Refused.At = st.Attributes, &at
	}
	a.tellRefused(q, r)
	a.SendError(q, r.Refused)
}

// settleRepeated answers a request that was carried out before, with the first outcome.
func (a *API) settleRepeated(q *Request, r *commit.Result, row Verb) {
	if q.told {
		a.tellRepeated(q, r)
	}
	if r.Refused != nil {
		a.SendError(q, r.Refused)
		return
	}
	row.Repeat(a, q, r)
}
