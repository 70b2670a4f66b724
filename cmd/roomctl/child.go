package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// How long a roomd of our own may take to serve, and to stop when asked to.
const (
	childStart = 60 * time.Second
	childStop  = 20 * time.Second
)

// child is a roomd that this process started.
type child struct {
	cmd    *exec.Cmd
	url    string
	exited chan struct{}
	stderr bytes.Buffer // to be read after exited
}

// startChild runs program and waits until it serves.
func startChild(ctx context.Context, program string, args ...string) (*child, error) {
	ready := make(readyLine, 1)
	c := &child{cmd: exec.Command(program, args...), exited: make(chan struct{})}
	c.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ROOMD_") }) // settings of another roomd
	c.cmd.Stdout, c.cmd.Stderr = &lineWriter{line: ready.line}, &c.stderr
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s does not start: %w", program, err)
	}
	go func() {
		_ = c.cmd.Wait() // how it ended does not matter: only we end it
		close(c.exited)
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, childStart, fmt.Errorf("%s does not serve within %s", program, childStart))
	defer cancel()
	select {
	case c.url = <-ready:
		return c, nil
	case <-c.exited:
		return nil, fmt.Errorf("%s ended at once: %s", program, lastLine(c.stderr.String()))
	case <-ctx.Done():
		c.kill()
		return nil, context.Cause(ctx)
	}
}

// kill is kill -9.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // fails only if it has already ended
	<-c.exited
}

// stop asks it to stop, and kills it if it does not.
func (c *child) stop() {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err == nil {
		select {
		case <-c.exited:
			return
		case <-time.After(childStop):
		}
	}
	c.kill()
}

// readyLine gets the URL out of roomd's one line of output.
type readyLine chan string

func (r readyLine) line(s string) {
	if rest, ok := strings.CutPrefix(s, "ready "); ok {
		url, _, _ := strings.Cut(rest, " ") // the version comes after it
		select {
		case r <- url:
		default:
		}
	}
}

// lineWriter passes on line by line what is written to it.
type lineWriter struct {
	line func(string)
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte{'\n'})
		if !ok {
			return len(p), nil
		}
		w.line(string(line))
		w.rest = rest
	}
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// findRoomd finds a roomd to start: beside this program, in PATH, or, inside the source
// tree, built into dir. It is built and not started with "go run", whose child would
// outlive a kill -9.
func findRoomd(ctx context.Context, dir string) (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "roomd")
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	if path, err := exec.LookPath("roomd"); err == nil {
		return path, nil
	}
	root, ok := sourceTree()
	if !ok {
		return "", errors.New("there is no roomd beside roomctl or in PATH, nor its source here; build one with make build, or name a server that has a room service with -s URL")
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "roomd"), "./cmd/roomd")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building roomd in %s: %w: %s", root, err, lastLine(string(out)))
	}
	return filepath.Join(dir, "roomd"), nil
}

// sourceTree is the directory, here or above, that has roomd's source.
func sourceTree() (string, bool) {
	dir, err := os.Getwd()
	if err != nil {
		return "", false
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "roomd", "main.go")); err == nil {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}
