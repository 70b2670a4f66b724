package observability

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	engine "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"natsrooms/cmd/roomd/web"
)

// store has series with a value a minute, and evaluates rules over them.
type store struct {
	engine *engine.Engine
	series []storage.Series
}

// newStore reads series in the notation of Prometheus' own tests.
func newStore(t *testing.T, series []string) *store {
	t.Helper()
	s := &store{engine: engine.NewEngine(engine.EngineOpts{MaxSamples: 100_000, Timeout: time.Minute, LookbackDelta: 61 * time.Second, Parser: promql})}
	for _, text := range series {
		about, values, err := promql.ParseSeriesDesc(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		one := engine.Series{Metric: about}
		for n, v := range values {
			if !v.Omitted {
				one.Floats = append(one.Floats, engine.FPoint{T: minutes(n).UnixMilli(), F: v.Value})
			}
		}
		s.series = append(s.series, engine.NewStorageSeries(one))
	}
	return s
}

// firing is the series in which a rule fires at a minute: its condition has been true for as
// long as it wants.
func (s *store) firing(t *testing.T, r rulefmt.Rule, minute int) []string {
	t.Helper()
	var firing []string
	for n := minute - int(time.Duration(r.For)/time.Minute); n <= minute; n++ {
		now := s.holds(t, r.Expr, n)
		if n > minute-int(time.Duration(r.For)/time.Minute) {
			now = slices.DeleteFunc(now, func(l string) bool { return !slices.Contains(firing, l) })
		}
		firing = now
	}
	return firing
}

// holds is the series of an expression's value at a minute.
func (s *store) holds(t *testing.T, expr string, minute int) (series []string) {
	t.Helper()
	q, err := s.engine.NewInstantQuery(t.Context(), s, nil, expr, minutes(minute))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	v, err := q.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	for _, sample := range v {
		series = append(series, sample.Metric.String())
	}
	return series
}

// Querier implements [storage.Queryable].
func (s *store) Querier(_, _ int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		var found []storage.Series
		for _, one := range s.series {
			about := one.Labels()
			if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(about.Get(m.Name)) }) {
				found = append(found, one)
			}
		}
		return &set{found, -1}
	}}, nil
}

// set is a set of series.
type set struct {
	series []storage.Series
	at     int
}

func (s *set) Next() bool {
	s.at++
	return s.at < len(s.series)
}
func (s *set) At() storage.Series                { return s.series[s.at] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

var _ storage.Queryable = (*store)(nil)

// others is the metrics that are not in the table, and what kind they are.
var others = map[string]web.Metric{
	"up":                            {Kind: "gauge"},
	"process_start_time_seconds":    {Kind: "gauge"},
	"process_resident_memory_bytes": {Kind: "gauge"},
	"process_cpu_seconds_total":     {Kind: "counter"},
	"process_open_fds":              {Kind: "gauge"},
	"go_goroutines":                 {Kind: "gauge"},
	"go_memstats_heap_inuse_bytes":  {Kind: "gauge"},
	"go_gc_duration_seconds":        {Kind: "summary", Labels: []string{"quantile"}},
}

// metricOf is the metric that a series belongs to.
func metricOf(name string) (*web.Metric, bool) {
	if m, ok := others[name]; ok {
		return &m, true
	}
	for _, m := range web.Metrics {
		switch {
		case m.Kind == "histogram" && (name == m.Name+"_sum" || name == m.Name+"_count"):
			m.Kind = "counter"
			return &m, true
		case m.Kind == "histogram" && name == m.Name+"_bucket":
			m.Kind, m.Labels = "counter", append(slices.Clone(m.Labels), "le")
			return &m, true
		case m.Kind != "histogram" && name == m.Name:
			return &m, true
		}
	}
	return nil, false
}

// check says what is wrong with an expression.
func check(t *testing.T, where, expr string) {
	t.Helper()
	if err := wrong(t, expr); err != nil {
		t.Errorf("%s: %v", where, err)
	}
}

// wrong is an error if an expression names metrics or labels that there are not, or takes a rate
// of a gauge, or a counter as it is.
func wrong(t *testing.T, expr string) error {
	parsed, err := promql.ParseExpr(expr)
	if err != nil {
		return err
	}
	known := []string{"job", "instance"}
	parser.Inspect(parsed, func(n parser.Node, path []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		m, there := metricOf(v.Name)
		if !there {
			err = fmt.Errorf("there is no metric %s", v.Name)
			return nil
		}
		mine := append([]string{"job", "instance", "__name__"}, m.Labels...)
		known = append(known, m.Labels...)
		for _, matcher := range v.LabelMatchers {
			if !slices.Contains(mine, matcher.Name) {
				err = fmt.Errorf("%s has no label %s", v.Name, matcher.Name)
			}
		}
		if rated := strings.Contains(fmt.Sprint(calls(path)), "rate") || slices.Contains(calls(path), "increase"); rated != (m.Kind == "counter") {
			err = fmt.Errorf("%s is a %s", v.Name, m.Kind)
		}
		return nil
	})
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if g, ok := n.(*parser.AggregateExpr); ok {
			for _, label := range g.Grouping {
				if !slices.Contains(known, label) {
					err = fmt.Errorf("nothing in it has the label %s", label)
				}
			}
		}
		return nil
	})
	return err
}

// calls is the functions around a node.
func calls(path []parser.Node) (names []string) {
	for _, n := range path {
		if c, ok := n.(*parser.Call); ok {
			names = append(names, c.Func.Name)
		}
	}
	return names
}
