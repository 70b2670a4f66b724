package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// screen is a log that several goroutines write to and a test reads.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// serve starts a server and a [auth.Callout] that answers it, and returns a way to connect.
func serve(t *testing.T, cfg auth.Config) (connect func(...nats.Option) (*nats.Conn, error)) {
	t.Helper()
	issuer, public, _ := roomtest.KeyPair(t, nkeys.CreateAccount)
	s := roomtest.Server(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "service", Password: "p"}}
		o.AuthCallout = &server.AuthCallout{Issuer: public, Account: server.DEFAULT_GLOBAL_ACCOUNT, AuthUsers: []string{"service"}}
	})
	cfg.Issuer, cfg.Keys = issuer, parse(t, []byte(secret))
	door, err := auth.Serve(roomtest.Conn(t, s, nats.UserInfo("service", "p")), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(door.Stop)
	return func(opts ...nats.Option) (*nats.Conn, error) {
		nc, err := nats.Connect(s.ClientURL(), opts...)
		if err == nil {
			t.Cleanup(nc.Close)
		}
		return nc, err
	}
}

func bearer(t *testing.T, c auth.Claims) nats.Option {
	t.Helper()
	token, err := auth.Sign([]byte(secret), "", c)
	if err != nil {
		t.Fatal(err)
	}
	return nats.Token(token)
}

func TestGrant(t *testing.T) {
	t.Parallel()
	var log screen
	granted := make(chan string, 8)
	connect := serve(t, auth.Config{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Grant: func(_ context.Context, user subjects.User, g room.Grant) error {
			granted <- fmt.Sprintf("%s %v %d", user, g.Rooms, g.Until.Time().Add(-auth.Leeway).Unix())
			if slices.Contains(g.Rooms, "cellar") {
				return errors.New("the cellar is shut")
			}
			return nil
		},
	})
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	for _, c := range []struct {
		claims auth.Claims
		want   string // of the grant, "" if there is none
		in     bool
	}{
		{auth.Claims{User: "alice", Rooms: []subjects.Room{"lobby", "a.b"}, Expires: until}, fmt.Sprintf("alice [lobby a.b] %d", until.Unix()), true},
		{auth.Claims{User: "alice", Rooms: []subjects.Room{}, Expires: until}, "", true},
		{auth.Claims{User: "bob", Rooms: []subjects.Room{"cellar"}, Expires: until}, fmt.Sprintf("bob [cellar] %d", until.Unix()), false},
		{auth.Claims{User: "bob"}, "", true},
		{auth.Claims{User: "ops", Admin: true}, "", true},
	} {
		_, err := connect(bearer(t, c.claims))
		got := ""
		select {
		case got = <-granted: // before the connection was let in
		default:
		}
		if (err == nil) != c.in || got != c.want {
			t.Errorf("%+v: granted %q, want %q; %v", c.claims, got, c.want, err)
		}
	}
	if !strings.Contains(log.String(), "the cellar is shut") {
		t.Errorf("the log does not say why:\n%s", &log)
	}
}

// However many are turned away, the log stays readable and gives the reason.
func TestRefusalsAreLogged(t *testing.T) {
	t.Parallel()
	var log screen
	connect := serve(t, auth.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	const tries = 60
	for range tries {
		if _, err := connect(nats.Name("intruder"), nats.Token("x")); !errors.Is(err, nats.ErrAuthorization) {
			t.Fatalf("an intruder: %v", err)
		}
	}
	text := log.String()
	if lines := strings.Count(text, "\n"); lines < 5 || lines > tries/2 {
		t.Errorf("%d lines for %d refusals:\n%s", lines, tries, text)
	}
	for _, want := range []string{"level=WARN", "name=intruder", "from=127.0.0.1", "malformed"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestServeNeedsItsKeys(t *testing.T) {
	t.Parallel()
	if _, err := auth.Serve(roomtest.Conn(t, roomtest.Server(t)), auth.Config{}); err == nil {
		t.Error("it starts without keys")
	}
}
