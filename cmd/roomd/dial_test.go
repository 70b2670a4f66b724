package main

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/roomtest"
)

// dialed is dial without an end from outside.
func dialed(cfg Config, log *slog.Logger) (*link, error) {
	return dial(context.Background(), cfg, log)
}

func TestDial(t *testing.T) {
	t.Parallel()
	s := roomtest.Server(t)
	l, err := dialed(mustParse(t, "--nats", s.ClientURL()), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if "nats://"+l.address != s.ClientURL() || l.instance != "" {
		t.Errorf("address %q, instance %q", l.address, l.instance)
	}
	l.close()
	s.Shutdown()
	s.WaitForShutdown()
	refuses(t, dialed, []string{"--nats", "nats://user:secret@" + l.address, "--wait", "0"}, "no NATS server answers at nats://"+l.address+" (", "leave --nats out")

	refuses(t, dialed, []string{"--nats", "nats://user:secret@" + l.address, "--wait", "1100ms"}, "no NATS server answers at nats://"+l.address+" within 1.1s (", "leave --nats out")

	locked := roomtest.Server(t, func(o *server.Options) { o.Username, o.Password = "u", "p" })
	refuses(t, dialed, []string{"--nats", locked.ClientURL()}, "does not let roomd in", "--creds")
}

// A server that is started after roomd is waited for, and the log says so; --wait counts for that and for the
// cluster behind it together.
func TestDialWaits(t *testing.T) {
	t.Parallel()
	node := roomtest.Start(t)
	url := node.ClientURL()
	node.Stop()
	r := begin(t, "--nats", strings.Replace(url, "nats://", "nats://user:secret@", 1), "--wait", "10m")
	says(t, r.stderr, "level=WARN", "waiting for a NATS server that answers", "url="+url, "because=", "gives up in")
	node.Start()
	r.serves(t)
	if r.url != url {
		t.Errorf("it serves at %s", r.url)
	}
	r.end(t)
}

// A signal ends a start that waits, which is no error.
func TestDialEnds(t *testing.T) {
	t.Parallel()
	node := roomtest.Start(t)
	url := node.ClientURL()
	node.Stop()
	r := begin(t, "--nats", url, "--wait", "10h")
	says(t, r.stderr, "waiting for a NATS server that answers")
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(within):
		t.Fatal("it does not end")
	}
}

// What a server says is final, and what is left of --wait is for what comes next.
func TestDialDoesNotWait(t *testing.T) {
	t.Parallel()
	locked := roomtest.Server(t, func(o *server.Options) { o.Username, o.Password = "u", "p" })
	refuses(t, dialed, []string{"--nats", locked.ClientURL(), "--wait", "10h"}, "does not let roomd in", "--creds")
	refuses(t, dialed, []string{"--nats", "tls://" + hostPort(locked.ClientURL()), "--wait", "10h"}, "connecting to tls://"+hostPort(locked.ClientURL())+": ")

	open := roomtest.Server(t).ClientURL()
	for wait, want := range map[string][2]time.Duration{"0": {-1, -1}, "10h": {9 * time.Hour, 10 * time.Hour}, "": {1, time.Minute}} {
		args := []string{"--nats", open}
		if wait != "" {
			args = append(args, "--wait", wait)
		}
		l, err := dialed(mustParse(t, args...), quiet)
		if err != nil {
			t.Fatal(err)
		}
		l.close()
		if l.wait < want[0] || l.wait > want[1] {
			t.Errorf("--wait %q: %v are left", wait, l.wait)
		}
	}
}

// Who does not answer now may do so soon.
func TestSilent(t *testing.T) {
	t.Parallel()
	_, unknown := nats.Connect("nats://natsrooms.invalid:4222", patientDial)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // something in front of a server that is not there
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	_, ends := nats.Connect("nats://"+l.Addr().String(), patientDial)
	_, mute := nats.Connect("nats://127.0.0.1:1", patientDial)
	for what, err := range map[string]error{"a name that is not known": unknown, "an end at once": ends, "a port that is closed": mute} {
		if err == nil || !silent(err) {
			t.Errorf("%s: %v is taken as an answer", what, err)
		}
	}
	if silent(nats.ErrAuthorization) || silent(nats.ErrSecureConnWanted) {
		t.Error("an answer is taken as silence")
	}
}
