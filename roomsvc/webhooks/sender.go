package webhooks

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"natsrooms/roomsvc/post"
	"natsrooms/roomsvc/seldom"
)

const (
	inFlight  = 32        // deliveries of one webhook at a time
	lateShare = 16        // those of rooms that are behind among them
	mostWait  = time.Hour // that an answer may have everything wait for, by Retry-After
	mostAfter = 24 * time.Hour
	sayEvery  = 10 * time.Second // the log is told of failures
	leadAgain = 100 * time.Millisecond
)

// sender posts the events of one webhook.
type sender struct {
	Hook
	settings *Settings
	poster   *post.Poster
	source   string // prefix of the source of every event
	log      *slog.Logger
	until    func() time.Time // when the lead ends
	meter    *meter

	slots, late chan struct{}

	failures seldom.Line

	mu    sync.Mutex // guards pause
	pause time.Time  // nothing is sent before
}

func newSender(h Hook, s *Settings, p *post.Poster, source string, log *slog.Logger, until func() time.Time, m *meter) *sender {
	return &sender{
		Hook: h, settings: s, poster: p, source: source, log: log, until: until, meter: m,
		slots: make(chan struct{}, inFlight), late: make(chan struct{}, lateShare),
	}
}

// verdict is what has become of a try.
type verdict int

const (
	delivered verdict = iota
	failed            // it is worth another try
	refused           // it is not
	ended             // the lead is over, before it was known
)

// try is what came of one.
type try struct {
	verdict
	after time.Duration // the receiver asks for so long a pause
	why   string
}

// try delivers an event, once it is its turn. late says that its room is behind.
func (s *sender) try(ctx context.Context, e *event, late bool) try {
	if late && !take(ctx, s.late) {
		return try{verdict: ended}
	}
	if late {
		defer func() { <-s.late }()
	}
	if !s.paused(ctx) || !take(ctx, s.slots) {
		return try{verdict: ended}
	}
	defer func() { <-s.slots }()
	for !time.Now().Before(s.until()) { // another instance may lead already
		if !sleep(ctx, leadAgain) {
			return try{verdict: ended}
		}
	}
	began := time.Now()
	answer, err := s.poster.Send(ctx, e.id, e.fill(s.Binary, s.source))
	if ctx.Err() != nil {
		return try{verdict: ended}
	}
	t := s.judge(answer, err)
	s.meter.took.Add(int64(time.Since(began)))
	switch t.verdict {
	case delivered:
		s.meter.delivered.Add(1)
		s.meter.fate.taken()
	default:
		s.meter.failed.Add(1)
		s.meter.fate.failed(t.why)
		s.tell(e, &t)
	}
	return t
}

func take(ctx context.Context, slot chan struct{}) bool {
	select {
	case slot <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// judge decides what an answer means. Nothing of its body is looked at.
func (s *sender) judge(a *post.Answer, err error) try {
	switch {
	case err != nil:
		return try{failed, 0, err.Error()}
	case a.Status >= 200 && a.Status < 300:
		return try{}
	case a.Status == http.StatusGone:
		return try{refused, 0, "the receiver answered 410: gone"}
	}
	t := try{failed, min(a.RetryAfter, mostAfter), fmt.Sprintf("the receiver answered %d %s", a.Status, strings.ToLower(http.StatusText(a.Status)))}
	if a.Status >= 300 && a.Status < 400 {
		t.why += "; redirects are not followed"
	}
	if a.Status == http.StatusTooManyRequests {
		s.hold(min(max(a.RetryAfter, time.Second), mostWait))
	}
	return t
}

// hold pauses everything.
func (s *sender) hold(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := time.Now().Add(d); at.After(s.pause) {
		s.pause = at
		s.meter.fate.pause(at)
	}
}

// paused waits while everything pauses; it returns false if ctx ends.
func (s *sender) paused(ctx context.Context) bool {
	for {
		s.mu.Lock()
		left := time.Until(s.pause)
		s.mu.Unlock()
		if left <= 0 {
			return ctx.Err() == nil
		}
		if !sleep(ctx, left) {
			return false
		}
	}
}

// tell tells the log of a failure, but not of each.
func (s *sender) tell(e *event, t *try) {
	if unsaid, due := s.failures.Due(time.Now(), sayEvery); due {
		s.log.Warn("a webhook was not delivered", "webhook", s.Name, "room", e.room, "event", e.id, "type", e.typ, "because", t.why, "others before it", unsaid)
	}
}

// wait is how long to wait after so many failures one after the other.
func (s *sender) wait(failures int, asked time.Duration) time.Duration {
	d := s.settings.Most
	if n := failures - 1; n < 30 && s.settings.First<<n < d {
		d = s.settings.First << n
	}
	d = d/2 + rand.N(d/2+1) // half of it is chance, so that rooms do not all try at once
	if asked > 0 {
		d = max(d, asked+rand.N(s.settings.First+1))
	}
	return d
}

// aged says whether an event is given up if it can't be delivered.
func (s *sender) aged(e *event) bool { return time.Since(e.at) > s.settings.GiveUp }

// sleep returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
