package check

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const patience = 90 * time.Second // for six processes to start or to agree, on a busy machine

// ports are n that nobody listens on, and that no system gives to whoever asks for any.
func ports(t *testing.T, n int) string {
	t.Helper()
	var list []string
	for len(list) < n {
		port := strconv.Itoa(10_000 + rand.IntN(22_000))
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			defer l.Close()
			list = append(list, port)
		}
	}
	return strings.Join(list, " ")
}

// cluster is run.sh while it runs.
type cluster struct {
	*testing.T
	dir  string
	urls string
	cmd  *exec.Cmd
}

// newCluster runs the script until the test ends.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	all := strings.Fields(ports(t, 9))
	c := &cluster{T: t, dir: t.TempDir(), cmd: exec.Command("../cluster/run.sh")}
	c.cmd.Args = append(c.cmd.Args, c.dir)
	c.cmd.Env = append(os.Environ(), "NATS_SERVER="+natsServer, "ROOMD="+roomd,
		"CLIENT_PORTS="+strings.Join(all[:3], " "), "CLUSTER_PORTS="+strings.Join(all[3:6], " "), "HTTP_PORTS="+strings.Join(all[6:], " "))
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	late := time.AfterFunc(patience, func() { _ = c.cmd.Process.Signal(syscall.SIGTERM) })
	defer late.Stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	urls, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if !ok {
		t.Fatalf("run.sh says %q (%v)\n%s", line, err, c.logs())
	}
	c.urls = urls
	return c
}

// stop ends the script, which ends what it started.
func (c *cluster) stop() {
	if c.cmd.ProcessState != nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(patience, func() {
		c.Error("run.sh does not end")
		_ = c.cmd.Process.Kill()
	})
	_ = c.cmd.Wait()
	late.Stop()
}

func (c *cluster) pid(name string) int {
	c.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(read(c.T, filepath.Join(c.dir, name+".pid"))))
	if err != nil {
		c.Fatal(err)
	}
	return pid
}

func (c *cluster) kill(name string) {
	c.Helper()
	if err := syscall.Kill(c.pid(name), syscall.SIGKILL); err != nil {
		c.Fatalf("killing %s: %v", name, err)
	}
}

func (c *cluster) logs() string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(c.dir, "*.log"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		fmt.Fprintf(&all, "%s:\n%s\n", filepath.Base(f), text)
	}
	return all.String()
}

// ask sends a command again and again, with the same requestID, until it is answered; a refusal fails the test.
func (c *cluster) ask(nc *nats.Conn, verb, user string) {
	c.Helper()
	body := fmt.Appendf(nil, `{"roomID":"lobby","userID":%q,"requestID":"%s-%s"}`, user, verb, user)
	for until := time.Now().Add(patience); ; {
		m, err := nc.Request("room.cmd."+verb, body, 15*time.Second)
		code := ""
		if err == nil {
			code = m.Header.Get("Nats-Service-Error")
		}
		switch {
		case err == nil && code == "":
			return
		case err == nil && code != "UNAVAILABLE" && code != "BUSY":
			c.Fatalf("%s of %s is refused: %s %s", verb, user, code, m.Data)
		case time.Now().After(until):
			c.Fatalf("%s of %s: %v %s\n%s", verb, user, err, code, c.logs())
		}
	}
}

// One server and one roomd are killed, those that had the lead: commands are answered all the same, and what
// was acknowledged is there. The script ends all that it started.
func TestCluster(t *testing.T) {
	c := newCluster(t)
	nc, err := nats.Connect(c.urls, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.Timeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c.ask(nc, "enter", "alice")

	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	leader := ""
	for _, name := range []string{"ROOMS", "ROOM_MESSAGES", "KV_rooms", "KV_room_sessions", "KV_room_blocks"} {
		s, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if replicas := s.CachedInfo().Config.Replicas; replicas != 3 {
			t.Errorf("%s is kept %d times", name, replicas)
		}
		if name == "ROOMS" {
			leader = s.CachedInfo().Cluster.Leader
		}
	}
	// The other settings count too: roomd is in the system account, so it hears of closed connections.
	for _, r := range []string{"r1", "r2", "r3"} {
		if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", c.pid(r))); err == nil && !strings.Contains(string(env), "ROOMD_SYSTEM_CREDS="+c.dir) {
			t.Errorf("%s has no credentials for the system account", r)
		}
	}

	c.kill(leader)
	c.kill("r1")
	c.ask(nc, "enter", "bob")
	c.ask(nc, "leave", "alice")
	m, err := nc.Request("room.cmd.members", []byte(`{"roomID":"lobby","sync":true}`), 15*time.Second)
	if err != nil || !strings.Contains(string(m.Data), `"bob"`) || strings.Contains(string(m.Data), `"alice"`) {
		t.Errorf("the members are %s (%v)", m.Data, err)
	}

	var pids []int
	for _, name := range []string{"n1", "n2", "n3", "r1", "r2", "r3"} {
		pids = append(pids, c.pid(name))
	}
	c.stop()
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("process %d is still there", pid)
		}
	}
}
