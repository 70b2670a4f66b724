// Package receiver is the other side of a webhook, for tests: it checks the signature of whatever
// arrives with the library that receivers use, and answers as the test wants.
package receiver

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Got is one delivery.
type Got struct {
	ID     string // header webhook-id
	Header http.Header
	Body   []byte
	Event  event.Event
	Try    int // how often this ID has arrived, this time included
	At     time.Time
}

// Room is the room that it is about.
func (g *Got) Room() string { return g.Event.Subject() }

// Receiver takes deliveries until the test ends.
type Receiver struct {
	URL    string
	Secret string // file
	Key    string // what is in it

	t       testing.TB
	server  *httptest.Server
	changed chan struct{}

	mu     sync.Mutex // guards the fields below
	answer func(http.ResponseWriter, *Got)
	tries  map[string]int
	taken  []*Got // those that were answered with success for the first time
	had    map[string]bool
	bad    int // with a wrong signature
}

// New starts a receiver that takes everything.
func New(t testing.TB) *Receiver {
	t.Helper()
	file, key := Secret(t)
	r := &Receiver{t: t, Secret: file, Key: key, tries: map[string]int{}, had: map[string]bool{}, changed: make(chan struct{}, 1)}
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.server.Close)
	r.URL = r.server.URL + "/hook?token=secret"
	return r
}

// Secret makes a secret, in a file of its own.
func Secret(t testing.TB) (file, key string) {
	t.Helper()
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	key = "whsec_" + base64.StdEncoding.EncodeToString(random)
	file = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, key
}

// Status answers with a status.
func Status(code int) func(http.ResponseWriter, *Got) {
	return func(out http.ResponseWriter, _ *Got) { out.WriteHeader(code) }
}

// Answer has deliveries answered so from now on; nil: all are taken. What it answers with a status
// of 2xx, or not at all, is taken.
func (r *Receiver) Answer(answer func(http.ResponseWriter, *Got)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// Rekey has signatures checked with another secret from now on.
func (r *Receiver) Rekey(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Key = key
}

func (r *Receiver) serve(out http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the sender has died
	}
	g := &Got{ID: req.Header.Get("webhook-id"), Header: req.Header, Body: body, At: time.Now()}
	r.mu.Lock()
	key, answer := r.Key, r.answer
	r.mu.Unlock()
	w, err := standardwebhooks.NewWebhook(key)
	if err == nil {
		err = w.Verify(body, req.Header)
	}
	if err != nil {
		r.mu.Lock()
		r.bad++
		r.mu.Unlock()
		r.tell()
		http.Error(out, "the signature is wrong", http.StatusUnauthorized)
		return
	}
	e, err := binding.ToEvent(req.Context(), cehttp.NewMessage(req.Header, io.NopCloser(bytes.NewReader(body))))
	if err != nil {
		r.t.Errorf("it is no CloudEvent: %v\n%s", err, body)
		return
	}
	if g.Event = *e; g.ID != e.ID() {
		r.t.Errorf("the event %s arrives as %s", e.ID(), g.ID)
	}
	r.mu.Lock()
	r.tries[g.ID]++
	g.Try = r.tries[g.ID]
	r.mu.Unlock()
	status := &recorder{ResponseWriter: out, take: func() { r.took(g) }}
	if answer != nil {
		answer(status, g)
	}
	if !status.said {
		r.took(g)
	}
	r.tell()
}

func (r *Receiver) took(g *Got) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.had[g.ID] {
		r.had[g.ID] = true
		r.taken = append(r.taken, g)
	}
}

func (r *Receiver) tell() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// Taken is what was taken, each once, in the order in which it came first.
func (r *Receiver) Taken() []*Got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*Got(nil), r.taken...)
}

// Bad is how many deliveries had a wrong signature.
func (r *Receiver) Bad() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bad
}

// Tries is how often an event has arrived.
func (r *Receiver) Tries(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tries[id]
}

// Until waits until something is so.
func (r *Receiver) Until(patience time.Duration, what string, so func() bool) {
	r.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !so() {
		select {
		case <-r.changed:
		case <-look.C:
		case <-limit.C:
			r.t.Fatalf("waited %v for %s; %d events were taken, %d had a wrong signature", patience, what, len(r.Taken()), r.Bad())
		}
	}
}

// Wait waits until so many events were taken, and returns them.
func (r *Receiver) Wait(patience time.Duration, n int) []*Got {
	r.t.Helper()
	r.Until(patience, fmt.Sprintf("%d events", n), func() bool { return len(r.Taken()) >= n })
	return r.Taken()
}

// Die ends the connection instead of answering.
func Die(out http.ResponseWriter) {
	c, _, err := http.NewResponseController(out).Hijack()
	if err == nil {
		_ = c.Close()
	}
}
