package observability

import (
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// manual is where the alerts are explained.
const manual = "../../docs/operations.md"

// alerts reads the rules as Prometheus does, which also tries their texts.
func alerts(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	file, errs := rulefmt.ParseFile("alerts.yaml", false, model.UTF8Validation, promql, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
	all := map[string]rulefmt.Rule{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if _, twice := all[r.Alert]; twice || r.Alert == "" {
				t.Errorf("%q is there twice, or has no name", r.Alert)
			}
			all[r.Alert] = r
		}
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Each alert says how bad it is and what is wrong, and the manual has a section about it with
// all that is needed; and the manual tells of no others.
func TestManual(t *testing.T) {
	sections := map[string]string{}
	for _, part := range strings.Split(read(t, manual), "\n#### ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		if strings.HasPrefix(name, "Natsrooms") {
			text, _, _ = strings.Cut(text, "\n#")
			sections[name] = text
		}
	}
	all := alerts(t)
	for name, r := range all {
		if s := r.Labels["severity"]; s != "critical" && s != "warning" && s != "info" {
			t.Errorf("%s has the severity %q", name, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["runbook"] != "docs/operations.md#"+strings.ToLower(name) {
			t.Errorf("%s has the annotations %v", name, r.Annotations)
		}
		for _, what := range []string{"- It means: ", "- Look closer: ", "- Do: "} {
			if !strings.Contains(sections[name], "\n"+what) {
				t.Errorf("the section %s of the manual has no line %q", name, what)
			}
		}
	}
	for name := range sections {
		if _, ok := all[name]; !ok {
			t.Errorf("the manual has a section about %s, which is no alert", name)
		}
	}
}

// Alerts name metrics and labels that there are.
func TestAlertsName(t *testing.T) {
	for name, r := range alerts(t) {
		check(t, name, r.Expr)
	}
}

const (
	a = `{job="rooms", instance="a:9100"}`
	b = `{job="rooms", instance="b:9100"}`
)

// with is a series of an instance with more labels.
func with(metric, labels, values string) string {
	return metric + strings.TrimSuffix(a, "}") + ", " + labels + "} " + values
}

// Each alert fires when it should, after as long as it says, and not when it should not. Values
// are a minute apart.
func TestAlertsFire(t *testing.T) {
	all := alerts(t)
	build := with("natsrooms_build_info", `version="1"`, "1x60")
	cases := []struct {
		alert  string
		after  int // minutes, at which it fires and before which it does not
		times  int // in how many series
		fires  []string
		silent []string
	}{
		{"NatsroomsDown", 12, 1, []string{"up" + a + " 1x9 0x50", with("natsrooms_build_info", `version="1"`, "1x9")}, []string{"up" + a + " 0x60"}},
		{"NatsroomsNotReady", 12, 1, []string{"natsrooms_ready" + a + " 1x9 0x50", "natsrooms_ready" + b + " 1x60"}, []string{"natsrooms_ready" + a + " 1 0 1 0 1x60"}},
		{"NatsroomsNoLeader", 11, 1, []string{"natsrooms_ready" + a + " 1x60", "natsrooms_ready" + b + " 0x60", "natsrooms_leader" + a + " 1x9 0x50"},
			[]string{"natsrooms_ready" + a + " 1x60", "natsrooms_ready" + b + " 1x60", "natsrooms_leader" + a + " 1x30 0x30", "natsrooms_leader" + b + " 0x30 1x30"}},
		{"NatsroomsTwoLeaders", 11, 1, []string{"natsrooms_leader" + a + " 1x60", "natsrooms_leader" + b + " 0x9 1x60"},
			[]string{"natsrooms_leader" + a + " 1x60", "natsrooms_leader" + b + " 0x60", `natsrooms_leader{job="other", instance="c:9100"} 1x60`}},
		{"NatsroomsDisconnected", 11, 1, []string{with("natsrooms_nats_connected", `connection="service"`, "1x9 0x50")}, []string{with("natsrooms_nats_connected", `connection="service"`, "1x60")}},
		{"NatsroomsUnavailable", 15, 1, []string{with("natsrooms_commands_total", `verb="join", code="OK"`, "0+60x60"), with("natsrooms_commands_total", `verb="join", code="BUSY"`, "0x9 60+60x50")},
			[]string{with("natsrooms_commands_total", `verb="join", code="OK"`, "0+60x60"), with("natsrooms_commands_total", `verb="join", code="NOT_ALLOWED"`, "0+60x60")}},
		{"NatsroomsRestarted", 10, 1, []string{build, "process_start_time_seconds" + a + " 100x9 700x50"}, []string{build, "process_start_time_seconds" + a + " 100x60", `process_start_time_seconds{job="node", instance="n:1"} 100x9 700x50`}},

		{"NatsroomsJournalLag", 12, 1, []string{"natsrooms_journal_lag" + a + " 0x9 2000x50"}, []string{"natsrooms_journal_lag" + a + " 0 5000 0 5000 500x56"}},
		{"NatsroomsProjectionLag", 20, 1, []string{"natsrooms_projection_lag" + a + " 0x9 20000x50"}, []string{"natsrooms_projection_lag" + a + " 0 50000x8 9000x56"}},
		{"NatsroomsJetStreamErrors", 20, 1, []string{with("natsrooms_jetstream_errors_total", `operation="append"`, "0x9 1+1x50")}, []string{with("natsrooms_jetstream_errors_total", `operation="append"`, "0x9 1x50")}},
		{"NatsroomsStoreNearlyFull", 15, 1, []string{"natsrooms_store_free_bytes" + a + " 50x9 10x50", "natsrooms_store_used_bytes" + a + " 50x9 90x50"},
			[]string{"natsrooms_store_free_bytes" + a + " 20x60", "natsrooms_store_used_bytes" + a + " 80x60"}},
		{"NatsroomsLimitHits", 20, 1, []string{with("natsrooms_limit_hits_total", `limit="commands"`, "0x9 600+600x50")}, []string{with("natsrooms_limit_hits_total", `limit="commands"`, "0+6x60")}},
		{"NatsroomsUserCutOff", 10, 1, []string{"natsrooms_users_cut_off_total" + a + " 0x9 1x50", "natsrooms_commands_dropped_total" + a + " 0x60"},
			[]string{"natsrooms_users_cut_off_total" + a + " 1x60", "natsrooms_commands_dropped_total" + a + " 5x60"}},
		{"NatsroomsUserCutOff", 10, 1, []string{"natsrooms_users_cut_off_total" + a + " 0x60", "natsrooms_commands_dropped_total" + a + " 0x9 100x50"}, nil},
		{"NatsroomsCopiesDropped", 10, 1, []string{"natsrooms_feeds_dropped_total" + a + " 0x9 1x50"}, []string{"natsrooms_feeds_dropped_total" + a + " 7x60"}},
		{"NatsroomsHookFails", 15, 1, []string{with("natsrooms_hook_outcomes_total", `verb="send", outcome="slow"`, "0x9 9+9x50")}, []string{with("natsrooms_hook_outcomes_total", `verb="send", outcome="denied"`, "0+9x60")}},
		{"NatsroomsWebhookBehind", 15, 1, []string{with("natsrooms_webhook_oldest_seconds", `webhook="app"`, "0x9 1000x50")}, []string{with("natsrooms_webhook_oldest_seconds", `webhook="app"`, "800x60")}},
		{"NatsroomsWebhookDeadLetters", 10, 1, []string{with("natsrooms_webhook_deliveries_total", `webhook="app", outcome="dead"`, "0x9 1x50")},
			[]string{with("natsrooms_webhook_deliveries_total", `webhook="app", outcome="failed"`, "0+9x60"), with("natsrooms_webhook_deliveries_total", `webhook="app", outcome="dead"`, "7x60")}},
	}
	for name, alert := range problems {
		quiet := `unfit="` + fmt.Sprint(!alert.unfit) + `"`
		loud := `unfit="` + fmt.Sprint(alert.unfit) + `"`
		c := cases[0]
		c.alert, c.after, c.times = alert.name, 10+alert.after, 1
		c.fires = []string{with("natsrooms_problem", `problem="`+name+`", `+loud, "_x10 1x50")}
		c.silent = []string{with("natsrooms_problem", `problem="something new", `+quiet, "1x60")}
		if name == "something new" {
			c.silent = []string{with("natsrooms_problem", `problem="store", `+loud, "1x60")}
		}
		cases = append(cases, c)
	}
	tried := map[string]bool{}
	for _, tt := range cases {
		tried[tt.alert] = true
		t.Run(tt.alert, func(t *testing.T) {
			r, ok := all[tt.alert]
			if !ok {
				t.Fatal("there is no such alert")
			}
			fires := newStore(t, tt.fires)
			for minute := range 30 {
				want := 0
				if minute >= tt.after {
					want = tt.times
				}
				// What a rate or an increase sees goes away again after its five minutes.
				if minute <= tt.after+3 && len(fires.firing(t, r, minute)) != want {
					t.Errorf("after %d minutes %v fire, not %d", minute, fires.firing(t, r, minute), want)
				}
			}
			silent := newStore(t, tt.silent)
			for minute := range 30 {
				if got := silent.firing(t, r, minute); len(got) > 0 {
					t.Errorf("after %d minutes %v fire, where nothing is wrong", minute, got)
				}
			}
		})
	}
	for name := range all {
		if !tried[name] {
			t.Errorf("nothing tries %s", name)
		}
	}
}

// problems is the alert of each problem, and after how many minutes it fires.
var problems = map[string]struct {
	name  string
	unfit bool
	after int
}{
	"store":                 {"NatsroomsStoreFull", true, 1},
	"full:ROOMS":            {"NatsroomsStreamFull", true, 1},
	"full:ROOM_MESSAGES":    {"NatsroomsStreamFull", true, 1},
	"full:KV_rooms":         {"NatsroomsStreamFull", true, 1},
	"full:KV_room_sessions": {"NatsroomsStreamFull", true, 1},
	"full:KV_room_blocks":   {"NatsroomsStreamFull", true, 1},
	"full:KV_room_webhooks": {"NatsroomsStreamFull", true, 1},
	"bucket":                {"NatsroomsBucketNotWritten", true, 2},
	"subjects":              {"NatsroomsSubjectsTaken", true, 1},
	"edited:NAME":           {"NatsroomsStreamEdited", false, 0},
	"edited:ROOMS":          {"NatsroomsStreamBroken", true, 1},
	"clock":                 {"NatsroomsClockSet", false, 1},
	"server-clock":          {"NatsroomsServerClock", false, 1},
	"something new":         {"NatsroomsOtherProblem", false, 1},
}

// Each problem of the manual's table, and each that the code reports, has exactly one alert.
func TestProblems(t *testing.T) {
	_, table, _ := strings.Cut(read(t, manual), "\n### What problems are called\n")
	table, _, _ = strings.Cut(table, "\n#")
	told := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(table, -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			told[strings.Trim(name, "`")] = true
		}
	}
	all := alerts(t)
	for name := range told {
		if _, ok := problems[name]; !ok {
			t.Errorf("the manual tells of the problem %s, which has no alert", name)
		}
	}
	for name, p := range problems {
		if !told[name] && name != "something new" && !strings.HasPrefix(name, "edited:") {
			t.Errorf("the problem %s is not in the manual", name)
		}
		s := newStore(t, []string{with("natsrooms_problem", fmt.Sprintf("problem=%q, unfit=\"%v\"", name, p.unfit), "1x60")})
		var firing []string
		for alert, r := range all {
			if len(s.firing(t, r, 20)) > 0 {
				firing = append(firing, alert)
			}
		}
		if !slices.Equal(firing, []string{p.name}) {
			t.Errorf("the problem %s has the alerts %v, not %s", name, firing, p.name)
		}
	}
	reports := regexp.MustCompile(`(?:\.(?:Unfit|Tell)\(|problem := )"([a-z:-]+)"`)
	found := map[string]bool{}
	err := filepath.WalkDir("../../roomsvc", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, m := range reports.FindAllStringSubmatch(read(t, path), -1) {
			found[m[1]] = true
		}
		return nil
	})
	if err != nil || len(found) < 6 {
		t.Errorf("the code reports %v, %v", slices.Collect(maps.Keys(found)), err)
	}
	for name := range found {
		if !told[name] && !(strings.HasSuffix(name, ":") && strings.Contains(table, "`"+name)) {
			t.Errorf("the code reports the problem %s, which is not in the manual", name)
		}
	}
}

// A rule that names what there is not is found.
func TestCheckFinds(t *testing.T) {
	for _, expr := range []string{
		"natsrooms_nonsense == 0",
		`natsrooms_ready{problem="x"} == 0`,
		"sum by (verb) (natsrooms_ready)",
		"rate(natsrooms_ready[5m])",
		"natsrooms_facts_total > 0",
		"natsrooms_ready_bucket",
		"node_load1",
	} {
		if wrong(t, expr) == nil {
			t.Errorf("%s passes", expr)
		}
	}
}

var promql = parser.NewParser(parser.Options{})

// minutes is a time in the tests.
func minutes(n int) time.Time { return time.Unix(int64(n)*60, 0) }
