// Package process looks at processes, and starts and kills a roomd: what a benchmark has to
// know of the service besides its answers.
package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticks is how many units of time /proc counts in a second, on every Linux.
const ticks = 100

// CPU is how much processor time a process has used.
func CPU(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("the processor time of process %d: %w", pid, err)
	}
	// The name, in brackets, may contain anything; what counts comes after it.
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("the processor time of process %d: its stat is too short", pid)
	}
	var sum time.Duration
	for _, f := range fields[11:13] { // in user mode, and in the system
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * time.Second / ticks
	}
	return sum, nil
}

// Memory is the resident memory of a process, now and the most that it ever was, in bytes.
type Memory struct{ Now, Most int64 }

// MemoryOf asks the system for the memory of a process.
func MemoryOf(pid int) (m Memory, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, fmt.Errorf("the memory of process %d: %w", pid, err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			m.Now = kib << 10
		case "VmHWM":
			m.Most = kib << 10
		}
	}
	if m.Now == 0 {
		return m, fmt.Errorf("the memory of process %d: the system does not say", pid)
	}
	return m, nil
}

// Roomd is a roomd that was started here.
type Roomd struct {
	URL    string        // what it said it is ready at
	PID    int           //
	Ready  time.Duration // from its start until it said so
	stderr *tail
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start starts a program that behaves like roomd and returns when it says that it is ready.
func Start(program string, args ...string) (*Roomd, error) {
	return StartLogged(io.Discard, program, args...)
}

// StartLogged does the same, and writes all that the program says on standard error to log.
func StartLogged(log io.Writer, program string, args ...string) (*Roomd, error) {
	r := &Roomd{cmd: exec.Command(program, args...), exited: make(chan struct{}), stderr: &tail{}}
	r.cmd.Stderr = io.MultiWriter(r.stderr, log)
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	r.Ready, r.PID = time.Since(began), r.cmd.Process.Pid
	go func() { _ = r.cmd.Wait(); close(r.exited) }()
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	url, _, _ = strings.Cut(url, " ") // the version comes after it
	if err != nil || !ok {
		r.Kill()
		return nil, fmt.Errorf("%s did not get ready; it said %q and\n%s", program, line, r.stderr)
	}
	r.URL = url
	return r, nil
}

// Kill ends it at once, as a crash would, and returns when it is gone.
func (r *Roomd) Kill() {
	_ = r.cmd.Process.Kill()
	<-r.exited
}

// stopWithin is how long a roomd may take to end by itself.
const stopWithin = time.Minute

// Stop ends it in order.
func (r *Roomd) Stop() error {
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-r.exited:
		return nil
	case <-time.After(stopWithin):
		r.Kill()
		return fmt.Errorf("roomd did not end within %v\n%s", stopWithin, r.stderr)
	}
}

// tail keeps the end of what a process says.
type tail struct{ text []byte }

// most is how much of it that is, in bytes.
const most = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if extra := len(t.text) - most; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.text) }
