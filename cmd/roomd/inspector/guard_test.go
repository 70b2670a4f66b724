package inspector_test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"natsrooms/cmd/roomd/inspector"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/roomtest/worlds"
)

func header(name, value string) func(*http.Request) {
	return func(q *http.Request) { q.Header.Set(name, value) }
}

func without(name string) func(*http.Request) {
	return func(q *http.Request) { q.Header.Del(name) }
}

// everything is each request that there is.
var everything = []struct{ method, path, body string }{
	{"POST", "command/kick", `{"roomID":"lobby","userIDs":["bob"]}`}, {"POST", "command/get", `{"roomID":"lobby"}`}, {"POST", "webhooks/drop", `{"webhook":"app","all":true}`}, {"POST", "try", `{"token":"x"}`}, {"POST", "logout", ""},
	{"GET", "rooms", ""}, {"GET", "leases?room=lobby", ""}, {"GET", "runbook", ""}, {"GET", "events?room=lobby", ""}, {"GET", "service", ""},
}

// What is asked without a session, by a page of another origin, without the token, or after the
// logout is refused, and has no effect.
func TestRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, true)
	enter(r.World, "lobby", "alice")
	enter(r.World, "lobby", "bob")
	if s := r.session(); !s.LoginNeeded || s.LoggedIn || s.CSRF != "" || s.Instance != "" {
		t.Errorf("before the login: %+v", s)
	}
	for _, q := range everything {
		r.wrong(http.StatusUnauthorized, "NOT_ALLOWED", q.method, q.path, q.body)
	}
	r.wrong(http.StatusUnauthorized, "NOT_ALLOWED", "POST", "login", `{"password":"correct horse"}`)
	r.wrong(http.StatusUnauthorized, "NOT_ALLOWED", "POST", "login", `{}`)
	r.wrong(http.StatusForbidden, "NOT_ALLOWED", "POST", "login", `{"password":"`+secret+`"}`, header("Origin", "https://evil.example"), without("Sec-Fetch-Site"))
	s := r.login()
	if !s.LoggedIn || s.CSRF == "" || s.Instance == "" || s.IdleSeconds != 1800 || time.Until(s.EndsAt.Time()) < 11*time.Hour {
		t.Errorf("after the login: %+v", s)
	}
	for _, q := range everything {
		for _, site := range []string{"cross-site", "same-site"} {
			r.wrong(http.StatusForbidden, "NOT_ALLOWED", q.method, q.path, q.body, header("Sec-Fetch-Site", site))
		}
		if q.method == http.MethodGet {
			continue
		}
		r.wrong(http.StatusForbidden, "NOT_ALLOWED", q.method, q.path, q.body, without("Sec-Fetch-Site"), header("Origin", "https://evil.example"))
		r.wrong(http.StatusForbidden, "NOT_ALLOWED", q.method, q.path, q.body, without("X-CSRF-Token"))
		r.wrong(http.StatusForbidden, "NOT_ALLOWED", q.method, q.path, q.body, header("X-CSRF-Token", s.CSRF[1:]+"A"))
		r.wrong(http.StatusUnsupportedMediaType, "PARAM_INVALID", q.method, q.path, q.body, header("Content-Type", "text/plain"))
		r.wrong(http.StatusMethodNotAllowed, "PARAM_INVALID", "GET", q.path, "")
	}
	if users, _, _ := r.Members("lobby"); len(users) != 2 {
		t.Errorf("something had an effect: %v", users)
	}
	r.ok("POST", "command/kick", `{"roomID":"lobby","userIDs":["bob"]}`)
	if users, _, _ := r.Members("lobby"); !slices.Equal(users, []string{"alice/default"}) {
		t.Errorf("after the kick: %v", users)
	}
	open := r.open("service")
	open.next("sample")
	if s := worlds.Decode[inspector.Session](t, r.ok("POST", "logout", "")); s.LoggedIn {
		t.Errorf("after the logout: %+v", s)
	}
	open.over()
	for _, q := range everything {
		r.wrong(http.StatusUnauthorized, "NOT_ALLOWED", q.method, q.path, q.body)
	}
}

// A cookie of before is worth nothing after the logout, nor after the password has changed.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, true)
	a := r.do("POST", "login", `{"password":"`+secret+`"}`)
	cookie := a.Header.Get("Set-Cookie")
	for _, part := range []string{"HttpOnly", "SameSite=Strict", "Path=/inspector/"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("the cookie %s has no %s", cookie, part)
		}
	}
	if strings.Contains(cookie, "Secure") {
		t.Errorf("the cookie would not come back: %s", cookie)
	}
	if c := r.do("POST", "login", `{"password":"`+secret+`"}`, header("X-Forwarded-Proto", "https"), without("Cookie")).Header.Get("Set-Cookie"); !strings.Contains(c, "Secure") {
		t.Errorf("behind TLS: %s", c)
	}
	r.client = browser(t)
	r.login()
	r.ok("GET", "rooms", "")
	stream := r.open("service")
	stream.next("sample")
	r.write("another password")
	r.Until(patience, "the end of the session", func() bool { return r.do("GET", "rooms", "").StatusCode == http.StatusUnauthorized })
	stream.over()
	r.wrong(http.StatusUnauthorized, "NOT_ALLOWED", "POST", "login", `{"password":"`+secret+`"}`)
	r.ok("POST", "login", `{"password":"another password"}`)
}

// Who guesses is slowed down, also if the guesses come at once, and what is right does not help then.
func TestGuessing(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, true)
	statuses := make(chan int)
	for range 20 {
		go func() {
			statuses <- r.do("POST", "login", `{"password":"a wrong password"}`).StatusCode
		}()
	}
	got := map[int]int{}
	for range 20 {
		got[<-statuses]++
	}
	// The first pause is a second, in which a slow machine may do more than the five.
	if n := got[http.StatusUnauthorized]; n < 5 || n > 7 || n+got[http.StatusTooManyRequests] != 20 {
		t.Errorf("of 20 wrong passwords at once: %v", got)
	}
	a := r.do("POST", "login", `{"password":"`+secret+`"}`)
	if a.StatusCode == http.StatusTooManyRequests && (a.Header.Get("Retry-After") == "" || !bytes.Contains(a.body, []byte(`"retryAfterMs"`))) {
		t.Errorf("it does not say when to try again: %v %s", a.Header, a.body)
	}
	r.Until(patience, "the pause to be over", func() bool {
		return r.do("POST", "login", `{"password":"`+secret+`"}`).StatusCode == http.StatusOK
	})
}

// Without a password only names of this machine are answered, and pages of others get nothing either.
func TestHost(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, false)
	host := func(name string) func(*http.Request) { return func(q *http.Request) { q.Host = name } }
	for _, name := range []string{"localhost", "localhost:9100", "127.0.0.1", "127.0.0.1:1", "[::1]:9100", "[::1]", "LOCALHOST:1"} {
		r.ok("GET", "session", "", host(name))
	}
	for _, name := range []string{"evil.example", "localhost.evil.example", "192.168.1.2:9100", "[2001:db8::1]:9100", "0.0.0.0:9100", "127.0.0.1.evil.example"} {
		r.wrong(http.StatusForbidden, "NOT_ALLOWED", "GET", "session", "", host(name))
		r.wrong(http.StatusForbidden, "NOT_ALLOWED", "POST", "command/get", `{"roomID":"lobby"}`, host(name), header("Origin", "http://"+name))
	}
	r.wrong(http.StatusForbidden, "NOT_ALLOWED", "POST", "command/get", `{"roomID":"lobby"}`, without("X-CSRF-Token"))
	r.wrong(http.StatusForbidden, "NOT_ALLOWED", "POST", "command/get", `{"roomID":"lobby"}`, header("Origin", "https://evil.example"), without("Sec-Fetch-Site"))
	r.wrong(http.StatusForbidden, "NOT_ALLOWED", "GET", "rooms", "", header("Sec-Fetch-Site", "cross-site"))
	r.wrong(http.StatusNotFound, "ROOM_NOT_EXIST", "POST", "command/get", `{"roomID":"lobby"}`)
}

// Every answer has the headers that keep other pages and scripts away.
func TestHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, false)
	for _, path := range []string{"/inspector/", "/inspector/icon.svg", "/inspector/nothing", "/inspector/assets/", "/inspector/api/session", "/inspector/api/nothing", "/inspector/api/rooms?sort=x"} {
		resp, err := r.client.Get(r.server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		for name, want := range map[string]string{
			"Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		} {
			if got := resp.Header.Get(name); !strings.Contains(got, want) || strings.Contains(got, "unsafe") {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if strings.HasPrefix(path, "/inspector/api/") && resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be stored: %q", path, resp.Header.Get("Cache-Control"))
		}
		if path == "/inspector/" && (resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("<script"))) || path == "/inspector/assets/" && resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}

// Streams and bodies have limits, and say so.
func TestLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, true)
	r.login()
	var streams []*reader
	for range 16 {
		streams = append(streams, r.open("service"))
	}
	if a := r.wrong(http.StatusServiceUnavailable, "BUSY", "GET", "service", ""); a.Header.Get("Retry-After") == "" {
		t.Error("it does not say when to try again")
	}
	streams[0].cancel()
	streams[0].over()
	r.Until(patience, "a place for another stream", func() bool {
		resp, err := r.client.Get(r.url("service"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	r.wrong(http.StatusRequestEntityTooLarge, "PARAM_INVALID", "POST", "command/send", `{"data":"`+strings.Repeat("x", 256<<10)+`"}`)
	r.wrong(http.StatusNotFound, "PARAM_INVALID", "POST", "command/steal", `{}`)
	r.wrong(http.StatusNotFound, "PARAM_INVALID", "POST", "command/get.alice", `{}`)
	r.wrong(http.StatusBadRequest, "PARAM_INVALID", "POST", "command/get", `not JSON`)
	r.wrong(http.StatusBadRequest, "PARAM_INVALID", "POST", "login", `not JSON`)
	for _, query := range []string{"?sort=x", "?order=x", "?count=0", "?count=501", "?count=x", "?after=x", "?after=x:y"} {
		r.wrong(http.StatusBadRequest, "PARAM_INVALID", "GET", "rooms"+query, "")
	}
	r.wrong(http.StatusBadRequest, "PARAM_INVALID", "GET", "events", "")
	r.wrong(http.StatusNotFound, "ROOM_NOT_EXIST", "GET", "leases?room=nowhere", "")
	r.wrong(http.StatusNotFound, "PARAM_INVALID", "GET", "nothing", "")
}

// A file that is no password is refused with a sentence.
func TestPasswordFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, true)
	for _, text := range []string{"", "short", "two lines\nof password"} {
		r.write(text)
		if _, err := inspector.New(inspector.Config{Password: r.file, Loopback: true}); err == nil || !strings.HasPrefix(err.Error(), "--http-password") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := inspector.New(inspector.Config{Password: r.file + ".none"}); err == nil {
		t.Error("a file that is not there is no password")
	}
}
