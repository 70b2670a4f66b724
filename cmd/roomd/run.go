package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/nats-io/nuid"

	"natsrooms/cmd/internal/version"
	"natsrooms/cmd/roomd/inspector"
	"natsrooms/cmd/roomd/spans"
	"natsrooms/cmd/roomd/web"
	"natsrooms/docs"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/space"
)

const (
	drainWithin = 15 * time.Second // at the end, for commands in flight: each is answered within 10 s of its arrival
	flushWithin = 2 * time.Second  // then, for the answers to get from the service to the server

	greetWithin = time.Second // at the start, for the first INFO of the server of --nats
)

// link is a connection to the NATS server that the service works on.
type link struct {
	nc       *nats.Conn
	users    *nats.Conn                // for commands of end users; nil without feeds
	feeds    *nats.Conn                // for copies to end users; nil without feeds
	hooks    *nats.Conn                // for questions to the application; nil without hooks
	system   *nats.Conn                // in the system account, where the server announces closed connections; nil if roomd can't get in
	address  string                    // HOST:PORT that clients can use
	asks     asks                      // what that server requires of clients
	only     string                    // ID of the NATS server, if clients can connect to no other
	instance string                    // name of this instance, empty for a random one
	image    *roomsvc.Image            // of what the service knew; nil: it leaves none
	wait     time.Duration             // how long the start may go on waiting for the server; negative: not at all
	end      func(client uint64) error // ends a client's connection to the embedded server; nil without one
	listened func(subject string) bool // says whether anybody subscribes to a subject at the embedded server; nil: it is not known
	open     bool                      // that server asks nobody for credentials
	embedded bool                      // the server is in this process
	certs    *certificates             // of that server; nil without a configuration
	store    func() space.Store        // looks at the store of the embedded server; nil without one
	close    func()                    // closes the connections, and stops the server if it is ours

	issuer, xkey nkeys.KeyPair // of its auth callout; nil without one

	backEnd func(...nats.Option) (*nats.Conn, error) // connects for the inspector, as a back end
	plain   func(...nats.Option) (*nats.Conn, error) // connects as somebody of whom nothing is known
}

// hangUp closes the connections.
func (l *link) hangUp() {
	for _, nc := range []*nats.Conn{l.nc, l.users, l.feeds, l.hooks, l.system} {
		if nc != nil {
			hangUp(nc)
		}
	}
}

// Run serves until ctx ends, which is no error, or until it can't go on. Its errors are
// sentences for people. Several goroutines write to stderr, with one Write per line, so it
// must be safe for concurrent use, as a file is.
func Run(ctx context.Context, cfg Config, stdout, stderr io.Writer) error {
	level := new(slog.LevelVar)
	level.Set(cfg.LogLevel.Level)
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	hangUps, deaf := hangUps()
	defer deaf()
	keys, err := tokenKeys(cfg)
	if err != nil {
		return err
	}
	pages, look, err := openPages(cfg, log)
	if err != nil {
		return err
	}
	defer pages.Close()
	defer look.Close() // also if there is no server to connect to
	var l *link
	if cfg.NATS != "" {
		l, err = dial(ctx, cfg, log)
	} else {
		l, err = embed(cfg, log)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer l.close()
	defer look.Close()
	spans, err := openSpans(ctx, l, log)
	if err != nil {
		return err
	}
	defer spans.Close()
	settings := cfg.service(l, log)
	settings.Tracer = spans.Provider()
	file := newKeyFile(cfg, keys, log)
	if keys != nil {
		settings.GoodKey = file.good
	}
	svc, err := roomsvc.New(ctx, l.nc, settings)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	door, err := startAuth(cfg, l, keys, doorOf(svc), log)
	if err != nil {
		return err
	}
	file.door, file.end = door, svc.KeysChanged
	again := &reloader{cfg: cfg, log: log, level: level, keys: file, svc: svc, certs: l.certs}
	defer watching(ctx, func(ctx context.Context) { again.watch(ctx, hangUps) })()
	pages.Show(svc)
	if look.Show(l.shows(cfg, svc, door)); look != nil {
		log.Info("the inspector", "page", "http://"+pages.Address()+inspector.Path, "off", look.Off())
	}
	fmt.Fprintf(stdout, "ready nats://%s %s\n", l.address, version.String())
	l.asks.sentinel = door != nil && door.OperatorMode()
	notify(log, readyState)
	defer watching(context.WithoutCancel(ctx), func(ctx context.Context) { watchdog(ctx, log, l.well(svc.Err)) })()
	suggest(stderr, l.address, l.asks, door != nil)
	select {
	case <-svc.Done():
		return cmp.Or(svc.Err(), errors.New("the service ended and did not say why"))
	case <-ctx.Done():
	}
	notify(log, stopState)
	if door != nil {
		door.Stop()
	}
	pages.Stopping()
	look.Close()
	log.Info("stopping; commands in flight are answered first, a second signal ends it at once")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainWithin)
	defer cancel()
	if err := svc.Stop(drain); err != nil {
		if drain.Err() == nil {
			return fmt.Errorf("the NATS server was away at the end, so the last answers may not have arrived: %w", err)
		}
		return fmt.Errorf("some commands in flight were not answered within %s of the signal: %w", drainWithin, err)
	}
	return nil
}

// watching does something on the side until what it returns is called, which waits for its end.
func watching(ctx context.Context, watch func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		watch(ctx)
	}()
	return func() { cancel(); <-over }
}

// openPages begins to answer over HTTP, if that is wanted.
func openPages(cfg Config, log *slog.Logger) (*web.Server, *inspector.Inspector, error) {
	if cfg.HTTP == "" {
		return nil, nil, nil
	}
	pages, err := web.Listen(cfg.HTTP)
	if err != nil {
		return nil, nil, err
	}
	look, err := inspector.New(inspector.Config{Log: log, Loopback: pages.Loopback(), Password: cfg.HTTPPassword, Version: version.String()})
	if err != nil {
		pages.Close()
		return nil, nil, err
	}
	pages.Handle(inspector.Path, look)
	pages.Handle("GET /{$}", http.RedirectHandler(inspector.Path, http.StatusFound))
	log.Info("/healthz, /readyz and /metrics are answered", "http", pages.Address())
	if cfg.HTTPPassword != "" && !pages.Loopback() {
		log.Warn("the inspector's password crosses the network in clear, unless something in front of roomd encrypts", "http", pages.Address())
	}
	return pages, look, nil
}

// shows is what the inspector shows.
func (l *link) shows(cfg Config, svc *roomsvc.Service, door *auth.Callout) inspector.Backing {
	b := inspector.Backing{
		Service: svc, Dial: l.backEnd, Open: l.open && door == nil, EndUsers: cfg.feeds(), Roomctl: roomctlAt(l.address, l.asks, door != nil), Manual: docs.Operations,
	}
	if door != nil && !door.OperatorMode() {
		b.Token = l.plain
	}
	return b
}

// openSpans begins to send spans, if the environment wants them.
func openSpans(ctx context.Context, l *link, log *slog.Logger) (*spans.Spans, error) {
	l.instance = cmp.Or(l.instance, nuid.Next())
	s, err := spans.Open(ctx, spans.Instance{ID: l.instance, Version: version.String()}, sparse(log))
	if err == nil && s != nil {
		log.Info("commands are traced", "instance", l.instance)
	}
	return s, err
}

// asks is what the server requires of clients.
type asks struct {
	credentials bool
	sentinel    bool // credentials besides a token
	tls         bool
}

// asksOf is what the server that nc is connected to requires, according to its first INFO:
// later, it tells connected clients that it requires credentials even if it lets everybody
// in. A server with TLS is not asked, since it would log a failed connection.
func asksOf(nc *nats.Conn) asks {
	a := asks{credentials: nc.AuthRequired(), tls: nc.TLSRequired()}
	if a.tls {
		return a
	}
	conn, err := net.DialTimeout("tcp", hostPort(nc.ConnectedUrl()), greetWithin)
	if err != nil {
		return a
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(greetWithin))
	line, _ := bufio.NewReader(conn).ReadBytes('\n') // nothing, if the server waits for something else first
	var info struct {
		AuthRequired bool `json:"auth_required"`
	}
	if said, ok := bytes.CutPrefix(line, []byte("INFO ")); ok && json.Unmarshal(said, &info) == nil {
		a.credentials = info.AuthRequired
	}
	return a
}

// suggest prints what a person could do next.
func suggest(stderr io.Writer, address string, asks asks, tokens bool) {
	roomctl, named := roomctlAt(address, asks, tokens), asks.credentials && !tokens
	if tokens {
		files, bearer := "KEY", roomctl
		if asks.sentinel {
			files, bearer = "KEY, and the file of sentinel credentials as SENTINEL (docs/security.md)", roomctl+" --creds SENTINEL"
		}
		fmt.Fprintf(stderr, "try next, with the secret or private key that tokens are signed with as %[2]s:\n  (umask 077; %[1]s token --key KEY --sub alice > alice.token)\n  %[3]s --token alice.token enter lobby\n  %[3]s --token alice.token watch lobby\n", roomctl, files, bearer)
		return
	}
	next := "try next"
	if named {
		next += ", with a user that the configuration names"
	}
	fmt.Fprintf(stderr, "%[2]s:\n  %[1]s enter lobby --as alice\n  %[1]s members lobby\n  %[1]s watch lobby\n", roomctl, next)
}

// roomctlAt is how to call roomctl so that it reaches the server.
func roomctlAt(address string, asks asks, tokens bool) string {
	roomctl, at := roomctl(), "nats://"
	if asks.tls {
		at = "tls://"
	}
	named := asks.credentials && !tokens
	if named {
		at += "USER:PASSWORD@"
	}
	if named || asks.tls || address != net.JoinHostPort(defaultHost, strconv.Itoa(defaultPort)) {
		roomctl += " -s " + at + address
	}
	return roomctl
}

// roomctl is how to call roomctl: the one beside this program, if there is one.
func roomctl() string {
	dir, _ := filepath.Split(os.Args[0])
	if path := dir + "roomctl"; dir != "" && isFile(path) {
		return path
	}
	return "roomctl"
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// hangUp closes a connection after everything published on it has arrived.
func hangUp(nc *nats.Conn) {
	_ = nc.FlushTimeout(flushWithin) // a broken connection has nothing to wait for
	nc.Close()
}

func hostPort(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server
	}
	return u.Host
}

// noBacklog buffers nothing while a connection is broken: when it is back, the buffered
// copies for end users would be old, and another instance's would have overtaken them.
var noBacklog = nats.ReconnectBufSize(-1)

func connOptions(log *slog.Logger) []nats.Option {
	trouble := sparse(log) // end users can cause these, by sending what cannot be read
	return []nats.Option{
		nats.Name("roomd"),
		nats.CustomInboxPrefix(nats.InboxPrefix + rand.Text()), // otherwise its inboxes could be worked out from the IDs that it makes
		nats.MaxReconnects(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("the connection to the NATS server broke", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("connected to a NATS server again", "url", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if sub != nil {
				trouble.Warn("the NATS connection reports an error", "err", err, "subject", sub.Subject)
				return
			}
			trouble.Warn("the NATS connection reports an error", "err", err)
		}),
	}
}
