package roomsvc_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"natsrooms/docs/contract"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
)

// patience bounds every wait of these tests; none is expected to take nearly as long.
const patience = worlds.Patience

// Many of these tests wait for leases and delays to end, and compute nothing meanwhile.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "4")
	os.Exit(m.Run())
}

// world is a world whose events are checked against the contract, and whose instances end
// when their connections do.
type world struct {
	*worlds.World
	kv jetstream.KeyValue // the bucket `rooms`
}

type instance = worlds.Instance

// newWorld starts a server and n instances.
func newWorld(t *testing.T, n int, cfg roomsvc.Config) (*world, []*instance) {
	t.Helper()
	t.Parallel()
	return newWorldAt(t, roomtest.Start(t), n, cfg)
}

// newWorldAt starts n instances on a server.
func newWorldAt(t *testing.T, node *roomtest.Node, n int, cfg roomsvc.Config) (*world, []*instance) {
	t.Helper()
	w := emptyWorld(t, node)
	contract.Watch(t, roomtest.Conn(t, node.Server))
	instances := make([]*instance, n)
	for i := range instances {
		c := cfg
		c.Instance = fmt.Sprintf("i%d", i)
		instances[i] = w.Start(c)
	}
	if n > 0 {
		w.bind()
	}
	return w, instances
}

// emptyWorld has no instances yet.
func emptyWorld(t *testing.T, node *roomtest.Node) *world {
	t.Helper()
	w := &world{World: worlds.On(t, node)}
	w.Options = []nats.Option{nats.NoReconnect()}
	return w
}

func (w *world) bind() {
	w.T.Helper()
	var err error
	if w.kv, err = w.JS.KeyValue(w.Ctx, "rooms"); err != nil {
		w.T.Fatalf("binding the bucket: %v", err)
	}
}

// Short forms of requests; see package worlds.

func ok[T any](w *world, subject string, body string, header ...string) *T {
	w.T.Helper()
	return worlds.OK[T](w.World, subject, body, header...)
}

func decode[T any](t testing.TB, data []byte) *T {
	t.Helper()
	return worlds.Decode[T](t, data)
}

func refusal(m *nats.Msg) *room.Error { return worlds.Refusal(m) }

func request[T any](w *world, verb room.Verb, q any, each time.Duration) (*T, error) {
	return worlds.Request[T](w.World, verb, q, each)
}

func once[T any](w *world, subject room.Verb, q any) (*T, error) {
	return worlds.Once[T](w.World, subject, q)
}

// known asks from any goroutine, and repeats the request until it is known what became of it.
func known[T any](w *world, verb room.Verb, q map[string]any) (*T, error) {
	q["requestID"] = nuid.Next()
	return request[T](w, verb, q, patience)
}

// together runs n functions at once, a few dozen at a time if there are many.
func together(n int, f func(i int)) {
	var group sync.WaitGroup
	free := make(chan struct{}, 64)
	for i := range n {
		free <- struct{}{}
		group.Go(func() {
			defer func() { <-free }()
			f(i)
		})
	}
	group.Wait()
}

// shape makes replies and events comparable: it checks the form of what differs from run to
// run, and replaces it by a name that is the same for the same value.
type shape struct {
	t         *testing.T
	instances map[string]string
}

func newShape(t *testing.T) *shape { return &shape{t, map[string]string{}} }

// All times of the contract have milliseconds.
var atForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)

func (s *shape) instance(id string) string {
	if s.instances[id] == "" {
		s.instances[id] = fmt.Sprintf("I%d", len(s.instances)+1)
	}
	return s.instances[id]
}

func (s *shape) value(key string, v any) any {
	switch x := v.(type) {
	case map[string]any:
		// In the user form everybody has a lease; lease_test.go tests those.
		if end, _ := x["expiresAt"].(string); atForm.MatchString(end) {
			delete(x, "expiresAt")
		}
		if x["leaseSeconds"] == 60.0 {
			delete(x, "leaseSeconds")
		}
		for k := range x {
			x[k] = s.value(k, x[k])
		}
	case []any:
		for i := range x {
			x[i] = s.value("", x[i])
		}
	case string:
		switch {
		case key == "instanceID" || key == "roominstance":
			return s.instance(x)
		case key == "source":
			if at := strings.LastIndexByte(x, '/'); strings.Count(x, "/") == 3 {
				return x[:at+1] + s.instance(x[at+1:])
			}
		case key == "id" && x != "":
			return "ID"
		case (strings.HasSuffix(key, "At") || key == "time") && atForm.MatchString(x):
			return "T"
		}
	case float64:
		if key == "revision" && x > 0 {
			return "R"
		}
	}
	return v
}

func (s *shape) of(data []byte) string {
	s.t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		s.t.Fatalf("reading %.300s: %v", data, err)
	}
	return pretty(s.t, s.value("", v))
}

func pretty(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v, json.Deterministic(true), jsontext.Multiline(true))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// same compares JSON with the wanted one, whose values are named as in shape.
func (s *shape) same(what string, data []byte, want string) {
	s.t.Helper()
	var v any
	if err := json.Unmarshal([]byte(want), &v); err != nil {
		s.t.Fatalf("%s: the test's own JSON %s: %v", what, want, err)
	}
	if got, want := s.of(data), pretty(s.t, v); got != want {
		s.t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

// count counts a request as done, or as refused with that code; anything else is an error.
func count(t *testing.T, err error, done *atomic.Int64, code *room.Code, refused *atomic.Int64) {
	switch {
	case err == nil:
		done.Add(1)
	case errors.Is(err, code):
		refused.Add(1)
	default:
		t.Error(err)
	}
}
