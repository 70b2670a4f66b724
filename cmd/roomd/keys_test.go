//go:build unix

package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/roomtest/worlds"
)

// keySet is a file of keys, each of them under its own name.
func keySet(names ...string) string {
	var keys []string
	for _, name := range names {
		keys = append(keys, fmt.Sprintf(`{"kty":"oct","kid":%q,"alg":"HS256","k":%q}`, name, strings.Repeat(name, 32)))
	}
	return `{"keys":[` + strings.Join(keys, ",") + `]}`
}

// says waits until the log has a line with all of these.
func says(t *testing.T, log *worlds.Log, what ...string) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(within)
	for {
		for line := range strings.Lines(log.String()) {
			found := true
			for _, w := range what {
				found = found && strings.Contains(line, w)
			}
			if found {
				return
			}
		}
		select {
		case <-ticker.C:
		case <-late:
			t.Fatalf("it does not say %q:\n%s", what, log)
		}
	}
}

// When the file of keys changes, roomd takes the new ones and ends the connections of those that
// are gone, and of no others. A file that cannot be used changes nothing.
func TestKeysChange(t *testing.T) {
	t.Parallel()
	hanging.Lock()
	defer hanging.Unlock()
	file := write(t, keySet("aaaa", "bbbb"))
	r := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--auth", "jwt", "--auth-key", file)
	defer r.end(t)
	token := func(key string) nats.Option {
		t.Helper()
		secret, err := base64.RawURLEncoding.DecodeString(strings.Repeat(key, 32))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := auth.Sign(secret, key, auth.Claims{User: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		return nats.Token(signed)
	}
	connect := func(key string) (*nats.Conn, chan struct{}, error) {
		ended := make(chan struct{})
		nc, err := nats.Connect(r.url, token(key), patientDial, nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(ended) }))
		if err == nil {
			t.Cleanup(nc.Close)
		}
		return nc, ended, err
	}
	_, gone, err := connect("aaaa")
	if err != nil {
		t.Fatal(err)
	}
	stays, _, err := connect("bbbb")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(`{"keys":[`), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, r.stderr, "the keys for tokens stay as they were", "not valid JSON")
	if _, _, err := connect("aaaa"); err != nil {
		t.Errorf("a file that cannot be read has an effect: %v", err)
	}
	if err := os.WriteFile(file, []byte(keySet("bbbb", "cccc")), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, r.stderr, "the keys for tokens were read again", "keys=2 new=1 gone=1", `"connections ended"=2`)
	select {
	case <-gone:
	case <-time.After(within):
		t.Error("a connection with a token of a key that is gone stays open")
	}
	if err := stays.FlushTimeout(within); err != nil {
		t.Errorf("a connection with a token of a key that is still there: %v", err)
	}
	if _, _, err := connect("aaaa"); err == nil {
		t.Error("a token of a key that is gone lets somebody in")
	}
	for _, key := range []string{"bbbb", "cccc"} {
		if _, _, err := connect(key); err != nil {
			t.Errorf("a token of the key %s: %v", key, err)
		}
	}
	// SIGHUP has the file read again. It ends nothing, also where there is no such file.
	trusting := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m")
	defer trusting.end(t)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	says(t, r.stderr, "the keys for tokens were read again", "keys=2 new=0 gone=0")
	says(t, trusting.stderr, "SIGHUP", "no keys to read again")
	if n := strings.Count(r.stderr.String(), "were read again"); n != 2 {
		t.Errorf("%d lines say that keys were read", n)
	}
	connected(t, trusting.url)
	if err := stays.FlushTimeout(within); err != nil {
		t.Errorf("after SIGHUP: %v", err)
	}
}
