package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/cmd/internal/creds"
	"natsrooms/roomsvc"
	"natsrooms/subjects"
)

const (
	defaultWait  = time.Minute      // for a server of --nats that does not answer yet, or a cluster without a leader
	dialAgain    = time.Second      // between two tries to connect
	tellDial     = 10 * time.Second // between two lines about what a start waits for
	systemWithin = 3 * time.Second  // at the start, for an answer in the system account
)

// dial connects to the server or cluster that --nats names. It waits for one that does not answer yet until
// --wait is over or ctx ends; what is left of --wait is in the link.
func dial(ctx context.Context, cfg Config, log *slog.Logger) (*link, error) {
	l := &link{}
	if cfg.Image != "" {
		l.image = roomsvc.ReadImage(cfg.Image)
	}
	l.close = l.hangUp
	var err error
	if l.issuer, l.xkey, err = calloutKeys(cfg); err != nil {
		return nil, err
	}
	d := newDialer(ctx, cfg, log)
	if l.nc, err = d.connect(cfg.NATS, "--creds", cfg.Creds); err != nil {
		return nil, err
	}
	l.address, l.asks = hostPort(l.nc.ConnectedUrl()), asksOf(l.nc)
	if cfg.feeds() {
		if l.users, err = d.connect(cfg.NATS, "--creds", cfg.Creds); err == nil {
			l.feeds, err = d.connect(cfg.NATS, "--creds", cfg.Creds, noBacklog)
		}
	}
	if err == nil && len(cfg.hookSubjects()) > 0 {
		l.hooks, err = d.connect(cfg.NATS, "--creds", cfg.Creds)
	}
	if err == nil && cfg.SystemCreds != "" {
		// Without the users in the URL, which do not belong to that account.
		l.system, err = d.connect(creds.Redact(cfg.NATS), "--system-creds", cfg.SystemCreds)
	}
	if err == nil && l.system != nil {
		// In another account it would never hear of a closed connection, and nobody would notice.
		if _, err = l.system.Request(subjects.ServerPing, nil, systemWithin); err != nil {
			err = fmt.Errorf("--system-creds is no user of the system account of %s: nothing answers it at %s (%w); correct it, or leave it out", creds.Redact(cfg.NATS), subjects.ServerPing, err)
		}
	}
	if err != nil {
		l.close()
		return nil, err
	}
	l.wait = d.left()
	l.inspected(ctx, cfg, log)
	return l, nil
}

// inspected is how the inspector reaches that server: with the credentials of roomd, and without waiting for one
// that is away.
func (l *link) inspected(ctx context.Context, cfg Config, log *slog.Logger) {
	l.open = !l.asks.credentials && cfg.Creds == "" && creds.Redact(cfg.NATS) == cfg.NATS
	d := &dialer{ctx: ctx, log: log}
	l.backEnd = func(more ...nats.Option) (*nats.Conn, error) {
		return d.connect(cfg.NATS, "--creds", cfg.Creds, more...)
	}
	l.plain = func(opts ...nats.Option) (*nats.Conn, error) {
		return nats.Connect(creds.Redact(cfg.NATS), opts...)
	}
}

// dialer makes the connections of a start.
type dialer struct {
	ctx   context.Context
	log   *slog.Logger
	wait  time.Duration // in all, for servers that do not answer
	until time.Time     // when that is over
	told  time.Time     // when it last said what it waits for
}

func newDialer(ctx context.Context, cfg Config, log *slog.Logger) *dialer {
	wait := defaultWait
	if cfg.Wait != nil {
		wait = *cfg.Wait
	}
	return &dialer{ctx: ctx, log: log, wait: wait, until: time.Now().Add(wait)}
}

// left is what is left of the wait, in whole seconds; -1 if that is nothing.
func (d *dialer) left() time.Duration {
	return cmp.Or(max(time.Until(d.until).Round(time.Second), 0), -1)
}

// connect connects with a file of credentials, or without credentials if file is empty. A server that does
// not answer is asked again until the wait is over; a refusal is final.
func (d *dialer) connect(url, flag, file string, more ...nats.Option) (*nats.Conn, error) {
	opts := append(connOptions(d.log), more...)
	if file != "" {
		user, err := creds.Read(file)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be used (%w); %s", flag, err, creds.Kinds)
		}
		opts = append(opts, user)
	}
	for {
		nc, err := nats.Connect(url, opts...)
		switch {
		case err == nil:
			return nc, nil
		case errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired):
			return nil, fmt.Errorf("the NATS server at %s does not let roomd in (%w); name a file with its credentials with %s", creds.Redact(url), err, flag)
		case !silent(err):
			return nil, fmt.Errorf("connecting to %s: %w", creds.Redact(url), err)
		case !d.pause(url, err):
			return nil, d.given(url, err)
		}
	}
}

// pause waits until it is time to try again; false: there is no time left.
func (d *dialer) pause(url string, because error) bool {
	left := time.Until(d.until)
	if left <= 0 {
		return false
	}
	if time.Since(d.told) > tellDial {
		d.told = time.Now()
		d.log.Warn("waiting for a NATS server that answers", "url", creds.Redact(url), "because", because, "gives up in", left.Round(time.Second))
	}
	again := time.NewTimer(min(dialAgain, left))
	defer again.Stop()
	select {
	case <-again.C:
		return true
	case <-d.ctx.Done():
		return false
	}
}

// given says that it was given up.
func (d *dialer) given(url string, because error) error {
	waited := ""
	if d.wait > 0 {
		waited = fmt.Sprintf(" within %v", d.wait)
	}
	return fmt.Errorf("no NATS server answers at %s%s (%w); start it, correct --nats, or leave --nats out to embed one", creds.Redact(url), waited, because)
}

// silent reports whether an attempt to connect failed because no server was there, or none that speaks. Its
// name may be unknown as long as it does not run, and something in front of it may take connections only to
// end them.
func silent(err error) bool {
	var op *net.OpError
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, io.EOF) ||
		errors.As(err, &op) && (op.Op == "dial" || op.Op == "read")
}
