package process_test

import (
	"os"
	"strings"
	"testing"

	"natsrooms/cmd/roombench/process"
)

func TestOwnTimeAndMemory(t *testing.T) {
	for before := process.Own(); process.Own() <= before; { // works until it shows
	}
	for process.Own() < 30e6 { // two of the units in which the system counts others' time
	}
	if used, err := process.CPU(os.Getpid()); err != nil || used <= 0 {
		t.Errorf("processor time: %v, %v", used, err)
	}
	m, err := process.MemoryOf(os.Getpid())
	if err != nil || m.Now < 1<<20 || m.Most < m.Now {
		t.Errorf("memory: %+v, %v", m, err)
	}
}

func TestNoSuchProcess(t *testing.T) {
	const none = 1 << 30
	if _, err := process.CPU(none); err == nil {
		t.Error("a process that does not exist has a processor time")
	}
	if _, err := process.MemoryOf(none); err == nil {
		t.Error("a process that does not exist has memory")
	}
}

func TestStart(t *testing.T) {
	r, err := process.Start("sh", "-c", "echo ready nats://there:1; read line")
	if err != nil {
		t.Fatal(err)
	}
	if r.URL != "nats://there:1" || r.PID <= 0 || r.Ready <= 0 {
		t.Errorf("%+v", r)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	for _, script := range []string{"echo what is wrong >&2; exit 1", "echo what is wrong >&2; echo something else"} {
		if _, err := process.Start("sh", "-c", script); err == nil || !strings.Contains(err.Error(), "what is wrong") {
			t.Errorf("%s: %v", script, err)
		}
	}
	if _, err := process.Start("/no/such/program"); err == nil {
		t.Error("a program that does not exist is started")
	}
}
