package web

import (
	"context"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"natsrooms/cmd/internal/version"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/meter"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/webhooks"
)

// Metric is one row of the table of metrics.
type Metric struct {
	Name   string // begins with natsrooms_
	Kind   string // counter, gauge or histogram
	Labels []string
	Means  string // one line for people

	read func(*roomsvc.Measures, *out) // nil: it says whether the instance is ready
}

// early is how many rows are there before the service has started.
const early = 2

// out takes what a metric reads.
type out struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	to   chan<- prometheus.Metric
}

// is adds one value, with one text for each label.
func (o *out) is(v float64, labels ...string) {
	o.to <- prometheus.MustNewConstMetric(o.desc, o.kind, v, labels...)
}

// has adds one histogram.
func (o *out) has(h meter.Histogram, labels ...string) {
	o.to <- prometheus.MustNewConstHistogram(o.desc, h.Count, h.Sum, h.Buckets, labels...)
}

// count is a row for a counter without labels.
func count(name, means string, of func(*roomsvc.Measures) *meter.Counter) Metric {
	return Metric{name, "counter", nil, means, func(m *roomsvc.Measures, o *out) {
		if c := of(m); c != nil {
			o.is(float64(c.Value()))
		}
	}}
}

// gauge is a row for a value without labels.
func gauge(name, means string, of func(*roomsvc.Measures) float64) Metric {
	return Metric{name, "gauge", nil, means, func(m *roomsvc.Measures, o *out) { o.is(of(m)) }}
}

// of is a part of a meter; nil if there is no such meter.
func of[T any](m *T, part func(*T) *meter.Counter) *meter.Counter {
	if m == nil {
		return nil
	}
	return part(m)
}

// Metrics is the table of metrics. The manual shows it.
var Metrics = []Metric{
	{"natsrooms_build_info", "gauge", []string{"version", "revision", "goversion"}, "always 1; what this instance is", func(_ *roomsvc.Measures, o *out) {
		b := version.This()
		o.is(1, b.Version, b.Revision, b.Go)
	}},
	{"natsrooms_ready", "gauge", nil, "1 if the instance is ready, as `/readyz` says", nil},
	{"natsrooms_problem", "gauge", []string{"problem", "unfit"}, "1 for each problem that there is now, by its name; nothing if there is none", func(m *roomsvc.Measures, o *out) {
		for _, p := range m.Problems {
			o.is(1, p.Name, strconv.FormatBool(p.Unfit))
		}
	}},
	gauge("natsrooms_leader", "1 if this instance leads; of all instances, one does", func(m *roomsvc.Measures) float64 { return truth(m.Leads) }),

	{"natsrooms_commands_total", "counter", []string{"verb", "code"}, "requests that were answered; code: `OK`, or that of the refusal", readCommands},
	{"natsrooms_command_duration_seconds", "histogram", []string{"verb"}, "from a request's arrival at the instance to its answer", func(m *roomsvc.Measures, o *out) {
		for i := range m.Verbs {
			o.has(m.Verbs[i].Took.Read(), string(room.Commands[i].Verb))
		}
	}},
	gauge("natsrooms_commands_in_flight", "requests that are being worked on", func(m *roomsvc.Measures) float64 { return float64(m.InFlight) }),
	{"natsrooms_limit_hits_total", "counter", []string{"limit"}, "requests of end users that a limit refused: `commands` and bytes a second, `waiting` at a time, or `changes` of a room", func(m *roomsvc.Measures, o *out) {
		if g := m.Guard; g != nil {
			o.is(float64(g.Rate.Value()), "commands")
			o.is(float64(g.Waiting.Value()), "waiting")
			o.is(float64(g.Changes.Value()), "changes")
		}
	}},
	count("natsrooms_commands_dropped_total", "requests of end users far beyond their limits, which got no answer", func(m *roomsvc.Measures) *meter.Counter {
		return of(m.Guard, func(g *meter.Guard) *meter.Counter { return &g.Dropped })
	}),
	count("natsrooms_users_cut_off_total", "times that this instance cut off an end user", func(m *roomsvc.Measures) *meter.Counter {
		return of(m.Guard, func(g *meter.Guard) *meter.Counter { return &g.CutOff })
	}),

	{"natsrooms_hook_outcomes_total", "counter", []string{"verb", "outcome"}, "what became of questions to the application: `passed`, `denied`, `replaced`, `silenced`; or no use: `slow`, `absent`, `nonsense`, `lost`, and `busy` where it was not asked", readHooks},
	{"natsrooms_hook_waiting", "gauge", []string{"verb"}, "questions to the application that wait for its answer", func(m *roomsvc.Measures, o *out) {
		for verb, c := range m.Hooks {
			o.is(float64(c.Waiting), string(verb))
		}
	}},
	{"natsrooms_hook_seconds_total", "counter", []string{"verb"}, "how long the application took for all its answers together", func(m *roomsvc.Measures, o *out) {
		for verb, c := range m.Hooks {
			o.is(float64(c.TookMs)/1000, string(verb))
		}
	}},

	{"natsrooms_webhook_deliveries_total", "counter", []string{"webhook", "outcome"}, "what became of tries to deliver an event: `delivered` or `failed`; and `dead`, events that became dead letters", func(m *roomsvc.Measures, o *out) {
		for name, c := range m.Webhooks {
			o.is(float64(c.Delivered), name, "delivered")
			o.is(float64(c.Failed), name, "failed")
			o.is(float64(c.Dead), name, "dead")
		}
	}},
	webhook("natsrooms_webhook_seconds_total", "counter", "how long the receiver took for all its answers together", func(c *webhooks.Counts) float64 { return c.Took.Seconds() }),
	webhook("natsrooms_webhook_rooms_behind", "gauge", "rooms whose events wait for another try, at the instance that leads", func(c *webhooks.Counts) float64 { return float64(c.Behind) }),
	webhook("natsrooms_webhook_oldest_seconds", "gauge", "age of the oldest event that is to be delivered next, at the instance that leads; 0: none waits", func(c *webhooks.Counts) float64 { return c.Oldest.Seconds() }),
	webhook("natsrooms_webhook_dead_letters", "gauge", "dead letters that there are, at the instance that leads", func(c *webhooks.Counts) float64 { return float64(c.Letters) }),

	count("natsrooms_facts_total", "facts that this instance stored", func(m *roomsvc.Measures) *meter.Counter { return &m.Commit.Facts }),
	{"natsrooms_commit_batch_commands", "histogram", nil, "commands that were stored together", func(m *roomsvc.Measures, o *out) { o.has(m.Commit.Batches.Read()) }},
	{"natsrooms_commit_duration_seconds", "histogram", nil, "how long the stream took to store a change", func(m *roomsvc.Measures, o *out) { o.has(m.Commit.Took.Read()) }},
	count("natsrooms_commit_conflicts_total", "changes that another fact was in the way of; they were decided again", func(m *roomsvc.Measures) *meter.Counter { return &m.Commit.Conflicts }),
	count("natsrooms_commit_retries_total", "changes that were sent to the stream again, because it did not answer", func(m *roomsvc.Measures) *meter.Counter { return &m.Commit.Resends }),
	{"natsrooms_jetstream_errors_total", "counter", []string{"operation"}, "times that JetStream did not do what was asked: `append` a change, store a `message`, read `history`, write the `bucket` of rooms, read the shared `settings`, or say for these `metrics` what a stream holds", func(m *roomsvc.Measures, o *out) {
		for operation, n := range m.Failed {
			o.is(float64(n), operation)
		}
	}},

	gauge("natsrooms_rooms", "rooms that exist", func(m *roomsvc.Measures) float64 { return float64(m.Rooms) }),
	gauge("natsrooms_members", "members of all rooms together", func(m *roomsvc.Measures) float64 { return float64(m.Members) }),
	gauge("natsrooms_sessions", "sessions of all members together", func(m *roomsvc.Measures) float64 { return float64(m.Sessions) }),
	gauge("natsrooms_leases", "sessions that have a lease", func(m *roomsvc.Measures) float64 { return float64(m.Leases) }),
	{"natsrooms_messages_total", "counter", []string{"kind"}, "messages that were sent through this instance: `stored`, or `live` only", func(m *roomsvc.Measures, o *out) {
		o.is(float64(m.Talk.Stored.Value()), "stored")
		o.is(float64(m.Talk.Live.Value()), "live")
	}},

	gauge("natsrooms_journal_revision", "how far this instance has read the journal", func(m *roomsvc.Measures) float64 { return float64(m.Revision) }),
	{"natsrooms_journal_lag", "gauge", nil, "how many facts and markers it has still to read", func(m *roomsvc.Measures, o *out) {
		if len(m.Streams) > 0 && m.Streams[0].Name == "ROOMS" {
			o.is(behind(m.Streams[0].Last, m.Revision))
		}
	}},
	gauge("natsrooms_projection_lag", "how far the bucket of rooms is behind the newest fact that this instance has read", func(m *roomsvc.Measures) float64 { return behind(m.Applied, m.Projected) }),
	{"natsrooms_feeds_waiting", "gauge", nil, "facts and messages that wait to be copied for end users", func(m *roomsvc.Measures, o *out) {
		if m.Feeds != nil {
			o.is(float64(m.Copying))
		}
	}},
	count("natsrooms_feeds_copies_total", "copies for end users", func(m *roomsvc.Measures) *meter.Counter {
		return of(m.Feeds, func(f *meter.Feeds) *meter.Counter { return &f.Copies })
	}),
	count("natsrooms_feeds_dropped_total", "facts and messages that were not copied to everybody; clients ask for them", func(m *roomsvc.Measures) *meter.Counter {
		return of(m.Feeds, func(f *meter.Feeds) *meter.Counter { return &f.Dropped })
	}),

	stream("natsrooms_stream_messages", "messages in the stream", func(s *roomsvc.StreamMeasure) uint64 { return s.Messages }),
	stream("natsrooms_stream_size_bytes", "bytes that the stream holds", func(s *roomsvc.StreamMeasure) uint64 { return s.Bytes }),
	stream("natsrooms_stream_first_sequence", "sequence of its oldest message", func(s *roomsvc.StreamMeasure) uint64 { return s.First }),
	stream("natsrooms_stream_last_sequence", "sequence of its newest message", func(s *roomsvc.StreamMeasure) uint64 { return s.Last }),
	{"natsrooms_store_used_bytes", "gauge", nil, "bytes that the server stores; absent if it is not known", func(m *roomsvc.Measures, o *out) {
		if m.Used+m.Free > 0 {
			o.is(float64(m.Used))
		}
	}},
	{"natsrooms_store_free_bytes", "gauge", nil, "bytes that it can store besides, by its limits and the disk's free space", func(m *roomsvc.Measures, o *out) {
		if m.Used+m.Free > 0 {
			o.is(float64(m.Free))
		}
	}},

	connection("natsrooms_nats_connected", "gauge", "1 if this connection to the NATS server is there", func(c *roomsvc.ConnectionMeasure) float64 { return truth(c.Connected) }),
	connection("natsrooms_nats_reconnects_total", "counter", "times that it was lost and made again", func(c *roomsvc.ConnectionMeasure) float64 { return float64(c.Reconnects) }),
	connection("natsrooms_nats_subscriptions", "gauge", "its subscriptions", func(c *roomsvc.ConnectionMeasure) float64 { return float64(c.Subscriptions) }),
	connection("natsrooms_nats_received_bytes_total", "counter", "bytes of messages that it received", func(c *roomsvc.ConnectionMeasure) float64 { return float64(c.InBytes) }),
	connection("natsrooms_nats_sent_bytes_total", "counter", "bytes of messages that it sent", func(c *roomsvc.ConnectionMeasure) float64 { return float64(c.OutBytes) }),
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// behind is how far seq is behind newest.
func behind(newest, seq uint64) float64 { return float64(newest - min(seq, newest)) }

func stream(name, means string, of func(*roomsvc.StreamMeasure) uint64) Metric {
	return Metric{name, "gauge", []string{"stream"}, means, func(m *roomsvc.Measures, o *out) {
		for i := range m.Streams {
			o.is(float64(of(&m.Streams[i])), m.Streams[i].Name)
		}
	}}
}

func webhook(name, kind, means string, of func(*webhooks.Counts) float64) Metric {
	return Metric{name, kind, []string{"webhook"}, means, func(m *roomsvc.Measures, o *out) {
		for name, c := range m.Webhooks {
			o.is(of(&c), name)
		}
	}}
}

func connection(name, kind, means string, of func(*roomsvc.ConnectionMeasure) float64) Metric {
	return Metric{name, kind, []string{"connection"}, means, func(m *roomsvc.Measures, o *out) {
		for i := range m.Connections {
			o.is(of(&m.Connections[i]), m.Connections[i].Use)
		}
	}}
}

// readCommands leaves out refusals that a verb has not had, of which there would be hundreds.
func readCommands(m *roomsvc.Measures, o *out) {
	for i := range m.Verbs {
		verb := string(room.Commands[i].Verb)
		for code := range m.Verbs[i].Answers {
			n := m.Verbs[i].Answers[code].Value()
			switch {
			case code == 0:
				o.is(float64(n), verb, "OK")
			case n > 0:
				o.is(float64(n), verb, codeName(code))
			}
		}
	}
}

func readHooks(m *roomsvc.Measures, o *out) {
	for verb, c := range m.Hooks {
		for outcome, n := range map[string]int64{
			"passed": c.Passed, "denied": c.Denied, "replaced": c.Replaced, "silenced": c.Silenced,
			"slow": c.Slow, "absent": c.Absent, "nonsense": c.Nonsense, "lost": c.Lost, "busy": c.Busy,
		} {
			o.is(float64(n), string(verb), outcome)
		}
	}
}

func codeName(code int) string {
	if code > len(room.Codes) {
		return "OTHER"
	}
	return room.Codes[code-1].Name
}

// collector turns what the service measures into metrics, whenever it is asked.
type collector struct {
	server *Server
	descs  []*prometheus.Desc
}

func newCollector(s *Server) *collector {
	c := &collector{server: s}
	for i := range Metrics {
		m := &Metrics[i]
		c.descs = append(c.descs, prometheus.NewDesc(m.Name, strings.ReplaceAll(m.Means, "`", ""), m.Labels, nil))
	}
	return c
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readFor)
	defer cancel()
	ready := len(c.server.reasons(ctx)) == 0 // it looks for problems, so it goes first
	var measures *roomsvc.Measures
	if svc := c.server.svc.Load(); svc != nil {
		measures = svc.Measure(ctx)
	}
	for i := range Metrics {
		o := &out{c.descs[i], prometheus.GaugeValue, to}
		if Metrics[i].Kind == "counter" {
			o.kind = prometheus.CounterValue
		}
		if read := Metrics[i].read; read == nil {
			o.is(truth(ready))
		} else if measures != nil || i < early {
			read(measures, o)
		}
	}
}
