package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// errForbidden is that the NATS server does not allow to ask something.
var errForbidden = errors.New("the NATS server does not allow it")

// asking runs a question that the NATS server may forbid, which it says beside the answer.
func (s *session) asking(ctx context.Context, within time.Duration, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var forbidden atomic.Bool
	give := context.CancelFunc(func() { forbidden.Store(true); cancel() })
	s.forbidden.Store(&give)
	defer s.forbidden.Store(nil)
	err := ask(ctx)
	if err != nil && forbidden.Load() {
		return errForbidden
	}
	return err
}

// instance is one running roomd, as it says itself.
type instance struct {
	Name     string                    `json:"instance"`
	Version  string                    `json:"version"`
	Ready    bool                      `json:"ready"`
	Problem  string                    `json:"problem,omitzero"`
	Leads    bool                      `json:"leads"`
	Rooms    int64                     `json:"rooms"`
	InFlight int64                     `json:"inFlight"`
	Revision uint64                    `json:"revision"`
	Started  time.Time                 `json:"started"`
	Webhooks map[string]jsontext.Value `json:"webhooks,omitzero"` // what became of deliveries, by webhook
	Commands map[string]float64        `json:"commands"`          // how many it took, by verb, since it started
}

// Instances answer at once; the last one is that after which none came for a while.
const (
	answersFirst = 2 * time.Second
	answersMore  = 300 * time.Millisecond
)

// instances asks all running roomd how they are, by name.
func (s *session) instances(ctx context.Context) ([]instance, error) {
	subject, err := micro.ControlSubject(micro.StatsVerb, subjects.MicroService, "")
	if err != nil {
		return nil, err
	}
	sub, err := s.nc.SubscribeSync(s.nc.NewInbox())
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := s.nc.PublishRequest(subject, sub.Subject, nil); err != nil {
		return nil, err
	}
	var all []instance
	for wait := answersFirst; ; wait = answersMore {
		m, err := next(ctx, sub, wait)
		switch {
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			slices.SortFunc(all, func(x, y instance) int { return cmp.Compare(x.Name, y.Name) })
			return all, nil
		case errors.Is(err, nats.ErrNoResponders):
			return nil, client.ErrNoService
		case err != nil:
			return nil, err
		}
		i, err := instanceOf(m.Data)
		if err != nil {
			return nil, err
		}
		all = append(all, i)
	}
}

func next(ctx context.Context, sub *nats.Subscription, wait time.Duration) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}

func instanceOf(data []byte) (i instance, err error) {
	var said struct { // of micro.Stats, whose durations are numbers
		Started   time.Time `json:"started"`
		Endpoints []struct {
			Name        string         `json:"name"`
			NumRequests int            `json:"num_requests"`
			Data        jsontext.Value `json:"data"`
		} `json:"endpoints"`
	}
	if err := json.Unmarshal(data, &said); err != nil {
		return i, fmt.Errorf("an instance says something that is not understood: %w", err)
	}
	i.Commands = map[string]float64{}
	for n, e := range said.Endpoints {
		if n == 0 {
			if err := json.Unmarshal(e.Data, &i); err != nil {
				return i, fmt.Errorf("an instance says something that is not understood: %w", err)
			}
		}
		i.Commands[strings.TrimSuffix(e.Name, "-user")] += float64(e.NumRequests) // end users give commands on subjects of their own
	}
	i.Started = said.Started
	return i, nil
}

// probes is how many commands are given to learn how long one takes.
const probes = 5

// roundTrips is how long small commands take, one after the other; those before an error.
func (s *session) roundTrips(ctx context.Context, c *client.Client) (times []time.Duration, err error) {
	for range probes {
		trip, err := s.roundTrip(ctx, c)
		if err != nil {
			return times, err
		}
		times = append(times, trip)
	}
	return times, nil
}

// roundTrip is how long a small command takes.
func (s *session) roundTrip(ctx context.Context, c *client.Client) (time.Duration, error) {
	began := time.Now()
	var err error
	if s.userForm {
		_, err = c.Rooms(ctx, room.RoomsRequest{})
	} else {
		_, err = c.List(ctx, room.ListRequest{Page: room.Page{Count: 1}})
	}
	s.replies = nil
	return time.Since(began), err
}
