//go:build unix

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/cmd/roomd/web"
	"natsrooms/roomsvc/auth"
)

// hanging is held by tests that send SIGHUP, which every roomd of this process hears.
var hanging sync.Mutex

// sendHangUp makes every roomd of this process read its configuration again.
func sendHangUp(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// rewrite replaces a file.
func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// At SIGHUP roomd takes from its file the level of the log and the limits, for all instances, and
// names what it cannot take. A file with a mistake changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	hanging.Lock()
	defer hanging.Unlock()
	base := fmt.Sprintf("port: -1\nstore-dir: %s\nsync: 2m\n", t.TempDir())
	path := settings(t, base+"max-members: 1\n")
	r := start(t, "--config", path, "--message-rate", "9")
	defer r.end(t)
	other := start(t, "--nats", r.url, "--max-members", "1", "--message-rate", "9")
	defer other.end(t)
	nc := connected(t, r.url)
	enter := func(user string) string {
		t.Helper()
		m, err := nc.Request("room.cmd.enter", fmt.Appendf(nil, `{"roomID":"lobby","userID":%q}`, user), within)
		if err != nil {
			t.Fatal(err)
		}
		return m.Header.Get("Nats-Service-Error")
	}
	if code := enter("alice"); code != "" {
		t.Fatal(code)
	}
	if code := enter("bob"); code != "ROOM_FULL" {
		t.Fatalf("the second member gets %q", code)
	}

	rewrite(t, path, base+"max-members: some\n")
	sendHangUp(t)
	says(t, r.stderr, "the settings stay as they were", path+`:4: max-members is \"some\"`)
	if code := enter("bob"); code != "ROOM_FULL" {
		t.Errorf("after a file with a mistake the second member gets %q", code)
	}

	rewrite(t, path, base+"max-members: 2\nmessage-rate: 5\nlog-level: debug\nfacts-keep: 48h\nhttp: :0\n")
	sendHangUp(t)
	says(t, r.stderr, "level=INFO", "the settings were read again", `changed="max-members, log-level"`)
	says(t, r.stderr, "level=WARN", "only after a restart", `settings="facts-keep, http"`)
	// The other instance may answer too, and knows it within ten seconds.
	for deadline := time.Now().Add(within); enter("bob") != ""; {
		if time.Now().After(deadline) {
			t.Fatal("the limit of members does not change")
		}
	}
	if code := enter("carol"); code != "ROOM_FULL" {
		t.Errorf("the third member gets %q", code)
	}
	for range 64 { // dropped by one instance or the other, and told at the level debug
		if err := nc.PublishRequest("room.cmd.enter", "room.nowhere", nil); err != nil {
			t.Fatal(err)
		}
	}
	says(t, r.stderr, "level=DEBUG", "a command is dropped", "room.nowhere")

	// What needs a restart is named again as long as that is so, and nothing else is done.
	sendHangUp(t)
	says(t, r.stderr, "none has changed that can count now")
}

// connectTLS connects with a CA's certificate.
func connectTLS(t *testing.T, url, ca string) error {
	t.Helper()
	nc, err := nats.Connect(strings.Replace(url, "nats:", "tls:", 1), nats.RootCAs(ca), patientDial)
	if err == nil {
		nc.Close()
	}
	return err
}

// At SIGHUP the embedded server gets new certificates, also for WebSocket; connections stay.
func TestReloadCertificates(t *testing.T) {
	t.Parallel()
	hanging.Lock()
	defer hanging.Unlock()
	cert, key := certificate(t)
	newCert, newKey := certificate(t)
	websocket := freePort(t)
	text := func(payload string) string {
		return fmt.Sprintf("max_payload: %s\ntls { cert_file: %q, key_file: %q }\nwebsocket { host: 127.0.0.1, port: %s, same_origin: true, tls { cert_file: %q, key_file: %q } }\n", payload, cert, key, websocket, cert, key)
	}
	conf := write(t, text("1MB"))
	r := start(t, "--nats-config", conf, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m")
	defer r.end(t)
	stays, err := nats.Connect(strings.Replace(r.url, "nats:", "tls:", 1), nats.RootCAs(cert), patientDial, nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer stays.Close()
	if connectTLS(t, r.url, newCert) == nil {
		t.Fatal("the new certificate counts already")
	}

	for from, to := range map[string]string{newCert: cert, newKey: key} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		rewrite(t, to, string(data))
	}
	rewrite(t, conf, text("2MB"))
	sendHangUp(t)
	says(t, r.stderr, "the certificates of the NATS server were read again", `listeners=clients,websocket`)
	says(t, r.stderr, "only after a restart", "max_payload (in "+conf+")")
	if err := connectTLS(t, r.url, newCert); err != nil {
		t.Errorf("with the new certificate: %v", err)
	}
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(newCert)
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	web, err := tls.DialWithDialer(&net.Dialer{Timeout: within}, "tcp", "127.0.0.1:"+websocket, &tls.Config{RootCAs: roots})
	if err != nil {
		t.Errorf("with the new certificate over WebSocket: %v", err)
	} else {
		web.Close()
	}
	if err := stays.FlushTimeout(within); err != nil {
		t.Errorf("a connection that was there: %v", err)
	}

	rewrite(t, cert, "nothing")
	sendHangUp(t)
	says(t, r.stderr, "the certificates of the NATS server stay as they were")
	if err := connectTLS(t, r.url, newCert); err != nil {
		t.Errorf("after a certificate that cannot be used: %v", err)
	}
}

// New certificates end no connection, and no command is lost meanwhile, also of those who came with a token.
func TestReloadEndsNoConnection(t *testing.T) {
	t.Parallel()
	hanging.Lock()
	defer hanging.Unlock()
	cert, key := certificate(t)
	r := start(t, "--config", switchedOn(t, cert, key, freePort(t), freePort(t)), "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--auth", "jwt", "--auth-key", write(t, secret))
	defer r.end(t)
	nc, err := nats.Connect(strings.Replace(r.url, "nats:", "tls:", 1), append(bearing(t, auth.Claims{User: "alice"}), nats.RootCAs(cert), patientDial, nats.NoReconnect())...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for n := range 3 {
		newCert, newKey := certificate(t)
		for from, to := range map[string]string{newCert: cert, newKey: key} {
			data, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, to, string(data))
		}
		sendHangUp(t)
		for read := false; !read; read = strings.Count(r.stderr.String(), "the certificates of the NATS server were read again") > n {
			if m, err := nc.Request("room.cmd.enter.alice", []byte(`{"roomID":"lobby"}`), within); err != nil || m.Header.Get("Nats-Service-Error") != "" {
				t.Fatalf("after %d certificates: %v, %+v", n+1, err, m)
			}
		}
		if err := connectTLS(t, r.url, newCert); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("somebody without a token, who trusts the new certificate: %v", err)
		}
	}
}

// roomd ready asks the roomd that runs, and says why it is not ready.
func TestReady(t *testing.T) {
	t.Parallel()
	r := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--http", ":0")
	address := pagesOf(t, r)
	port := regexp.MustCompile(`[0-9]+$`).FindString(address)
	for _, at := range []string{address, ":" + port, "0.0.0.0:" + port, "[::]:" + port} {
		if err := ready(at); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
	r.end(t)
	if err := ready(address); err == nil || !strings.Contains(err.Error(), "no roomd answers at "+address) {
		t.Errorf("after its end: %v", err)
	}
	starting, err := web.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer starting.Close()
	if err := ready(starting.Address()); err == nil || err.Error() != "not ready: the instance is starting" {
		t.Errorf("while it starts: %v", err)
	}
	for at, says := range map[string]string{"": "give --http", "nowhere": "HOST:PORT"} {
		if err := ready(at); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", at, err)
		}
	}
}
