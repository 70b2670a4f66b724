package inspector

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"regexp"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/meter"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/webhooks"
	"natsrooms/subjects"
)

const (
	sampleEvery = 2 * time.Second
	mostLimited = 20 // end users who reached limits
)

// sampler looks at the service for all pages that want to know, and at no other time.
type sampler struct {
	inspector *Inspector

	mu      sync.Mutex // guards everything below
	readers map[chan []byte]bool
	last    []byte             // nil: there is none yet
	end     context.CancelFunc // of what is at work for the readers
}

// get answers GET service.
func (s *sampler) get(w http.ResponseWriter, q *request) error {
	st, err := s.inspector.begin(w, q)
	if err != nil {
		return err
	}
	defer st.end()
	mine := s.join(q.Backing)
	defer s.leave(mine)
	st.retry()
	for st.flush() == nil {
		select {
		case <-st.life.Done():
			return nil
		case data := <-mine:
			st.add("sample", "", data)
		}
	}
	return nil // the reader is gone
}

// join is where a reader gets the newest sample. The first reader sets it to work.
func (s *sampler) join(b *Backing) (mine chan []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine = make(chan []byte, 1)
	if len(s.readers) == 0 {
		var ctx context.Context
		ctx, s.end = context.WithCancel(s.inspector.life)
		s.readers, s.last = map[chan []byte]bool{}, nil
		s.inspector.spawn(func() { s.run(ctx, b) })
	}
	if s.last != nil {
		mine <- s.last
	}
	s.readers[mine] = true
	return mine
}

func (s *sampler) leave(mine chan []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.readers, mine); len(s.readers) == 0 {
		s.end()
	}
}

// run looks every two seconds, until the last reader has left.
func (s *sampler) run(ctx context.Context, b *Backing) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	l := &look{b: b, inspector: s.inspector}
	for {
		data, err := json.Marshal(l.sample(ctx))
		if err != nil {
			s.inspector.cfg.Log.Error("a sample of the service can't be encoded", "error", err)
		}
		s.publish(ctx, data)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// publish gives a sample to all readers; who has not read the one before does not get that one any more.
func (s *sampler) publish(ctx context.Context, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	s.last = data
	for reader := range s.readers {
		select {
		case <-reader:
		default:
		}
		reader <- data
	}
}

// look makes samples, each of what was done since the one before.
type look struct {
	b         *Backing
	inspector *Inspector
	before    *counts // nil: it is the first
}

// counts is what only goes up.
type counts struct {
	at       time.Time
	took     []meter.Histogram // by verb
	answers  map[string]uint64 // by code
	batch    meter.Histogram
	commit   meter.Histogram
	copies   uint64
	dropped  uint64
	one      map[string]uint64 // all others, by a name
	received map[string][2]uint64
	hooks    map[room.Verb][3]int64 // asked, without use, milliseconds
	webhooks map[string]webhooks.Counts
}

// read reads the counters.
func readCounts(m *roomsvc.Measures, now time.Time) *counts {
	c := &counts{at: now, answers: map[string]uint64{}, one: map[string]uint64{}, received: map[string][2]uint64{}, hooks: map[room.Verb][3]int64{}, webhooks: m.Webhooks}
	for i := range m.Verbs {
		v := &m.Verbs[i]
		c.took = append(c.took, v.Took.Read())
		for code := 1; code < len(v.Answers); code++ {
			if n := v.Answers[code].Value(); n > 0 && code <= len(room.Codes) {
				c.answers[room.Codes[code-1].Name] += n
			}
		}
	}
	c.batch, c.commit = m.Commit.Batches.Read(), m.Commit.Took.Read()
	for name, n := range map[string]*meter.Counter{
		"facts": &m.Commit.Facts, "conflicts": &m.Commit.Conflicts, "retries": &m.Commit.Resends, "stored": &m.Talk.Stored, "live": &m.Talk.Live,
	} {
		c.one[name] = n.Value()
	}
	if m.Feeds != nil {
		c.copies, c.dropped = m.Feeds.Copies.Value(), m.Feeds.Dropped.Value()
	}
	if g := m.Guard; g != nil {
		c.one["commands"], c.one["waiting"], c.one["changes"], c.one["unanswered"] = g.Rate.Value(), g.Waiting.Value(), g.Changes.Value(), g.Dropped.Value()
	}
	for operation, n := range m.Failed {
		c.one["failed "+operation] = n
	}
	for _, conn := range m.Connections {
		c.received[conn.Use] = [2]uint64{conn.InBytes, conn.OutBytes}
	}
	for verb, h := range m.Hooks {
		useless := h.Slow + h.Absent + h.Nonsense + h.Lost + h.Busy
		c.hooks[verb] = [3]int64{h.Passed + h.Denied + h.Replaced + h.Silenced + useless, useless, h.TookMs}
	}
	return c
}

// sample looks once.
func (l *look) sample(ctx context.Context) *Sample {
	now := time.Now()
	streams := l.b.Service.MeasureStreams(ctx)
	m := l.b.Service.Glance() // afterwards, or the instance would seem to be behind
	c := readCounts(m, now)
	s := &Sample{
		At: events.TimeOf(now), Instance: m.Instance, Version: l.inspector.cfg.Version, Ready: true, Reasons: []Reason{}, Leads: m.Leads, Leader: m.Leader, InFlight: m.InFlight,
		Commands: map[string]VerbRate{}, Refused: map[string]float64{}, Failed: map[string]float64{}, Hooks: []HookRate{}, Memory: memory(), Rooms: m.Rooms, Members: l.inspector.rooms.count(l.b),
		Lag: Lag{Projection: m.Applied - min(m.Projected, m.Applied), Feeds: m.Copying}, Copies: Copies{Total: c.dropped}, Limits: Limits{Users: []Limited{}}, Streams: []Stream{}, Connections: []Connection{},
	}
	for _, p := range m.Problems {
		s.Ready = s.Ready && !p.Unfit
		s.Reasons = append(s.Reasons, Reason{p, anchor(p.Name, p.Unfit)})
	}
	s.stored(m, streams)
	for _, u := range l.b.Service.LimitedUsers(mostLimited) {
		row := Limited{UserID: string(u.User), Refused: u.Refused, CutOff: !u.CutOff.IsZero()}
		if row.CutOff {
			row.CutOffEnd = events.TimeOf(u.CutOff)
		}
		s.Limits.Users = append(s.Limits.Users, row)
	}
	if m.Guard != nil {
		s.Limits.CutOff = m.Guard.CutOff.Value()
	}
	s.Webhooks = webhooksOf(l.b.Service.MeasureWebhooks(ctx))
	if l.before != nil {
		s.Seconds = round(now.Sub(l.before.at).Seconds())
		s.rates(m, l.before, c)
	}
	for _, conn := range m.Connections {
		row := Connection{Use: conn.Use, Connected: conn.Connected}
		if l.before != nil {
			was := l.before.received[conn.Use]
			row.InBytes, row.OutBytes = rate(was[0], conn.InBytes, s.Seconds), rate(was[1], conn.OutBytes, s.Seconds)
		}
		s.Connections = append(s.Connections, row)
	}
	l.before = c
	return s
}

// stored fills in what is stored, and how full that is.
func (s *Sample) stored(m *roomsvc.Measures, streams []roomsvc.StreamMeasure) {
	store := float64(m.Used + m.Free)
	if store > 0 {
		s.Store = &Store{m.Used, m.Free, round(float64(m.Used) / store)}
	}
	for _, st := range streams {
		row := Stream{Name: st.Name, Messages: st.Messages, Bytes: st.Bytes, MaxBytes: st.MaxBytes, FirstSeq: st.First, LastSeq: st.Last}
		switch {
		case st.MaxBytes > 0:
			row.Full = round(float64(st.Bytes) / float64(st.MaxBytes))
		case store > 0:
			row.Full = round(float64(st.Bytes) / store)
		}
		s.Streams = append(s.Streams, row)
		if st.Name == subjects.StreamRooms {
			s.Lag.Journal = st.Last - min(m.Revision, st.Last)
		}
	}
}

// rates fills in what was done between two looks.
func (s *Sample) rates(m *roomsvc.Measures, a, b *counts) {
	one := func(name string) float64 { return rate(a.one[name], b.one[name], s.Seconds) }
	all := meter.Histogram{Buckets: map[float64]uint64{}}
	for i := range b.took {
		d := since(a.took[i], b.took[i])
		if d.Count == 0 {
			continue
		}
		s.Commands[string(room.Commands[i].Verb)] = verbRate(d, s.Seconds)
		all.Count += d.Count
		for bound, n := range d.Buckets {
			all.Buckets[bound] += n
		}
	}
	s.All = verbRate(all, s.Seconds)
	for code, n := range b.answers {
		if r := rate(a.answers[code], n, s.Seconds); r > 0 {
			s.Refused[code] = r
		}
	}
	batches, commits := since(a.batch, b.batch), since(a.commit, b.commit)
	s.Commit = CommitRate{Facts: one("facts"), P50Ms: quantile(commits, 0.5), P99Ms: quantile(commits, 0.99), Conflicts: one("conflicts"), Retries: one("retries")}
	if batches.Count > 0 {
		s.Commit.Batch = round(batches.Sum / float64(batches.Count))
	}
	s.Copies.PerSecond, s.Copies.Dropped = rate(a.copies, b.copies, s.Seconds), rate(a.dropped, b.dropped, s.Seconds)
	s.Limits.Commands, s.Limits.Waiting, s.Limits.Changes, s.Limits.Dropped = one("commands"), one("waiting"), one("changes"), one("unanswered")
	s.Talk = TalkRate{one("stored"), one("live")}
	for operation := range m.Failed {
		if r := one("failed " + operation); r > 0 {
			s.Failed[operation] = r
		}
	}
	s.posts(m, a, b)
}

// posts fills in what became of questions to the application, and of webhooks.
func (s *Sample) posts(m *roomsvc.Measures, a, b *counts) {
	for verb, h := range b.hooks {
		was := a.hooks[verb]
		row := HookRate{Verb: string(verb), PerSecond: round(float64(h[0]-was[0]) / s.Seconds), NoUse: round(float64(h[1]-was[1]) / s.Seconds), Waiting: int64(m.Hooks[verb].Waiting)}
		if n := h[0] - was[0]; n > 0 {
			row.MeanMs = round(float64(h[2]-was[2]) / float64(n))
		}
		s.Hooks = append(s.Hooks, row)
	}
	slices.SortFunc(s.Hooks, func(a, b HookRate) int { return cmp.Compare(a.Verb, b.Verb) })
	for n := range s.Webhooks {
		h := &s.Webhooks[n]
		was, is := a.webhooks[h.Name], b.webhooks[h.Name]
		h.Delivered, h.Failed = rate(was.Delivered, is.Delivered, s.Seconds), rate(was.Failed, is.Failed, s.Seconds)
		if tries := is.Delivered - was.Delivered + is.Failed - was.Failed; tries > 0 {
			h.MeanMs = round((is.Took - was.Took).Seconds() * 1000 / float64(tries))
		}
	}
}

// webhooksOf is how webhooks are, without rates.
func webhooksOf(list []webhooks.Condition) []Webhook {
	out := make([]Webhook, len(list))
	for n := range list {
		c := &list[n]
		out[n] = Webhook{
			Name: c.Name, Host: c.Host, State: string(c.State), Since: timeOf(c.Since), Until: timeOf(c.Until), OldestAt: timeOf(c.OldestAt), Why: c.Why, WhyAt: timeOf(c.WhyAt),
		}
		if c.Counted {
			out[n].Waiting, out[n].Behind, out[n].Letters = &c.Waiting, &c.Behind, &c.Letters
		}
	}
	return out
}

// timeOf is a moment, 0 for none.
func timeOf(t time.Time) events.Time {
	if t.IsZero() {
		return 0
	}
	return events.TimeOf(t)
}

func rate(a, b uint64, seconds float64) float64 { return round(float64(b-min(a, b)) / seconds) }

func round(x float64) float64 { return math.Round(x*1000) / 1000 }

func verbRate(h meter.Histogram, seconds float64) VerbRate {
	return VerbRate{round(float64(h.Count) / seconds), quantile(h, 0.5), quantile(h, 0.99)}
}

// since is what a histogram got after it was a.
func since(a, b meter.Histogram) meter.Histogram {
	d := meter.Histogram{Count: b.Count - min(a.Count, b.Count), Sum: b.Sum - a.Sum, Buckets: make(map[float64]uint64, len(b.Buckets))}
	for bound, n := range b.Buckets {
		d.Buckets[bound] = n - min(a.Buckets[bound], n)
	}
	return d
}

// quantile is a quantile of a histogram of seconds, in milliseconds; 0 if it is empty. Within a bucket it takes what there is
// to be spread evenly.
func quantile(h meter.Histogram, q float64) float64 {
	if h.Count == 0 {
		return 0
	}
	bounds := make([]float64, 0, len(h.Buckets))
	for bound := range h.Buckets {
		bounds = append(bounds, bound)
	}
	slices.Sort(bounds)
	want, low, below := q*float64(h.Count), 0.0, uint64(0)
	for _, bound := range bounds {
		if n := h.Buckets[bound]; float64(n) >= want {
			if n > below {
				low += (bound - low) * (want - float64(below)) / float64(n-below)
			}
			return round(low * 1000)
		} else {
			low, below = bound, n
		}
	}
	return round(low * 1000) // it took longer than the last bound
}

// memory is what the process has of it.
func memory() Memory {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/sched/goroutines:goroutines"},
	}
	metrics.Read(samples)
	return Memory{samples[0].Value.Uint64() - samples[1].Value.Uint64(), samples[2].Value.Uint64(), samples[3].Value.Uint64()}
}

// anchor is the section of the manual about a problem.
func anchor(name string, unfit bool) string {
	kind, _, _ := strings.Cut(name, ":")
	switch {
	case kind == "edited" && unfit:
		return "natsroomsstreambroken"
	case kind == "edited":
		return "natsroomsstreamedited"
	}
	if a := anchors[kind]; a != "" {
		return a
	}
	return "natsroomsotherproblem"
}

var anchors = map[string]string{
	"store": "natsroomsstorefull", "full": "natsroomsstreamfull", "bucket": "natsroomsbucketnotwritten", "subjects": "natsroomssubjectstaken",
	"clock": "natsroomsclockset", "server-clock": "natsroomsserverclock",
}

var heading = regexp.MustCompile(`(?m)^#### (Natsrooms[A-Za-z]+)\n+((?:[^#\n].*\n|\n)+)`)

// runbook answers GET runbook.
func (i *Inspector) runbook(w http.ResponseWriter, q *request) error {
	sections := map[string]Section{}
	for _, m := range heading.FindAllStringSubmatch(q.Manual, -1) {
		sections[strings.ToLower(m[1])] = Section{m[1], strings.TrimSpace(m[2])}
	}
	return send(w, http.StatusOK, sections)
}
