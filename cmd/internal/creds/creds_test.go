package creds

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natsrooms/roomsvc/roomtest"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	for servers, want := range map[string]string{
		"":                         "",
		"nats://h:4222":            "nats://h:4222",
		"nats://u:secret@h:4222":   "nats://h:4222",
		"nats://token@h":           "nats://h",
		"u:secret@h":               "h",
		"tls://u:s@cret@h":         "tls://h",
		"u:sec://ret@h":            "h",
		"nats://u:sec://ret@h":     "nats://h",
		"nats://u:s@a,tls://u:s@b": "nats://a,tls://b",
	} {
		if got := Redact(servers); got != want {
			t.Errorf("%s becomes %s, want %s", servers, got, want)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "creds")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRead(t *testing.T) {
	t.Parallel()
	_, public, seed := roomtest.KeyPair(t, nkeys.CreateUser)
	s := roomtest.Server(t, func(o *server.Options) {
		o.Users, o.Nkeys = []*server.User{{Username: "u", Password: "p:q"}}, []*server.NkeyUser{{Nkey: public}}
	})
	for _, text := range []string{"u:p:q\n", seed} {
		user, err := Read(write(t, text))
		if err != nil {
			t.Fatal(err)
		}
		nc, err := nats.Connect(s.ClientURL(), user)
		if err != nil {
			t.Fatalf("%q: %v", text[:2], err)
		}
		nc.Close()
	}
	jwt := "-----BEGIN NATS USER JWT-----\nx.y.z\n------END NATS USER JWT------\n"
	if _, err := Read(write(t, jwt+"-----BEGIN USER NKEY SEED-----\n"+seed+"------END USER NKEY SEED------\n")); err != nil {
		t.Errorf("a .creds file: %v", err)
	}
	for text, says := range map[string]string{"": "no credentials", "nothing": "no credentials", "a:b\nc:d": "no credentials", jwt: "seed"} {
		if _, err := Read(write(t, text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want it to say %q", text, err, says)
		}
	}
	if _, err := Read("/nowhere"); err == nil {
		t.Error("a missing file is read")
	}
}
