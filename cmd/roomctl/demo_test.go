package main

import (
	"path/filepath"
	"strings"
	"testing"
)

var tourTexts = []string{
	"created lobby", "joined (join), 2 members", "already", "bob", ": Hello, Alice!", "set topic=tea", "topic belongs to somebody else", "SESSIONS", "left (switched to garden", "room destroyed (empty)", "That was all.",
}

func TestDemoOnAnExistingServer(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	r := roomctl(t, "demo", "-s", url)
	r.want(t, exitOK, tourTexts...)
	if strings.Contains(r.stdout, "kill -9") {
		t.Error("it kills a roomd that is not its own")
	}
	roomctl(t, "ls", "-s", url).want(t, exitOK, "there is no room\n")
}

// Not parallel: it inspects the directory for temporary files.
func TestDemoWithItsOwnRoomd(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Setenv("ROOMD_NATS", "nats://127.0.0.1:1") // somebody else's roomd; must not matter
	t.Setenv(envToken, token(t, "--key", file(t, secret), "--sub", "carol"))
	t.Setenv(envServer, "nats://127.0.0.1:1")
	t.Setenv(envAs, "carol")
	r := roomctl(t, "demo", "--embed")
	r.want(t, exitOK, append(tourTexts, "kill -9 ", "Everybody is where they were.", "garden         1")...)
	if left, err := filepath.Glob(filepath.Join(tmp, "roomctl-demo-*")); err != nil || len(left) > 0 {
		t.Errorf("%v left behind: %v", err, left)
	}
}
