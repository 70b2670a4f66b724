package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/policy"
	"natsrooms/roomsvc/roomtest"
)

const secret = "a secret that only this test knows, 48 bytes long\n"

// guarded starts a room service that lets users in with tokens, and returns its URL and the
// file that its tokens are signed with.
func guarded(t *testing.T) (url, key string) {
	t.Helper()
	issuer, public, _ := roomtest.KeyPair(t, nkeys.CreateAccount)
	s := roomtest.Server(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "service", Password: "p"}}
		o.AuthCallout = &server.AuthCallout{Issuer: public, Account: server.DEFAULT_GLOBAL_ACCOUNT, AuthUsers: []string{"service"}}
	})
	guard(t, roomtest.Conn(t, s, nats.UserInfo("service", "p")), issuer)
	return s.ClientURL(), file(t, secret)
}

// guard starts a room service on nc that lets users in with tokens, which are signed with secret.
func guard(t *testing.T, nc *nats.Conn, issuer nkeys.KeyPair) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	svc, err := roomsvc.New(t.Context(), nc, roomsvc.Config{Feeds: true, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = svc.Stop(context.Background()) })
	keys, err := auth.ParseKeys([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	door, err := auth.Serve(nc, auth.Config{Keys: keys, Issuer: issuer, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(door.Stop)
}

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func token(t *testing.T, args ...string) string {
	t.Helper()
	r := roomctl(t, append([]string{"token"}, args...)...)
	r.want(t, exitOK)
	if strings.Count(r.stdout, "\n") != 1 || strings.Count(r.stdout, ".") != 2 {
		t.Fatalf("it prints %q", r.stdout)
	}
	return strings.TrimSpace(r.stdout)
}

// expired is a token that was good a while ago.
func expired(t *testing.T, key string) string {
	t.Helper()
	secret, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := auth.Sign(secret, "", auth.Claims{User: "bob", Expires: time.Now().Add(-time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestTokens(t *testing.T) {
	t.Parallel()
	url, key := guarded(t)
	alice, reader := token(t, "--key", key, "--sub", "al ice", "--rooms", "lobby,garden"), token(t, "--key", key, "--sub", "bob", "--verbs", "rooms,members")
	admin := token(t, "--key", key, "--sub", "ops", "--admin", "--ttl", "0")
	for _, c := range []struct {
		args  []string
		code  int
		texts []string
	}{
		{[]string{"enter", "lobby"}, exitUsage, []string{"nobody acts"}},
		{[]string{"enter", "lobby", "--as", "al ice"}, exitNoServer, []string{"that lets you in (nats: Authorization Violation)", "--token FILE"}},
		{[]string{"enter", "lobby", "--token", alice}, exitOK, []string{`"al ice" created lobby`}},
		{[]string{"enter", "lobby", "--token", file(t, alice+"\n")}, exitOK, []string{"is in lobby"}},
		{[]string{"members", "lobby", "--token", alice, "--as", "al ice"}, exitOK, []string{"al ice"}},
		{[]string{"leave", "lobby", "--token", alice, "--as", "bob"}, exitUsage, []string{`the token is for "al ice"`}},
		{[]string{"leave", "lobby", "--token", alice + "x"}, exitNoServer, []string{"that lets you in", "the log of roomd says why"}},
		{[]string{"leave", "lobby", "--token", expired(t, key)}, exitNoServer, []string{"that lets you in", "the token was valid until 2"}},
		{[]string{"leave", "lobby", "--token", "nothing"}, exitUsage, []string{"neither a file nor a token"}},
		{[]string{"kick", "lobby", "bob", "--token", alice}, exitRefused, []string{"only hosts and back ends may kick"}},
		{[]string{"rooms", "--token", reader}, exitOK, []string{"bob is in no room"}},
		{[]string{"enter", "lobby", "--token", reader}, exitRefused, []string{`does not allow it (Permissions Violation for Publish to "room.cmd.enter.bob")`}},
		{[]string{"ls", "--token", admin}, exitOK, []string{"lobby"}},
		{[]string{"enter", "lobby", "--token", admin}, exitUsage, []string{"nobody acts"}},
		{[]string{"enter", "lobby", "--token", admin, "--as", "bob"}, exitOK, []string{"bob is in lobby"}},
	} {
		t.Log(c.args[:2])
		roomctl(t, append(c.args, "-s", url)...).want(t, c.code, c.texts...)
	}
}

// A user in the server's configuration may do as much as one with a token.
func TestEndUserWithoutToken(t *testing.T) {
	t.Parallel()
	s := roomtest.Server(t, func(o *server.Options) {
		may := policy.User("alice", nil)
		o.Users = []*server.User{{Username: "service", Password: "p"}, {Username: "alice", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: may.Publish}, Subscribe: &server.SubjectPermission{Allow: may.Subscribe},
		}}}
	})
	svc, err := roomsvc.New(t.Context(), roomtest.Conn(t, s, nats.UserInfo("service", "p")), roomsvc.Config{Feeds: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = svc.Stop(context.Background()) })
	url := "nats://alice:p@" + s.Addr().String()
	roomctl(t, "enter", "lobby", "--as", "alice", "-s", url).want(t, exitRefused, "does not allow it", "--end-user")
	roomctl(t, "enter", "lobby", "--as", "alice", "-s", url, "--end-user").want(t, exitOK, "alice created lobby")
	roomctl(t, "rooms", "--as", "bob", "-s", url, "--end-user").want(t, exitRefused, "does not allow it")
	roomctl(t, "rooms", "-s", url, "--end-user").want(t, exitUsage, "--as")
}

func TestNonsensicalTokens(t *testing.T) {
	t.Parallel()
	key := file(t, secret)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--sub", "alice"}, "--key"},
		{[]string{"--key", key}, "--sub"},
		{[]string{"--key", key, "--sub", ""}, "its sub is empty"},
		{[]string{"--key", file(t, "short"), "--sub", "alice"}, "HS256 needs 32"},
		{[]string{"--key", key, "--sub", "alice", "--verbs", "fly"}, `"fly" is not a command`},
		{[]string{"--key", key, "--sub", "alice", "--admin", "--rooms", "a"}, "cannot both be meant"},
		{[]string{"--key", key, "--sub", "alice", "--ttl", "-1s"}, "--ttl is negative"},
	} {
		roomctl(t, append([]string{"token"}, c.args...)...).want(t, exitUsage, c.says)
	}
}

// An end user watches a room on its own feed.
func TestWatchByToken(t *testing.T) {
	t.Parallel()
	url, key := guarded(t)
	as := func(user string, args ...string) {
		t.Helper()
		roomctl(t, append(args, "-s", url, "--token", token(t, "--key", key, "--sub", user))...).want(t, exitOK)
	}
	as("alice", "enter", "lobby")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines, remarks, code := make(chan string, 16), make(chan string, 16), make(chan int)
	go func() {
		code <- Run(ctx, []string{"watch", "lobby", "-s", url, "--token", token(t, "--key", key, "--sub", "alice")}, strings.NewReader(""),
			&lineWriter{line: func(l string) { lines <- l }}, &lineWriter{line: func(l string) { remarks <- l }})
	}()
	if got := <-remarks; !strings.Contains(got, "watching lobby") {
		t.Errorf("it begins with %q", got)
	}
	as("bob", "enter", "lobby")
	as("bob", "send", "lobby", "hello")
	as("bob", "leave", "lobby")
	for _, want := range []string{"bob joined", "bob: hello", "bob left"} {
		if got := <-lines; !strings.Contains(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	cancel()
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d after the signal", got)
	}
	roomctl(t, "watch", "lobby", "-s", url, "--token", token(t, "--key", key, "--sub", "eve")).want(t, exitRefused, "enter it first")
}
