package leases

import (
	"cmp"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// grants is what a user's tokens give it, as it stands in the bucket `room_sessions` until the
// last of it has run out. Each part says of which token it is: one that is refused later gives
// nothing any more.
type grants struct {
	Tokens []tokenGrant `json:"tokens"`
	Called *called      `json:"called,omitzero"` // by the newest token that says so
	Before []called     `json:"before,omitzero"` // by other tokens before, the newest first
}

type tokenGrant struct {
	room.TokenMark `json:",embed"` // without the user
	Rooms          []string        `json:"rooms"`
	Hosts          []string        `json:"hosts,omitzero"`
	Until          events.Time     `json:"until"`
}

// called is how a user is called.
type called struct {
	room.TokenMark `json:",embed"` // without the user
	Name           string          `json:"name"`
	Info           jsontext.Value  `json:"info,omitzero"`
	Until          events.Time     `json:"until,omitzero"` // 0: it does not end
}

func (c *called) equal(o *called) bool {
	return c != nil && same(c.TokenMark, o.TokenMark) && c.Name == o.Name && string(c.Info) == string(o.Info) && c.Until == o.Until
}

// same says whether these are marks of one token, as far as anybody can tell.
func same(a, b room.TokenMark) bool { return a == b || unknown(a) && unknown(b) }

// unknown says that nobody noted which token that is, as an earlier version did not.
func unknown(m room.TokenMark) bool { return m.ID == 0 && m.Key == 0 }

// Of one user count mostTokens tokens with rooms, and mostNames with names. Those that are
// refused give way first, then those that give nothing beyond another one, and those that run out
// first.
const (
	mostTokens = 32
	mostNames  = 8
)

// mostHeld is how long grants stand in the bucket from when they were stored last: a clock's
// and a stream's times end where a token's do not.
const mostHeld = 10 * 365 * 24 * time.Hour

// stored notes when the grants were stored. One that does not say of which token it is, is taken to
// be of a token from that moment: it is from before.
func (h *grants) stored(at events.Time) {
	from := func(m *room.TokenMark) {
		if unknown(*m) && m.IssuedAt == 0 {
			m.IssuedAt = at
		}
	}
	for i := range h.Tokens {
		from(&h.Tokens[i].TokenMark)
	}
	if h.Called != nil {
		from(&h.Called.TokenMark)
	}
	for i := range h.Before {
		from(&h.Before[i].TokenMark)
	}
}

// names is how the user is called by its tokens, the newest first.
func (h *grants) names() []called {
	if h.Called == nil {
		return nil
	}
	return append([]called{*h.Called}, h.Before...)
}

// add takes what a token gives, and drops what has run out. It is false if nothing has to be
// stored for it. The token that is good for longest comes first, and last those that are refused.
func (h *grants) add(grant *room.Grant, mark room.TokenMark, refused func(room.TokenMark) bool) (changed bool) {
	now := events.TimeOf(time.Now())
	h.Tokens = slices.DeleteFunc(h.Tokens, func(t tokenGrant) bool { return t.Until <= now })
	if c := (&called{mark, grant.Name, grant.Info, grant.Until}); grant.Named && !h.Called.equal(c) {
		h.call(c, now)
		changed = true
	}
	if len(grant.Rooms)+len(grant.Hosts) == 0 {
		return changed
	}
	token := tokenGrant{TokenMark: mark, Rooms: sorted(grant.Rooms), Until: grant.Until}
	if len(grant.Hosts) > 0 {
		token.Hosts = sorted(grant.Hosts)
	}
	for i, t := range h.Tokens {
		if same(t.TokenMark, mark) && t.gives(&token) {
			if t.Until >= token.Until && !refused(t.TokenMark) {
				return changed
			}
			h.Tokens = slices.Delete(h.Tokens, i, i+1)
			break
		}
	}
	h.Tokens = append(h.Tokens, token)
	slices.SortStableFunc(h.Tokens, func(a, b tokenGrant) int {
		switch bad := refused(a.TokenMark); {
		case bad == refused(b.TokenMark):
			return cmp.Compare(b.Until, a.Until)
		case bad:
			return 1
		}
		return -1
	})
	for len(h.Tokens) > mostTokens {
		h.giveWay(refused)
	}
	return true
}

// gives says whether both give the same.
func (t *tokenGrant) gives(o *tokenGrant) bool {
	return slices.Equal(t.Rooms, o.Rooms) && slices.Equal(t.Hosts, o.Hosts)
}

// giveWay drops one of the tokens.
func (h *grants) giveWay(refused func(room.TokenMark) bool) {
	last := len(h.Tokens) - 1
	drop := last
	for i := last; i > 0 && !refused(h.Tokens[last].TokenMark); i-- {
		if slices.ContainsFunc(h.Tokens[:i], func(t tokenGrant) bool { return t.gives(&h.Tokens[i]) }) {
			drop = i
			break
		}
	}
	h.Tokens = slices.Delete(h.Tokens, drop, drop+1)
}

// call notes how the newest token calls the user.
func (h *grants) call(c *called, now events.Time) {
	h.Before = slices.DeleteFunc(h.names(), func(o called) bool { return same(o.TokenMark, c.TokenMark) || o.over(now) })
	h.Before = h.Before[:min(len(h.Before), mostNames-1)]
	h.Called = c
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
	for _, t := range h.Tokens {
		last = max(last, t.Until)
	}
	for _, c := range h.names() {
		if c.Until == 0 {
			return mostHeld
		}
		last = max(last, c.Until)
	}
	return min(max(time.Until(last.Time()).Truncate(time.Second), 0), mostHeld) + time.Second
}
