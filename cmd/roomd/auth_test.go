package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
)

// With --auth and nothing else, nobody gets in without a token.
func TestAuthWithoutConfiguration(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{
		"none": "", "no users": "max_payload: 1MB", "system users": `accounts { $SYS { users [{ user: s, password: p }] } }`,
		"a block without users": `authorization { timeout: 3 }`, "one user": `authorization { user: u, password: p }`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--auth", "jwt", "--auth-key", write(t, secret)}
			if config != "" {
				args = append(args, "--config", write(t, config))
			}
			r := start(t, args...)
			if nc, err := nats.Connect(r.url); err == nil {
				nc.Close()
				t.Error("somebody gets in without a token")
			}
			alice := connected(t, r.url, bearing(t, auth.Claims{User: "alice"})...)
			if m, err := alice.Request("room.cmd.enter.alice", []byte(`{"roomID":"lobby"}`), within); err != nil || m.Header.Get("Nats-Service-Error") != "" {
				t.Errorf("%v, %+v", err, m)
			}
			if name == "one user" {
				connected(t, r.url, nats.UserInfo("u", "p"))
			}
			r.end(t)
		})
	}
}

func TestConfigurationsRefusedWithAuth(t *testing.T) {
	t.Parallel()
	key := write(t, secret)
	_, account, _ := roomtest.KeyPair(t, nkeys.CreateAccount)
	for config, says := range map[string]string{
		`no_auth_user: u, authorization { users [{ user: u, password: p }] }`:                                       "no_auth_user u",
		`authorization { users [{ user: u, password: p }] }, websocket { port: -1, no_tls: true, no_auth_user: u }`: "no_auth_user u",
		`authorization { token: t }`: "one token for everybody",
		fmt.Sprintf(`authorization { users [{ user: u, password: p }], auth_callout { issuer: %s, auth_users: [u] } }`, account): "auth_callout of its own",
	} {
		refuses(t, embed, []string{"--config", write(t, config), "--port", "-1", "--store-dir", t.TempDir(), "--auth", "jwt", "--auth-key", key}, says, "leave out --auth")
	}
	refuses(t, embed, []string{"--config", shipped, "--port", "-1", "--store-dir", t.TempDir(), "--auth", "jwt", "--auth-key", key}, "take that line out of it")
}

func TestRefusedKeyFiles(t *testing.T) {
	t.Parallel()
	_, user, userSeed := roomtest.KeyPair(t, nkeys.CreateUser)
	_, _, issuerSeed := roomtest.KeyPair(t, nkeys.CreateAccount)
	key, issuer := write(t, secret), write(t, issuerSeed)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--auth-key", "/nowhere"}, "--auth-key cannot be read"},
		{[]string{"--auth-key", write(t, "short")}, "HS256 needs 32 or more"},
		{[]string{"--nats", "nats://127.0.0.1:1", "--auth-key", key, "--auth-issuer", "/nowhere"}, "--auth-issuer cannot be read"},
		{[]string{"--nats", "nats://127.0.0.1:1", "--auth-key", key, "--auth-issuer", write(t, userSeed)}, "which begins with SA"},
		{[]string{"--nats", "nats://127.0.0.1:1", "--auth-key", key, "--auth-issuer", write(t, user)}, "does not hold the seed"},
		{[]string{"--nats", "nats://127.0.0.1:1", "--auth-key", key, "--auth-issuer", issuer, "--auth-xkey", issuer}, "which begins with SX"},
	} {
		var stdout, stderr worlds.Log
		err := Run(t.Context(), mustParse(t, append(c.args, "--auth", "jwt")...), &stdout, &stderr)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v; want it to say %q", c.args, err, c.says)
		}
	}
}

func TestWarnsIfAnybodyMayDoAnything(t *testing.T) {
	t.Parallel()
	key := write(t, secret)
	for _, c := range []struct {
		args []string
		warn bool
	}{
		{[]string{"--host", "0.0.0.0"}, true},
		{[]string{"--host", "0.0.0.0", "--config", shipped}, true},
		{[]string{"--host", "127.0.0.1"}, false},
		{[]string{"--host", "127.0.0.1", "--config", write(t, "websocket { port: -1, no_tls: true }")}, true},
		{[]string{"--config", write(t, "websocket { listen: '127.0.0.1:-1', no_tls: true }")}, false},
		{[]string{"--config", write(t, "leafnodes { port: -1 }")}, true},
		{[]string{"--config", write(t, "leafnodes { listen: '127.0.0.1:-1' }")}, false},
		{[]string{"--config", write(t, "leafnodes { port: -1, authorization { user: u, password: p } }")}, false},
		{[]string{"--config", write(t, "leafnodes { port: -1, authorization { users [{ user: u, password: p }] } }")}, false},
		{[]string{"--config", write(t, "mqtt { port: -1 }")}, true},
		{[]string{"--config", write(t, "mqtt { listen: 'localhost:-1' }")}, false},
		{[]string{"--config", write(t, "authorization { users [{ user: u, password: p }] }, leafnodes { port: -1 }, mqtt { port: -1 }")}, false},
		{[]string{"--config", write(t, "authorization { users [{ user: u, password: p }] }, websocket { port: -1, no_tls: true, no_auth_user: u }")}, true},
		{[]string{"--host", "0.0.0.0", "--auth", "jwt", "--auth-key", key}, false},
		{[]string{"--host", "0.0.0.0", "--config", unlocked(t)}, false},
		{[]string{"--host", "0.0.0.0", "--config", write(t, "authorization { token: t }")}, false},
		{[]string{"--host", "0.0.0.0", "--config", write(t, `no_auth_user: u, authorization { users [{ user: u, password: p, permissions { publish: a, subscribe: a } }] }`)}, false},
	} {
		var log worlds.Log
		l, err := embed(mustParse(t, append(c.args, "--port", "-1", "--store-dir", t.TempDir())...), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		l.close()
		if n := strings.Count(log.String(), "asks nobody for credentials"); n != map[bool]int{true: 1}[c.warn] {
			t.Errorf("%v: warned %d times", c.args, n)
		}
	}
}

// Any page in a browser on this machine reaches 127.0.0.1 too, whoever made it.
func TestWarnsOfPages(t *testing.T) {
	t.Parallel()
	for config, warn := range map[string]bool{
		"websocket { listen: '127.0.0.1:-1', no_tls: true }":                                             true,
		"websocket { listen: '127.0.0.1:-1', no_tls: true, same_origin: true }":                          false,
		"websocket { listen: '127.0.0.1:-1', no_tls: true, allowed_origins: ['http://127.0.0.1:8000'] }": false,
		"max_payload: 1MB": false,
	} {
		var log worlds.Log
		l, err := embed(mustParse(t, "--config", write(t, config), "--port", "-1", "--store-dir", t.TempDir()), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		l.close()
		if n := strings.Count(log.String(), "allowed_origins"); n != map[bool]int{true: 1}[warn] {
			t.Errorf("%s: warned %d times", config, n)
		}
	}
}

// With --auth, roomd does not start so that any page could use a token of whoever visits it.
func TestPagesWithAuth(t *testing.T) {
	t.Parallel()
	args := func(config string, more ...string) []string {
		return append([]string{"--config", write(t, config), "--port", "-1", "--store-dir", t.TempDir(), "--auth", "jwt", "--auth-key", write(t, secret)}, more...)
	}
	const open = "websocket { listen: '127.0.0.1:-1', no_tls: true }"
	refuses(t, embed, args(open), "every page", "allowed_origins", "--websocket-any-origin")
	for _, a := range [][]string{
		args(open, "--websocket-any-origin"),
		args("websocket { listen: '127.0.0.1:-1', no_tls: true, same_origin: true }"),
		args("websocket { listen: '127.0.0.1:-1', no_tls: true, allowed_origins: ['http://127.0.0.1:8000'] }"),
	} {
		embedded(t, a...).close()
	}
}

// With --websocket the pages of the examples, or those that are named, connect, and no others.
func TestWebsocket(t *testing.T) {
	t.Parallel()
	try := func(origins string, want map[string]bool) {
		port := freePort(t)
		var log worlds.Log
		args := []string{"--websocket", ":" + port, "--port", "-1", "--store-dir", t.TempDir()}
		if origins != "" {
			args = append(args, "--websocket-origins", origins)
		}
		l, err := embed(mustParse(t, args...), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		if text := log.String(); !strings.Contains(text, "url=ws://127.0.0.1:"+port) || strings.Contains(text, "WARN") {
			t.Errorf("it says %s", text)
		}
		for origin, in := range want {
			nc, err := nats.Connect("ws://127.0.0.1:"+port, patientDial, nats.WebSocketConnectionHeaders(http.Header{"Origin": {origin}}))
			if err == nil {
				nc.Close()
			}
			if (err == nil) != in {
				t.Errorf("a page from %s: %v", origin, err)
			}
		}
		refuses(t, embed, []string{"--websocket", ":" + port, "--port", "-1", "--store-dir", t.TempDir()}, port, "--websocket")
	}
	try("", map[string]bool{
		"http://127.0.0.1:8000": true, "http://localhost:8000": true, "http://127.0.0.1:8001": true, "http://127.0.0.1:8002": false,
		"https://127.0.0.1:8000": false, "https://evil.example.com": false, "null": false,
	})
	try("http://127.0.0.1:3000,https://chat.example.com", map[string]bool{
		"http://127.0.0.1:3000": true, "https://chat.example.com": true, "http://127.0.0.1:8000": false,
	})
	refuses(t, embed, []string{"--websocket", ":-1", "--config", write(t, "websocket { port: -1, no_tls: true }"), "--port", "-1", "--store-dir", t.TempDir()}, "leave one of them out")
}

// End users that the configuration names are refused nothing unless roomd knows of them.
func TestNamedEndUsers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args    []string
		refused string
		warned  bool
	}{
		{[]string{"--config", unlocked(t)}, "", true},
		{[]string{"--config", unlocked(t), "--feeds"}, "NOT_ALLOWED", false},
		{[]string{"--config", unlocked(t), "--auth", "jwt", "--auth-key", write(t, secret)}, "NOT_ALLOWED", false},
		{[]string{"--config", shipped}, "", false},
	} {
		r := start(t, append(c.args, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m")...)
		if n := strings.Count(r.stderr.String(), "users=alice"); n != map[bool]int{true: 1}[c.warned] {
			t.Errorf("%v: warned %d times:\n%s", c.args, n, r.stderr)
		}
		if c.args[1] != shipped {
			backend, alice := connected(t, r.url, named("backend")...), connected(t, r.url, append(named("alice"), nats.CustomInboxPrefix("_INBOX_alice"))...)
			if m, err := backend.Request("room.cmd.create", []byte(`{"roomID":"cellar","userID":"bob","config":{"access":"listed"}}`), within); err != nil || m.Header.Get("Nats-Service-Error") != "" {
				t.Fatalf("%v, %+v", err, m)
			}
			for _, verb := range []string{"members", "enter"} {
				if m, err := alice.Request("room.cmd."+verb+".alice", []byte(`{"roomID":"cellar"}`), within); err != nil || m.Header.Get("Nats-Service-Error") != c.refused {
					t.Errorf("%v: %s: %v, %+v; want %q", c.args, verb, err, m, c.refused)
				}
			}
		}
		r.end(t)
	}
}
