package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if s := os.Getenv(serverEnv); s != "" { // a server of a cluster
		serve(s)
		return
	}
	os.Exit(m.Run())
}

// With one server and with three, a load is worked off, everybody hears everything, and there are
// figures of all processes.
func TestCapacity(t *testing.T) {
	roomd := filepath.Join(t.TempDir(), "roomd")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", roomd, "natsrooms/cmd/roomd").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	small := load{rooms: 4, members: 16, listeners: 8, messages: 20, visits: 5}
	for _, servers := range []int{1, 3} {
		r, err := measure(t.Context(), Options{Roomd: roomd, Servers: servers, Sync: "2m", For: 2 * time.Second, Dir: t.TempDir()}, small)
		if err != nil {
			t.Errorf("%d servers: %v", servers, err)
			continue
		}
		t.Log(r)
		if r.p50 <= 0 || r.p99 < r.p50 || r.roomd <= 0 || servers == 3 != (r.servers > 0) || r.memory < 20*megabytes || r.day <= 0 {
			t.Errorf("%d servers: %+v", servers, r)
		}
	}
}

// What was not heard by all is found, and so is what was heard too often.
func TestMissing(t *testing.T) {
	w := newDriver(load{rooms: 2})
	w.heard = []*listener{{room: 0}, {room: 1}}
	w.sent[1].Store(3)
	w.moved[1].Store(2)
	for i, step := range []struct {
		messages, facts int64
		missing, more   bool
	}{{2, 2, true, false}, {3, 1, false, false}, {3, 2, false, false}, {4, 2, false, true}, {3, 3, false, true}, {3, 0, true, false}} {
		w.heard[1].messages.Store(step.messages)
		w.heard[1].facts.Store(step.facts)
		if missing, more := w.missing(); missing != nil != step.missing || more != nil != step.more {
			t.Errorf("step %d: %v, %v", i, missing, more)
		}
	}
}
