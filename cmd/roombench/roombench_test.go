package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nuid"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
)

// small is every scenario in miniature.
func small(url string) Options {
	return Options{
		Nats: url, Shape: shapeRequests, Connections: 2, InFlight: 8, Clients: 12, Listeners: 2, Count: 300, Runs: 1, Rooms: 5, Subscribers: 20, Audience: 10,
		Members: 50, Storm: []int{30}, Memberships: []int{25, 50}, PerRoom: 10, Sync: "2m", JSON: true,
	}
}

func serve(t *testing.T) string {
	t.Helper()
	w := worlds.New(t)
	w.Start(roomsvc.Config{Feeds: true})
	return w.Node.ClientURL()
}

func TestRunMeasuresEveryScenario(t *testing.T) {
	runAll(t, small(serve(t)))
}

// runAll runs what o asks for, and checks that everything was measured.
func runAll(t *testing.T, o Options) (results []Result) {
	t.Helper()
	var out, errs bytes.Buffer
	if err := Run(t.Context(), o, &out, &errs); err != nil {
		t.Fatal(err)
	}
	var report Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	list, err := chosen(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Results) != len(list) || report.Server == "" || report.Machine == "" {
		t.Fatalf("%+v", report)
	}
	for i, r := range report.Results {
		if r.Scenario != list[i].name || r.Ops < 1 || r.PerSecond <= 0 || r.Base <= 0 || r.Ratio <= 0 {
			t.Errorf("%+v", r)
		}
	}
	return report.Results
}

func TestTable(t *testing.T) {
	o := small(serve(t))
	o.JSON, o.Scenarios = false, []string{"join-hot"}
	var out bytes.Buffer
	if err := Run(t.Context(), o, &out, &out); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "join-hot") || !strings.Contains(s, "append") || strings.Contains(s, "\r") {
		t.Error(s)
	}
}

func TestVerifyNoticesWhatIsMissing(t *testing.T) {
	b := &bench{Options: small(serve(t)), ctx: t.Context(), run: nuid.Next(), progress: func(string) {}}
	if err := b.connect(); err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if err := b.make(b.run, 2); err != nil {
		t.Fatal(err)
	}
	from := b.head()
	if err := b.join(0, roomName(b.run, 0), "alice", nil); err != nil {
		t.Fatal(err)
	}
	there := map[place]struct{}{{roomName(b.run, 0), "alice"}: {}}
	if n, err := b.verifyJoins(from, there); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	missing := map[place]struct{}{{roomName(b.run, 0), "alice"}: {}, {roomName(b.run, 1), "bob"}: {}}
	if _, err := b.verifyJoins(from, missing); err == nil || !strings.Contains(err.Error(), "bob") {
		t.Errorf("a join without a fact passes: %v", err)
	}
	if err := b.verifyBucket(missing); err == nil {
		t.Error("a member missing in the bucket passes")
	}
	if _, err := b.verifyPlaces(from, map[place]struct{}{{roomName(b.run, 1), "alice"}: {}}); err == nil {
		t.Error("a user in another room passes")
	}
}

func TestVerifyNoticesWrongAcknowledgements(t *testing.T) {
	b := &bench{Options: small(serve(t)), ctx: t.Context(), run: nuid.Next(), progress: func(string) {}}
	if err := b.connect(); err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if err := b.talkers(b.run, 1); err != nil {
		t.Fatal(err)
	}
	var acks [2]room.SendReply
	for i := range acks {
		if err := b.send(0, roomName(b.run, 0), userName(0), &acks[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.verifyMessages(b.run, 0, acks[:]); err != nil {
		t.Fatal(err)
	}
	other := room.SendReply{MessageID: "other", MessageSeq: acks[1].MessageSeq}
	for name, wrong := range map[string][]room.SendReply{
		"stored, but not acknowledged": acks[1:], "another one": {acks[0], other}, "acknowledged twice": {acks[0], acks[1], acks[1]},
	} {
		if err := b.verifyMessages(b.run, 0, wrong); err == nil {
			t.Errorf("%s: it passes", name)
		}
	}
	if err := b.verifyMessages(b.run, acks[0].MessageSeq, acks[:]); err == nil {
		t.Error("acknowledged, but not stored: it passes")
	}
}

func TestVerifyNoticesWrongAttributes(t *testing.T) {
	b := &bench{Options: small(serve(t)), ctx: t.Context(), run: nuid.Next(), progress: func(string) {}}
	if err := b.connect(); err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if err := b.talkers(b.run, 1); err != nil {
		t.Fatal(err)
	}
	from, id := b.head(), roomName(b.run, 0)
	set := func(value string) {
		t.Helper()
		q := &room.SetAttributesRequest{Caller: room.Caller{UserID: userName(0)}, RoomID: id, Set: map[string]string{attributeKey(0): value}}
		if err := b.ask(0, room.SetAttributes, q, nil); err != nil {
			t.Fatal(err)
		}
	}
	set(attributeValue(0, 1))
	set(attributeValue(0, 2))
	if n, err := b.verifyAttributes(from, id, []int{2}); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if _, err := b.verifyAttributes(from, id, []int{3}); err == nil {
		t.Error("a change without a fact passes")
	}
	if _, err := b.verifyAttributes(b.head(), id, []int{0}); err == nil || !strings.Contains(err.Error(), "get shows") {
		t.Errorf("attributes that no fact set pass: %v", err)
	}
	set(attributeValue(0, 2) + "-odd")
	if _, err := b.verifyAttributes(from, id, []int{3}); err == nil {
		t.Error("the value of another change passes")
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	alone := roomtest.Server(t).ClientURL()
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no server":         {func(o *Options) { o.Nats = "nats://127.0.0.1:1" }, "no NATS server"},
		"no service":        {func(o *Options) { o.Nats = alone }, "no room service answers"},
		"too few in flight": {func(o *Options) { o.InFlight = 1 }, "--connections"},
		"small count":       {func(o *Options) { o.Count = 1 }, "--count"},
		"unknown scenario":  {func(o *Options) { o.Scenarios = []string{"nope"} }, `"nope"`},
		"scenario twice":    {func(o *Options) { o.Scenarios = []string{"latency", "latency"} }, "latency is named twice"},
		"and in its group":  {func(o *Options) { o.Scenarios = []string{"large", "join-large"} }, "join-large is named twice"},
		"no listeners":      {func(o *Options) { o.Listeners = 0 }, "--listeners"},
		"no roomd to kill":  {func(o *Options) { o.Scenarios = []string{"scale"} }, "--roomd"},
		"no such roomd":     {func(o *Options) { o.Roomd = "/no/such/roomd" }, "/no/such/roomd"},
		"no such process":   {func(o *Options) { o.PID = 1 << 30 }, "--pid"},
		"no key":            {func(o *Options) { o.Key = "/no/such/key" }, "--key"},
		"falling sizes":     {func(o *Options) { o.Memberships = []int{20, 10} }, "rising order"},
	} {
		t.Run(name, func(t *testing.T) {
			o := small(alone)
			c.change(&o)
			if err := Run(t.Context(), o, &bytes.Buffer{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}
