package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/roomsvc/roomtest"
)

const patience = 30 * time.Second

// service takes requests on a.*, b.* and so on; taken is told of each.
func service(taken func(*nats.Msg)) Service {
	s := Service{Name: "letters", Version: "1.2.3", Description: "letters", QueueGroup: "q", Stats: func() any { return map[string]int{"answer": 42} }}
	for _, letter := range strings.Split("abcdefgh", "") {
		s.Endpoints = append(s.Endpoints, Endpoint{Name: letter, Subject: letter + ".*", Take: taken})
	}
	return s
}

// Requests on many subjects are taken in the order in which they were sent, and those that were
// sent before the end are taken before it.
func TestOrder(t *testing.T) {
	server := roomtest.Server(t)
	nc := roomtest.Conn(t, server)
	const n = 20_000
	var got []string
	i, err := Listen(roomtest.Conn(t, server), service(func(m *nats.Msg) { got = append(got, m.Subject) }))
	if err == nil {
		err = i.nc.FlushTimeout(patience)
	}
	if err != nil {
		t.Fatal(err)
	}
	for k := range n {
		if err := nc.Publish(fmt.Sprintf("%c.%d", "abcdefgh"[k*7%8], k), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	i.Stop(context.Background())
	i.Stop(context.Background()) // once more does no harm
	if len(got) != n {
		t.Fatalf("%d of %d are taken", len(got), n)
	}
	for k, subject := range got {
		if want := fmt.Sprintf("%c.%d", "abcdefgh"[k*7%8], k); subject != want {
			t.Fatalf("request %d is %s, want %s", k, subject, want)
		}
	}
	if _, err := nc.Request("a.late", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("after the end: %v", err)
	}
}

// It says of itself what the library's service says of itself.
func TestDiscovery(t *testing.T) {
	server := roomtest.Server(t)
	nc, another, asking := roomtest.Conn(t, server), roomtest.Conn(t, server), roomtest.Conn(t, server)
	s := service(func(m *nats.Msg) { _ = m.Respond(nil) })
	i, err := Listen(nc, s)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Stop(context.Background())
	theirs, err := micro.AddService(another, micro.Config{
		Name: "theirs", Version: s.Version, Description: s.Description, QueueGroup: s.QueueGroup, StatsHandler: func(*micro.Endpoint) any { return s.Stats() },
	})
	for _, e := range s.Endpoints {
		err = errors.Join(err, theirs.AddEndpoint(e.Name, micro.HandlerFunc(func(r micro.Request) { _ = r.Respond(nil) }), micro.WithEndpointSubject("x."+e.Subject)))
	}
	if err = errors.Join(err, nc.FlushTimeout(patience), another.FlushTimeout(patience)); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"a.1", "a.2", "x.a.1", "x.a.2"} {
		if _, err := asking.Request(subject, nil, patience); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(subject string) map[string]any {
		m, err := asking.Request(subject, nil, patience)
		if err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
		var v map[string]any
		if err := json.Unmarshal(m.Data, &v); err != nil {
			t.Fatalf("%s: %s", subject, m.Data)
		}
		return v
	}
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		ours := ask("$SRV." + verb + ".letters")
		if id := ask("$SRV." + verb + ".letters." + i.id)["id"]; id != ours["id"] || id != i.id {
			t.Errorf("%s: the service %v says that it is %v", verb, ours["id"], id)
		}
		same(t, verb, ours, ask("$SRV."+verb+".theirs"))
	}
	if m, err := asking.Request("$SRV.PING", nil, patience); err != nil || len(m.Data) == 0 {
		t.Errorf("PING: %v", err)
	}
}

// same compares what differs only in names and moments.
func same(t *testing.T, at string, ours, theirs any) {
	t.Helper()
	switch o := ours.(type) {
	case map[string]any:
		other, _ := theirs.(map[string]any)
		for k := range other {
			if _, ok := o[k]; !ok {
				t.Errorf("%s: %s is missing", at, k)
			}
		}
		for k, v := range o {
			if _, ok := other[k]; !ok {
				t.Errorf("%s: %s is new", at, k)
			}
			same(t, at+"."+k, v, other[k])
		}
	case []any:
		other, _ := theirs.([]any)
		if len(o) != len(other) {
			t.Fatalf("%s: %d of them, want %d", at, len(o), len(other))
		}
		for i := range o {
			same(t, fmt.Sprintf("%s[%d]", at, i), o[i], other[i])
		}
	default:
		for _, name := range []string{".name", ".id", ".subject", ".started", "processing_time"} {
			if strings.HasSuffix(at, name) {
				return
			}
		}
		if ours != theirs {
			t.Errorf("%s: %v, want %v", at, ours, theirs)
		}
	}
}

// A subject that may not be subscribed to is an error, and nothing is left.
func TestListenFails(t *testing.T) {
	s := service(func(*nats.Msg) {})
	s.Endpoints[3].Subject = "not a subject"
	if i, err := Listen(roomtest.Conn(t, roomtest.Server(t)), s); err == nil {
		i.Stop(context.Background())
		t.Error("it listens")
	}
}

// Requests on one connection wait for nobody who is at work on those of another, and are lost
// only on the connection where too many wait.
func TestConnectionsDoNotWaitForEachOther(t *testing.T) {
	server := roomtest.Server(t)
	nc := roomtest.Conn(t, server)
	work, free := make(chan struct{}, 100), make(chan struct{})
	s := service(func(m *nats.Msg) { _ = m.Respond(nil) })
	s.Endpoints[0].Conn, s.Endpoints[0].Waiting = roomtest.Conn(t, server), 10
	s.Endpoints[0].Take = func(*nats.Msg) { work <- struct{}{}; <-free }
	i, err := Listen(roomtest.Conn(t, server), s)
	if err == nil {
		err = errors.Join(i.nc.FlushTimeout(patience), s.Endpoints[0].Conn.FlushTimeout(patience))
	}
	if err != nil {
		t.Fatal(err)
	}
	send := func(n int) {
		for range n {
			err = errors.Join(err, nc.Publish("a.1", nil))
		}
		if err = errors.Join(err, nc.FlushTimeout(patience), s.Endpoints[0].Conn.FlushTimeout(patience)); err != nil {
			t.Fatal(err)
		}
	}
	send(1)
	<-work
	send(50)
	if _, err := nc.Request("b.1", nil, patience); err != nil {
		t.Errorf("on the other connection: %v", err)
	}
	close(free)
	i.Stop(context.Background())
	if n := len(work); n != 10 {
		t.Errorf("%d are taken of those that waited", n)
	}
}
