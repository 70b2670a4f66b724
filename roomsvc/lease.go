package roomsvc

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Timing of the leader's work with leases.
const (
	expiryEvery  = 250 * time.Millisecond // at most one round in this time: what ends in it shares facts
	mostAtOnce   = 1000                   // leases that one round ends
	compareEvery = time.Minute
	expiryTime   = 5 * time.Second // for one round
)

// asked is what a request says of its session's life.
func (s *Service) asked(q *request, c *room.Caller) leases.Ask {
	a := leases.Ask{Seconds: c.LeaseSeconds, Connection: c.Connection, Renewal: q.verb == room.Renew}
	if q.userForm && brings(q.verb) {
		a.Default = s.limits.Load().LeaseSeconds
	}
	return a
}

// alive renews the lease of the call's session where it has one, and begins one where it
// is to have one: before anything is stored of its coming in. Then it goes on with next.
func (s *Service) alive(c *call, next func()) {
	if c.cmd.User == "" || s.leases.None() && c.ask.Seconds == nil && c.ask.Default == 0 {
		next()
		return
	}
	s.touch(c, c.ask, next)
}

func (s *Service) touch(c *call, a leases.Ask, next func()) {
	s.leases.Touch(c.session(), a, c.deadline, func(g leases.Grant, err error) {
		switch {
		case err != nil && (brings(c.cmd.Verb) || a.Renewal):
			e := room.Refuse(room.ErrBusy, "nothing happened: the lease of session %s of %q could not be stored; try again", c.cmd.Session, c.cmd.User)
			e.RetryAfterMs = 1000
			s.refuse(c, e)
		case g.Ended && brings(c.cmd.Verb) && !a.Afresh:
			go s.afresh(c, a, next)
		default:
			c.cmd.Lease, c.endAt, c.over = g.Seconds, g.EndAt, g.Ended
			next()
		}
	})
}

// afresh lets a session begin anew whose lease has run out: what is left of it goes first.
func (s *Service) afresh(c *call, a leases.Ask, next func()) {
	ctx, cancel := context.WithDeadline(s.life, c.deadline)
	defer cancel()
	id := c.session()
	done, ended := s.expire(ctx, []leases.Ending{{Session: id, At: s.leases.Of(id).EndAt}})
	a.Afresh = len(ended) > 0 // else it was renewed, or that is to be tried again
	for _, out := range done {
		select {
		case <-out:
		case <-ctx.Done(): // whoever sweeps answers the call
			return
		}
	}
	s.touch(c, a, next)
}

// keepLeases ends leases that have run out, while this instance leads.
func (s *Service) keepLeases(ctx context.Context) {
	for !s.leases.Alive() {
		if err := s.grantAll(ctx); err != nil {
			s.log.Warn("giving every session a lease anew", "error", err)
		} else {
			break
		}
		s.pause(leaderPoll)
		if ctx.Err() != nil {
			return
		}
	}
	compare := time.NewTicker(compareEvery)
	defer compare.Stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	s.compareLeases(ctx)
	for next := time.Now(); ; {
		wait := time.Hour
		if at, ok := s.leases.Next(); ok {
			wait = max(time.Until(at), time.Until(next))
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
			next = time.Now().Add(expiryEvery)
			s.expireAll(ctx, s.leases.Due())
		case <-s.leases.Sooner():
		case <-compare.C:
			s.compareLeases(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (s *Service) expireAll(ctx context.Context, list []leases.Ending) {
	for len(list) > 0 && ctx.Err() == nil {
		n := min(len(list), mostAtOnce)
		s.expire(ctx, list[:n])
		list = list[n:]
	}
}

// expire ends leases, and takes their sessions out of the rooms that they are in. It
// gives those that are ended; each channel is closed when it is so in one room. The marker comes first: once
// it is there no renewal counts any more, and no join of another instance that was
// stored before it is missed behind the sync point.
func (s *Service) expire(ctx context.Context, list []leases.Ending) (done []<-chan struct{}, ended []leases.Ending) {
	round, cancel := context.WithTimeout(ctx, expiryTime)
	defer cancel()
	ended = s.leases.End(round, list)
	if len(ended) == 0 || s.sync.pass(round) != nil {
		return nil, nil // they come up again
	}
	outs := map[*mailbox][]room.Out{}
	for _, e := range ended {
		for _, mb := range s.rep.users.of(e.User) {
			mb.mu.Lock()
			if m := mb.state.Member(e.User); m != nil {
				if session := m.Session(e.ID); session != nil {
					outs[mb] = append(outs[mb], room.Out{User: e.User, Session: e.ID, JoinedAt: session.JoinedAt, LeftAt: e.At, Reason: events.ReasonExpired})
				}
			}
			mb.mu.Unlock()
		}
	}
	for mb, list := range outs {
		done = append(done, s.putOut(mb.room, list))
	}
	return done, ended
}

// putOut takes sessions out of a room. The channel is closed when they are.
func (s *Service) putOut(id subjects.Room, outs []room.Out) <-chan struct{} {
	done := make(chan struct{})
	s.assign(id, func(st *room.State, in room.Input) *events.Fact {
		f := room.Expel(st, outs, in)
		if f == nil {
			close(done)
		}
		return f
	})
	return done
}

// each calls f for every session of every room, room by room.
func (s *Service) each(f func(leases.Session, room.MemberSession)) {
	for _, mb := range s.rep.all() {
		mb.mu.Lock()
		if mb.state != nil && !mb.state.Ending() {
			mb.state.After(0, func(m *room.Member) bool {
				for _, x := range m.Sessions {
					f(leases.Session{User: m.User, ID: x.SessionID}, x)
				}
				return true
			})
		}
		mb.mu.Unlock()
	}
}

// compareLeases looks for sessions in rooms whose lease is over, or has gone, and that
// nobody took out: an instance may have died between the one and the other.
func (s *Service) compareLeases(ctx context.Context) {
	over := map[leases.Session]events.Time{}
	s.each(func(id leases.Session, x room.MemberSession) {
		if known := s.leases.Of(id); known.Ended || x.LeaseSeconds > 0 && !known.Live {
			over[id] = known.EndAt
		}
	})
	list := make([]leases.Ending, 0, len(over))
	for id, at := range over {
		list = append(list, leases.Ending{Session: id, At: at})
	}
	s.expireAll(ctx, list)
	s.compareDevices()
}

// grantAll gives a full lease to every session that had one, for the bucket was lost.
func (s *Service) grantAll(ctx context.Context) error {
	if err := s.sync.pass(ctx); err != nil {
		return err
	}
	lost := map[leases.Session]int{}
	s.each(func(id leases.Session, x room.MemberSession) {
		if known := s.leases.Of(id); x.LeaseSeconds > 0 && !known.Live && !known.Ended {
			lost[id] = x.LeaseSeconds
		}
	})
	for id, seconds := range lost {
		if err := s.leases.Grant(ctx, id, seconds); err != nil {
			return err
		}
	}
	return s.leases.SetAlive(ctx)
}

// hearDisconnects learns of clients' connections that end, from the system account.
func (s *Service) hearDisconnects() error {
	if s.cfg.System == nil {
		return nil
	}
	sub, err := s.cfg.System.Subscribe(subjects.Disconnects, func(m *nats.Msg) {
		var e struct {
			Server struct {
				ID string `json:"id"`
			} `json:"server"`
			Client struct {
				ID uint64 `json:"id"`
			} `json:"client"`
		}
		if json.Unmarshal(m.Data, &e) == nil && e.Client.ID != 0 {
			s.leases.Closed(room.Connection{ServerID: e.Server.ID, ClientID: e.Client.ID})
		}
	})
	if err != nil {
		return err
	}
	context.AfterFunc(s.life, func() { _ = sub.Unsubscribe() })
	return s.cfg.System.FlushTimeout(commandTimeout)
}
