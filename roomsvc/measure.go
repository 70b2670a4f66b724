package roomsvc

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/health"
	"natsrooms/roomsvc/hooks"
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

// Measure reads what the instance has counted, and asks the streams what they hold.
func (s *Service) Measure(ctx context.Context) *Measures {
	m := &Measures{
		Instance: s.cfg.Instance, Verbs: s.api.Answered, Commit: &s.commit.Meter, Talk: &s.talk.Meter,
		Leads: s.leads.Load(), InFlight: s.api.InFlight(), Rooms: s.rep.Living(), Leases: s.leases.Count(), Projected: s.projector.Written(),
	}
	if s.feeds != nil {
		m.Feeds, m.Copying = &s.feeds.Meter, s.feeds.Waiting()
	}
	if s.door.guard != nil {
		m.Guard = &s.door.guard.Meter
	}
	for _, known := range s.rep.All() {
		known.View(func(st *room.State) {
			if st != nil {
				m.Members, m.Sessions = m.Members+st.Members, m.Sessions+st.Sessions()
			}
		})
	}
	m.Hooks, m.Webhooks, m.Problems = s.hooks.Counts(), s.webhooks.Counts(), s.health.Problems()
	m.Used, m.Free = s.space.Bytes()
	s.measureStreams(ctx, m)
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

func (s *assembly) measureStreams(ctx context.Context, m *Measures) {
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
		st := stream.CachedInfo().State
		m.Streams = append(m.Streams, StreamMeasure{name, st.Msgs, st.Bytes, st.FirstSeq, st.LastSeq})
	}
}
