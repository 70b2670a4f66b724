package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A test in a module of somebody's own has the service in its process, with what README shows in
// few lines and the command that it names. The same code is examples/embedded.
func TestInAGoTest(t *testing.T) {
	_, section, ok := strings.Cut(read(t, "README.md"), "\n### In a Go test\n")
	if !ok {
		t.Fatal("README has no section about a Go test")
	}
	code := regexp.MustCompile("(?s)```go\n(.*?)```").FindStringSubmatch(section)
	command := regexp.MustCompile("(?s)```console\n(go mod .*?)```").FindStringSubmatch(section)
	if code == nil || command == nil {
		t.Fatal("README shows no code or no command")
	}
	if example := read(t, "examples/embedded/embedded_test.go"); code[1] != example {
		t.Errorf("README shows something else than examples/embedded, which is\n%s", example)
	}
	if n := strings.Count(code[1], "\n"); n > 34 {
		t.Errorf("README needs %d lines for it", n)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine_test.go"), []byte(code[1]), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"go mod init mine", strings.ReplaceAll(command[1], "PATH", root), "go test ./..."} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
}
