package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"

	"natsrooms/cmd/roomd/inspector"
	"natsrooms/roomsvc/auth"
	"natsrooms/subjects"
)

// inspecting is a browser at a roomd's inspector.
type inspecting struct {
	t    *testing.T
	url  string
	csrf string
	http.Client
}

func inspect(t *testing.T, address string) *inspecting {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &inspecting{t: t, url: "http://" + address + inspector.Path + "api/", Client: http.Client{Jar: jar}}
}

// post asks; the answer goes into v, if it is one of success.
func (b *inspecting) post(path, body string, v any) int {
	b.t.Helper()
	q, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("X-CSRF-Token", b.csrf)
	resp, err := b.Do(q)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		b.t.Fatalf("%s: %v: %s", path, err, data)
	}
	return resp.StatusCode
}

// With --auth, the inspector acts as a back end for those who know the password, shows what a token is good
// for, and ends its streams as soon as roomd is to stop.
func TestInspector(t *testing.T) {
	t.Parallel()
	const password = "a long password"
	r := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--auth", "jwt", "--auth-key", write(t, secret), "--http", ":0", "--http-password", write(t, password+"\n"))
	b := inspect(t, pagesOf(t, r))
	if code := b.post("command/get", `{"roomID":"lobby"}`, nil); code != http.StatusUnauthorized {
		t.Errorf("without a login: %d", code)
	}
	var s inspector.Session
	if code := b.post("login", `{"password":"`+password+`"}`, &s); code != http.StatusOK || !s.WithToken || !s.EndUsers || !strings.Contains(s.Roomctl, "roomctl") {
		t.Fatalf("the login: %d %+v", code, s)
	}
	b.csrf = s.CSRF
	var done struct{}
	if code := b.post("command/enter", `{"roomID":"lobby","userID":"bob","config":{"roomDestroyDelayTime":600}}`, &done); code != http.StatusOK {
		t.Errorf("as a back end: %d", code)
	}
	token, err := auth.Sign([]byte(secret), "", auth.Claims{User: "alice", Rooms: []subjects.Room{"vip"}, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	try := func(token, verb, body string) (out inspector.Tried) {
		t.Helper()
		data, err := json.Marshal(map[string]any{"token": token, "verb": verb, "body": jsontext.Value(body)})
		if err != nil {
			t.Fatal(err)
		}
		if code := b.post("try", string(data), &out); code != http.StatusOK {
			t.Errorf("trying a token: %d", code)
		}
		return out
	}
	if out := try(token, "enter", `{"roomID":"lobby"}`); !out.Accepted || out.Status != http.StatusOK || out.Claims.UserID != "alice" || len(out.Claims.Rooms) != 1 || out.Claims.ExpiresAt == 0 {
		t.Errorf("a good token: %+v", out)
	}
	if out := try(token, "kick", `{"roomID":"lobby","userIDs":["bob"]}`); !out.Accepted || out.Status != http.StatusForbidden || !bytes.Contains(out.Reply, []byte("NOT_ALLOWED")) {
		t.Errorf("what it is not good for: %+v", out)
	}
	few, err := auth.Sign([]byte(secret), "", auth.Claims{User: "carol", Verbs: []string{"enter"}})
	if err != nil {
		t.Fatal(err)
	}
	if out := try(few, "send", `{"roomID":"lobby","type":"text","data":"hello"}`); !out.Accepted || out.Status != http.StatusForbidden || !bytes.Contains(out.Reply, []byte("does not take the command send")) {
		t.Errorf("a command that the NATS server does not pass on: %+v", out)
	}
	forged, err := auth.Sign([]byte(strings.ToUpper(secret)), "", auth.Claims{User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{forged, "nonsense"} {
		if out := try(bad, "enter", `{"roomID":"lobby"}`); out.Accepted || out.Why == "" {
			t.Errorf("a bad token: %+v", out)
		}
	}
	resp, err := b.Get(b.url + "events?room=lobby")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %+v", err, resp)
	}
	defer resp.Body.Close()
	ended := make(chan time.Time, 1)
	go func() {
		_, _ = io.Copy(io.Discard, resp.Body)
		ended <- time.Now()
	}()
	begun := time.Now()
	r.end(t)
	select {
	case at := <-ended:
		if took := at.Sub(begun); took > within {
			t.Errorf("the stream ends after %v", took)
		}
	case <-time.After(within):
		t.Error("the stream does not end")
	}
}

// A user of the server's configuration must not lend his way in to everybody on the machine; nor may another machine come in
// without a password.
func TestInspectorIsOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		on   bool
		says string
	}{
		"open":           {[]string{"--http", ":0"}, true, ""},
		"far":            {[]string{"--http", "0.0.0.0:0"}, false, "more than this machine"},
		"far, password":  {[]string{"--http", "0.0.0.0:0", "--http-password", write(t, "a long password")}, true, ""},
		"tokens":         {[]string{"--http", ":0", "--auth", "jwt", "--auth-key", write(t, secret)}, false, "asks for credentials"},
		"limited anyone": {[]string{"--http", ":0", "--config", write(t, `authorization { users: [ { user: anybody, password: x, permissions: { publish: "a", subscribe: "b" } } ] }`+"\nno_auth_user: anybody\n")}, false, "asks for credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, append([]string{"--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m"}, c.args...)...)
			match := regexp.MustCompile(`http=\S*:([0-9]+)`).FindStringSubmatch(r.stderr.String())
			if match == nil {
				t.Fatalf("it does not say where:\n%s", r.stderr)
			}
			address := "127.0.0.1:" + match[1]
			code, body := page(t, address, inspector.Path+"api/session")
			if c.on != (code == http.StatusOK) || !c.on && (code != http.StatusNotFound || !bytes.Contains(body, []byte(c.says)) || !bytes.Contains(body, []byte("--http-password"))) {
				t.Errorf("%d %s", code, body)
			}
			if code, _ := page(t, address, "/healthz"); code != http.StatusOK {
				t.Errorf("/healthz: %d", code)
			}
			if code, _ := page(t, address, "/"); c.on != (code == http.StatusOK) {
				t.Errorf("/: %d", code)
			}
			r.end(t)
		})
	}
}

// With --nats, the inspector has the credentials of roomd, and goes on after the server was away.
func TestInspectorElsewhere(t *testing.T) {
	t.Parallel()
	first := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m")
	second := start(t, "--nats", first.url, "--http", ":0")
	b := inspect(t, pagesOf(t, second))
	code, body := page(t, pagesOf(t, second), inspector.Path+"api/session")
	var s inspector.Session
	if err := json.Unmarshal(body, &s); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	b.csrf = s.CSRF
	nc, err := nats.Connect(first.url, patientDial)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Request("room.cmd.enter", []byte(`{"roomID":"lobby","userID":"alice"}`), within); err != nil {
		t.Fatal(err)
	}
	var reply struct {
		MemberCount int `json:"memberCount"`
	}
	if code := b.post("command/count", `{"roomID":"lobby","sync":true}`, &reply); code != http.StatusOK || reply.MemberCount != 1 {
		t.Errorf("%d %+v", code, reply)
	}
	second.end(t)
	first.end(t)
}
