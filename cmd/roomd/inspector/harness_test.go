package inspector_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/cmd/roomd/inspector"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
)

const patience = worlds.Patience

const secret = "correct horse battery"

// rig is an inspector over a service, and a browser.
type rig struct {
	*worlds.World
	t       *testing.T
	service *worlds.Instance
	look    *inspector.Inspector
	server  *httptest.Server
	client  *http.Client
	csrf    string
	file    string // of the password
	log     *worlds.Log
}

// newRig starts a service and an inspector. With a password, nobody is logged in yet.
func newRig(t *testing.T, cfg roomsvc.Config, password bool) *rig {
	t.Helper()
	node := roomtest.Start(t)
	r := &rig{World: worlds.On(t, node), t: t, log: &worlds.Log{}}
	r.service = r.Start(cfg)
	settings := inspector.Config{Log: slog.New(slog.NewTextHandler(r.log, nil)), Loopback: true, Version: "test"}
	if password {
		r.file = filepath.Join(t.TempDir(), "password")
		r.write(secret)
		settings.Password = r.file
	}
	var err error
	if r.look, err = inspector.New(settings); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.look.Close)
	r.look.Show(inspector.Backing{
		Service: r.service.Service, Open: true, EndUsers: cfg.Feeds, Roomctl: "roomctl", Manual: manual(t),
		Dial: func(opts ...nats.Option) (*nats.Conn, error) {
			return nats.Connect(node.ClientURL(), append(opts, nats.MaxReconnects(-1), nats.ReconnectWait(worlds.Look), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
		},
	})
	r.server = httptest.NewUnstartedServer(r.look)
	r.server.Config.ReadTimeout, r.server.Config.WriteTimeout = time.Second, 2*patience // a stream lasts longer than a request may take
	r.server.Start()
	t.Cleanup(func() { r.look.Close(); r.server.Close() })
	r.client = browser(t)
	if !password {
		r.session()
	}
	return r
}

func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport}
}

func manual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (r *rig) write(password string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(password+"\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// session asks for the session, and remembers its token.
func (r *rig) session() *inspector.Session {
	r.t.Helper()
	s := worlds.Decode[inspector.Session](r.t, r.ok("GET", "session", ""))
	r.csrf = s.CSRF
	return s
}

// login logs in.
func (r *rig) login() *inspector.Session {
	r.t.Helper()
	s := worlds.Decode[inspector.Session](r.t, r.ok("POST", "login", `{"password":"`+secret+`"}`))
	r.csrf = s.CSRF
	return s
}

// answer is an answer with its body.
type answer struct {
	*http.Response
	body []byte
}

func (r *rig) url(path string) string { return r.server.URL + "/inspector/api/" + path }

// do asks. change may change the request before it is sent.
func (r *rig) do(method, path, body string, change ...func(*http.Request)) answer {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.Ctx, method, r.url(path), strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if method == http.MethodPost {
		q.Header.Set("Content-Type", "application/json")
		q.Header.Set("X-CSRF-Token", r.csrf)
		q.Header.Set("Origin", r.server.URL)
		q.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, c := range change {
		c(q)
	}
	resp, err := r.client.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp, data}
}

// ok asks and must be answered.
func (r *rig) ok(method, path, body string, change ...func(*http.Request)) []byte {
	r.t.Helper()
	a := r.do(method, path, body, change...)
	if a.StatusCode != http.StatusOK {
		r.t.Fatalf("%s %s %s: %d %s", method, path, body, a.StatusCode, a.body)
	}
	return a.body
}

// wrong asks and must be refused.
func (r *rig) wrong(status int, code, method, path, body string, change ...func(*http.Request)) answer {
	r.t.Helper()
	a := r.do(method, path, body, change...)
	if a.StatusCode != status || !bytes.Contains(a.body, []byte(`"code":"`+code+`"`)) {
		r.t.Errorf("%s %s %.80s: %d %s, want %d %s", method, path, body, a.StatusCode, a.body, status, code)
	}
	return a
}

// event is one event of a stream.
type event struct{ name, id, data string }

// reader reads a stream.
type reader struct {
	t      *testing.T
	events chan event // closed at the end of the stream
	cancel context.CancelFunc
}

// open opens a stream.
func (r *rig) open(path string, change ...func(*http.Request)) *reader {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.Ctx)
	r.t.Cleanup(cancel)
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url(path), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range change {
		c(q)
	}
	resp, err := r.client.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(resp.Body)
		r.t.Fatalf("GET %s: %d %s", path, resp.StatusCode, body)
	}
	s := &reader{t: r.t, events: make(chan event, 10_000), cancel: cancel}
	go s.run(resp.Body)
	return s
}

func (s *reader) run(body io.ReadCloser) {
	defer close(s.events)
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	var e event
	for lines.Scan() {
		switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
		case "":
			if e.name != "" {
				s.events <- e
			}
			e = event{}
		case "event":
			e.name = value
		case "id":
			e.id = value
		case "data":
			e.data += value
		}
	}
}

// next is the next event.
func (s *reader) next(name string) event {
	s.t.Helper()
	select {
	case e, ok := <-s.events:
		if !ok || e.name != name {
			s.t.Fatalf("the stream goes on with %+v (%v); want %s", e, ok, name)
		}
		return e
	case <-time.After(patience):
		s.t.Fatalf("no %s comes", name)
	}
	return event{}
}

// over waits for the end of the stream, whatever comes before it.
func (s *reader) over() {
	s.t.Helper()
	end := time.After(patience)
	for {
		select {
		case _, more := <-s.events:
			if !more {
				return
			}
		case <-end:
			s.t.Fatal("the stream does not end")
		}
	}
}

func param(values ...string) string {
	v := url.Values{}
	for i := 0; i < len(values); i += 2 {
		v.Set(values[i], values[i+1])
	}
	return "?" + v.Encode()
}

func enter(w *worlds.World, id, user string) {
	w.T.Helper()
	worlds.OK[struct{}](w, "enter", fmt.Sprintf(`{"roomID":%q,"userID":%q,"config":{"roomDestroyDelayTime":600}}`, id, user))
}
