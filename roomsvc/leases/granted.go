package leases

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// grants is what a user's tokens give it, as it stands in the bucket `room_sessions` until the
// last of it has run out.
type grants struct {
	Tokens []tokenGrant `json:"tokens"`
	Called *called      `json:"called,omitzero"` // by the newest token that says so
}

type tokenGrant struct {
	Rooms []string    `json:"rooms"`
	Hosts []string    `json:"hosts,omitzero"`
	Until events.Time `json:"until"`
}

// called is how a user is called.
type called struct {
	Name  string         `json:"name"`
	Info  jsontext.Value `json:"info,omitzero"`
	Until events.Time    `json:"until,omitzero"` // 0: it does not end
}

func (c *called) equal(o *called) bool {
	return c != nil && c.Name == o.Name && string(c.Info) == string(o.Info) && c.Until == o.Until
}

// mostTokens is how many tokens of one user count; those that run out first give way.
const mostTokens = 32

// mostHeld is how long grants stand in the bucket from when they were stored last: a clock's
// and a stream's times end where a token's do not.
const mostHeld = 10 * 365 * 24 * time.Hour

// add takes what a token gives, and drops what has run out. It is false if nothing has to be
// stored for it. The token that is good for longest comes first.
func (h *grants) add(grant *room.Grant) (changed bool) {
	now := events.TimeOf(time.Now())
	h.Tokens = slices.DeleteFunc(h.Tokens, func(t tokenGrant) bool { return t.Until <= now })
	if c := (&called{grant.Name, grant.Info, grant.Until}); grant.Named && !h.Called.equal(c) {
		h.Called, changed = c, true
	} else if h.Called != nil && h.Called.over(now) {
		h.Called = nil
	}
	if len(grant.Rooms)+len(grant.Hosts) == 0 {
		return changed
	}
	token := tokenGrant{Rooms: sorted(grant.Rooms), Until: grant.Until}
	if len(grant.Hosts) > 0 {
		token.Hosts = sorted(grant.Hosts)
	}
	for i, t := range h.Tokens {
		if slices.Equal(t.Rooms, token.Rooms) && slices.Equal(t.Hosts, token.Hosts) {
			if t.Until >= token.Until {
				return changed
			}
			h.Tokens = slices.Delete(h.Tokens, i, i+1)
			break
		}
	}
	h.Tokens = append(h.Tokens, token)
	slices.SortFunc(h.Tokens, func(a, b tokenGrant) int { return int(b.Until - a.Until) })
	h.Tokens = h.Tokens[:min(len(h.Tokens), mostTokens)]
	return true
}

func sorted(rooms []subjects.Room) []string {
	list := make([]string, 0, len(rooms))
	for _, r := range rooms {
		list = append(list, string(r))
	}
	slices.Sort(list)
	return list
}

func (c *called) over(now events.Time) bool { return c.Until != 0 && c.Until <= now }

// ends is how long it is until all of it has run out.
func (h *grants) ends() time.Duration {
	last := events.Time(0)
	if len(h.Tokens) > 0 {
		last = h.Tokens[0].Until
	}
	if h.Called != nil {
		if h.Called.Until == 0 {
			return mostHeld
		}
		last = max(last, h.Called.Until)
	}
	return min(max(time.Until(last.Time()).Truncate(time.Second), 0), mostHeld) + time.Second
}
