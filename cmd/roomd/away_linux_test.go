package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/roomtest/worlds"
)

// A service that was started with nohup goes on when its terminal is closed: it is sent SIGHUP,
// and nobody reads any more what it says.
func TestClosedTerminal(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	v.cmd = exec.Command("sh", "-c", `trap "" HUP; exec "$0" "$@"`, v.bin, "--port", strconv.Itoa(v.port), "--store-dir", v.dir, "--sync", "2m")
	v.cmd.Stdout, v.cmd.Stderr = in, in
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	v.exited = make(chan struct{})
	go func() { _ = v.cmd.Wait(); close(v.exited) }()
	said := ""
	for part := make([]byte, 4096); !strings.Contains(said, "ready "); {
		n, err := out.Read(part)
		if err != nil {
			t.Fatalf("%v after %q", err, said)
		}
		said += string(part[:n])
	}
	out.Close()
	if err := v.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	nc := caller(t, v)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 { // of each the service has something to say
		stream, err := js.Stream(t.Context(), "ROOMS")
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		cfg.Discard, cfg.MaxAge = jetstream.DiscardOld, time.Duration(30+n)*time.Hour
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		for stream.CachedInfo().Config.Discard != jetstream.DiscardNew || n == 0 && stream.CachedInfo().Config.MaxAge == cfg.MaxAge {
			if stream, err = js.Stream(t.Context(), "ROOMS"); err != nil || time.Since(begun) > within {
				t.Fatalf("the edit is not put right: %v", err)
			}
		}
		if refused, _ := asked(t, nc, "enter", fmt.Sprintf(`{"roomID":"lobby","userID":"u%d"}`, n)); refused != nil {
			t.Error(refused)
		}
	}
	select {
	case <-v.exited:
		t.Error("it has ended")
	default:
	}
}

// On a full disk a start says so in one sentence, with a new store and with an old one, and is
// over soon.
func TestStartOnAFullDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root can make a small file system")
		return
	}
	v := newVictim(t)
	v.dir = small(t, 8<<20)
	t.Cleanup(v.kill) // before the file system goes
	ballast := filepath.Join(v.dir, "ballast")
	refuses := func(dir string) {
		t.Helper()
		cmd := exec.Command(v.bin, "--port", strconv.Itoa(v.port), "--store-dir", dir)
		said := new(worlds.Log)
		cmd.Stdout, cmd.Stderr = said, said
		begun := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		over := time.AfterFunc(within, func() { _ = cmd.Process.Kill() })
		defer over.Stop()
		err := cmd.Wait()
		if took := time.Since(begun); err == nil || cmd.ProcessState.ExitCode() != 1 || took > 20*time.Second {
			t.Errorf("it ends after %v with %v", took, err)
		}
		if s := said.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "is full") || !strings.Contains(s, "make space") {
			t.Errorf("it says\n%s", s)
		}
	}
	fill(t, ballast)
	refuses(filepath.Join(v.dir, "fresh"))
	refuses(v.dir)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	v.start()
	if refused, _ := asked(t, caller(t, v), "enter", `{"roomID":"lobby","userID":"alice"}`); refused != nil {
		t.Fatal(refused)
	}
	v.kill()
	fill(t, ballast)
	refuses(v.dir)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	v.start()
	m, err := caller(t, v).Request("room.cmd.members", []byte(`{"roomID":"lobby"}`), within)
	if err != nil || !strings.Contains(string(m.Data), "alice") {
		t.Errorf("%v: %s", err, m.Data)
	}
}
