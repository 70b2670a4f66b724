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

// mostJitter is the most that a write waits which met another one.
const mostJitter = 20 * time.Millisecond

// Add notes what a token with which a user connects gives it, until the token runs out. Rooms of
// several tokens add up; how the user is called, the newest one says. mark is the token's. An
// error says that it was not stored, or may not have been.
func (g *Grants) Add(ctx context.Context, u subjects.User, grant *room.Grant, mark room.TokenMark) error {
	mark.User = ""
	for ctx.Err() == nil {
		held, seq, err := g.of(ctx, u)
		if err != nil {
			return err
		}
		if held.add(grant, mark, func(m room.TokenMark) bool { return g.Book.refuses(u, m) }) {
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
	err = json.Unmarshal(m.Data, held)
	held.stored(events.TimeOf(m.Time))
	return held, m.Sequence, err
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
		if t.Until > now && !g.Book.refuses(u, t.TokenMark) {
			host = host || slices.Contains(t.Hosts, string(r))
			named = named || slices.Contains(t.Rooms, string(r))
		}
	}
	return named || host, host, nil
}

// Called is how a user is called by the newest of its tokens that says so and is still good.
func (b *Book) Called(u subjects.User) (name string, info jsontext.Value) {
	now := events.TimeOf(time.Now())
	for _, c := range b.bearer(u).called {
		if !c.over(now) && !b.refuses(u, c.TokenMark) {
			return c.Name, c.Info
		}
	}
	return "", nil
}

// HostOf says whether a token of the user's makes it a host of a room, as far as that has been
// heard of; [Grants.Names] knows better.
func (b *Book) HostOf(u subjects.User, r subjects.Room) bool {
	now := events.TimeOf(time.Now())
	return slices.ContainsFunc(b.bearer(u).hosts, func(t tokenGrant) bool {
		return t.Until > now && slices.Contains(t.Hosts, string(r)) && !b.refuses(u, t.TokenMark)
	})
}

func (b *Book) bearer(u subjects.User) bearer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known.bearers[u]
}

// refuses says whether a token of the user's is refused now, with all that it gave.
func (b *Book) refuses(u subjects.User, m room.TokenMark) bool {
	m.User = u
	return b.Refuses != nil && b.Refuses(m)
}
