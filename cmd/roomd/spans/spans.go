//go:build !notraces

package spans

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// closeWithin is how long the last spans may take at the end.
const closeWithin = 3 * time.Second

// Spans sends spans. The nil Spans is none.
type Spans struct {
	provider *sdk.TracerProvider
	log      *slog.Logger
}

// Open begins to send spans, and returns nil if the environment does not want any: without
// OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_TRACES_EXPORTER=otlp. It
// does not wait for a collector to answer. An error names the variable that makes no sense.
func Open(ctx context.Context, of Instance, log *slog.Logger) (*Spans, error) {
	wanted, err := wanted()
	if err != nil || !wanted {
		return nil, err
	}
	exporter, err := exporter(ctx)
	if err != nil {
		return nil, err
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "roomd"), attribute.String("service.version", of.Version), attribute.String("service.instance.id", of.ID),
	), resource.WithFromEnv())
	if err != nil {
		_ = exporter.Shutdown(ctx)
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES is not understood (%w); it must be NAME=VALUE, several separated by commas", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("spans are lost", "error", err) }))
	return &Spans{sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about)), log}, nil
}

// exporter reads everything else from the environment by itself.
func exporter(ctx context.Context) (sdk.SpanExporter, error) {
	switch protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf"); protocol {
	case "http/protobuf":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q; it must be http/protobuf or grpc", protocol)
	}
}

// Provider is what the service makes its spans with; nil if there are none.
func (s *Spans) Provider() trace.TracerProvider {
	if s == nil {
		return nil
	}
	return s.provider
}

// Close sends the last spans.
func (s *Spans) Close() {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	if err := s.provider.Shutdown(ctx); err != nil {
		s.log.Warn("the last spans are lost", "error", err)
	}
}
