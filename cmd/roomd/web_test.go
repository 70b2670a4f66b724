package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"natsrooms/cmd/internal/version"
	"natsrooms/cmd/roomd/web"
	"natsrooms/roomsvc/roomtest/receiver"
)

// page asks for a page of a roomd over HTTP.
func page(t *testing.T, address, path string) (code int, body []byte) {
	t.Helper()
	resp, err := http.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// scrape is what /metrics says, by name and labels: `natsrooms_rooms`,
// `natsrooms_commands_total{code="OK",verb="get"}`.
func scrape(t *testing.T, address string) map[string]float64 {
	t.Helper()
	code, body := page(t, address, "/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil || code != http.StatusOK {
		t.Fatalf("%d, %v:\n%s", code, err, body)
	}
	values := map[string]float64{}
	for name, f := range families {
		for _, m := range f.Metric {
			labels := ""
			for _, l := range m.Label {
				labels += fmt.Sprintf(",%s=%q", l.GetName(), l.GetValue())
			}
			if labels != "" {
				labels = "{" + labels[1:] + "}"
			}
			switch {
			case m.Counter != nil:
				values[name+labels] = m.Counter.GetValue()
			case m.Gauge != nil:
				values[name+labels] = m.Gauge.GetValue()
			case m.Histogram != nil:
				values[name+"_count"+labels] = float64(m.Histogram.GetSampleCount())
				values[name+"_sum"+labels] = m.Histogram.GetSampleSum()
			}
		}
	}
	return values
}

// pagesOf is where a roomd answers over HTTP.
func pagesOf(t *testing.T, r *started) string {
	t.Helper()
	match := regexp.MustCompile(`http=(127\.0\.0\.1:[0-9]+)`).FindStringSubmatch(r.stderr.String())
	if match == nil {
		t.Fatalf("it does not say where:\n%s", r.stderr)
	}
	return match[1]
}

// tally sends requests and counts what they get, as the metrics should.
type tally struct {
	t        *testing.T
	nc       *nats.Conn
	answered map[string]float64
}

func (a *tally) ask(subject, body string) {
	a.t.Helper()
	m, err := a.nc.Request("room.cmd."+subject, []byte(body), 15*time.Second)
	if err != nil {
		a.t.Fatalf("%s: %v", subject, err)
	}
	code := m.Header.Get(micro.ErrorHeader)
	if code == "" {
		code = "OK"
	}
	verb, _, _ := strings.Cut(subject, ".")
	a.answered[fmt.Sprintf("natsrooms_commands_total{code=%q,verb=%q}", code, verb)]++
}

// What /metrics says is what has happened, exactly.
func TestMetrics(t *testing.T) {
	t.Parallel()
	app, begun := receiver.New(t), time.Now()
	r := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--http", ":0", "--feeds", "--limit", "user-commands=1", "--hook", "send=app.send", "--hook-trusted",
		"--webhook", "app="+app.URL, "--webhook-secret", app.Secret, "--webhook-private")
	address := pagesOf(t, r)
	nc, err := nats.Connect(r.url, patientDial)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	copies, err := nc.SubscribeSync("room.feed.*.*")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe("app.send", func(m *nats.Msg) { _ = m.Respond([]byte(`{}`)) }); err != nil {
		t.Fatal(err)
	}
	a := &tally{t, nc, map[string]float64{}}
	a.ask("create", `{"roomID":"lobby","userID":"alice","config":{"roomDestroyDelayTime":600}}`)
	a.ask("create", `{"roomID":"lobby","userID":"alice"}`)
	a.ask("create", `{"roomID":"hall","config":{"roomDestroyDelayTime":600}}`)
	a.ask("join", `{"roomID":"lobby","userID":"bob","leaseSeconds":600}`)
	a.ask("enter", `{"roomID":"lobby","userID":"bob","sessionID":"phone","leaseSeconds":600}`)
	a.ask("join", `{"roomID":"nowhere","userID":"bob"}`)
	a.ask("leave", `{"roomID":"lobby"}`)
	a.ask("enter", `{"roomID":"lobby","userID":"carol"}`)
	a.ask("leave", `{"roomID":"lobby","userID":"carol"}`)
	a.ask("switch", `{"fromRoomID":"lobby","toRoomInfo":{"roomID":"hall"},"userID":"alice"}`)
	a.ask("send", `{"roomID":"lobby","userID":"bob","type":"text","data":"hello"}`)
	a.ask("send", `{"roomID":"lobby","userID":"bob","type":"text","data":"again"}`)
	a.ask("send", `{"roomID":"lobby","userID":"bob","type":"barrage","data":"hey"}`)
	for range 60 {
		a.ask("rooms.flood", ``)
	}
	if a.answered[`natsrooms_commands_total{code="RATE_LIMITED",verb="rooms"}`] == 0 {
		t.Error("nobody was too fast")
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	want := maps.Clone(a.answered)
	for name, value := range map[string]float64{
		"natsrooms_ready": 1, "natsrooms_leader": 1, "natsrooms_commands_in_flight": 0,
		"natsrooms_rooms": 2, "natsrooms_members": 2, "natsrooms_sessions": 3, "natsrooms_leases": 2,
		"natsrooms_facts_total": 8, "natsrooms_commit_batch_commands_sum": 7, "natsrooms_commit_batch_commands_count": 7, "natsrooms_commit_duration_seconds_count": 7,
		"natsrooms_commit_conflicts_total": 0, "natsrooms_commit_retries_total": 0, "natsrooms_users_cut_off_total": 0, "natsrooms_commands_dropped_total": 0,
		`natsrooms_messages_total{kind="stored"}`: 2, `natsrooms_messages_total{kind="live"}`: 1,
		`natsrooms_limit_hits_total{limit="commands"}`: a.answered[`natsrooms_commands_total{code="RATE_LIMITED",verb="rooms"}`],
		`natsrooms_limit_hits_total{limit="waiting"}`:  0, `natsrooms_limit_hits_total{limit="changes"}`: 0,
		"natsrooms_journal_lag": 0, "natsrooms_projection_lag": 0, "natsrooms_feeds_waiting": 0, "natsrooms_feeds_dropped_total": 0,
		`natsrooms_hook_outcomes_total{outcome="passed",verb="send"}`: 3, `natsrooms_hook_outcomes_total{outcome="slow",verb="send"}`: 0, `natsrooms_hook_waiting{verb="send"}`: 0,
		`natsrooms_webhook_deliveries_total{outcome="delivered",webhook="app"}`: 8, `natsrooms_webhook_deliveries_total{outcome="failed",webhook="app"}`: 0,
		`natsrooms_webhook_rooms_behind{webhook="app"}`: 0, `natsrooms_webhook_dead_letters{webhook="app"}`: 0, `natsrooms_webhook_oldest_seconds{webhook="app"}`: 0,
		`natsrooms_nats_connected{connection="hooks"}`: 1, `natsrooms_nats_connected{connection="service"}`: 1, `natsrooms_nats_reconnects_total{connection="service"}`: 0,
	} {
		want[name] = value
	}
	for _, operation := range []string{"append", "message", "history", "bucket", "settings", "metrics"} {
		want[fmt.Sprintf("natsrooms_jetstream_errors_total{operation=%q}", operation)] = 0
	}
	heard := 0.0
	var got map[string]float64
	var wrong []string
	for until := time.Now().Add(within); ; { // the bucket and the copies follow soon
		for m := (*nats.Msg)(nil); ; heard++ {
			if m, _ = copies.NextMsg(time.Millisecond); m == nil {
				break
			}
		}
		want["natsrooms_feeds_copies_total"] = heard
		for _, name := range []string{"ROOMS", "ROOM_MESSAGES", "KV_rooms", "KV_room_sessions", "KV_room_blocks", "KV_room_webhooks"} {
			s, err := js.Stream(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			want[fmt.Sprintf("natsrooms_stream_messages{stream=%q}", name)] = float64(s.CachedInfo().State.Msgs)
			want[fmt.Sprintf("natsrooms_stream_size_bytes{stream=%q}", name)] = float64(s.CachedInfo().State.Bytes)
			want[fmt.Sprintf("natsrooms_stream_first_sequence{stream=%q}", name)] = float64(s.CachedInfo().State.FirstSeq)
			want[fmt.Sprintf("natsrooms_stream_last_sequence{stream=%q}", name)] = float64(s.CachedInfo().State.LastSeq)
		}
		want["natsrooms_journal_revision"] = want[`natsrooms_stream_last_sequence{stream="ROOMS"}`]
		got = scrape(t, address)
		if wrong = unlike(got, want); len(wrong) == 0 || time.Now().After(until) {
			break
		}
	}
	if len(wrong) > 0 {
		t.Errorf("it says\n%s", strings.Join(wrong, "\n"))
	}
	if heard == 0 {
		t.Error("there are no copies")
	}
	for name, value := range got {
		if verb, ok := strings.CutPrefix(name, "natsrooms_command_duration_seconds_count"); ok {
			sum := 0.0
			for n, v := range a.answered {
				if strings.HasSuffix(n, ","+strings.TrimPrefix(verb, "{")) {
					sum += v
				}
			}
			if value != sum {
				t.Errorf("%s is %v, but %v were answered", name, value, sum)
			}
		}
		if _, known := want[name]; !known && strings.HasPrefix(name, "natsrooms_commands_total") && value != 0 {
			t.Errorf("%s is %v", name, value)
		}
	}
	if b := version.This(); got[fmt.Sprintf("natsrooms_build_info{goversion=%q,revision=%q,version=%q}", b.Go, b.Revision, b.Version)] != 1 {
		t.Error("no word about the build")
	}
	for name, most := range map[string]float64{ // what is not known exactly
		`natsrooms_hook_seconds_total{verb="send"}`: time.Since(begun).Seconds(), `natsrooms_webhook_seconds_total{webhook="app"}`: time.Since(begun).Seconds(),
		"natsrooms_commit_duration_seconds_sum": time.Since(begun).Seconds(), `natsrooms_nats_subscriptions{connection="service"}`: 1000,
		`natsrooms_nats_received_bytes_total{connection="service"}`: 10 << 20, `natsrooms_nats_sent_bytes_total{connection="service"}`: 10 << 20, "natsrooms_store_used_bytes": 10 << 20,
	} {
		if v := got[name]; v <= 0 || v > most {
			t.Errorf("%s is %v", name, v)
		}
	}
	if got["natsrooms_store_free_bytes"] == 0 || got["process_resident_memory_bytes"] == 0 || got["go_goroutines"] == 0 {
		t.Error("no word about the disk, or the process")
	}
	checkNames(t, address, scrape(t, address))
	stats, err := nc.Request("$SRV.STATS.rooms", nil, within)
	if err != nil || !bytes.Contains(stats.Data, []byte(`"version":"`+version.String()+`"`)) {
		t.Errorf("the statistics do not say the version: %v", err)
	}
	r.end(t)
}

// What goes wrong is counted exactly, too: what the application does not let pass, what a webhook
// does not deliver, and what a limit refuses.
func TestMetricsOfTrouble(t *testing.T) {
	t.Parallel()
	app := receiver.New(t)
	app.Answer(func(out http.ResponseWriter, g *receiver.Got) {
		switch {
		case g.Room() == "gone":
			out.WriteHeader(http.StatusGone)
		case g.Try == 1:
			out.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	r := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--http", ":0", "--feeds", "--limit", "user-changes=1", "--hook", "send=app.send", "--hook", "join=app.nobody", "--hook-trusted",
		"--webhook", "app="+app.URL, "--webhook-secret", app.Secret, "--webhook-private")
	address := pagesOf(t, r)
	nc, err := nats.Connect(r.url, patientDial)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Subscribe("app.send", func(m *nats.Msg) {
		for says, answer := range map[string]string{"pass": `{}`, "deny": `{"deny":{"message":"no"}}`, "replace": `{"replace":{"data":"better"}}`, "hush": `{"silent":true}`, "huh": `{"what":1}`} {
			if bytes.Contains(m.Data, []byte(`"`+says+`"`)) {
				_ = m.Respond([]byte(answer))
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	a := &tally{t, nc, map[string]float64{}}
	const delay = `"config":{"roomDestroyDelayTime":600}`
	a.ask("create", `{"roomID":"lobby","userID":"alice",`+delay+`}`)
	a.ask("create", `{"roomID":"gone",`+delay+`}`)
	for says, times := range map[string]int{"pass": 1, "deny": 2, "replace": 3, "hush": 4, "huh": 5, "late": 1} {
		for range times {
			a.ask("send", fmt.Sprintf(`{"roomID":"lobby","userID":"alice","type":"text","data":%q}`, says))
		}
	}
	for range 2 {
		a.ask("join", `{"roomID":"lobby","userID":"bob"}`)
	}
	for range 20 {
		a.ask("setAttributes.flood", `{"roomID":"lobby","set":{"a":"1"}}`)
	}
	want := maps.Clone(a.answered)
	for name, value := range map[string]float64{
		`natsrooms_hook_outcomes_total{outcome="passed",verb="send"}`: 1, `natsrooms_hook_outcomes_total{outcome="denied",verb="send"}`: 2, `natsrooms_hook_outcomes_total{outcome="replaced",verb="send"}`: 3,
		`natsrooms_hook_outcomes_total{outcome="silenced",verb="send"}`: 4, `natsrooms_hook_outcomes_total{outcome="nonsense",verb="send"}`: 5, `natsrooms_hook_outcomes_total{outcome="slow",verb="send"}`: 1,
		`natsrooms_hook_outcomes_total{outcome="absent",verb="join"}`: 2, `natsrooms_hook_waiting{verb="send"}`: 0,
		`natsrooms_messages_total{kind="stored"}`:                               4,
		`natsrooms_webhook_deliveries_total{outcome="delivered",webhook="app"}`: 1, `natsrooms_webhook_deliveries_total{outcome="failed",webhook="app"}`: 2,
		`natsrooms_webhook_deliveries_total{outcome="dead",webhook="app"}`: 1, `natsrooms_webhook_dead_letters{webhook="app"}`: 1, `natsrooms_webhook_rooms_behind{webhook="app"}`: 0,
		`natsrooms_limit_hits_total{limit="changes"}`: a.answered[`natsrooms_commands_total{code="RATE_LIMITED",verb="setAttributes"}`], `natsrooms_limit_hits_total{limit="commands"}`: 0,
	} {
		want[name] = value
	}
	if want[`natsrooms_limit_hits_total{limit="changes"}`] == 0 {
		t.Errorf("nobody was too fast: %v", a.answered)
	}
	var wrong []string
	for until := time.Now().Add(within); ; { // webhooks are tried again soon
		got := scrape(t, address)
		if wrong = unlike(got, want); len(wrong) == 0 || time.Now().After(until) {
			break
		}
	}
	if len(wrong) > 0 {
		t.Errorf("it says\n%s", strings.Join(wrong, "\n"))
	}
	r.end(t)
}

// unlike is what is not as it should be, sorted.
func unlike(got, want map[string]float64) (wrong []string) {
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			wrong = append(wrong, fmt.Sprintf("%s: %v, want %v", name, v, value))
		}
	}
	slices.Sort(wrong)
	return wrong
}

// checkNames looks whether Prometheus likes the names, and whether each row of the table is
// there.
func checkNames(t *testing.T, address string, got map[string]float64) {
	t.Helper()
	_, body := page(t, address, "/metrics")
	problems, err := promlint.New(bytes.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, m := range web.Metrics {
		if m.Name == "natsrooms_problem" { // only while there is one
			continue
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(name string) bool { return strings.HasPrefix(name, m.Name) }) {
			t.Errorf("%s is not there", m.Name)
		}
	}
}

// standing is what /healthz and /readyz say.
func standing(t *testing.T, address, path string) (code int, ok bool, reasons []string) {
	t.Helper()
	code, body := page(t, address, path)
	var said struct {
		OK      bool     `json:"ok"`
		Reasons []string `json:"reasons"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return code, said.OK, said.Reasons
}

// /readyz says why an instance is not ready.
func TestReadyz(t *testing.T) {
	t.Parallel()
	r := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--http", "127.0.0.1:0")
	address := pagesOf(t, r)
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, ok, reasons := standing(t, address, path); code != http.StatusOK || !ok || len(reasons) != 0 {
			t.Errorf("%s: %d, %v, %v", path, code, ok, reasons)
		}
	}
	nc, err := nats.Connect(r.url, patientDial)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OURS", Subjects: []string{"room.evt.>"}, NoAck: true}); err != nil {
		t.Fatal(err)
	}
	code, ok, reasons := standing(t, address, "/readyz")
	if code != http.StatusServiceUnavailable || ok || len(reasons) != 1 || !strings.Contains(reasons[0], "OURS") {
		t.Errorf("with a stream on its subjects: %d, %v, %v", code, ok, reasons)
	}
	if code, ok, _ := standing(t, address, "/healthz"); code != http.StatusOK || !ok {
		t.Errorf("but it is well: %d, %v", code, ok)
	}
	if got := scrape(t, address); got["natsrooms_ready"] != 0 || got[`natsrooms_problem{problem="subjects",unfit="true"}`] != 1 {
		t.Errorf("natsrooms_ready is %v, and the problem is not there: %v", got["natsrooms_ready"], got)
	}
	if _, body := page(t, address, "/readyz"); !bytes.Contains(body, []byte(`"name":"subjects"`)) {
		t.Errorf("the problem has no name: %s", body)
	}
	if code, _ := page(t, address, "/nothing"); code != http.StatusNotFound {
		t.Errorf("another page: %d", code)
	}
	r.end(t)
	if _, err := http.Get("http://" + address + "/healthz"); err == nil {
		t.Error("it still answers after its end")
	}
}

// Until the service serves, an instance is well and not ready.
func TestStarting(t *testing.T) {
	t.Parallel()
	pages, err := web.Listen(":0")
	if err != nil {
		t.Fatal(err)
	}
	defer pages.Close()
	if host, _, err := net.SplitHostPort(pages.Address()); err != nil || host != "127.0.0.1" {
		t.Errorf("without a host it listens on %s", pages.Address())
	}
	if code, ok, _ := standing(t, pages.Address(), "/healthz"); code != http.StatusOK || !ok {
		t.Errorf("/healthz: %d, %v", code, ok)
	}
	if code, ok, reasons := standing(t, pages.Address(), "/readyz"); code != http.StatusServiceUnavailable || ok || len(reasons) != 1 {
		t.Errorf("/readyz: %d, %v, %v", code, ok, reasons)
	}
	if got := scrape(t, pages.Address()); got["natsrooms_ready"] != 0 || got["go_goroutines"] == 0 {
		t.Errorf("%v", got)
	}
	for _, address := range []string{"x", "1.2.3.4", pages.Address(), "127.0.0.1:x"} {
		if another, err := web.Listen(address); err == nil || !strings.Contains(err.Error(), "--http") {
			another.Close()
			t.Errorf("%q: %v", address, err)
		}
	}
}
