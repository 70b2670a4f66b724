package api

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/room"
)

// Parse reads a request's body into v. If it returns false, it has answered.
func Parse[T any, P interface {
	*T
	Asking
}](a *API, q *Request, v P) bool {
	var body struct {
		Known   P              `json:",embed"`
		Unknown jsontext.Value `json:",embed"`
	}
	body.Known = v
	if len(q.data) > 0 {
		if err := room.CheckFields(q.data); err != nil {
			a.SendError(q, err)
			return false
		}
		if err := json.Unmarshal(q.data, &body); err != nil {
			a.SendError(q, room.BadBody(err))
			return false
		}
	}
	if len(body.Unknown) > 0 {
		var refused *room.Error
		if q.ignored, refused = room.Ignored(body.Unknown); refused != nil {
			a.SendError(q, refused)
			return false
		}
	}
	c := v.For()
	if q.UserForm {
		if c.UserID != "" && c.UserID != string(q.user) {
			a.SendError(q, room.Refuse(room.ErrNotAllowed, "userID is %q, but this connection speaks for %q", c.UserID, q.user))
			return false
		}
		c.UserID = string(q.user)
	}
	if q.UserForm && c.LeaseSeconds != nil && *c.LeaseSeconds == 0 {
		a.SendError(q, room.Invalid("leaseSeconds", "is 0; sessions that last are for trusted callers, here it must be %d to %d", room.MinLease, room.MaxLease))
		return false
	}
	if c.RequestID == "" {
		c.RequestID = header(q.headers, jetstream.MsgIDHeader)
	}
	return true
}

// header is the value of a header, in whatever case its name is written: many libraries write
// all of them in lower case.
func header(h nats.Header, name string) string {
	if v := h.Get(name); v != "" {
		return v
	}
	for _, key := range slices.Sorted(maps.Keys(h)) {
		if strings.EqualFold(key, name) && h.Get(key) != "" {
			return h.Get(key)
		}
	}
	return ""
}

// digest is the same for the same request, however its JSON is laid out.
func digest(verb room.Verb, v any) string {
	data, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(append(data, verb...))
	short := base64.RawURLEncoding.EncodeToString(sum[:9])
	if verb == room.LeaveAll {
		return room.LeaveAllMark + short
	}
	return short
}
