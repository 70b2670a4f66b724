package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	collected "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"natsrooms/events"
	"natsrooms/roomsvc/client"
)

// collector takes spans as an OpenTelemetry collector does.
type collector struct {
	collected.UnimplementedTraceServiceServer
	spans chan *told
	open  []*told // that nobody has asked for yet
}

// told is a span, and what it says of whoever made it.
type told struct {
	*otlp.Span
	service, instance string
}

// Export implements the gRPC service.
func (c *collector) Export(_ context.Context, q *collected.ExportTraceServiceRequest) (*collected.ExportTraceServiceResponse, error) {
	for _, r := range q.ResourceSpans {
		t := told{}
		for _, a := range r.Resource.Attributes {
			switch a.Key {
			case "service.name":
				t.service = a.Value.GetStringValue()
			case "service.instance.id":
				t.instance = a.Value.GetStringValue()
			}
		}
		for _, s := range r.ScopeSpans {
			for _, span := range s.Spans {
				c.spans <- &told{span, t.service, t.instance}
			}
		}
	}
	return &collected.ExportTraceServiceResponse{}, nil
}

// ServeHTTP takes the same over HTTP.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q collected.ExportTraceServiceRequest
	data, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(data, &q) != nil {
		http.Error(w, "no spans", http.StatusBadRequest)
		return
	}
	answer, _ := c.Export(r.Context(), &q)
	data, _ = proto.Marshal(answer)
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(data)
}

// start makes the collector listen, and returns where.
func (c *collector) start(t *testing.T, protocol string) string {
	if protocol == "http/protobuf" {
		srv := httptest.NewServer(c)
		t.Cleanup(srv.Close)
		return srv.URL
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	collected.RegisterTraceServiceServer(srv, c)
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(srv.Stop)
	return "http://" + l.Addr().String()
}

// next is the first span of that name that was not returned before.
func (c *collector) next(t *testing.T, name string) *told {
	t.Helper()
	for {
		if i := slices.IndexFunc(c.open, func(s *told) bool { return s.Name == name }); i >= 0 {
			s := c.open[i]
			c.open = slices.Delete(c.open, i, i+1)
			return s
		}
		select {
		case s := <-c.spans:
			c.open = append(c.open, s)
		case <-time.After(within):
			t.Fatalf("there is no span %s", name)
		}
	}
}

// attribute is a span's attribute as text, "" if it has none of that name.
func (s *told) attribute(name string) string {
	for _, a := range s.Attributes {
		if a.Key == name {
			if v := a.Value.GetStringValue(); v != "" {
				return v
			}
			return fmt.Sprint(a.Value.GetIntValue())
		}
	}
	return ""
}

func (s *told) header() string {
	return fmt.Sprintf("00-%x-%x-01", s.TraceId, s.SpanId)
}

// A command's trace goes from its client through the append of its fact to the copies for end
// users.
func TestTraces(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(strings.ReplaceAll(protocol, "/", " "), func(t *testing.T) {
			c := &collector{spans: make(chan *told, 1000)}
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.start(t, protocol))
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
			t.Setenv("OTEL_SERVICE_NAME", "rooms of the test")
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "5")
			ids := protocol == "grpc"
			args := []string{"--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--feeds"}
			if ids {
				args = append(args, "--trace-ids")
			}
			r := start(t, args...)
			nc, err := nats.Connect(r.url, patientDial)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			follow(t, c, nc, ids)
			r.end(t)
			if strings.Contains(r.stderr.String(), "spans are lost") {
				t.Errorf("spans are lost:\n%s", r.stderr)
			}
		})
	}
}

// follow follows an enter, a message and a refusal through their spans.
func follow(t *testing.T, c *collector, nc *nats.Conn, ids bool) {
	copies, err := nc.SubscribeSync("room.feed.alice.lobby")
	if err != nil {
		t.Fatal(err)
	}
	clients := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(clients))
	alice := client.New(nc, client.Config{UserID: "alice", UserForm: true, Tracer: provider})
	defer alice.Close()
	ctx, root := provider.Tracer("test").Start(t.Context(), "the user's click")
	entered, err := alice.Enter(ctx, client.CreateRequest{RoomID: "lobby"})
	if err != nil {
		t.Fatal(err)
	}
	span := clients.GetSpans()[0]
	if span.Name != "rooms.enter" || span.SpanKind != trace.SpanKindClient || span.Parent.SpanID() != root.SpanContext().SpanID() {
		t.Errorf("the client's span is %+v", span)
	}
	asked := c.next(t, "rooms.enter")
	below(t, asked, span.SpanContext, otlp.Span_SPAN_KIND_SERVER)
	stored := c.next(t, "rooms.store")
	below(t, stored, contextOf(asked), otlp.Span_SPAN_KIND_PRODUCER)
	copied := c.next(t, "rooms.copy")
	below(t, copied, contextOf(stored), otlp.Span_SPAN_KIND_PRODUCER)
	if asked.service != "rooms of the test" || asked.instance == "" {
		t.Errorf("it says that it is %q, instance %q", asked.service, asked.instance)
	}
	if stored.attribute("natsrooms.stream.sequence") != fmt.Sprint(entered.Revision) || stored.attribute("natsrooms.commands") != "1" || copied.attribute("natsrooms.copies") != "1" {
		t.Errorf("stored: %v, copied: %v", stored.Attributes, copied.Attributes)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	rooms, err := js.Stream(t.Context(), "ROOMS")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := rooms.GetMsg(t.Context(), entered.Revision)
	if err != nil {
		t.Fatal(err)
	}
	fact, err := events.DecodeFact(kept.Data)
	if sent := fmt.Sprintf("00-%s-%s-01", span.SpanContext.TraceID(), span.SpanContext.SpanID()); err != nil || fact.TraceParent != sent || kept.Header.Get("traceparent") != stored.header() {
		t.Errorf("the fact comes of %s, not of %s (%v), and its header is %v", fact.TraceParent, sent, err, kept.Header)
	}
	if m, err := copies.NextMsg(within); err != nil || m.Header.Get("traceparent") != copied.header() {
		t.Errorf("the copy: %+v, %v", m, err)
	}

	if _, err := alice.Send(ctx, client.SendRequest{RoomID: "lobby", Type: string(client.Text), Data: "hello"}); err != nil {
		t.Fatal(err)
	}
	sent := c.next(t, "rooms.store")
	below(t, c.next(t, "rooms.send"), clients.GetSpans()[1].SpanContext, otlp.Span_SPAN_KIND_SERVER)
	below(t, c.next(t, "rooms.copy"), contextOf(sent), otlp.Span_SPAN_KIND_PRODUCER)

	if _, err = alice.Join(ctx, client.RoomRequest{RoomID: "nowhere"}); err == nil {
		t.Fatal("it joined a room that does not exist")
	}
	refused := c.next(t, "rooms.join")
	if refused.attribute("error.type") != "ROOM_NOT_EXIST" || refused.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR {
		t.Errorf("the refusal says %v, %v", refused.Attributes, refused.Status)
	}
	if ids != (asked.attribute("user.id") == "alice") || ids != (asked.attribute("natsrooms.room.id") == "lobby") {
		t.Errorf("IDs are wanted: %v, and there are %v", ids, asked.Attributes)
	}
	for _, s := range []*told{asked, stored, copied, sent, refused} {
		if text := s.String(); !ids && (strings.Contains(text, "alice") || strings.Contains(text, "lobby") || strings.Contains(text, "nowhere")) {
			t.Errorf("a span tells who is where: %s", text)
		}
	}
}

func contextOf(s *told) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID(s.TraceId), SpanID: trace.SpanID(s.SpanId)})
}

// below says whether a span is a child of another one.
func below(t *testing.T, s *told, parent trace.SpanContext, kind otlp.Span_SpanKind) {
	t.Helper()
	if hex.EncodeToString(s.TraceId) != parent.TraceID().String() || hex.EncodeToString(s.ParentSpanId) != parent.SpanID().String() || s.Kind != kind {
		t.Errorf("%s (%s) has the parent %x in the trace %x; it should be %s in %s", s.Name, s.Kind, s.ParentSpanId, s.TraceId, parent.SpanID(), parent.TraceID())
	}
}

// Without a collector in the environment there are no spans, and with one that makes no sense no
// start.
func TestTracesInTheEnvironment(t *testing.T) {
	for _, tt := range []struct{ env, says string }{
		{"OTEL_TRACES_EXPORTER=carrier pigeon", "OTEL_TRACES_EXPORTER"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_PROTOCOL"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 OTEL_RESOURCE_ATTRIBUTES=nonsense", "OTEL_RESOURCE_ATTRIBUTES"},
	} {
		t.Run(tt.says, func(t *testing.T) {
			for _, v := range strings.Split(tt.env, " OTEL") {
				name, value, _ := strings.Cut("OTEL"+strings.TrimPrefix(v, "OTEL"), "=")
				t.Setenv(name, value)
			}
			err := Run(t.Context(), mustParse(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m"), io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("it says %v", err)
			}
		})
	}
	for _, env := range []string{"OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=none"} {
		t.Run(env, func(t *testing.T) {
			c := &collector{spans: make(chan *told, 100)}
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.start(t, "http/protobuf"))
			name, value, _ := strings.Cut(env, "=")
			t.Setenv(name, value)
			r := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m")
			nc, err := nats.Connect(r.url, patientDial)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if _, err := nc.Request("room.cmd.enter", []byte(`{"roomID":"lobby","userID":"alice"}`), within); err != nil {
				t.Fatal(err)
			}
			r.end(t) // which would send the last spans
			if len(c.spans) > 0 {
				t.Errorf("there is a span: %v", <-c.spans)
			}
		})
	}
}
