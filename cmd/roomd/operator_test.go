package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/roomtest"
)

// In operator mode the account of the rooms sends whoever connects to roomd, whose users are those
// of their tokens and nobody else.
func TestOperatorMode(t *testing.T) {
	t.Parallel()
	_, curve, curveSeed := roomtest.KeyPair(t, nkeys.CreateCurveKeys)
	for name, c := range map[string]struct {
		settings roomtest.OperatorSettings
		args     []string
	}{
		"the account's key":                 {},
		"a signing key, encrypted":          {roomtest.OperatorSettings{SigningKey: true, XKey: curve}, []string{"--auth-xkey", write(t, curveSeed)}},
		"a sentinel that the server brings": {roomtest.OperatorSettings{DefaultSentinel: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := roomtest.StartOperator(t, c.settings)
			r := start(t, append([]string{"--nats", o.ClientURL(), "--creds", write(t, o.Service), "--system-creds", write(t, o.System),
				"--auth", "jwt", "--auth-key", write(t, secret), "--auth-issuer", write(t, o.Issuer)}, c.args...)...)
			sentinel, stranger := nats.UserCredentials(write(t, o.Sentinel)), nats.UserCredentials(write(t, o.Stranger))
			as := func(more ...nats.Option) []nats.Option {
				return append(bearing(t, auth.Claims{User: "alice"}), more...)
			}
			for who, opts := range map[string][]nats.Option{
				"nobody": nil, "the sentinel": {sentinel}, "another user of the account": {stranger},
				"the sentinel with a bad token": {sentinel, nats.Token("x.y.z")}, "another user with one": {stranger, nats.Token("x.y.z")},
				"a token alone": as(),
			} {
				nc, err := nats.Connect(r.url, append(opts, patientDial)...)
				if err == nil {
					nc.Close()
				}
				if in := who == "a token alone" && c.settings.DefaultSentinel; in != (err == nil) || !in && !errors.Is(err, nats.ErrAuthorization) {
					t.Errorf("%s: %v", who, err)
				}
			}
			closed := make(chan struct{})
			alice := connected(t, r.url, as(sentinel, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
			other := connected(t, r.url, as(stranger)...)
			for _, p := range []*person{alice, other} {
				if m, err := p.Request("room.cmd.enter.alice", []byte(`{"roomID":"lobby"}`), within); err != nil || m.Header.Get("Nats-Service-Error") != "" {
					t.Fatalf("%v, %+v", err, m)
				}
				for _, subject := range []string{"room.cmd.enter.bob", "room.cmd.enter", "room.journal.lobby"} {
					if p.mayPublish(subject) {
						t.Errorf("alice may publish %s", subject)
					}
				}
				if p.maySubscribe("room.evt.*") {
					t.Error("alice may hear everything")
				}
			}
			backend := connected(t, r.url, sentinel, nats.Token(signed(t, auth.Claims{User: "ops", Admin: true})))
			if m, err := backend.Request("room.cmd.block", []byte(`{"userID":"alice"}`), within); err != nil || m.Header.Get("Nats-Service-Error") != "" {
				t.Errorf("%v, %+v", err, m)
			}
			select {
			case <-closed:
			case <-time.After(within):
				t.Error("alice is blocked and stays connected")
			}
			r.end(t)
			log := r.stderr.String()
			if !strings.Contains(log, "--creds SENTINEL --token alice.token enter lobby\n") {
				t.Errorf("nothing to try next:\n%s", log)
			}
			if strings.Contains(log, "the NATS connection reports an error") {
				t.Errorf("the service lacks a permission:\n%s", log)
			}
		})
	}
}
