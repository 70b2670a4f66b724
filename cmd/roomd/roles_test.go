package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/roomtest"
)

// Each role's permissions suffice for its work.
func TestRolesCanDoTheirWork(t *testing.T) {
	g := newGuarded(t)
	for name, opts := range map[string][]nats.Option{
		"a named back end": named("backend"), "a back end by token": {nats.Token(signed(t, auth.Claims{User: "ops", Admin: true}))},
	} {
		readBucket(t, name, connected(t, g.roomd.url, opts...))
	}
	readJournal(t, connected(t, g.roomd.url, named("pipeline")...))
	monitor := connected(t, g.roomd.url, named("monitor")...)
	for subject, body := range map[string]string{"$SRV.STATS.rooms": "", "$SRV.PING": "", "room.cmd.list": "{}", "room.cmd.get": `{"roomID":"lobby"}`} {
		if m, err := monitor.Request(subject, []byte(body), within); err != nil || m.Header.Get("Nats-Service-Error") != "" {
			t.Errorf("a monitor asks %s: %v, %+v", subject, err, m)
		}
	}
	// Another instance, as a user in the server's configuration.
	another := start(t, "--nats", "nats://service:serviceservice@"+g.roomd.url[len("nats://"):])
	g.command("setAttributes", `{"roomID":"lobby","set":{"a":"b"}}`)
	another.end(t)
	// What the service does other than single appends: a batch, a message, the bucket of
	// leases, the end of an empty room, and everything that a start and a stop need.
	g.command("send", `{"roomID":"lobby","type":"text","data":"hello"}`)
	g.command("switch", `{"fromRoomID":"lobby","toRoomInfo":{"roomID":"garden"},"isCreateWhenRoomNotExisted":true}`)
	g.command("enter", `{"roomID":"cellar"}`)
	g.command("renew", `{}`)
	g.command("leaveAll", `{}`)
	g.command("rooms", `{"sync":true}`)
	g.roomd.end(t)
	log := g.roomd.stderr.String()
	if !strings.Contains(log, "roomctl -s "+g.roomd.url+" --token alice.token enter lobby\n") {
		t.Errorf("nothing to try next:\n%s", log)
	}
	if strings.Contains(log, "the NATS connection reports an error") {
		t.Errorf("the service lacks a permission:\n%s", log)
	}
}

func readBucket(t *testing.T, name string, p *person) {
	t.Helper()
	js, err := jetstream.New(p.Conn)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "rooms")
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	watch, err := kv.WatchAll(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	found := false
	for e := range watch.Updates() {
		if e != nil && e.Key() == "lobby" {
			found = true
			break
		}
	}
	if err := watch.Stop(); err != nil || !found {
		t.Errorf("%s does not see the room in the bucket: %v", name, err)
	}
	if _, err := kv.Get(t.Context(), "lobby"); err != nil {
		t.Errorf("%s reads the bucket: %v", name, err)
	}
	facts, err := js.OrderedConsumer(t.Context(), "ROOMS", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"room.evt.lobby"}})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if m, err := facts.Next(); err != nil || m.Subject() != "room.evt.lobby" {
		t.Errorf("%s reads the journal: %v", name, err)
	}
	if p.mayPublish("$KV.rooms.lobby") {
		t.Errorf("%s writes the bucket", name)
	}
}

func readJournal(t *testing.T, p *person) {
	t.Helper()
	js, err := jetstream.New(p.Conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"ROOMS", "ROOM_MESSAGES"} {
		c, err := js.CreateOrUpdateConsumer(t.Context(), stream, jetstream.ConsumerConfig{Durable: "billing", AckPolicy: jetstream.AckExplicitPolicy})
		if err != nil {
			t.Fatalf("a pipeline makes a consumer: %v", err)
		}
		if stream == "ROOMS" {
			m, err := c.Next()
			if err != nil {
				t.Fatalf("a pipeline reads facts: %v", err)
			}
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Errorf("a pipeline acknowledges: %v", err)
			}
		}
		if err := js.DeleteConsumer(t.Context(), stream, "billing"); err != nil {
			t.Errorf("a pipeline deletes its consumer: %v", err)
		}
	}
}

// Two instances beside a separate server answer its callout, encrypted, whatever account
// the rooms are in.
func TestCalloutOfAnotherServer(t *testing.T) {
	t.Parallel()
	_, issuer, issuerSeed := roomtest.KeyPair(t, nkeys.CreateAccount)
	_, xkey, xkeySeed := roomtest.KeyPair(t, nkeys.CreateCurveKeys)
	url := roomtest.Server(t, func(o *server.Options) {
		if err := o.ProcessConfigString(fmt.Sprintf(`
			accounts { CHAT { jetstream: enabled, users [{ user: service, password: p }] } }
			authorization { auth_callout { issuer: %s, account: CHAT, auth_users: [service], xkey: %s } }`, issuer, xkey)); err != nil {
			t.Error(err)
		}
	}).ClientURL()
	host := url[len("nats://"):]
	args := []string{"--nats", "nats://service:p@" + host, "--auth", "jwt", "--auth-key", write(t, secret), "--auth-issuer", write(t, issuerSeed), "--auth-xkey", write(t, xkeySeed)}
	first, second := start(t, args...), start(t, args...)
	for range 8 {
		alice := connected(t, url, bearing(t, auth.Claims{User: "alice"})...)
		if m, err := alice.Request("room.cmd.enter.alice", []byte(`{"roomID":"lobby"}`), within); err != nil || m.Header.Get("Nats-Service-Error") != "" {
			t.Fatalf("%v, %+v", err, m)
		}
		if alice.mayPublish("room.evt.lobby") {
			t.Error("an end user publishes facts")
		}
	}
	second.end(t)
	connected(t, url, bearing(t, auth.Claims{User: "alice"})...)
	if _, err := nats.Connect(url, nats.Token("none")); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a client without credentials: %v", err)
	}
	stays := connected(t, url, bearing(t, auth.Claims{User: "bob"})...)
	first.end(t)
	// With no instance left to ask, no token lets anybody in, and connected clients stay connected.
	for _, c := range []auth.Claims{{User: "alice"}, {User: "ops", Admin: true}} {
		if nc, err := nats.Connect(url, bearing(t, c)...); err == nil {
			nc.Close()
			t.Errorf("%s gets in", c.User)
		}
	}
	if err := stays.FlushTimeout(within); err != nil {
		t.Errorf("a client that was connected: %v", err)
	}
}
