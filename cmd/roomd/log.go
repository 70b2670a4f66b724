package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/time/rate"
)

// levelTrace is for the server's protocol trace, below debug.
const levelTrace = slog.LevelDebug - 4

// serverLog passes the embedded server's log to slog. The server's progress reports are
// for debugging; its warnings are for everybody.
type serverLog struct {
	log   *slog.Logger
	fatal chan string // the first fatal error, after which the server expects the process to end
	local bool        // WebSocket is for this machine only
}

var _ server.Logger = (*serverLog)(nil)

func newServerLog(log *slog.Logger) *serverLog {
	return &serverLog{log: sparse(log).With("from", "nats-server"), fatal: make(chan string, 1)}
}

func (l *serverLog) write(level slog.Level, format string, v []any) {
	if ctx := context.Background(); l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, fmt.Sprintf(format, v...))
	}
}

func (l *serverLog) Noticef(format string, v ...any) { l.write(slog.LevelDebug, format, v) }
func (l *serverLog) Warnf(format string, v ...any) {
	level := slog.LevelWarn
	if l.local && strings.HasPrefix(format, "Websocket not configured with TLS") {
		level = slog.LevelDebug // nothing is on the network that could be read there
	}
	l.write(level, format, v)
}
func (l *serverLog) Errorf(format string, v ...any) { l.write(slog.LevelError, format, v) }
func (l *serverLog) Debugf(format string, v ...any) { l.write(slog.LevelDebug, format, v) }
func (l *serverLog) Tracef(format string, v ...any) { l.write(levelTrace, format, v) }

// Fatalf keeps the error for the code that started the server instead of ending the process.
func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
		l.write(slog.LevelError, format, v)
	}
}

// How many warnings and errors of one kind are logged: a number at once, then a number per second.
const (
	mostLines  = 50
	linesAfter = 2
)

// sparse is a log for warnings and errors that clients can cause as often as they like: a
// line that is logged says how many before it were not.
func sparse(log *slog.Logger) *slog.Logger {
	return slog.New(sparseHandler{log.Handler(), rate.NewLimiter(linesAfter, mostLines), new(atomic.Int64)})
}

type sparseHandler struct {
	slog.Handler
	limit   *rate.Limiter
	skipped *atomic.Int64
}

func (h sparseHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		if !h.limit.Allow() {
			h.skipped.Add(1)
			return nil
		}
		if n := h.skipped.Swap(0); n > 0 {
			r = r.Clone()
			r.AddAttrs(slog.Int64("others before it", n))
		}
	}
	return h.Handler.Handle(ctx, r)
}

func (h sparseHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return sparseHandler{h.Handler.WithAttrs(attrs), h.limit, h.skipped}
}

func (h sparseHandler) WithGroup(name string) slog.Handler {
	return sparseHandler{h.Handler.WithGroup(name), h.limit, h.skipped}
}
