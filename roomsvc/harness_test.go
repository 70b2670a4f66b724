package roomsvc_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/docs/contract"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
)

// patience bounds every wait of these tests; none is expected to take nearly as long.
const patience = 30 * time.Second

// Many of these tests wait for leases and delays to be over, and compute nothing meanwhile.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "4")
	os.Exit(m.Run())
}

// world is one server, some instances of the service, and a trusted caller.
type world struct {
	t    *testing.T
	node *roomtest.Node
	nc   *nats.Conn // the caller's
	js   jetstream.JetStream
	kv   jetstream.KeyValue // the bucket `rooms`
	ctx  context.Context    // ends with the test's patience

	answers contract.Sample
}

// newWorld starts a server and n instances.
func newWorld(t *testing.T, n int, cfg roomsvc.Config) (*world, []*instance) {
	t.Helper()
	t.Parallel()
	return newWorldAt(t, roomtest.Start(t), n, cfg)
}

// newWorldAt starts n instances on a server.
func newWorldAt(t *testing.T, node *roomtest.Node, n int, cfg roomsvc.Config) (*world, []*instance) {
	t.Helper()
	w := &world{t: t, node: node, nc: roomtest.Conn(t, node.Server)}
	contract.Watch(t, roomtest.Conn(t, node.Server))
	var cancel context.CancelFunc
	w.ctx, cancel = context.WithTimeout(t.Context(), 8*patience)
	t.Cleanup(cancel)
	var err error
	if w.js, err = jetstream.New(w.nc); err != nil {
		t.Fatal(err)
	}
	instances := make([]*instance, n)
	for i := range instances {
		c := cfg
		c.Instance = fmt.Sprintf("i%d", i)
		instances[i] = w.start(c)
	}
	if n > 0 {
		w.bind()
	}
	return w, instances
}

func (w *world) bind() {
	w.t.Helper()
	var err error
	if w.kv, err = w.js.KeyValue(w.ctx, "rooms"); err != nil {
		w.t.Fatalf("binding the bucket: %v", err)
	}
}

// instance is one running service on a connection of its own, which can be cut.
type instance struct {
	*roomsvc.Service
	t    *testing.T
	nc   *nats.Conn
	wire wire
}

// wire remembers the TCP connection under a NATS connection.
type wire struct {
	mu   sync.Mutex
	conn net.Conn
	lag  atomic.Int64 // how late all is that is heard on it, a [time.Duration]
}

func (w *wire) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	w.mu.Lock()
	w.conn = conn
	w.mu.Unlock()
	return lagging{conn, &w.lag}, err
}

type lagging struct {
	net.Conn
	by *atomic.Int64
}

func (c lagging) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	time.Sleep(time.Duration(c.by.Load()))
	return n, err
}

// open starts an instance that may refuse to start.
func (w *world) open(cfg roomsvc.Config) (*instance, error) {
	w.t.Helper()
	i := &instance{t: w.t}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	i.nc = roomtest.Conn(w.t, w.node.Server, nats.SetCustomDialer(&i.wire), nats.NoReconnect(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	var err error
	i.Service, err = roomsvc.New(ctx, i.nc, cfg)
	return i, err
}

func (w *world) start(cfg roomsvc.Config) *instance {
	w.t.Helper()
	i, err := w.open(cfg)
	if err != nil {
		w.t.Fatalf("starting an instance: %v", err)
	}
	w.t.Cleanup(i.stop)
	return i
}

// stop ends the instance in order. It may have ended before.
func (i *instance) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case <-i.Done():
	default:
		if err := i.Stop(ctx); err != nil {
			i.t.Errorf("stopping an instance: %v", err)
		}
	}
}

// kill cuts the instance off at whatever it is doing; what its connection had not
// sent yet is lost. It ends because it can't go on.
func (i *instance) kill() {
	i.wire.mu.Lock()
	_ = i.wire.conn.Close()
	i.wire.mu.Unlock()
	select {
	case <-i.Done():
	case <-time.After(patience):
		i.t.Errorf("an instance goes on %v after its connection was cut for good", patience)
	}
}

// ask sends a request and gives the answer; the subject is what follows room.cmd.
func (w *world) ask(subject string, body string, header ...string) *nats.Msg {
	w.t.Helper()
	m := nats.NewMsg("room.cmd." + subject)
	m.Data = []byte(body)
	for i := 0; i < len(header); i += 2 {
		m.Header.Set(header[i], header[i+1])
	}
	ctx, cancel := context.WithTimeout(w.ctx, 15*time.Second)
	defer cancel()
	answer, err := w.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		w.t.Fatalf("%s %.200s: %v", subject, body, err)
	}
	verb, _, _ := strings.Cut(subject, ".")
	w.agreed(verb, m.Data, answer)
	return answer
}

// agreed checks an answer, and what was asked, against the contract's schemas.
func (w *world) agreed(verb string, body []byte, answer *nats.Msg) {
	w.t.Helper()
	if !w.answers.Takes(verb + answer.Header.Get(micro.ErrorHeader)) {
		return
	}
	if err := contract.Answer(verb, body, answer); err != nil {
		w.t.Errorf("%s: %v", verb, err)
	}
}

// ok sends a request that must succeed and gives the reply as T.
func ok[T any](w *world, subject string, body string, header ...string) *T {
	w.t.Helper()
	m := w.ask(subject, body, header...)
	if e := refusal(m); e != nil {
		w.t.Fatalf("%s %.200s: %v", subject, body, e)
	}
	return decode[T](w.t, m.Data)
}

func decode[T any](t testing.TB, data []byte) *T {
	t.Helper()
	v := new(T)
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("reading %.300s: %v", data, err)
	}
	return v
}

// refused sends a request that must be refused with that code and gives the error.
func (w *world) refused(code *room.Code, subject string, body string, header ...string) *room.Error {
	w.t.Helper()
	m := w.ask(subject, body, header...)
	e := refusal(m)
	if e == nil {
		w.t.Fatalf("%s %.200s: done, want %s\n%.500s", subject, body, code.Name, m.Data)
	}
	if e.Code.Name != code.Name || e.Code.Number != code.Number {
		w.t.Fatalf("%s %.200s: %v, want %s", subject, body, e, code.Name)
	}
	if e.Outcome != room.None {
		w.t.Errorf("%s %.200s: outcome %q of a refusal", subject, body, e.Outcome)
	}
	return e
}

// refusal reads an answer's error by the contract: headers and body say the same.
func refusal(m *nats.Msg) *room.Error {
	name := m.Header.Get(micro.ErrorHeader)
	if name == "" {
		return nil
	}
	var body room.ErrorBody
	if err := json.Unmarshal(m.Data, &body); err != nil {
		return &room.Error{Code: &room.Code{Name: "an error that can't be read"}, Message: string(m.Data)}
	}
	if body.Error.Code != name || strconv.Itoa(body.Error.Number) != m.Header.Get(micro.ErrorCodeHeader) || body.Error.Message == "" {
		return &room.Error{Code: &room.Code{Name: "an error whose body is not its header"}, Message: string(m.Data)}
	}
	return body.Err()
}

// request asks from any goroutine. Where an instance may die it asks again with the
// same request, until it is answered.
func request[T any](w *world, verb room.Verb, q any, each time.Duration) (*T, error) {
	data, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	for w.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(w.ctx, each)
		m, err := w.nc.RequestWithContext(ctx, "room.cmd."+string(verb), data)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrNoResponders):
			continue
		case err != nil:
			return nil, err
		}
		w.agreed(string(verb), data, m)
		if e := refusal(m); e != nil {
			if errors.Is(e, room.ErrUnavailable) || errors.Is(e, room.ErrBusy) {
				continue
			}
			return nil, e
		}
		v := new(T)
		return v, json.Unmarshal(m.Data, v)
	}
	return nil, fmt.Errorf("%s %s: not answered: %w", verb, data, w.ctx.Err())
}

// once asks from any goroutine, and only once; the subject is what follows room.cmd.
func once[T any](w *world, subject room.Verb, q any) (*T, error) {
	data, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(w.ctx, 15*time.Second)
	defer cancel()
	m, err := w.nc.RequestWithContext(ctx, "room.cmd."+string(subject), data)
	if err != nil {
		return nil, err
	}
	verb, _, _ := strings.Cut(string(subject), ".")
	w.agreed(verb, data, m)
	if e := refusal(m); e != nil {
		return nil, e
	}
	v := new(T)
	return v, json.Unmarshal(m.Data, v)
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

// shape makes replies and events comparable: what differs from run to run gets a name
// that is the same for the same value, after its form was checked.
type shape struct {
	t         *testing.T
	instances map[string]string
}

func newShape(t *testing.T) *shape { return &shape{t, map[string]string{}} }

// Times of the contract have milliseconds; that of the envelope is any RFC 3339 in UTC.
var (
	atForm   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$`)
)

func (s *shape) instance(id string) string {
	if s.instances[id] == "" {
		s.instances[id] = fmt.Sprintf("I%d", len(s.instances)+1)
	}
	return s.instances[id]
}

func (s *shape) value(key string, v any) any {
	switch x := v.(type) {
	case map[string]any:
		// In the user form everybody has a lease; lease_test.go looks at those.
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
		case strings.HasSuffix(key, "At") && atForm.MatchString(x), key == "time" && timeForm.MatchString(x):
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

// same compares JSON with what is wanted, whose values are named as in shape.
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

// count counts a request as done, or as refused with that code; all else is an error.
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
