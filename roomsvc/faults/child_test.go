package faults_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
)

// The test program also serves as the child processes that these tests stop: an instance
// of the service, and a NATS server.
const childIs = "NATSROOMS_FAULTS_CHILD"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(childIs) {
	case "service":
		err = beService(os.Args[1], os.Args[2])
	case "server":
		err = beServer(os.Args[1])
	default:
		flag.Parse()
		_ = flag.Set("test.parallel", "6") // these tests wait more than they compute
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func beService(url, name string) error {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(look))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := roomsvc.New(ctx, nc, roomsvc.Config{Instance: name, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent closes it, or dies
	return s.Stop(ctx)
}

// member is what a server needs to know of the cluster it is in.
type member struct {
	Name, Store string
	Route       int // its own port for the others
	Routes      []string
}

func (m *member) options() *server.Options {
	o := &server.Options{
		ServerName: m.Name, Host: "127.0.0.1", Port: server.RANDOM_PORT, StoreDir: m.Store, SyncInterval: 2 * time.Minute,
		JetStream: true, DisableJetStreamBanner: true, NoSigs: true,
	}
	m.join(o)
	return o
}

func (m *member) join(o *server.Options) {
	o.ServerName, o.StoreDir = m.Name, m.Store
	o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: m.Route}
	for _, r := range m.Routes {
		if u, err := url.Parse(r); err == nil {
			o.Routes = append(o.Routes, u)
		}
	}
}

func beServer(config string) error {
	var m member
	if err := json.Unmarshal([]byte(config), &m); err != nil {
		return err
	}
	s, err := server.NewServer(m.options())
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		return fmt.Errorf("%s takes no connections", m.Name)
	}
	fmt.Println(s.ClientURL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// spawnCluster starts n servers of one cluster, n0, n1 and so on, each a process of its own.
func spawnCluster(t *testing.T, n int) (servers []*child) {
	t.Helper()
	var routes []string
	ports := roomtest.Ports(t, n)
	for _, p := range ports {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", p))
	}
	for i := range n {
		config, err := json.Marshal(&member{fmt.Sprintf("n%d", i), filepath.Join(t.TempDir(), "store"), ports[i], routes})
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, spawn(t, "server", string(config)))
	}
	return servers
}

// takesStreams waits until a cluster of three takes streams.
func (w *world) takesStreams() {
	w.T.Helper()
	w.Until(patience, "the cluster to take streams", w.Try(func(ctx context.Context) bool {
		_, err := w.JS.CreateStream(ctx, jetstream.StreamConfig{Name: "T", Replicas: 3})
		return err == nil
	}))
}

// leaderOf is the number of the server in [spawnCluster] that leads a stream.
func (w *world) leaderOf(stream string) (n int) {
	w.T.Helper()
	w.Until(patience, "a leader of "+stream, w.Try(func(ctx context.Context) bool {
		s, err := w.JS.Stream(ctx, stream)
		if err != nil {
			return false
		}
		_, err = fmt.Sscanf(s.CachedInfo().Cluster.Leader, "n%d", &n)
		return err == nil
	}))
	return n
}

// child is a process that can be stopped and woken.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.Closer
	says string // its first line
	log  *worlds.Log
}

func spawn(t *testing.T, what string, args ...string) *child {
	t.Helper()
	c := &child{t: t, log: &worlds.Log{}, cmd: exec.Command(os.Args[0], args...)}
	c.cmd.Env = append(os.Environ(), childIs+"="+what)
	c.cmd.Stderr = c.log
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.in = in
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		if t.Failed() {
			t.Logf("the child %s said:\n%s", what, c.log)
		}
	})
	if c.says, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the child %s: %v\n%s", what, err, c.log)
	}
	c.says = strings.TrimSpace(c.says)
	return c
}

func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *child) wake() { c.t.Helper(); c.signal(syscall.SIGCONT) }

// pause stops the process, and returns when every thread stands still, a little after the
// signal.
func (c *child) pause() {
	c.t.Helper()
	c.signal(syscall.SIGSTOP)
	deadline := time.After(patience)
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for !c.stopped() {
		select {
		case <-ticker.C:
		case <-deadline:
			c.t.Fatal("the child does not stop")
		}
	}
}

func (c *child) stopped() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		c.t.Fatalf("looking at the child's threads: %v", err)
	}
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if err == nil && !bytes.Contains(stat, []byte(") T ")) {
			return false
		}
	}
	return true
}
