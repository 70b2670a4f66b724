package check

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Programs that are built once for all tests.
var roomd, natsServer string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "deploy")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		roomd, natsServer = filepath.Join(dir, "roomd"), filepath.Join(dir, "nats-server")
		for program, source := range map[string]string{roomd: "./cmd/roomd", natsServer: "github.com/nats-io/nats-server/v2"} {
			build := exec.Command("go", "build", "-o", program, source)
			build.Dir = "../.."
			build.Env = append(os.Environ(), "CGO_ENABLED=0") // as in the Dockerfile
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "building %s: %v\n%s", source, err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

func abs(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// write writes a file into a directory of its own.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs roomd with variables of its own and nothing else, and returns what it prints.
func run(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(roomd, args...)
	cmd.Env, cmd.Dir = append(env, "PATH=/nowhere"), t.TempDir()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var variable = regexp.MustCompile(`^ROOMD_[A-Z_]+$`)

// decided says what a roomd with a file of settings and variables takes each setting from, after
// checking that it knows each of the variables.
func decided(t *testing.T, env map[string]string, args ...string) (from map[string]string) {
	t.Helper()
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	out, err := run(t, list, append([]string{"config", "print"}, args...)...)
	if err != nil {
		t.Fatalf("roomd config print %q: %v\n%s", args, err, out)
	}
	from = map[string]string{}
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) >= 3 {
			from[fields[0]] = fields[len(fields)-1]
		}
	}
	for name := range env {
		setting := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "ROOMD_"), "_", "-"))
		if variable.MatchString(name) && from[setting] != name {
			t.Errorf("%s decides nothing: %s comes from %q", name, setting, from[setting])
		}
	}
	return from
}
