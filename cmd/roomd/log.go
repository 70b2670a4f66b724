package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/time/rate"
)

// levelTrace is for the server's protocol trace, below debug.
const levelTrace = slog.LevelDebug - 4

// serverLog gives the embedded server's log to slog. What the server reports on its
// way is for debugging; its warnings are for everybody.
type serverLog struct {
	log   *slog.Logger
	limit *rate.Limiter // of refusals
	quiet atomic.Int64  // refusals that had no line since the last
	fatal chan string   // the first fatal error; the server expects to be ended by it
}

var _ server.Logger = (*serverLog)(nil)

func newServerLog(log *slog.Logger) *serverLog {
	return &serverLog{log: log.With("from", "nats-server"), limit: rate.NewLimiter(rate.Every(time.Second), 10), fatal: make(chan string, 1)}
}

// refusal says whether a line is about somebody who was not let in, or did what it may
// not. Whoever reaches the server can cause any number of them.
func refusal(text string) bool {
	return strings.Contains(text, "authentication error") || strings.HasPrefix(text, "Auth callout service returned an error") ||
		strings.Contains(text, "Publish Violation - ") || strings.Contains(text, "Subscription Violation - ")
}

func (l *serverLog) write(level slog.Level, format string, v []any) {
	ctx := context.Background()
	if !l.log.Enabled(ctx, level) {
		return
	}
	text := fmt.Sprintf(format, v...)
	if !refusal(text) {
		l.log.Log(ctx, level, text)
		return
	}
	if !l.limit.Allow() {
		l.quiet.Add(1)
		return
	}
	if n := l.quiet.Swap(0); n > 0 {
		l.log.Log(ctx, level, text, "others before it", n)
		return
	}
	l.log.Log(ctx, level, text)
}

func (l *serverLog) Noticef(format string, v ...any) { l.write(slog.LevelDebug, format, v) }
func (l *serverLog) Warnf(format string, v ...any)   { l.write(slog.LevelWarn, format, v) }
func (l *serverLog) Errorf(format string, v ...any)  { l.write(slog.LevelError, format, v) }
func (l *serverLog) Debugf(format string, v ...any)  { l.write(slog.LevelDebug, format, v) }
func (l *serverLog) Tracef(format string, v ...any)  { l.write(levelTrace, format, v) }

// Fatalf keeps the error for whoever started the server instead of ending the process.
func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
		l.write(slog.LevelError, format, v)
	}
}
