package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"natsrooms/cmd/roombench/process"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/roomtest"
)

func TestRunMeasuresClients(t *testing.T) {
	o := small(serve(t))
	o.Shape, o.PID = shapeClients, os.Getpid()
	for _, r := range runAll(t, o) {
		// The system counts a server's time in hundredths of a second, which may be none.
		if figure(r, "processor time of the server, each") < 0 || figure(r, "processor time of the driver, each") <= 0 {
			t.Errorf("%s: %+v", r.Scenario, r.Figures)
		}
		if strings.HasPrefix(r.Scenario, "clients-spread") || strings.HasPrefix(r.Scenario, "clients-hot") {
			checkFloor(t, o, r)
		}
	}
}

// checkFloor checks the figures of a service without rooms.
func checkFloor(t *testing.T, o Options, r Result) {
	t.Helper()
	same, ratio := figure(r, "the same by plain NATS"), figure(r, "ratio to the same by plain NATS")
	if same <= 0 || math.Abs(ratio*same-r.PerSecond) > 1e-6*r.PerSecond {
		t.Errorf("%s: %v of %v is not %v", r.Scenario, ratio, same, r.PerSecond)
	}
	if figure(r, "processor time of the server, each by plain NATS") < 0 || figure(r, "processor time of the driver, each by plain NATS") <= 0 {
		t.Errorf("%s: %+v", r.Scenario, r.Figures)
	}
	// Each listener hears every message, which carries no more commands than there are clients.
	if copies := figure(r, "copies heard by plain NATS"); copies < float64(o.Listeners*o.Count/o.Clients) {
		t.Errorf("%s: %v copies", r.Scenario, copies)
	}
}

// TestHeld counts the messages of one room in the stream of baselines.
func TestHeld(t *testing.T) {
	b := &bench{Options: small(serve(t)), ctx: t.Context(), run: nuid.Next(), progress: func(string) {}}
	if err := b.connect(); err != nil {
		t.Fatal(err)
	}
	defer b.close()
	err := b.inStream(true, func(stream jetstream.Stream) error {
		held := b.held(stream)
		for want := range uint64(3) {
			if r, err := held("r"); err != nil || r.Sequence != want {
				t.Errorf("the stream has %d messages of the room, %v; want %d", r.Sequence, err, want)
			}
			for _, id := range []string{"r", "another"} {
				if _, err := b.js[0].Publish(b.ctx, rawPrefix+id, nil); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// figure is one of a result's, -1 if it has none of that name.
func figure(r Result, name string) float64 {
	i := slices.IndexFunc(r.Figures, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return -1
	}
	return r.Figures[i].Value
}

func TestRunMeasuresStorms(t *testing.T) {
	o := small(serve(t))
	o.Scenarios = []string{groupStorm}
	for _, r := range runAll(t, o) {
		answered, last := figure(r, "all answered after"), figure(r, "last fact heard after")
		if facts := figure(r, "facts that a listener heard"); answered <= 0 || last <= 0 || facts < 1 || facts > float64(o.Storm[0]) {
			t.Errorf("%+v", r)
		}
	}
}

// TestRunWithRoomd measures the program: one that it starts itself, some that it kills, and one
// that asks end users for tokens.
func TestRunWithRoomd(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "roomd")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../roomd").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("started", func(t *testing.T) {
		o := small("")
		o.Roomd, o.RoomdArgs, o.Dir, o.Runs = bin, []string{"--feeds"}, t.TempDir(), 2
		o.Scenarios = []string{"clients-spread-feeds", groupScale}
		for i, r := range runAll(t, o) {
			if i == 0 && figure(r, "processor time of the server, each") < 0 {
				t.Errorf("%+v", r)
			}
			if i > 0 && (r.Ops != o.Memberships[i-1] || figure(r, "ready after kill -9") <= 0 || figure(r, "memory with its server after a start") <= 0) {
				t.Errorf("%+v", r)
			}
		}
		if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
			t.Errorf("it leaves %v behind, %v", left, err)
		}
	})
	t.Run("tokens", func(t *testing.T) {
		dir := t.TempDir()
		key, other, conf := filepath.Join(dir, "key"), filepath.Join(dir, "other"), filepath.Join(dir, "conf")
		for name, text := range map[string]string{key: strings.Repeat("secret ", 6), other: strings.Repeat("another ", 6), conf: `authorization { users: [{user: bench, password: "pass"}] }`} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := process.Start(bin, "--port", "-1", "--store-dir", dir, "--sync", "2m", "--auth", "jwt", "--auth-key", key, "--config", conf)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Kill)
		o := small(strings.Replace(r.URL, "//", "//bench:pass@", 1))
		o.Key, o.Scenarios = key, []string{"clients-spread-feeds", "clients-fanout-feeds", groupStorm}
		runAll(t, o)
		o.Key = other
		if err := Run(t.Context(), o, &bytes.Buffer{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "Authorization") {
			t.Errorf("with another key: %v", err)
		}
	})
}

func TestRunWithoutFeeds(t *testing.T) {
	srv := roomtest.Server(t)
	s, err := roomsvc.New(t.Context(), roomtest.Conn(t, srv), roomsvc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	o := small(srv.ClientURL())
	o.Scenarios = []string{"clients-hot-feeds"}
	var out bytes.Buffer
	if err := Run(t.Context(), o, &out, &out); err == nil || !strings.Contains(err.Error(), "--feeds") {
		t.Errorf("got %v", err)
	}
}
