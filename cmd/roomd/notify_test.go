//go:build unix

package main

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"natsrooms/roomsvc/roomtest"
)

// manager is a service manager as systemd is one: it hears what roomd tells it.
type manager struct {
	*testing.T
	conn *net.UnixConn
}

// newManager makes every roomd of this process tell a manager of the test how it is, which wants to hear
// that it is alive at an interval.
func newManager(t *testing.T, interval string) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", interval)
	return &manager{t, conn}
}

// next is what it is told next.
func (m *manager) next() string {
	m.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		m.Fatal(err)
	}
	said := make([]byte, 1024)
	n, err := m.conn.Read(said)
	if err != nil {
		m.Fatalf("nothing is told: %v", err)
	}
	return string(said[:n])
}

// besides is what it is told next that is not a sign of life.
func (m *manager) besides() string {
	m.Helper()
	for {
		if said := m.next(); said != aliveState {
			return said
		}
	}
}

// A service manager is told when roomd is ready, that it is alive, when it reads its configuration
// again, and when it stops.
func TestServiceManager(t *testing.T) {
	m := newManager(t, "300000") // microseconds
	r := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m")
	if said := m.next(); said != "READY=1" {
		t.Errorf("at first it is told %q", said)
	}
	for range 3 {
		if said := m.next(); said != "WATCHDOG=1" {
			t.Errorf("while roomd is well it is told %q", said)
		}
	}
	sendHangUp(t)
	said, now, _ := strings.Cut(m.besides(), "\n")
	if said != "RELOADING=1" || !strings.HasPrefix(now, "MONOTONIC_USEC=") {
		t.Errorf("at SIGHUP it is told %q, %q", said, now)
	}
	if said := m.besides(); said != "READY=1" {
		t.Errorf("after that it is told %q", said)
	}
	r.end(t)
	if said := m.besides(); said != "STOPPING=1" {
		t.Errorf("at the end it is told %q", said)
	}
}

// While roomd is not well, no sign of life is given; when it is again, there is one.
func TestWatchdog(t *testing.T) {
	m := newManager(t, "30000")
	asked, answer := make(chan time.Duration), make(chan bool)
	end := watching(t.Context(), func(ctx context.Context) {
		watchdog(ctx, quiet, func(within time.Duration) bool { asked <- within; return <-answer })
	})
	say := func(well bool) {
		t.Helper()
		select {
		case every := <-asked:
			if every != 10*time.Millisecond {
				t.Errorf("it may take %v to find out", every)
			}
			answer <- well
		case <-time.After(within):
			t.Fatal("nobody asks whether roomd is well")
		}
	}
	say(true)
	if said := m.next(); said != aliveState {
		t.Errorf("it is told %q", said)
	}
	for range 5 {
		say(false)
	}
	<-asked // nothing more can come of the answer before
	notify(quiet, "nothing until here")
	if said := m.next(); said != "nothing until here" {
		t.Errorf("it is told %q while roomd is not well", said)
	}
	answer <- true
	if said := m.next(); said != aliveState {
		t.Errorf("then it is told %q", said)
	}
	go func() { // until the end it goes on asking
		for range asked {
			answer <- true
		}
	}()
	end()
	close(asked)
}

// Roomd is well as long as its service is and the server that it embeds answers. That a server elsewhere is
// away is no reason to end roomd.
func TestWell(t *testing.T) {
	t.Parallel()
	fine, failed := func() error { return nil }, func() error { return net.ErrClosed }
	l := embedded(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m")
	defer l.close()
	if !l.well(fine)(within) || l.well(failed)(within) {
		t.Error("it does not depend on the service")
	}
	l.nc.Close()
	if l.well(fine)(within) {
		t.Error("it is well though its server does not answer")
	}

	node := roomtest.Start(t)
	l, err := dialed(mustParse(t, "--nats", node.ClientURL()), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	node.Stop()
	if !l.well(fine)(10*time.Millisecond) || l.well(failed)(10*time.Millisecond) {
		t.Error("it depends on the server elsewhere")
	}
}
