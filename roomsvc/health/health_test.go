package health

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// A problem is told once when it begins and once when it is over, and is listed in between with
// its newest text.
func TestBook(t *testing.T) {
	var said bytes.Buffer
	b := New(slog.New(slog.NewTextHandler(&said, nil)))
	if b.Err() != nil || b.Text() != "" || len(b.Problems()) != 0 {
		t.Errorf("at first: %v", b.Problems())
	}
	b.Tell("clock", errors.New("the clock went back"))
	if b.Err() != nil || b.Text() != "the clock went back" {
		t.Errorf("told: %v, %q", b.Err(), b.Text())
	}
	b.Unfit("store", errors.New("it is full"))
	b.Unfit("store", errors.New("it is still full"))
	b.Unfit("bucket", nil)
	if err := b.Err(); err == nil || err.Error() != "it is still full" {
		t.Errorf("not fit: %v", err)
	}
	if got := b.Text(); got != "the clock went back; it is still full" {
		t.Errorf("all: %q", got)
	}
	list := b.Problems()
	if len(list) != 2 || list[0].Name != "clock" || list[0].Unfit || !list[1].Unfit || list[1].Since.Before(list[0].Since) {
		t.Errorf("listed: %+v", list)
	}
	b.Unfit("store", nil)
	b.Unfit("store", nil)
	b.Unfit("clock", nil)
	if b.Text() != "" {
		t.Errorf("at the end: %q", b.Text())
	}
	log := said.String()
	for what, want := range map[string]int{"level=WARN": 2, "problem=store": 2, `"a problem is over"`: 2, "it is full": 1, "still": 0} {
		if got := strings.Count(log, what); got != want {
			t.Errorf("%q is said %d times, want %d:\n%s", what, got, want, log)
		}
	}
}
