//go:build unix

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
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
	// At SIGHUP the file counts at once, before it has been looked at twice. Without --auth there is none.
	leaves, gone, err := connect("cccc")
	if err != nil {
		t.Fatal(err)
	}
	trusting := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m")
	defer trusting.end(t)
	rewrite(t, file, keySet("bbbb", "dddd", "eeee"))
	sendHangUp(t)
	says(t, r.stderr, "the keys for tokens were read again", "keys=3 new=2 gone=1", `"connections ended"=2`)
	says(t, trusting.stderr, "SIGHUP", "no keys to read again")
	if first, _, _ := strings.Cut(r.stderr.String(), "new=0 gone=0"); !strings.Contains(first, "keys=3 new=2 gone=1") {
		t.Errorf("SIGHUP did not take the keys:\n%s", r.stderr)
	}
	select {
	case <-gone:
	case <-time.After(within):
		t.Errorf("after SIGHUP a connection with a token of a key that is gone stays open: %v", leaves.Status())
	}
	if _, _, err := connect("cccc"); err == nil {
		t.Error("after SIGHUP a token of a key that is gone lets somebody in")
	}
	if _, _, err := connect("dddd"); err != nil {
		t.Errorf("a token of the key that SIGHUP brought: %v", err)
	}
	connected(t, trusting.url)
	if err := stays.FlushTimeout(within); err != nil {
		t.Errorf("after SIGHUP: %v", err)
	}
}

// When connections of keys that are gone could not be ended, that is tried again at each look,
// until it succeeds; and it is done by the keys that count then.
func TestKeysGoneAreEndedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	file := write(t, keySet("aaaa", "bbbb"))
	keys, err := tokenKeys(Config{Auth: "jwt", AuthKey: file})
	if err != nil {
		t.Fatal(err)
	}
	log := new(worlds.Log)
	k := newKeyFile(Config{AuthKey: file}, keys, slog.New(slog.NewTextHandler(log, nil)))
	k.door = new(auth.Callout)
	calls, failed := 0, errors.New("a server does not answer")
	var trouble error
	k.end = func(_ context.Context, good func(uint64) bool) (int, error) {
		calls++
		if trouble == nil && good(printOf(t, "aaaa")) {
			t.Error("it ends by keys that count no more")
		}
		return calls, trouble
	}
	look := func(want int, asked bool) {
		t.Helper()
		if k.look(t.Context(), asked); calls != want {
			t.Fatalf("connections were to be ended %d times, want %d:\n%s", calls, want, log)
		}
	}
	look(0, false)
	look(0, false)
	rewrite(t, file, keySet("bbbb"))
	trouble = failed
	look(0, false) // it may be being written
	look(1, false)
	look(2, false)
	rewrite(t, file, keySet("bbbb", "cccc"))
	look(3, false)
	look(4, false) // with new keys
	look(5, true)
	rewrite(t, file, "{")
	look(6, false) // a file that cannot be used changes nothing
	trouble = nil
	look(7, false)
	look(7, false)
	rewrite(t, file, keySet("bbbb", "cccc"))
	look(7, true)
	if text := log.String(); strings.Count(text, "level=WARN") != 3 || strings.Count(text, "have all ended") != 1 {
		t.Error(text)
	}
}

// printOf is what stands for a key of a set that is not in the file any more.
func printOf(t *testing.T, name string) uint64 {
	t.Helper()
	keys, err := auth.ParseKeys([]byte(keySet(name)))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base64.RawURLEncoding.DecodeString(strings.Repeat(name, 32))
	if err != nil {
		t.Fatal(err)
	}
	token, err := auth.Sign(secret, name, auth.Claims{User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := keys.Read(token, "")
	if err != nil {
		t.Fatal(err)
	}
	return claims.Key
}
