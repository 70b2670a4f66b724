// Package traces makes the spans of commands, as OpenTelemetry has them: one where a client asks,
// one where an instance works on it, one where the fact or message is stored, and one where that
// is copied for end users. Each names the one before it as its parent.
//
// Whoever is not given a provider has a nil [Tracer]. That has nil spans, and neither costs
// anything: all methods may be called on nil.
package traces

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"natsrooms/roomsvc/room"
)

// Header is the header of W3C Trace Context. A stored fact or message has it as a header of NATS,
// and it names the span that stored it; that of the event itself is the one that the caller sent.
const Header = "traceparent"

// stateHeader goes with it.
const stateHeader = "tracestate"

// scope is who makes the spans.
const scope = "natsrooms/roomsvc"

// Attributes of spans. Those of rooms and users are only there if they were asked for.
const (
	verbKey     = attribute.Key("natsrooms.verb")
	formKey     = attribute.Key("natsrooms.form")
	commandsKey = attribute.Key("natsrooms.commands")
	sequenceKey = attribute.Key("natsrooms.stream.sequence")
	copiesKey   = attribute.Key("natsrooms.copies")
	roomKey     = attribute.Key("natsrooms.room.id")
	userKey     = attribute.Key("user.id")
	errorKey    = attribute.Key("error.type")
)

// Tracer makes spans.
type Tracer struct {
	tracer trace.Tracer
	ids    bool
}

// New is a tracer over a provider, nil if that is nil. Only with ids do spans tell the IDs of
// rooms and users, which are personal data.
func New(p trace.TracerProvider, ids bool) *Tracer {
	if p == nil {
		return nil
	}
	return &Tracer{p.Tracer(scope), ids}
}

// Span is a part of what a command takes. It is safe for concurrent use.
type Span struct {
	tracer *Tracer
	ctx    context.Context
	span   trace.Span
	serves bool // a caller's mistakes are no faults here
}

// start begins a span; nil if nobody is to know of it.
func (t *Tracer) start(ctx context.Context, name string, opts ...trace.SpanStartOption) *Span {
	ctx, span := t.tracer.Start(ctx, "rooms."+name, opts...)
	if !span.IsRecording() {
		return nil
	}
	return &Span{tracer: t, ctx: ctx, span: span}
}

// Asked begins the span of a command that an instance got at a time. header reads the headers of
// its request, which may name a parent.
func (t *Tracer) Asked(verb room.Verb, userForm bool, at time.Time, header func(name string) string) *Span {
	if t == nil {
		return nil
	}
	form := "trusted"
	if userForm {
		form = "user"
	}
	ctx := context.Background()
	if parent := header(Header); parent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{Header: parent, stateHeader: header(stateHeader)})
	}
	s := t.start(ctx, string(verb), trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(at), trace.WithAttributes(verbKey.String(string(verb)), formKey.String(form)))
	if s != nil {
		s.serves = true
	}
	return s
}

// Asks begins the span of a command that a client sends. Requests with the context that it
// returns belong to it.
func (t *Tracer) Asks(ctx context.Context, verb room.Verb) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	ctx, span := t.tracer.Start(ctx, "rooms."+string(verb), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(verbKey.String(string(verb))))
	return ctx, &Span{tracer: t, ctx: ctx, span: span}
}

// Headers is the headers of a request that a client sends with a context, nil without a tracer.
func (t *Tracer) Headers(ctx context.Context) map[string][]string {
	if t == nil {
		return nil
	}
	carrier, h := propagation.MapCarrier{}, map[string][]string{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	for name, v := range carrier {
		h[name] = []string{v}
	}
	return h
}

// Copies begins the span in which something stored is copied. parent is its header, "" if it has
// none: then nobody asks.
func (t *Tracer) Copies(parent string) *Span {
	if t == nil || parent == "" {
		return nil
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{Header: parent})
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return nil
	}
	return t.start(ctx, "copy", trace.WithSpanKind(trace.SpanKindProducer))
}

// Stores begins the span in which what a command brings about is stored.
func (s *Span) Stores() *Span {
	if s == nil {
		return nil
	}
	return s.tracer.start(s.ctx, "store", trace.WithSpanKind(trace.SpanKindProducer))
}

// Parent is the header of what the span brings about, "" if there is none.
func (s *Span) Parent() string {
	if s == nil {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(s.ctx, carrier)
	return carrier[Header]
}

// About tells whom a command is about, if that may be told. user may be empty, and so may room.
func (s *Span) About(room, user string) {
	if s == nil || !s.tracer.ids {
		return
	}
	if room != "" {
		s.span.SetAttributes(roomKey.String(room))
	}
	if user != "" {
		s.span.SetAttributes(userKey.String(user))
	}
}

// Stored tells of what was stored: its sequence in the stream, 0 if it was not, and for how many
// commands.
func (s *Span) Stored(sequence uint64, commands int) {
	if s == nil {
		return
	}
	s.span.SetAttributes(commandsKey.Int(commands))
	if sequence != 0 {
		s.span.SetAttributes(sequenceKey.Int64(int64(sequence)))
	}
}

// Copied tells how many copies were made.
func (s *Span) Copied(n int) {
	if s != nil {
		s.span.SetAttributes(copiesKey.Int(n))
	}
}

// End ends the span. err says why it failed; nil: it did not. Refusals are told by their code, and
// never by their text, which names users.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	if err != nil {
		kind := "_OTHER"
		var code *room.Code
		if errors.As(err, &code) {
			kind = code.Name
		}
		s.span.SetAttributes(errorKey.String(kind))
		if !s.serves || code == room.ErrBusy || code == room.ErrUnavailable || code == nil {
			s.span.SetStatus(codes.Error, kind)
		}
	}
	s.span.End()
}
