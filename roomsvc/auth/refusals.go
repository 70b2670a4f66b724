package auth

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// refusals logs who is not let in: the first few at once, then about one a second, however
// many try. The next line says how many were not logged.
type refusals struct {
	log     *slog.Logger
	limit   *rate.Limiter
	mu      sync.Mutex // guards skipped
	skipped int
}

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{log: log, limit: rate.NewLimiter(rate.Every(time.Second), 10)}
}

func (r *refusals) add(what string, why error, details ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.limit.Allow() {
		r.skipped++
		return
	}
	details = append([]any{"why", why}, details...)
	if r.skipped > 0 {
		details = append(details, "others before it", r.skipped)
	}
	r.skipped = 0
	r.log.Warn(what, details...)
}
