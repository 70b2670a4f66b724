package roomtest

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// How long a test waits for things that need no network and no election, and how often it looks.
const (
	patience = 30 * time.Second
	look     = 10 * time.Millisecond
)

// Option changes a server's settings before it starts.
type Option = func(*server.Options)

// SyncAlways makes the server sync each write, as roomd's does by default.
func SyncAlways(o *server.Options) { o.SyncAlways = true }

// systemUser is the user of the system account of a server made with [System].
const systemUser = "system"

// System gives the server a system account that [SystemConn] connects to. Everybody else
// is in the global account, without credentials, as they would be without this option.
func System(o *server.Options) {
	system := server.NewAccount(server.DEFAULT_SYSTEM_ACCOUNT)
	o.Accounts, o.SystemAccount, o.NoAuthUser = []*server.Account{system}, system.Name, "anybody"
	o.Users = []*server.User{{Username: systemUser, Password: systemUser, Account: system}, {Username: o.NoAuthUser}}
}

// SystemConn connects to the system account of a server made with [System], until the
// test ends.
func SystemConn(t testing.TB, s *server.Server) *nats.Conn {
	t.Helper()
	return Conn(t, s, nats.UserInfo(systemUser, systemUser))
}

// Server starts a server that runs until the test ends.
func Server(t testing.TB, opts ...Option) *server.Server {
	t.Helper()
	return Start(t, opts...).Server
}

// Conn connects to s until the test ends. It reconnects within a few milliseconds after
// each restart of s.
func Conn(t testing.TB, s *server.Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	opts = append([]nats.Option{
		nats.Name(t.Name()),
		nats.Timeout(patience),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(look),
		nats.ReconnectJitter(0, 0),
	}, opts...)
	nc, err := nats.Connect(s.ClientURL(), opts...)
	if err != nil {
		t.Fatalf("connecting to %s: %v", s.ClientURL(), err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Node is a server that can be stopped and started again with what it has stored, on the
// same ports. Its methods are for one goroutine at a time.
type Node struct {
	// Server is the running server. Each start replaces it.
	*server.Server
	t    testing.TB
	opts *server.Options
}

// Start starts a node that runs until the test ends.
func Start(t testing.TB, opts ...Option) *Node {
	t.Helper()
	n := newNode(t, opts)
	n.Start()
	return n
}

func newNode(t testing.TB, opts []Option) *Node {
	o := &server.Options{
		ServerName:             "test",
		Host:                   "127.0.0.1",
		Port:                   server.RANDOM_PORT,
		StoreDir:               filepath.Join(t.TempDir(), "store"),
		SyncInterval:           2 * time.Minute,
		JetStream:              true,
		DisableJetStreamBanner: true,
		NoSigs:                 true,
	}
	for _, option := range opts {
		option(o)
	}
	if o.Port == server.RANDOM_PORT { // one that it gets again when it is started again
		o.Port = Ports(t, 1)[0]
	}
	n := &Node{t: t, opts: o}
	t.Cleanup(n.Stop)
	return n
}

// Store is the directory that the node stores everything in.
func (n *Node) Store() string { return n.opts.StoreDir }

// Restart stops the node and starts it again.
func (n *Node) Restart() {
	n.t.Helper()
	n.Stop()
	n.Start()
}

// Stop shuts the server down cleanly; what it stored stays. A stopped node stays stopped.
func (n *Node) Stop() {
	if n.Server != nil {
		n.Shutdown()
		n.WaitForShutdown()
	}
}

// Start starts a stopped node and returns when it accepts connections. In a cluster use
// [Node.WaitCurrent] to wait until it has caught up.
func (n *Node) Start() {
	n.t.Helper()
	if n.opts.Port > 0 {
		n.waitPort()
	}
	s, err := server.NewServer(n.opts.Clone())
	if err != nil {
		n.t.Fatalf("setting up a server: %v", err)
	}
	n.Server = s
	log := make(fatal, 1)
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	ready := s.ReadyForConnections(patience)
	select {
	case why := <-log:
		n.t.Fatalf("starting a server: %s", why)
	default:
	}
	if !ready {
		n.t.Fatalf("the server accepts no connections within %s", patience)
	}
	n.opts.Port = s.Addr().(*net.TCPAddr).Port
}

// waitPort waits until the node's port is free: while the node is down, somebody's
// outgoing connection may have been given that port.
func (n *Node) waitPort() {
	n.t.Helper()
	waitFor(n.t, patience, fmt.Sprintf("port %d to be free", n.opts.Port), func() bool {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", n.opts.Host, n.opts.Port))
		return err == nil && l.Close() == nil
	})
}

// waitFor waits until ok is true, and fails the test if that takes too long.
func waitFor(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("waited %s for %s", limit, what)
		}
	}
}

// fatal is a server's log that keeps the first error that prevents the server's start.
type fatal chan string

func (f fatal) Fatalf(format string, v ...any) {
	select {
	case f <- fmt.Sprintf(format, v...):
	default:
	}
}

func (fatal) Noticef(string, ...any) {}
func (fatal) Warnf(string, ...any)   {}
func (fatal) Errorf(string, ...any)  {}
func (fatal) Debugf(string, ...any)  {}
func (fatal) Tracef(string, ...any)  {}
