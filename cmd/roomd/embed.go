package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
)

// How soon the server finds out that a connection is dead, as in nats.conf: until then the
// connection counts as open, and keeps the sessions that named it in their rooms.
const (
	pingEvery = 20 * time.Second
	pingMost  = 3 // unanswered
)

const (
	startWithin  = 10 * time.Second // the server may take to listen after it has read its store
	embeddedDial = 10 * time.Second // the service may take to connect to it
)

// embed starts a NATS server in this process and connects to it.
func embed(cfg Config, log *slog.Logger) (*link, error) {
	opts, err := serverOptions(cfg, log)
	if err != nil {
		return nil, err
	}
	st, err := openStore(opts.StoreDir)
	if err != nil {
		return nil, err
	}
	if opts.ServerName == "" {
		opts.ServerName = "roomd-" + st.instance
	}
	in, err := letIn(opts, cfg.Auth != "", cfg.hookSubjects())
	if err == nil {
		err = checkPages(cfg, opts)
	}
	if err != nil {
		st.close()
		return nil, err
	}
	warnIfOpen(opts, log)
	warnOfPages(opts, log)
	if !cfg.feeds() {
		warnIfUnguarded(opts, log)
	}
	var image *roomsvc.Image
	if path := imageOf(cfg, opts); path != "" {
		image = roomsvc.ReadImage(path) // while the server reads its store
	}
	inProcess := opts.TLSConfig != nil || opts.ProxyProtocol
	certs, err := newCertificates(cfg, opts)
	if err != nil {
		st.close()
		return nil, err
	}
	s, err := startServer(opts, log)
	if err != nil {
		st.close()
		return nil, err
	}
	l := &link{embedded: true, address: clientAddress(s), asks: asks{credentials: opts.NoAuthUser == "", tls: opts.TLSConfig != nil && !opts.AllowNonTLS}, instance: st.instance, image: image, issuer: in.issuer, xkey: in.xkey}
	if opts.LeafNode.Port == 0 && len(opts.LeafNode.Remotes) == 0 { // nor is it in a cluster
		l.only = s.ID()
	}
	l.end = s.DisconnectClientByID
	l.listened = listened(s, in.account)
	l.open, l.backEnd = in.open, func(more ...nats.Option) (*nats.Conn, error) { return connect(s, inProcess, in.backEnd, log, more...) }
	l.plain = func(opts ...nats.Option) (*nats.Conn, error) { return connectPlainly(s, inProcess, opts) }
	d := watchDisk(s, opts.StoreDir)
	l.store = d.look
	l.close = func() {
		d.close()
		l.hangUp()
		s.Shutdown()
		s.WaitForShutdown()
		st.close()
	}
	if l.certs = certs; certs != nil {
		certs.s = s
	}
	l.nc, err = connect(s, inProcess, in.service, log)
	if err == nil && in.system != nil {
		l.system, err = connect(s, inProcess, in.system, log)
	}
	if err == nil && cfg.feeds() {
		l.users, err = connect(s, inProcess, in.service, log)
	}
	if err == nil && cfg.feeds() {
		l.feeds, err = connect(s, inProcess, in.service, log, noBacklog)
	}
	if err == nil && len(cfg.hookSubjects()) > 0 {
		l.hooks, err = connect(s, inProcess, in.service, log)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// imageOf is the file for an image of what the service knows. Where the store is encrypted, a
// file beside it that is not must be asked for.
func imageOf(cfg Config, opts *server.Options) string {
	if cfg.Image == "" && opts.JetStreamKey == "" {
		return filepath.Join(opts.StoreDir, imageFile)
	}
	return cfg.Image
}

// connect is how the service reaches the embedded server: over loopback TCP, where it
// appends a quarter faster than through the server's in-process pipe (160,000/s and
// 124,000/s, 512 in flight). The pipe is for servers that require something of TCP clients
// that the service does not have. user is nil if roomd has no user there.
func connect(s *server.Server, inProcess bool, user nats.Option, log *slog.Logger, more ...nats.Option) (*nats.Conn, error) {
	opts := append(connOptions(log), nats.Timeout(embeddedDial))
	opts = append(opts, more...)
	if user != nil {
		opts = append(opts, user)
	}
	if inProcess {
		opts = append(opts, nats.InProcessServer(s))
	}
	nc, err := nats.Connect("nats://"+clientAddress(s), opts...)
	// Through the pipe, a refusal shows up as the end of the pipe.
	if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, io.ErrClosedPipe) {
		return nil, errors.New("the configuration does not let roomd in; roomd can't add users of its own where there is an operator, so run nats-server with it, and roomd with --nats URL --creds FILE")
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to the embedded NATS server: %w", err)
	}
	return nc, nil
}

// connectPlainly connects as anybody on this machine would, with nothing but the options.
func connectPlainly(s *server.Server, inProcess bool, opts []nats.Option) (*nats.Conn, error) {
	if inProcess {
		opts = append(opts, nats.InProcessServer(s))
	}
	return nats.Connect("nats://"+clientAddress(s), opts...)
}

// serverOptions is the options from the configuration file: flags that were given
// override it, and roomd's defaults fill its gaps.
func serverOptions(cfg Config, log *slog.Logger) (*server.Options, error) {
	opts := &server.Options{}
	if cfg.Auth != "" {
		// A server without such a block, and without users except those of the system
		// account, lets everybody in.
		if err := opts.ProcessConfigString("authorization {}"); err != nil {
			return nil, err
		}
	}
	if cfg.NATSConfig != "" {
		if err := readConfig(opts, cfg, log); err != nil {
			return nil, err
		}
	}
	if err := addWebsocket(cfg, opts); err != nil {
		return nil, err
	}
	opts.Host = cmp.Or(cfg.Host, opts.Host, defaultHost)
	if cfg.Port != nil {
		opts.Port = *cfg.Port
	}
	opts.Port = cmp.Or(opts.Port, defaultPort)
	opts.StoreDir = filepath.Clean(cmp.Or(cfg.StoreDir, opts.StoreDir, defaultStoreDir))
	if sync := cfg.Sync; sync != nil {
		opts.SyncAlways, opts.SyncInterval = sync.Always, sync.Every
	} else if opts.SyncInterval == 0 {
		opts.SyncAlways = true // a file that does not set it gets roomd's default, not nats-server's
	}
	opts.PingInterval, opts.MaxPingsOut = cmp.Or(opts.PingInterval, pingEvery), cmp.Or(opts.MaxPingsOut, pingMost)
	opts.JetStream, opts.DisableJetStreamBanner, opts.NoSigs = true, true, true
	// With the cache, at each subscription the server copies what it remembers about each
	// matching subject, while everybody waits: an end user with thousands of subscriptions
	// would bring it to a stop.
	opts.NoSublistCache = true
	// Otherwise the server makes whoever publishes wait while a subscriber does not read: end
	// users who do not read their answers would hold up those of everybody. What they do not
	// read is dropped instead.
	opts.NoFastProducerStall = opts.NoFastProducerStall || cfg.Auth != ""
	return opts, nil
}

// readConfig applies a configuration file to the options.
func readConfig(opts *server.Options, cfg Config, log *slog.Logger) error {
	file := cfg.NATSConfig
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("cannot read the configuration (%w); correct %s, or leave it out", err, cfg.serverFlag())
	}
	f.Close()
	err = opts.ProcessConfigFile(file)
	var report interface {
		Errors() []error
		Warnings() []error
	}
	if errors.As(err, &report) && len(report.Errors()) == 0 {
		for _, warning := range report.Warnings() {
			log.Warn("the NATS server configuration", "warning", warning)
		}
		err = nil
	}
	if err != nil {
		why := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
		return fmt.Errorf("%s is not a usable NATS server configuration; correct it: %s", file, why)
	}
	if opts.Cluster.Port != 0 || opts.Cluster.ListenStr != "" || opts.Cluster.Name != "" || opts.Gateway.Port != 0 || opts.Gateway.Name != "" {
		return fmt.Errorf("%s makes a cluster, and the server that roomd embeds is alone; run nats-server with it, and roomd with --nats URL", file)
	}
	return nil
}

func startServer(opts *server.Options, log *slog.Logger) (*server.Server, error) {
	if err := checkPort(opts.Host, opts.Port); err != nil {
		return nil, err
	}
	if err := checkWebsocketPort(opts); err != nil {
		return nil, err
	}
	failed := func(why any) error {
		return fmt.Errorf("the embedded NATS server does not start: %v; correct that, or choose another --store-dir or --nats-config", why)
	}
	debug, trace, sysTrace := opts.Debug, opts.Trace, opts.TraceVerbose
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, failed(err)
	}
	adapter := newServerLog(log)
	adapter.local = isLoopback(opts.Websocket.Host)
	s.SetLoggerV2(adapter, debug, trace, sysTrace)
	s.Start() // reads the store; returns when it is listening or has failed
	select {
	case why := <-adapter.fatal:
		err = failed(why)
	default:
		if !s.ReadyForConnections(startWithin) {
			err = failed(fmt.Sprintf("it was not listening within %s", startWithin))
		}
	}
	if err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, err
	}
	sayWebsocket(s, opts, log)
	return s, nil
}

// checkPort checks before the server does, because the server's error is less clear.
func checkPort(host string, port int) error {
	if port == server.RANDOM_PORT {
		port = 0
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d at %s is taken; stop what listens there, or choose another with --port (--port -1 picks any free one)", port, host)
	case err != nil:
		return fmt.Errorf("cannot listen at %s, port %d (%w); choose others with --host and --port", host, port, err)
	}
	return l.Close()
}

// clientAddress is where clients on this machine reach the server.
func clientAddress(s *server.Server) string {
	address := hostPort(s.ClientURL())
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		return net.JoinHostPort(defaultHost, port)
	}
	return address
}
