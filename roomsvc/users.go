package roomsvc

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/conns"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

const (
	crowdEvery = 5 * time.Second // connections with too many subscriptions are looked for

	endings = 64               // users whose connections may wait to be ended
	endWait = 10 * time.Second // for the servers to say what is open, and to end it
)

// Admit says why an end user may not have one more connection now; nil if it may.
func (s *Service) Admit(ctx context.Context, u subjects.User, c room.Connection) error {
	now := time.Now()
	if s.guard == nil {
		return nil
	}
	if until := s.guard.CutOff(now, u); !until.IsZero() {
		return fmt.Errorf("%q is cut off until %s", u, until.UTC().Format(time.RFC3339))
	}
	most := s.limits.Load().UserConnections
	if most == 0 {
		return nil
	}
	ok, full := s.connections.Ask(now, u, c, most)
	if full && s.cfg.System != nil { // the word that one has closed may have been lost
		open, err := conns.New(s.cfg.System, s.nc, s.cfg.Server).Of(ctx, u)
		if err == nil {
			s.connections.Are(u, open)
			ok, _ = s.connections.Ask(now, u, c, most)
		}
	}
	if !ok {
		return fmt.Errorf("%q has as many connections as the %d that a user may have, or connects too often", u, most)
	}
	return nil
}

// hearConnections learns from the system account which clients' connections open and close.
func (s *assembly) hearConnections() error {
	if s.cfg.System == nil {
		return nil
	}
	err := s.hear(subjects.Disconnects, func(_ string, c room.Connection) {
		s.leases.Closed(c)
		s.connections.Closed(c)
	})
	if err == nil && s.cfg.Feeds {
		err = s.hear(subjects.Connects, func(name string, c room.Connection) {
			if u, ok := subjects.UserOfConnection(name); ok {
				s.connections.Opened(u, c)
			}
		})
		s.toEnd = make(chan subjects.User, endings)
		s.life.Go(s.endAll)
	}
	if err != nil {
		return err
	}
	if s.cfg.Server != "" {
		s.leases.Left(s.cfg.Server)
	}
	return s.cfg.System.FlushTimeout(commit.Timeout)
}

// hear passes on what servers announce about clients' connections, with the names of their
// users.
func (s *assembly) hear(subject string, tell func(name string, c room.Connection)) error {
	sub, err := s.cfg.System.Subscribe(subject, func(m *nats.Msg) {
		var e struct {
			Server struct {
				ID string `json:"id"`
			} `json:"server"`
			Client struct {
				ID   uint64 `json:"id"`
				User string `json:"user"`
			} `json:"client"`
		}
		if json.Unmarshal(m.Data, &e) == nil && e.Client.ID != 0 {
			tell(e.Client.User, room.Connection{ServerID: e.Server.ID, ClientID: e.Client.ID})
		}
	})
	if err == nil {
		context.AfterFunc(s.life, func() { _ = sub.Unsubscribe() })
	}
	return err
}

// cutOff is what instances tell each other of a user who is cut off.
type cutOff struct {
	User  string      `json:"userID"`
	Until events.Time `json:"until"`
}

func (s *assembly) tellCutOff(u subjects.User, until time.Time) {
	data, err := json.Marshal(cutOff{string(u), events.TimeOf(until)})
	if err == nil {
		_ = s.nc.Publish(subjects.CutOff, data) // or each instance finds out for itself
	}
}

// hearCutOffs learns whom other instances cut off.
func (s *assembly) hearCutOffs() error {
	sub, err := s.nc.Subscribe(subjects.CutOff, func(m *nats.Msg) {
		var c cutOff
		if json.Unmarshal(m.Data, &c) != nil {
			return
		}
		if u, err := subjects.ParseUser(c.User); err == nil {
			s.guard.CutOffUntil(u, c.Until.Time())
		}
	})
	if err == nil {
		context.AfterFunc(s.life, func() { _ = sub.Unsubscribe() })
	}
	return err
}

// endConnections has a user's connections ended: at once those to a server in this process, and
// soon whatever is open in spite of that. If too many wait for that, it happens when the user
// goes on.
func (s *assembly) endConnections(u subjects.User) {
	if s.cfg.EndConnection != nil {
		s.life.Go(func() {
			for _, c := range s.connections.Of(u) {
				if c.ServerID == s.cfg.Server {
					_ = s.cfg.EndConnection(c.ClientID) // or it has ended
				}
			}
		})
	}
	select {
	case s.toEnd <- u:
	default:
	}
}

// endAll ends connections of users as long as the life lasts.
func (s *assembly) endAll() {
	servers := conns.New(s.cfg.System, s.nc, s.cfg.Server)
	look := time.NewTicker(crowdEvery)
	defer look.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case <-look.C:
			s.endCrowded(servers)
		case u := <-s.toEnd:
			if err := s.endAllOf(servers, u); err != nil && !s.life.Over() {
				s.log.Debug("ending the connections of a user", "user", u, "error", err)
			}
		}
	}
}

// endCrowded ends connections of end users that have too many subscriptions: the NATS server has
// no limit for those whom somebody else lets in.
func (s *assembly) endCrowded(servers *conns.Servers) {
	most := s.limits.Load().UserSubscriptions
	if most == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.life, endWait)
	defer cancel()
	crowded, err := servers.Crowded(ctx, most)
	for _, c := range crowded {
		if e := servers.End(ctx, c); e != nil {
			err = e
		}
	}
	if len(crowded) > 0 {
		s.log.Warn("connections of end users are ended that have more subscriptions than they may", "connections", len(crowded), "limit", most, "error", err)
	}
}

// endAllOf ends what the servers say is open.
func (s *assembly) endAllOf(servers *conns.Servers, u subjects.User) error {
	ctx, cancel := context.WithTimeout(s.life, endWait)
	defer cancel()
	open, err := servers.Of(ctx, u)
	for _, c := range open {
		if e := servers.End(ctx, c); e != nil {
			err = e
		}
	}
	return err
}
