package leases

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/subjects"
)

// Grants is the rooms that users' tokens name, each user's in a key of the bucket.
type Grants struct {
	Journal *journal.Journal
	Stream  jetstream.Stream // of the bucket
}

// grants is the rooms that a user's tokens name, as they stand in the bucket
// `room_sessions` until the last of them has run out.
type grants struct {
	Tokens []tokenGrant `json:"tokens"`
}

type tokenGrant struct {
	Rooms []string    `json:"rooms"`
	Until events.Time `json:"until"`
}

// mostTokens is how many tokens of one user count; those that run out first give way.
const mostTokens = 32

// mostJitter is the most that a write waits which met another one.
const mostJitter = 20 * time.Millisecond

// mostHeld is how long grants stand in the bucket from when they were stored last: a clock's
// and a stream's times end where a token's do not.
const mostHeld = 10 * 365 * 24 * time.Hour

// Add notes that a user has connected with a token that names rooms, until the token runs
// out. Tokens add up. An error says that it was not stored, or may not have been.
func (g *Grants) Add(ctx context.Context, u subjects.User, rooms []subjects.Room, until time.Time) error {
	token := tokenGrant{Until: events.TimeOf(until)}
	for _, r := range rooms {
		token.Rooms = append(token.Rooms, string(r))
	}
	slices.Sort(token.Rooms)
	for ctx.Err() == nil {
		held, seq, err := g.of(ctx, u)
		if err != nil {
			return err
		}
		if !held.add(token) {
			return nil
		}
		if err = g.put(ctx, u, held, seq); !errors.Is(err, journal.ErrConflict) {
			return err
		}
		_ = rest(ctx, rand.N(mostJitter)) // another of the user's tokens came at the same moment
	}
	return ctx.Err()
}

// add takes a token's rooms, and drops tokens that have run out. It is false if nothing
// has to be stored for it. The one that is good for longest comes first.
func (h *grants) add(token tokenGrant) bool {
	now := events.TimeOf(time.Now())
	h.Tokens = slices.DeleteFunc(h.Tokens, func(t tokenGrant) bool { return t.Until <= now })
	for i, t := range h.Tokens {
		if slices.Equal(t.Rooms, token.Rooms) {
			if t.Until >= token.Until {
				return false
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

// of reads what the user's tokens name, by the bucket's leader, and the sequence
// that guards the next write.
func (g *Grants) of(ctx context.Context, u subjects.User) (*grants, uint64, error) {
	held := &grants{}
	m, err := g.Stream.GetLastMsgForSubject(ctx, subjects.KV(subjects.BucketSessions, subjects.GrantKey(u)))
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

func (g *Grants) put(ctx context.Context, u subjects.User, held *grants, expect uint64) error {
	data, err := json.Marshal(held)
	if err != nil {
		return err
	}
	left := min(max(time.Until(held.Tokens[0].Until.Time()).Truncate(time.Second), 0), mostHeld) + time.Second
	_, err = g.Journal.Store(ctx, []journal.Entry{{
		Subject: subjects.KV(subjects.BucketSessions, subjects.GrantKey(u)), Guarded: true, Expect: expect,
		Header: nats.Header{jetstream.MsgTTLHeader: {left.String()}}, Data: data,
	}})
	return err
}

// Names says whether a token of the user's names the room.
func (g *Grants) Names(ctx context.Context, u subjects.User, r subjects.Room) (bool, error) {
	held, _, err := g.of(ctx, u)
	if err != nil {
		return false, err
	}
	now := events.TimeOf(time.Now())
	return slices.ContainsFunc(held.Tokens, func(t tokenGrant) bool {
		return t.Until > now && slices.Contains(t.Rooms, string(r))
	}), nil
}
