// Package spans sends the spans of an instance to where the standard environment variables of
// OpenTelemetry say. The service itself knows only its interface.
//
// Built with the tag notraces, as make run does, it sends none: what sends them is a tenth of
// what a roomd is compiled from.
package spans

import (
	"fmt"
	"os"
	"strings"
)

// Instance is what its spans say about an instance.
type Instance struct{ ID, Version string }

// wanted says whether the environment wants spans.
func wanted() (bool, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch name := os.Getenv("OTEL_TRACES_EXPORTER"); name {
	case "otlp":
		return true, nil
	case "none":
		return false, nil
	case "":
		return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "", nil
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER is %q; it must be otlp or none", name)
	}
}
