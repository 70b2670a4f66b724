//go:build notraces

package spans

import (
	"context"
	"errors"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// Spans are none.
type Spans struct{}

// Open refuses to start where the environment wants spans.
func Open(context.Context, Instance, *slog.Logger) (*Spans, error) {
	wanted, err := wanted()
	if err == nil && wanted {
		err = errors.New("the environment wants traces (OTEL_...), and this roomd was built without them, as make run does; make build builds one with them")
	}
	return nil, err
}

// Provider is none.
func (*Spans) Provider() trace.TracerProvider { return nil }

// Close has nothing to send.
func (*Spans) Close() {}
