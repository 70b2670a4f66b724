//go:build notraces

package spans

import (
	"log/slog"
	"strings"
	"testing"
)

// A roomd without traces says so where the environment wants some, and starts where it does not.
func TestNone(t *testing.T) {
	for _, name := range []string{"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		t.Setenv(name, "")
	}
	s, err := Open(t.Context(), Instance{}, slog.Default())
	if err != nil || s.Provider() != nil {
		t.Errorf("%v, %v", s, err)
	}
	s.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	if _, err := Open(t.Context(), Instance{}, slog.Default()); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("it says %v", err)
	}
}
