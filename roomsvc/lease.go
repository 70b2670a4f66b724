package roomsvc

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
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
	expireAgain  = time.Second     // after a round that could not be completed
	settled      = commandTimeout + time.Second
	afreshAgain  = 20 * time.Millisecond
	grantsAtOnce = 64

	// mostSessions is how many sessions an end user may have that have a lease, or had one
	// in the last minutes: one with a random ID for each command would fill the bucket.
	mostSessions = 1000
)

// asked is what a request says of its session's life, which has a lease if live.
func (s *Service) asked(q *request, c *room.Caller, live bool) leases.Ask {
	a := leases.Ask{Seconds: c.LeaseSeconds, Connection: c.Connection, Renewal: q.verb == room.Renew}
	if q.userForm && (brings(q.verb) || q.verb == room.Renew && !live && s.present(q.cmd)) {
		a.Default = s.limits.Load().LeaseSeconds
	}
	if q.userForm && s.cfg.Feeds {
		a.Most = mostSessions
	}
	return a
}

// present says whether the command's session is in a room. Whoever renews then, and has no
// lease, was brought in by somebody else, and begins one: it would never be missed.
func (s *Service) present(c *room.Command) bool {
	return slices.ContainsFunc(s.rep.users.of(c.User), func(mb *mailbox) bool {
		mb.mu.Lock()
		defer mb.mu.Unlock()
		return in(mb.state, c)
	})
}

// alive renews the lease of the call's session where it has one, and begins one where it
// is to have one: before anything is stored of its coming in. Then it goes on with next.
func (s *Service) alive(c *call, next func()) {
	if c.cmd.User == "" || s.leases.None() && c.ask.Seconds == nil && c.ask.Default == 0 && !c.ask.Renewal {
		next()
		return
	}
	s.touch(c, c.ask, next)
}

func (s *Service) touch(c *call, a leases.Ask, next func()) {
	s.leases.Touch(c.session(), a, c.deadline, func(g leases.Grant, err error) {
		switch {
		case errors.Is(err, leases.ErrTooMany) && (brings(c.cmd.Verb) || a.Renewal):
			e := room.Invalid("sessionID", "%q would be one session more of %q than the %d that a user may have had in the last minutes; go on with one of those", c.cmd.Session, c.cmd.User, a.Most)
			e.Limit, e.Actual = int64(a.Most), int64(a.Most)+1
			s.refuse(c, e)
		case err != nil && (brings(c.cmd.Verb) || a.Renewal):
			e := room.Refuse(room.ErrBusy, "nothing happened: the lease of session %s of %q could not be stored; try again", c.cmd.Session, c.cmd.User)
			e.RetryAfterMs = 1000
			s.refuse(c, e)
		case err != nil: // it has what it had
			next()
		case g.Ended && brings(c.cmd.Verb) && !a.Afresh:
			go s.afresh(c, a, next)
		default:
			c.cmd.Lease, c.over = g.Seconds, g.Ended
			c.lease = room.Lease{ExpiresAt: g.EndAt, LeaseSeconds: g.Seconds}
			next()
		}
	})
}

// afresh lets a session begin anew whose lease has run out: what is left of it goes first.
func (s *Service) afresh(c *call, a leases.Ask, next func()) {
	ctx, cancel := context.WithDeadline(s.life, c.deadline)
	defer cancel()
	id := c.session()
	known := s.leases.Of(id)
	if known.Live { // another command of it was faster
		s.touch(c, a, next)
		return
	}
	done, ended := s.expire(ctx, []leases.Ending{{Session: id, At: known.EndAt, Seq: known.Seq}})
	if a.Afresh = len(ended) > 0; !a.Afresh { // it was renewed, or that is to be tried again
		s.pause(afreshAgain)
	}
	for _, out := range done {
		select {
		case <-out:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return // whoever sweeps answers the call
	}
	s.touch(c, a, next)
}

// expiry is the leader's work with leases.
type expiry struct {
	s     *Service
	later map[leases.Session]look
}

// look is a lease that is to be looked at once more. Where its end could not be carried
// through, that is soon. But also a command that was let in by the lease in its last
// moment may be stored behind the marker; when none can be on its way any more, whom
// such a one brought into a room is put out again.
type look struct {
	leases.Ending
	at   time.Time
	last bool
}

// keepLeases ends leases that have run out, while this instance leads.
func (s *Service) keepLeases(ctx context.Context) {
	for !s.leases.Alive() {
		err := s.grantAll(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		s.log.Warn("giving every session a lease anew", "error", err)
		s.pause(leaderPoll)
	}
	x := &expiry{s, map[leases.Session]look{}}
	compare := time.NewTicker(compareEvery)
	defer compare.Stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	x.compare(ctx)
	for next := time.Now(); ; {
		timer.Reset(max(time.Until(x.next()), time.Until(next)))
		select {
		case <-timer.C:
			next = time.Now().Add(expiryEvery)
			x.end(ctx, s.leases.Due(), false)
			x.lookAgain(ctx)
		case <-s.leases.Sooner():
		case <-compare.C:
			x.compare(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// next is when there is something to do.
func (x *expiry) next() time.Time {
	next, ok := x.s.leases.Next()
	if !ok {
		next = time.Now().Add(time.Hour)
	}
	for _, l := range x.later {
		if l.at.Before(next) {
			next = l.at
		}
	}
	return next
}

// end ends leases; last says that they are not to be looked at once more for commands
// of their last moment.
func (x *expiry) end(ctx context.Context, list []leases.Ending, last bool) {
	for part := range slices.Chunk(list, mostAtOnce) {
		_, ended := x.s.expire(ctx, part)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		for _, e := range part {
			if !x.s.leases.Of(e.Session).Live {
				x.later[e.Session] = look{e, now.Add(expireAgain), last}
			}
		}
		for _, e := range ended {
			delete(x.later, e.Session)
			if !last {
				x.later[e.Session] = look{e, now.Add(settled), true}
			}
		}
	}
}

func (x *expiry) lookAgain(ctx context.Context) {
	now := time.Now()
	var first, last []leases.Ending
	for id, l := range x.later {
		if l.at.After(now) {
			continue
		}
		delete(x.later, id)
		if l.last {
			last = append(last, l.Ending)
		} else {
			first = append(first, l.Ending)
		}
	}
	x.end(ctx, first, false)
	x.end(ctx, last, true)
}

// compare looks for sessions in rooms whose lease is over, or has gone, and that nobody
// took out: an instance may have died between the one and the other.
func (x *expiry) compare(ctx context.Context) {
	over := map[leases.Session]leases.Ending{}
	x.s.each(func(id leases.Session, m room.MemberSession) {
		if known := x.s.leases.Of(id); known.Ended || m.LeaseSeconds > 0 && !known.Live {
			over[id] = leases.Ending{Session: id, At: known.EndAt, Seq: known.Seq}
		}
	})
	x.end(ctx, slices.Collect(maps.Values(over)), true)
	x.s.compareDevices()
}

// expire ends leases, and takes their sessions out of the rooms that they are in. It
// gives those that are ended; each channel is closed when it is so in one room.
//
// The marker comes first: once it is there no renewal counts any more, and no join of
// another instance that was stored before it is missed behind the sync point. Whoever is
// found in a room may have begun anew meanwhile, but not without a lease in the bucket.
func (s *Service) expire(ctx context.Context, list []leases.Ending) (done []<-chan struct{}, ended []leases.Ending) {
	round, cancel := context.WithTimeout(ctx, expiryTime)
	defer cancel()
	ended = s.leases.End(round, list)
	if len(ended) == 0 || s.sync.pass(round) != nil {
		return nil, nil
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
	ended, err := s.leases.Still(round, ended)
	if err != nil {
		return nil, nil
	}
	still := map[leases.Session]bool{}
	for _, e := range ended {
		still[e.Session] = true
	}
	for mb, list := range outs {
		list = slices.DeleteFunc(list, func(o room.Out) bool { return !still[leases.Session{User: o.User, ID: o.Session}] })
		if len(list) > 0 {
			done = append(done, s.putOut(mb.room, list))
		}
	}
	return done, ended
}

// putOut takes sessions out of a room. The channel is closed when they are. Who was over
// first goes first: a member's last session says when the member was gone.
func (s *Service) putOut(id subjects.Room, outs []room.Out) <-chan struct{} {
	done := make(chan struct{})
	slices.SortFunc(outs, func(a, b room.Out) int {
		if (a.LeftAt == 0) != (b.LeftAt == 0) { // that one is over only now
			return cmp.Compare(b.LeftAt, a.LeftAt)
		}
		return cmp.Or(cmp.Compare(a.LeftAt, b.LeftAt), cmp.Compare(a.User, b.User), cmp.Compare(a.Session, b.Session))
	})
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

// grantAll gives a full lease to every session that had one, for the bucket was lost.
func (s *Service) grantAll(ctx context.Context) error {
	if err := s.sync.pass(ctx); err != nil {
		return err
	}
	lost := map[leases.Session]int{}
	s.each(func(id leases.Session, x room.MemberSession) {
		if known := s.leases.Of(id); x.LeaseSeconds > 0 && !known.Live && !known.Ended {
			lost[id] = max(lost[id], x.LeaseSeconds) // they may differ from room to room
		}
	})
	var mu sync.Mutex
	var failed error
	var wait sync.WaitGroup
	free := make(chan struct{}, grantsAtOnce)
	for id, seconds := range lost {
		free <- struct{}{}
		wait.Go(func() {
			defer func() { <-free }()
			if err := s.leases.Grant(ctx, id, seconds); err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if failed != nil {
		return failed
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
	if s.cfg.Server != "" {
		s.leases.Left(s.cfg.Server)
	}
	return s.cfg.System.FlushTimeout(commandTimeout)
}
