package roomtest

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// Figure logs what a test has measured. If NATSROOMS_FIGURES names a file, Figure appends it
// there too, so that a long run ends with a table of figures. Durations are rounded to
// milliseconds.
func Figure(t testing.TB, format string, args ...any) {
	t.Helper()
	for i, a := range args {
		if d, ok := a.(time.Duration); ok {
			args[i] = d.Round(time.Millisecond)
		}
	}
	text := fmt.Sprintf(format, args...)
	t.Log(text)
	name := os.Getenv("NATSROOMS_FIGURES")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%s\t%s\n", t.Name(), text); err != nil {
		t.Fatal(err)
	}
}
