package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/auth"
	"natsrooms/subjects"
)

// checkCallout refuses configurations that would let somebody in without a token, or that
// do not work together with tokens. Users that the configuration names keep their passwords
// and permissions.
func checkCallout(opts *server.Options) error {
	if user := opts.NoAuthUser + opts.Websocket.NoAuthUser + opts.MQTT.NoAuthUser; user != "" {
		return fmt.Errorf("with --auth nobody gets in without a token, and the configuration lets everybody in as its no_auth_user %s; take that line out of it, or leave out --auth", user)
	}
	var what string
	switch {
	case len(opts.TrustedOperators)+len(opts.TrustedKeys) > 0:
		what = "an operator"
	case opts.AuthCallout != nil:
		what = "an auth_callout of its own"
	case opts.Authorization != "":
		what = "one token for everybody"
	default:
		return nil
	}
	return fmt.Errorf("the configuration has %s, which does not work together with --auth; take it out, or leave out --auth", what)
}

// addCallout makes the server ask roomd about everybody that its configuration does not
// name. Questions and answers are encrypted: they carry tokens, and others are in the same
// account.
func (in *insider) addCallout(opts *server.Options, account string) error {
	var err error
	if in.issuer, err = nkeys.CreateAccount(); err != nil {
		return fmt.Errorf("making a key for the auth callout: %w", err)
	}
	if in.xkey, err = nkeys.CreateCurveKeys(); err != nil {
		return fmt.Errorf("making a key for the auth callout: %w", err)
	}
	callout := &server.AuthCallout{Account: account}
	if callout.Issuer, err = in.issuer.PublicKey(); err != nil {
		return err
	}
	if callout.XKey, err = in.xkey.PublicKey(); err != nil {
		return err
	}
	for name := range configuredUsers(opts) {
		callout.AuthUsers = append(callout.AuthUsers, name)
	}
	if opts.Username != "" {
		callout.AuthUsers = append(callout.AuthUsers, opts.Username)
	}
	opts.AuthCallout = callout
	return nil
}

// startAuth answers the server's questions about tokens; nil without --auth. door says what the
// service has to do with that.
func startAuth(cfg Config, l *link, keys *auth.Keys, door auth.Config, log *slog.Logger) (*auth.Callout, error) {
	if keys == nil {
		return nil, nil
	}
	door.Keys, door.Audience, door.Issuer, door.XKey, door.Domain, door.Logger = keys, cfg.AuthAudience, l.issuer, l.xkey, cfg.JSDomain, log
	return auth.Serve(l.nc, door)
}

// doorOf is what a service has to do with who is let in.
func doorOf(svc *roomsvc.Service) auth.Config {
	return auth.Config{Grant: svc.Grant, Admit: svc.Admit}
}

// tokenKeys reads --auth-key; nil without --auth.
func tokenKeys(cfg Config) (*auth.Keys, error) {
	if cfg.Auth == "" {
		return nil, nil
	}
	file, err := os.ReadFile(cfg.AuthKey)
	if err != nil {
		return nil, fmt.Errorf("--auth-key cannot be read: %w", err)
	}
	return parseKeys(cfg, file)
}

func parseKeys(cfg Config, file []byte) (*auth.Keys, error) {
	keys, err := auth.ParseKeys(file)
	if err != nil {
		return nil, fmt.Errorf("--auth-key %s cannot be used: %w", cfg.AuthKey, err)
	}
	return keys, nil
}

// calloutKeys reads the seeds whose public keys a server that roomd does not embed knows.
func calloutKeys(cfg Config) (issuer, xkey nkeys.KeyPair, err error) {
	if cfg.Auth == "" {
		return nil, nil, nil
	}
	if issuer, err = seed("--auth-issuer", cfg.AuthIssuer, nkeys.PrefixByteAccount); err != nil || cfg.AuthXKey == "" {
		return issuer, nil, err
	}
	xkey, err = seed("--auth-xkey", cfg.AuthXKey, nkeys.PrefixByteCurve)
	return issuer, xkey, err
}

func seed(flag, file string, want nkeys.PrefixByte) (nkeys.KeyPair, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", flag, err)
	}
	text := []byte(strings.TrimSpace(string(raw)))
	begin, read := "SA", nkeys.FromSeed
	if want == nkeys.PrefixByteCurve {
		begin, read = "SX", nkeys.FromCurveSeed
	}
	if kind, _, err := nkeys.DecodeSeed(text); err != nil || kind != want {
		return nil, fmt.Errorf("%s does not hold the seed it needs, which begins with %s", flag, begin)
	}
	return read(text)
}

// warnIfOpen warns once if everybody who reaches the server is trusted with everything. A
// server that roomd embeds has no cluster and no gateway, which would be further ways in.
func warnIfOpen(opts *server.Options, log *slog.Logger) {
	ws, leaf, mqtt := &opts.Websocket, &opts.LeafNode, &opts.MQTT
	everybody := letsEverybodyIn(opts, opts.NoAuthUser)
	// Settings of these listeners, if there are any, take precedence for their clients.
	wsEverybody, mqttEverybody := everybody, everybody
	if ws.Username+ws.Token+ws.NoAuthUser != "" {
		wsEverybody = letsEverybodyIn(opts, ws.NoAuthUser)
	}
	if mqtt.Username+mqtt.Token+mqtt.NoAuthUser != "" {
		mqttEverybody = letsEverybodyIn(opts, mqtt.NoAuthUser)
	}
	leafEverybody := everybody && leaf.Username+leaf.Nkey == "" && len(leaf.Users) == 0
	var open []string
	for _, l := range []struct {
		name, host string
		port       int
		everybody  bool
	}{
		{"clients", opts.Host, opts.Port, everybody},
		{"websocket", ws.Host, ws.Port, wsEverybody},
		{"leafnodes", leaf.Host, leaf.Port, leafEverybody},
		{"mqtt", mqtt.Host, mqtt.Port, mqttEverybody},
	} {
		if l.everybody && l.port != 0 && !isLoopback(l.host) {
			open = append(open, l.name)
		}
	}
	if len(open) == 0 {
		return
	}
	log.Warn("the server listens on more than this machine and asks nobody for credentials: anybody who reaches it may do everything in every room; name users in its configuration, or use --auth jwt (docs/security.md)", "listeners", strings.Join(open, ","), "host", opts.Host)
}

// anyPage reports whether any web page may connect.
func anyPage(opts *server.Options) bool {
	ws := &opts.Websocket
	return ws.Port != 0 && !ws.SameOrigin && len(ws.AllowedOrigins) == 0
}

// checkPages refuses to let end users' browsers be used by any page that they visit.
func checkPages(cfg Config, opts *server.Options) error {
	if cfg.Auth == "" || cfg.WebsocketAnyOrigin || !anyPage(opts) {
		return nil
	}
	return errors.New("with --auth, the websocket listener of the configuration accepts connections from every page that a user visits; list the pages that may connect in its allowed_origins, set same_origin, or give --websocket-any-origin if that is what you want")
}

// warnOfPages warns once if any web page may connect: a browser does not ask who made a
// page, and listening on this machine only does not stop pages that are opened here.
func warnOfPages(opts *server.Options, log *slog.Logger) {
	if !anyPage(opts) {
		return
	}
	log.Warn("the websocket listener accepts connections from every page that a user visits, even on 127.0.0.1; list the allowed pages in its allowed_origins, or set same_origin (docs/security.md)")
}

// warnIfUnguarded warns once if the configuration names end users but nothing restricts them.
func warnIfUnguarded(opts *server.Options, log *slog.Logger) {
	var names []string
	look := func(name string, p *server.Permissions) {
		if p != nil && p.Publish != nil && slices.ContainsFunc(p.Publish.Allow, subjects.OneUsers) {
			names = append(names, name)
		}
	}
	for _, u := range opts.Users {
		look(u.Username, u.Permissions)
	}
	for _, u := range opts.Nkeys {
		look(u.Nkey, u.Permissions)
	}
	if len(names) == 0 || letsEverybodyIn(opts, opts.NoAuthUser) {
		return
	}
	log.Warn("the configuration names end users, and without --feeds they may read and enter every room, and hear none; give --feeds, or take them out of the configuration (docs/security.md)", "users", strings.Join(names, ","))
}

// letsEverybodyIn reports whether a client without credentials gets in, as this user, and
// then may do everything.
func letsEverybodyIn(opts *server.Options, noAuthUser string) bool {
	for _, u := range opts.Users {
		if u.Username == noAuthUser {
			return u.Permissions == nil
		}
	}
	for _, u := range opts.Nkeys {
		if u.Nkey == noAuthUser {
			return u.Permissions == nil
		}
	}
	return false
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
