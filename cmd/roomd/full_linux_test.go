package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"

	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest/worlds"
)

// small is a file system of that many bytes, until the test ends.
func small(t *testing.T, size int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatalf("making a small file system, as root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// asked is what became of a command, and how long it took.
func asked(t *testing.T, nc *nats.Conn, verb, body string) (*room.Error, time.Duration) {
	t.Helper()
	begun := time.Now()
	m, err := nc.Request("room.cmd."+verb, []byte(body), within)
	if err != nil {
		t.Fatalf("%s: %v", verb, err)
	}
	return worlds.Refusal(m), time.Since(begun)
}

// isReady asks for the statistics of the service.
func isReady(t *testing.T, nc *nats.Conn) (ready bool, problem string) {
	t.Helper()
	m, err := nc.Request("$SRV.STATS.rooms", nil, within)
	if err != nil {
		t.Fatal(err)
	}
	var stats struct {
		Endpoints []struct {
			Data struct {
				Ready   bool
				Problem string
			}
		}
	}
	if err := json.Unmarshal(m.Data, &stats); err != nil || len(stats.Endpoints) == 0 {
		t.Fatalf("%v: %s", err, m.Data)
	}
	return stats.Endpoints[0].Data.Ready, stats.Endpoints[0].Data.Problem
}

// chat sends messages until one is refused.
func chat(t *testing.T, nc *nats.Conn) *room.Error {
	t.Helper()
	body := fmt.Sprintf(`{"roomID":"lobby","userID":"alice","type":"text","data":%q}`, strings.Repeat("x", 16<<10))
	for range 5000 {
		if refused, _ := asked(t, nc, "send", body); refused != nil {
			return refused
		}
	}
	t.Fatal("no end of space")
	return nil
}

// full checks that chat has filled what it may, and that people come and go.
func full(t *testing.T, nc *nats.Conn) {
	t.Helper()
	if refused, _ := asked(t, nc, "enter", `{"roomID":"lobby","userID":"alice"}`); refused != nil {
		t.Fatal(refused)
	}
	refused := chat(t, nc)
	if refused.Code.Name != room.ErrBusy.Name || refused.RetryAfterMs == 0 || !strings.Contains(refused.Message, "it takes no messages") {
		t.Errorf("chat ends with %v, retry after %d ms", refused, refused.RetryAfterMs)
	}
	for i := range 100 {
		if refused, _ := asked(t, nc, "enter", fmt.Sprintf(`{"roomID":"lobby","userID":"u%d"}`, i)); refused != nil {
			t.Fatalf("entering: %v", refused)
		}
	}
	if refused, _ := asked(t, nc, "leave", `{"roomID":"lobby","userID":"u0"}`); refused != nil {
		t.Errorf("leaving: %v", refused)
	}
	becomes(t, nc, false, "it takes no messages")
}

// becomes waits until the service is ready or not, and says so.
func becomes(t *testing.T, nc *nats.Conn, want bool, says string) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for begun := time.Now(); ; <-ticker.C {
		ready, problem := isReady(t, nc)
		if ready == want && strings.Contains(problem, says) {
			return
		}
		if time.Since(begun) > within {
			t.Fatalf("ready %v, problem %q; want %v, %q", ready, problem, want, says)
		}
	}
}

// Chat can't take the space that people need to come and go: by the server's limit, and on a
// small disk.
func TestChatLeavesSpace(t *testing.T) {
	t.Parallel()
	r := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--config", write(t, "jetstream { max_file_store: 8MB }"))
	nc := connected(t, r.url)
	full(t, nc.Conn)
	r.end(t)
}

// The disk fills up while roomd runs as a process, and has space again later. Meanwhile commands
// are refused at once, reads are answered, and roomd is not ready. Within half a minute of there
// being space it serves, or has ended, so that whoever started it starts it again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root can make a small file system; TestChatLeavesSpace has a limit instead")
		return
	}
	v := newVictim(t)
	v.dir = small(t, 32<<20) // of a smaller one, what a store needs besides what is in it would be too much to start on again
	t.Cleanup(v.kill)        // before the file system goes
	v.start()
	nc := caller(t, v)
	full(t, nc)

	ballast := filepath.Join(v.dir, "ballast")
	fill(t, ballast)
	for i := range 20 {
		refused, took := asked(t, nc, "enter", fmt.Sprintf(`{"roomID":"late","userID":"u%d"}`, i))
		if refused == nil || refused.Code.Name != room.ErrBusy.Name || !strings.Contains(refused.Message, "is full") || took > 2*time.Second {
			t.Errorf("entering on a full disk: %v, after %v", refused, took)
		}
	}
	becomes(t, nc, false, "is full")
	if refused, _ := asked(t, nc, "members", `{"roomID":"lobby"}`); refused != nil {
		t.Errorf("reading on a full disk: %v", refused)
	}
	for begun := time.Now(); time.Since(begun) < 8*time.Second; { // the service's own writes meet the full disk
		if refused, took := asked(t, nc, "leave", `{"roomID":"lobby","userID":"u1"}`); refused == nil || took > 2*time.Second {
			t.Errorf("leaving on a full disk: %v, after %v", refused, took)
		}
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	free := time.Now()
	if err := serves(nc, v); err != nil {
		t.Logf("after %v: %v", time.Since(free), err)
		if !strings.Contains(v.said(), "there is space") || !strings.Contains(v.said(), "start again") {
			t.Errorf("it ended and said\n%s", v.said())
		}
		v.start()
		nc = caller(t, v)
	}
	if took := time.Since(free); took > 30*time.Second {
		t.Errorf("it took %v until it served again", took)
	}
	if refused, _ := asked(t, nc, "enter", `{"roomID":"lobby","userID":"after"}`); refused != nil {
		t.Errorf("entering afterwards: %v", refused)
	}
	m, err := nc.Request("room.cmd.members", []byte(`{"roomID":"lobby","count":500,"sync":true}`), within)
	if err != nil || !strings.Contains(string(m.Data), `"memberCount":101`) { // alice, u1 to u99, after
		t.Errorf("%v: %.500s", err, m.Data)
	}
}

func caller(t *testing.T, v *victim) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(v.url(), patientDial, nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// serves waits until a command is carried out, or the process has ended.
func serves(nc *nats.Conn, v *victim) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		m, err := nc.Request("room.cmd.enter", []byte(`{"roomID":"lobby","userID":"after"}`), time.Second)
		if err == nil && worlds.Refusal(m) == nil {
			return nil
		}
		select {
		case <-v.exited:
			return errors.New("it has ended")
		case <-ticker.C:
		}
	}
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if n, err := f.Write(make([]byte, size)); err != nil && n == 0 {
			size /= 2
		}
	}
}
