package traces

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"natsrooms/roomsvc/room"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// headers reads the headers of a request with that parent.
func headers(parent string) func(string) string {
	return func(name string) string {
		if name == Header {
			return parent
		}
		return ""
	}
}

// command goes the whole way of a command and its fact.
func command(t *Tracer, header func(string) string, at time.Time) {
	ctx, asks := t.Asks(context.Background(), room.Enter)
	_ = t.Headers(ctx)
	asks.End(nil)
	asked := t.Asked(room.Enter, true, at, header)
	stored := asked.Stores()
	stored.Stored(7, 1)
	stored.End(nil)
	asked.About("lobby", "alice")
	asked.End(room.ErrBusy)
	copied := t.Copies(stored.Parent())
	copied.Copied(1)
	copied.End(nil)
}

// Without a provider nothing is allocated.
func TestNobodyTraces(t *testing.T) {
	off, header, at := New(nil, true), headers(parent), time.Now()
	if n := testing.AllocsPerRun(100, func() { command(off, header, at) }); n != 0 {
		t.Errorf("a command that nobody traces costs %v allocations", n)
	}
}

func BenchmarkOff(b *testing.B) {
	off, header, at := New(nil, true), headers(parent), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		command(off, header, at)
	}
}

// recorded is a tracer and what it has recorded.
func recorded(ids bool, opts ...sdk.TracerProviderOption) (*Tracer, *tracetest.InMemoryExporter) {
	spans := tracetest.NewInMemoryExporter()
	return New(sdk.NewTracerProvider(append(opts, sdk.WithSyncer(spans))...), ids), spans
}

// What is not sampled leaves nothing, and a parent's decision counts.
func TestSampled(t *testing.T) {
	never := sdk.WithSampler(sdk.NeverSample())
	ratio := sdk.WithSampler(sdk.ParentBased(sdk.NeverSample()))
	always := sdk.WithSampler(sdk.ParentBased(sdk.AlwaysSample()))
	for _, tt := range []struct {
		what   string
		opts   sdk.TracerProviderOption
		parent string
		want   bool
	}{
		{"never", never, parent, false},
		{"by its parent", ratio, parent, true},
		{"not by its parent", always, strings.TrimSuffix(parent, "1") + "0", false},
		{"without a parent", always, "", true},
		{"with a parent that makes no sense", always, "00-nonsense", true},
	} {
		tracer, spans := recorded(false, tt.opts)
		s := tracer.Asked(room.Leave, false, time.Now(), headers(tt.parent))
		stored := s.Stores()
		header := stored.Parent()
		stored.End(nil)
		s.End(nil)
		if got := len(spans.GetSpans()); tt.want != (got == 2) || tt.want != (header != "") || (s != nil) != tt.want {
			t.Errorf("%s: %d spans, the fact's header is %q", tt.what, got, header)
		}
	}
}

// A span says why it failed by a code, never by a text, and a caller's mistake is no fault of the
// service.
func TestEnds(t *testing.T) {
	for _, tt := range []struct {
		err    error
		kind   string
		client codes.Code
		server codes.Code
	}{
		{nil, "", codes.Unset, codes.Unset},
		{room.ErrRoomNotExist, "ROOM_NOT_EXIST", codes.Error, codes.Unset},
		{fmt.Errorf("alice: %w", room.ErrNotAllowed), "NOT_ALLOWED", codes.Error, codes.Unset},
		{room.ErrBusy, "BUSY", codes.Error, codes.Error},
		{room.ErrUnavailable, "UNAVAILABLE", codes.Error, codes.Error},
		{errors.New("alice is out"), "_OTHER", codes.Error, codes.Error},
	} {
		tracer, spans := recorded(false)
		_, asks := tracer.Asks(t.Context(), room.Join)
		asks.End(tt.err)
		tracer.Asked(room.Join, true, time.Now(), headers("")).End(tt.err)
		for i, want := range []codes.Code{tt.client, tt.server} {
			s, kind := spans.GetSpans()[i], ""
			for _, a := range s.Attributes {
				if a.Key == errorKey {
					kind = a.Value.AsString()
				}
			}
			if kind != tt.kind || s.Status.Code != want || strings.Contains(fmt.Sprint(s), "alice") {
				t.Errorf("%v: %q, %+v, want %q, %v", tt.err, kind, s.Status, tt.kind, want)
			}
		}
	}
}

// IDs are told only if they were asked for.
func TestIDs(t *testing.T) {
	for _, ids := range []bool{false, true} {
		tracer, spans := recorded(ids)
		s := tracer.Asked(room.Join, true, time.Now(), headers(""))
		s.About("lobby", "alice")
		s.End(nil)
		said := fmt.Sprint(spans.GetSpans()[0].Attributes)
		if strings.Contains(said, "alice") != ids || strings.Contains(said, "lobby") != ids {
			t.Errorf("IDs: %v, and it says %s", ids, said)
		}
	}
}

// A client's request belongs to the span of its command, and a copy to that of the fact.
func TestParents(t *testing.T) {
	tracer, spans := recorded(false)
	ctx, asks := tracer.Asks(t.Context(), room.Join)
	sent := tracer.Headers(ctx)[Header]
	if want := fmt.Sprintf("00-%s-%s-01", trace.SpanContextFromContext(ctx).TraceID(), trace.SpanContextFromContext(ctx).SpanID()); len(sent) != 1 || sent[0] != want {
		t.Errorf("the request's header is %v, want %s", sent, want)
	}
	asks.End(nil)
	for header, want := range map[string]bool{"": false, "nonsense": false, parent: true} {
		s := tracer.Copies(header)
		s.End(nil)
		if (s != nil) != want {
			t.Errorf("a fact with the header %q: %v", header, s)
		}
	}
	if got := spans.GetSpans()[1].Parent.SpanID().String(); got != "b7ad6b7169203331" {
		t.Errorf("the copy's parent is %s", got)
	}
}
