package leases

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Grants is what users' tokens give them, each user's in a key of the bucket.
type Grants struct{ Book *Book }

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

// mostJitter is the most that a write waits which met another one.
const mostJitter = 20 * time.Millisecond

// mostHeld is how long grants stand in the bucket from when they were stored last: a clock's
// and a stream's times end where a token's do not.
const mostHeld = 10 * 365 * 24 * time.Hour

// Add notes what a token with which a user connects gives it, until the token runs out. Rooms of
// several tokens add up; how the user is called, the newest one says. An error says that it was
// not stored, or may not have been.
func (g *Grants) Add(ctx context.Context, u subjects.User, grant *room.Grant) error {
	for ctx.Err() == nil {
		held, seq, err := g.of(ctx, u)
		if err != nil {
			return err
		}
		if held.add(grant) {
			seq, err = g.put(ctx, u, held, seq)
		}
		switch {
		case errors.Is(err, journal.ErrConflict): // another of the user's tokens came at the same moment
			_ = rest(ctx, rand.N(mostJitter))
		case err != nil:
			return err
		default:
			return g.Book.passed.Wait(ctx, seq)
		}
	}
	return ctx.Err()
}

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

// of reads what the user's tokens give it, by the bucket's leader, and the sequence
// that guards the next write.
func (g *Grants) of(ctx context.Context, u subjects.User) (*grants, uint64, error) {
	held := &grants{}
	m, err := g.Book.stream.GetLastMsgForSubject(ctx, subjects.KV(subjects.BucketSessions, subjects.GrantKey(u)))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return held, 0, nil
	case err != nil:
		return nil, 0, err
	case journal.IsMarker(m.Header):
		return held, m.Sequence, nil
	}
	return held, m.Sequence, json.Unmarshal(m.Data, held)
}

func (g *Grants) put(ctx context.Context, u subjects.User, held *grants, expect uint64) (uint64, error) {
	data, err := json.Marshal(held)
	if err != nil {
		return 0, err
	}
	return g.Book.journal.Store(ctx, []journal.Entry{{
		Subject: subjects.KV(subjects.BucketSessions, subjects.GrantKey(u)), Guarded: true, Expect: expect,
		Header: nats.Header{jetstream.MsgTTLHeader: {held.ends().String()}}, Data: data,
	}})
}

// Names says whether a token of the user's names the room, and makes the user a host of it.
func (g *Grants) Names(ctx context.Context, u subjects.User, r subjects.Room) (named, host bool, err error) {
	held, _, err := g.of(ctx, u)
	if err != nil {
		return false, false, err
	}
	now := events.TimeOf(time.Now())
	for _, t := range held.Tokens {
		if t.Until > now {
			host = host || slices.Contains(t.Hosts, string(r))
			named = named || slices.Contains(t.Rooms, string(r))
		}
	}
	return named || host, host, nil
}

// bearer is what every instance knows of what a user's tokens say.
type bearer struct {
	called *called
	hosts  []tokenGrant
}

// takeGrants takes a message under the key of a user's grants.
func (k *ledger) takeGrants(u subjects.User, data []byte, gone bool) {
	var held grants
	if !gone {
		if err := json.Unmarshal(data, &held); err != nil {
			k.log.Warn("what a user's tokens say can't be read", "user", u, "error", err)
			return
		}
	}
	known := bearer{called: held.Called}
	for _, t := range held.Tokens {
		if len(t.Hosts) > 0 {
			known.hosts = append(known.hosts, tokenGrant{Hosts: t.Hosts, Until: t.Until})
		}
	}
	if known.called == nil && known.hosts == nil {
		delete(k.bearers, u)
		return
	}
	k.bearers[u] = known
}

// Called is how a user is called by the newest of its tokens that says so.
func (b *Book) Called(u subjects.User) (name string, info jsontext.Value) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.known.bearers[u].called
	if c == nil || c.over(events.TimeOf(time.Now())) {
		return "", nil
	}
	return c.Name, c.Info
}

// HostOf says whether a token of the user's makes it a host of a room, as far as that has been
// heard of; [Grants.Names] knows better.
func (b *Book) HostOf(u subjects.User, r subjects.Room) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := events.TimeOf(time.Now())
	return slices.ContainsFunc(b.known.bearers[u].hosts, func(t tokenGrant) bool { return t.Until > now && slices.Contains(t.Hosts, string(r)) })
}
