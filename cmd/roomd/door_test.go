package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/auth"
	"natsrooms/subjects"
)

const secret = "a secret that only this test knows, 48 bytes long"

// unlocked is the shipped configuration, changed as it says to do before others may
// connect: no no_auth_user, and a password for each user, here the user's name twice.
func unlocked(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(closedConf(t))
	if err != nil {
		t.Fatal(err)
	}
	out := string(text)
	for _, u := range conf(t).Users {
		line := "user: " + u.Username + ", password: "
		if strings.Count(out, line+`"`+u.Password+`"`) != 1 {
			t.Fatalf("nats.conf has no line for %s", u.Username)
		}
		out = strings.Replace(out, line+`"`+u.Password+`"`, line+u.Username+u.Username, 1)
	}
	return write(t, out)
}

func named(user string) []nats.Option {
	return []nats.Option{nats.UserInfo(user, user+user)}
}

// bearing is the options of a client with a token, as in the manual.
func bearing(t *testing.T, c auth.Claims) []nats.Option {
	t.Helper()
	return []nats.Option{nats.Token(signed(t, c)), nats.CustomInboxPrefix(subjects.UserInbox(c.User))}
}

func signed(t *testing.T, c auth.Claims) string {
	t.Helper()
	token, err := auth.Sign([]byte(secret), "", c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// locked is a server with the shipped configuration that lets users in with tokens too,
// and without a room service, so that nothing answers and nothing breaks.
func locked(t *testing.T) *link {
	t.Helper()
	cfg := mustParse(t, "--config", unlocked(t), "--port", "-1", "--store-dir", t.TempDir(), "--auth", "jwt", "--auth-key", write(t, secret))
	l, err := embed(cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	keys, err := tokenKeys(cfg)
	if err != nil {
		t.Fatal(err)
	}
	door, err := startAuth(cfg, l, keys, auth.Config{}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(door.Stop)
	return l
}

// person is a connection that keeps the violations it was told about.
type person struct {
	*nats.Conn
	t         *testing.T
	complaint chan error
}

func connected(t *testing.T, url string, opts ...nats.Option) *person {
	t.Helper()
	p := &person{t: t, complaint: make(chan error, 16)}
	nc, err := nats.Connect(url, append(opts, patientDial, nats.NoReconnect(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		p.complaint <- err
	}))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	p.Conn = nc
	return p
}

// forbidden does something and reports whether the server complained of a violation
// concerning subject. The complaint arrives before the answer to the flush.
func (p *person) forbidden(subject string, do func() error) bool {
	p.t.Helper()
	if err := do(); err != nil {
		p.t.Fatalf("%s: %v", subject, err)
	}
	if err := p.FlushTimeout(within); err != nil {
		p.t.Fatalf("%s: %v", subject, err)
	}
	err := p.LastError()
	if err == nil || !strings.Contains(err.Error(), `"`+subject+`"`) {
		return false
	}
	select {
	case err = <-p.complaint:
		return strings.Contains(strings.ToLower(err.Error()), "permissions violation")
	case <-time.After(within):
		p.t.Fatalf("%s: the error handler is not told", subject)
		return false
	}
}

func (p *person) mayPublish(subject string) bool {
	p.t.Helper()
	return !p.forbidden(subject, func() error { return p.Publish(subject, nil) })
}

func (p *person) maySubscribe(subject string) bool {
	p.t.Helper()
	return !p.forbidden(subject, func() error {
		_, err := p.Subscribe(subject, func(*nats.Msg) {})
		return err
	})
}
