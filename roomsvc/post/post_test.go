package post

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const key = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"

func secret(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func hello(req *http.Request) error {
	req.Body = io.NopCloser(strings.NewReader("hello"))
	return nil
}

// What is special is not public, however it is written.
func TestPublic(t *testing.T) {
	for address, want := range map[string]bool{
		"1.1.1.1": true, "93.184.216.34": true, "2606:4700::1111": true, "::ffff:1.1.1.1": true,
		"127.0.0.1": false, "::1": false, "::ffff:127.0.0.1": false, "0.0.0.0": false, "::": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.168.1.1": false, "169.254.169.254": false, "::ffff:169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false,
		"100.64.0.1": false, "198.18.0.1": false, "224.0.0.1": false, "ff02::1": false, "255.255.255.255": false, "240.0.0.1": false, "64:ff9b::7f00:1": false,
		"2002:7f00:1::": false, "::7f00:1": false, "192.0.0.1": false, "203.0.113.9": false, "2001:db8::1": false,
	} {
		if got := public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is public: %v", address, got)
		}
	}
}

// A name counts for what it leads to when the connection is made.
func TestDial(t *testing.T) {
	var asked int
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer srv.Close()
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "LOCALHOST"} {
		p, err := New(Config{URL: "https://user:hidden@" + host + ":" + port + "/path?hidden", Secrets: []string{secret(t, key)}, Timeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = p.Send(t.Context(), "1", hello); !errors.Is(err, ErrPrivate) || strings.Contains(err.Error(), "hidden") || p.Host() != host+":"+port {
			t.Errorf("%s: %v", host, err)
		}
	}
	if asked > 0 {
		t.Errorf("it was connected to %d times", asked)
	}
}

func TestCheckURL(t *testing.T) {
	for _, c := range []struct {
		url     string
		private bool
		says    string
	}{
		{"https://app.example/hook?x=1", false, ""}, {"http://10.0.0.1:8080/", true, ""}, {"https://[2606:4700::1111]/", false, ""},
		{"http://app.example/", false, "not encrypted"}, {"https://10.0.0.1/", false, "10.0.0.1"}, {"https://[::1]/", false, "::1"}, {"https://[::ffff:10.0.0.1]/", false, "private"},
		{"ftp://app.example/", true, "https"}, {"app.example", true, "no URL"}, {"https://", true, "no URL"}, {"https://app.example/#x", true, "fragment"}, {"https://a b/", true, "no URL"},
	} {
		err := CheckURL(c.url, c.private)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s, private %v: %v, want %q", c.url, c.private, err, c.says)
		}
	}
}

// The body is signed as it is sent, with each of the secrets, and the secrets may change meanwhile.
func TestSign(t *testing.T) {
	const other = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIz"
	verify := func(key string, r *http.Request, body []byte) bool {
		w, err := standardwebhooks.NewWebhook(key)
		return err == nil && w.Verify(body, r.Header) == nil
	}
	var first, second bool
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		first, second = verify(key, r, body), verify(other, r, body)
		if verify(key, r, append(body, '!')) || string(body) != "hello" || r.Header.Get("webhook-id") != "id" {
			t.Errorf("%s %v", body, r.Header)
		}
	}))
	defer srv.Close()
	file := secret(t, key+"\n")
	p, err := New(Config{URL: srv.URL, Secrets: []string{file}, Private: true, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	send := func() {
		t.Helper()
		if _, err := p.Send(t.Context(), "id", hello); err != nil {
			t.Fatal(err)
		}
	}
	if send(); !first || second {
		t.Errorf("signed with the first %v, with the second %v", first, second)
	}
	for _, text := range []string{"rubbish", other} { // what makes no sense changes nothing
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.secrets.looked = time.Time{}
		if send(); first == (text == other) || second != (text == other) {
			t.Errorf("%q: signed with the first %v, with the second %v", text, first, second)
		}
	}
	for _, wrong := range [][]string{nil, {file, file, file}, {"nowhere"}, {secret(t, "whsec_c2hvcnQ=")}, {secret(t, "plain text")}} {
		var field *Field
		if _, err := New(Config{URL: srv.URL, Secrets: wrong, Private: true}); !errors.As(err, &field) || field.Name != "secret" || strings.Contains(err.Error(), "plain text") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// A redirect is an answer like any other, an answer that does not end is cut, and a slow one is not
// waited for.
func TestAnswers(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "/there", http.StatusPermanentRedirect)
		case "/there":
			t.Error("a redirect was followed")
		case "/long":
			for range 100 {
				_, _ = io.WriteString(w, strings.Repeat("x", 10<<10))
			}
		case "/later":
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/slow":
			<-release
		}
	}))
	defer srv.Close()
	defer close(release)
	send := func(path string, within time.Duration) (*Answer, error) {
		p, err := New(Config{URL: srv.URL + path, Secrets: []string{secret(t, key)}, Private: true, Timeout: within})
		if err != nil {
			t.Fatal(err)
		}
		return p.Send(t.Context(), "1", hello)
	}
	if a, err := send("/away", time.Minute); err != nil || a.Status != http.StatusPermanentRedirect {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := send("/long", time.Minute); err != nil || len(a.Body) != mostAnswer {
		t.Errorf("%d bytes, %v", len(a.Body), err)
	}
	if a, err := send("/later", time.Minute); err != nil || a.RetryAfter != 7*time.Second {
		t.Errorf("%+v, %v", a, err)
	}
	var late net.Error
	if _, err := send("/slow", 50*time.Millisecond); !errors.As(err, &late) || !late.Timeout() && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "90": 90 * time.Second, "-1": 0, "soon": 0, "99999999999": 0, now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
