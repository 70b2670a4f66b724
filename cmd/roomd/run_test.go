package main

import (
	"bufio"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/roomtest/worlds"
)

// patientDial lets connecting take its time on a busy machine.
var patientDial = nats.Timeout(10 * time.Second)

// started is roomd running inside the test.
type started struct {
	url    string
	stop   context.CancelFunc
	stderr *worlds.Log
	ended  chan error
	more   chan string // what was printed on stdout after the first line
	args   []string
	stdout *bufio.Reader
}

var readyLine = regexp.MustCompile(`^ready (nats://127\.0\.0\.1:[0-9]+) [0-9]+\.[0-9]+\.[0-9]+[^ ]*\n$`)

func start(t *testing.T, args ...string) *started {
	t.Helper()
	r := begin(t, args...)
	r.serves(t)
	return r
}

// begin is start without the wait for the line that says that it serves, for which serves is.
func begin(t *testing.T, args ...string) *started {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	out, stdout := io.Pipe()
	r := &started{stop: cancel, stderr: new(worlds.Log), ended: make(chan error, 1), more: make(chan string, 1), args: args, stdout: bufio.NewReader(out)}
	cfg := mustParse(t, args...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("roomd said\n%s", r.stderr)
		}
	})
	go func() {
		err := Run(ctx, cfg, stdout, r.stderr)
		stdout.Close()
		r.ended <- err
		close(r.ended)
	}()
	return r
}

// serves waits until it serves.
func (r *started) serves(t *testing.T) {
	t.Helper()
	line, err := r.stdout.ReadString('\n')
	match := readyLine.FindStringSubmatch(line)
	if match == nil {
		t.Fatalf("roomd %s: first line %q (%v), ended with %v", strings.Join(r.args, " "), line, err, <-r.ended)
	}
	r.url = match[1]
	go func() {
		rest, _ := io.ReadAll(r.stdout)
		r.more <- string(rest)
	}()
}

// end stops it and checks that it said nothing more.
func (r *started) end(t *testing.T) {
	t.Helper()
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(drainWithin + flushWithin + within):
		t.Fatal("it does not end")
	}
	if more := <-r.more; more != "" {
		t.Errorf("more on standard output: %q", more)
	}
}

func TestRunEmbedsAndStops(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 { // the second time with what the first one stored
		r := start(t, "--port", "-1", "--store-dir", dir, "--sync", "2m")
		nc, err := nats.Connect(r.url, patientDial)
		if err != nil {
			t.Fatalf("after the ready line: %v", err)
		}
		nc.Close()
		r.end(t)
		if !strings.Contains(r.stderr.String(), "-s "+r.url+" enter lobby --as alice\n") {
			t.Errorf("nothing to try next:\n%s", r.stderr)
		}
	}
}

func TestRunBesideAnother(t *testing.T) {
	t.Parallel()
	first := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m")
	second := start(t, "--nats", first.url)
	if second.url != first.url {
		t.Errorf("the second says %s, the server is at %s", second.url, first.url)
	}
	second.end(t)
	first.end(t)
}

func TestRunSaysWhyItDoesNotServe(t *testing.T) {
	t.Parallel()
	var stdout, stderr worlds.Log
	err := Run(t.Context(), mustParse(t, "--nats", "nats://127.0.0.1:1", "--wait", "0"), &stdout, &stderr)
	if err == nil || stdout.String() != "" {
		t.Errorf("error %v, standard output %q", err, stdout.String())
	}
}
