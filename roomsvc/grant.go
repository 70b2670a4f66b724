package roomsvc

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
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

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

// mostHeld is how long grants stand in the bucket from when they were stored last: a clock's
// and a stream's times end where a token's do not.
const mostHeld = 10 * 365 * 24 * time.Hour

// grantAgain is how long it takes until grants that could not be read are read again.
const grantAgain = 100 * time.Millisecond

// Grant notes that a user has come with a token that names rooms, so that it may come
// into those whose access is by token, through any instance, until the token runs out.
// Tokens add up. An error says that it was not stored, or may not have been.
func (s *Service) Grant(ctx context.Context, u subjects.User, rooms []subjects.Room, until time.Time) error {
	token := tokenGrant{Until: events.TimeOf(until)}
	for _, r := range rooms {
		token.Rooms = append(token.Rooms, string(r))
	}
	slices.Sort(token.Rooms)
	for ctx.Err() == nil {
		held, seq, err := s.grantsOf(ctx, u)
		if err != nil {
			return err
		}
		if !held.add(token) {
			return nil
		}
		if err = s.putGrants(ctx, u, held, seq); !errors.Is(err, journal.ErrConflict) {
			return err
		}
		s.pause(rand.N(jitterHigh)) // another of the user's tokens came at the same moment
	}
	return ctx.Err()
}

// add takes a token's rooms, and drops tokens that have run out. It is false if nothing
// has to be stored for it. The one that is good for longest comes first.
func (g *grants) add(token tokenGrant) bool {
	now := events.TimeOf(time.Now())
	g.Tokens = slices.DeleteFunc(g.Tokens, func(t tokenGrant) bool { return t.Until <= now })
	for i, t := range g.Tokens {
		if slices.Equal(t.Rooms, token.Rooms) {
			if t.Until >= token.Until {
				return false
			}
			g.Tokens = slices.Delete(g.Tokens, i, i+1)
			break
		}
	}
	g.Tokens = append(g.Tokens, token)
	slices.SortFunc(g.Tokens, func(a, b tokenGrant) int { return int(b.Until - a.Until) })
	g.Tokens = g.Tokens[:min(len(g.Tokens), mostTokens)]
	return true
}

// grantsOf reads what the user's tokens name, by the bucket's leader, and the sequence
// that guards the next write.
func (s *Service) grantsOf(ctx context.Context, u subjects.User) (*grants, uint64, error) {
	held := &grants{}
	m, err := s.leases.Stream().GetLastMsgForSubject(ctx, subjects.KV(subjects.BucketSessions, subjects.GrantKey(u)))
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

func (s *Service) putGrants(ctx context.Context, u subjects.User, held *grants, expect uint64) error {
	data, err := json.Marshal(held)
	if err != nil {
		return err
	}
	left := min(max(time.Until(held.Tokens[0].Until.Time()).Truncate(time.Second), 0), mostHeld) + time.Second
	_, err = s.journal.Store(ctx, []journal.Entry{{
		Subject: subjects.KV(subjects.BucketSessions, subjects.GrantKey(u)), Guarded: true, Expect: expect,
		Header: nats.Header{jetstream.MsgTTLHeader: {left.String()}}, Data: data,
	}})
	return err
}

// granted says whether a token of the call's user names its room, where that matters.
func (s *Service) granted(ctx context.Context, c *call) (bool, error) {
	if !c.cmd.OwnForm || !brings(c.cmd.Verb) {
		return false, nil
	}
	head := s.rep.head(c.cmd.Room)
	if head == nil || head.Config.Access != room.AccessToken {
		return false, nil
	}
	held, _, err := s.grantsOf(ctx, c.cmd.User)
	if err != nil {
		return false, err
	}
	now := events.TimeOf(time.Now())
	return slices.ContainsFunc(held.Tokens, func(t tokenGrant) bool {
		return t.Until > now && slices.Contains(t.Rooms, string(c.cmd.Room))
	}), nil
}
