package roomsvc

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/guard"
	"natsrooms/roomsvc/health"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/meter"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/webhooks"
	"natsrooms/subjects"
)

// Measures is what an instance is like at a moment, and what it has counted since it started.
type Measures struct {
	Instance string
	Verbs    []meter.Verb // one for each of [room.Commands]; they go on counting
	Commit   *meter.Commit
	Talk     *meter.Talk
	Feeds    *meter.Feeds // nil: end users do not connect as themselves
	Guard    *meter.Guard // nil: neither
	Failed   map[string]uint64
	Hooks    map[room.Verb]hooks.Counts // of the verbs that the application is asked about
	Webhooks map[string]webhooks.Counts // by their names
	Problems []health.Problem           // what is wrong now

	Leads     bool
	Leader    string // the instance that leads, as far as it is known here; it may be this one
	InFlight  int64
	Rooms     int64
	Members   int
	Sessions  int
	Leases    int    // that have not ended
	Revision  uint64 // how far the journal has been read
	Applied   uint64 // the newest fact among what was read
	Projected uint64 // how far the bucket has been written
	Copying   int    // facts and messages that wait to be copied for end users

	Used, Free  int64 // bytes of the store; both 0: not known
	Streams     []StreamMeasure
	Connections []ConnectionMeasure
}

// StreamMeasure is what a stream holds, according to its leader.
type StreamMeasure struct {
	Name            string
	Messages, Bytes uint64
	MaxBytes        int64  // what it may hold; 0: no limit of its own
	First, Last     uint64 // sequences
}

// ConnectionMeasure is one of the instance's connections to the NATS server.
type ConnectionMeasure struct {
	Use           string // service, users, feeds, hooks, system
	Connected     bool
	Subscriptions int
	nats.Statistics
}

// measureWithin is how long the streams may take to say what they hold; one that takes longer
// is left out.
const measureWithin = 2 * time.Second

// Measure reads what the instance has counted, and asks the streams what they hold. It goes through
// all rooms and leases.
func (s *Service) Measure(ctx context.Context) *Measures {
	m := s.Glance()
	for _, known := range s.rep.All() {
		known.View(func(st *room.State) {
			if st != nil {
				m.Members, m.Sessions = m.Members+st.Members, m.Sessions+st.Sessions()
			}
		})
	}
	m.Leases, m.Streams = s.leases.Count(), s.MeasureStreams(ctx)
	m.Revision, m.Applied = s.rep.Passed.Seq(), s.rep.Mark().Revision // after the streams, or it would seem to be behind
	return m
}

// Glance reads what costs the same however many rooms there are, and asks nobody: Members, Sessions, Leases
// and Streams are left out.
func (s *assembly) Glance() *Measures {
	m := &Measures{
		Instance: s.cfg.Instance, Verbs: s.api.Answered, Commit: &s.commit.Meter, Talk: &s.talk.Meter,
		Leads: s.leads.Load(), Leader: s.election.Leader(), InFlight: s.api.InFlight(), Rooms: s.rep.Living(), Projected: s.projector.Written(),
	}
	if s.feeds != nil {
		m.Feeds, m.Copying = &s.feeds.Meter, s.feeds.Waiting()
	}
	if s.door.guard != nil {
		m.Guard = &s.door.guard.Meter
	}
	m.Hooks, m.Webhooks, m.Problems = s.hooks.Counts(), s.webhooks.Counts(), s.health.Problems()
	m.Used, m.Free = s.space.Bytes()
	m.Revision, m.Applied = s.rep.Passed.Seq(), s.rep.Mark().Revision
	m.Failed = map[string]uint64{
		"append": s.commit.Meter.Failed.Value(), "message": s.talk.Meter.Failed.Value(), "history": s.api.Unread.Value(),
		"bucket": s.projector.Failed.Value(), "settings": s.unread.Value(), "metrics": s.unmeasured.Value(),
	}
	for _, c := range []struct {
		use string
		nc  *nats.Conn
	}{{"service", s.nc}, {"users", s.cfg.UsersConn}, {"feeds", s.cfg.FeedsConn}, {"hooks", s.cfg.Hooks.Conn}, {"system", s.cfg.System}} {
		if c.nc != nil && (c.nc != s.nc || c.use == "service") {
			m.Connections = append(m.Connections, ConnectionMeasure{c.use, c.nc.IsConnected(), c.nc.NumSubscriptions(), c.nc.Stats()})
		}
	}
	return m
}

// MeasureStreams asks the streams what they hold. One that does not say within two seconds is left out.
func (s *assembly) MeasureStreams(ctx context.Context) (list []StreamMeasure) {
	ctx, cancel := context.WithTimeout(ctx, measureWithin)
	defer cancel()
	names := subjects.Streams
	if s.webhooks != nil {
		names = subjects.AllStreams
	}
	for _, name := range names {
		stream, err := s.journal.JetStream().Stream(ctx, name)
		if err != nil {
			s.unmeasured.Inc()
			s.log.Debug("asking a stream what it holds", "stream", name, "error", err)
			continue
		}
		st, most := stream.CachedInfo().State, stream.CachedInfo().Config.MaxBytes
		list = append(list, StreamMeasure{name, st.Msgs, st.Bytes, max(most, 0), st.FirstSeq, st.LastSeq})
	}
	return list
}

// MeasureWebhooks says how webhooks are, in the order of the settings. It asks the streams for what they wait for, two
// seconds at most.
func (s *assembly) MeasureWebhooks(ctx context.Context) []webhooks.Condition {
	ctx, cancel := context.WithTimeout(ctx, measureWithin)
	defer cancel()
	return s.webhooks.Conditions(ctx)
}

// Rooms calls f with every room that exists, in no order, and with nothing that ever changes. It asks nobody.
func (s *assembly) Rooms(f func(subjects.Room, *room.Head)) { s.rep.Heads(f) }

// LimitedUsers lists at most that many end users who reached a limit of theirs lately at this instance, those
// with the most refusals first.
func (s *assembly) LimitedUsers(most int) []guard.Limited {
	if s.door.guard == nil {
		return nil
	}
	return s.door.guard.Limited(time.Now(), most)
}

// SessionLease is the lease of a member's session.
type SessionLease struct {
	UserID, SessionID string
	Seconds           int
	EndAt             events.Time // by the clock of facts; 0: it does not end
	Over              bool        // it has ended
}

// LeasesIn lists the leases of the sessions of a room's members, of those members that are on the same page of the
// command members. Sessions without a lease are left out.
func (s *assembly) LeasesIn(r subjects.Room, nextFlag string, count int) (list []SessionLease, next string, refused *room.Error) {
	order, refused := room.PageOrder(nextFlag)
	if refused != nil {
		return nil, "", refused
	}
	if count, refused = room.PageCount(count); refused != nil {
		return nil, "", refused
	}
	var sessions []leases.Session
	found := false
	s.rep.View(r, func(st *room.State) {
		if found = st != nil && !st.Ending(); !found {
			return
		}
		n, last := 0, (*room.Member)(nil)
		st.After(order, func(m *room.Member) bool {
			if n == count {
				next = room.PageFlag(last)
				return false
			}
			n, last = n+1, m
			for _, session := range m.Sessions {
				sessions = append(sessions, leases.Session{User: m.User, ID: session.SessionID})
			}
			return true
		})
	})
	if !found {
		return nil, "", room.Refuse(room.ErrRoomNotExist, "there is no room %q", r)
	}
	for _, session := range sessions {
		if l := s.leases.Of(session); l.Live || l.Ended {
			list = append(list, SessionLease{string(session.User), session.ID, l.Seconds, l.EndAt, l.Ended})
		}
	}
	return list, next, nil
}
