package main

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/roomtest"
)

// Whoever may hear a subject, and however, is known; and that nobody does.
func TestListened(t *testing.T) {
	t.Parallel()
	leaves := roomtest.Ports(t, 1)[0]
	l := embedded(t, "--port", "-1", "--store-dir", t.TempDir(), "--nats-config", write(t, fmt.Sprintf(`
		no_auth_user: rooms
		leafnodes { listen: "127.0.0.1:%d" }
		accounts {
			ROOMS { users [{ user: rooms, password: x }], exports [{ stream: "room.state.importer.>" }], jetstream: enabled }
			OTHER { users [{ user: other, password: x }], imports [{ stream { account: ROOMS, subject: "room.state.importer.>" } }] }
		}`, leaves)))
	defer l.close()
	if l.listened == nil {
		t.Fatal("it is not known who listens")
	}
	leaf := roomtest.Server(t, func(o *server.Options) {
		o.JetStream = false
		o.LeafNode.Remotes = []*server.RemoteLeafOpts{{URLs: []*url.URL{{Scheme: "nats-leaf", Host: fmt.Sprintf("127.0.0.1:%d", leaves)}}}}
	})
	here := connected(t, "nats://"+l.address).Conn
	js, err := jetstream.New(here)
	if err != nil {
		t.Fatal(err)
	}
	subscribe := func(nc *nats.Conn, subject, queue string) func(*testing.T) {
		return func(t *testing.T) {
			if _, err := nc.QueueSubscribe(subject, queue, func(*nats.Msg) {}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		listen  func(*testing.T)
		subject string
	}{
		"a subscription":      {subscribe(here, "room.state.a.r", ""), "room.state.a.r"},
		"a wildcard":          {subscribe(here, "room.state.b.>", ""), "room.state.b.r"},
		"a queue":             {subscribe(here, "room.state.c.r", "q"), "room.state.c.r"},
		"somebody at a leaf":  {subscribe(roomtest.Conn(t, leaf), "room.state.d.*", ""), "room.state.d.r"},
		"an account's import": {subscribe(connected(t, "nats://other:x@"+l.address).Conn, "room.state.importer.*", ""), "room.state.importer.r"},
		"a stream that takes it": {func(t *testing.T) {
			if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "NOTICES", Subjects: []string{"room.state.e.>"}}); err != nil {
				t.Fatal(err)
			}
		}, "room.state.e.r"},
	} {
		t.Run(name, func(t *testing.T) {
			if l.listened(c.subject) {
				t.Errorf("%s is said to be heard before anybody listens", c.subject)
			}
			c.listen(t)
			wait(t, 10*time.Second, "it to be known who listens to "+c.subject, func() bool { return l.listened(c.subject) })
		})
	}
}

// Where subjects are mapped to others, nobody knows who hears what is published.
func TestListenedWithMappings(t *testing.T) {
	t.Parallel()
	l := embedded(t, "--port", "-1", "--store-dir", t.TempDir(), "--nats-config", write(t, `mappings { "room.state.a.>": "elsewhere.>" }`))
	defer l.close()
	if l.listened != nil {
		t.Error("it is said to be known who listens")
	}
}
