package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/roomtest"
)

// certificate makes a self-signed certificate for 127.0.0.1.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "rooms"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		write(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
}

func freePort(t *testing.T) string {
	t.Helper()
	return fmt.Sprint(roomtest.Ports(t, 1)[0])
}

// switchedOn is the shipped configuration, unlocked, with everything in it that is
// commented out switched on, and with the test's own files and ports.
func switchedOn(t *testing.T, cert, key, websocket, http string) string {
	t.Helper()
	raw, err := os.ReadFile(unlocked(t))
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^#([^ \n]|  )`).ReplaceAllString(string(raw), "$1")
	for from, to := range map[string]string{
		"./tls/server.pem": cert, "./tls/server.key": key, "port: 8443": "host: 127.0.0.1\n  port: " + websocket, "http: 127.0.0.1:8222": "http: 127.0.0.1:" + http,
	} {
		if !strings.Contains(text, from) {
			t.Fatalf("nats.conf does not have %s", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	return write(t, text)
}

func TestShippedExamplesOfTLSAndWebSocket(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	websocket := freePort(t)
	r := start(t, "--config", switchedOn(t, cert, key, websocket, freePort(t)), "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--auth", "jwt", "--auth-key", write(t, secret))
	page := func(origin string) nats.Option {
		return nats.WebSocketConnectionHeaders(http.Header{"Origin": {origin}})
	}
	for name, c := range map[string]struct {
		url  string
		opts []nats.Option
		in   bool
	}{
		"TLS":                       {strings.Replace(r.url, "nats:", "tls:", 1), []nats.Option{nats.RootCAs(cert)}, true},
		"TLS, nobody's certificate": {strings.Replace(r.url, "nats:", "tls:", 1), nil, false},
		"a page":                    {"wss://127.0.0.1:" + websocket, []nats.Option{nats.RootCAs(cert), page("https://chat.example.com")}, true},
		"no page":                   {"wss://127.0.0.1:" + websocket, []nats.Option{nats.RootCAs(cert)}, true},
		"another page":              {"wss://127.0.0.1:" + websocket, []nats.Option{nats.RootCAs(cert), page("https://evil.example.com")}, false},
		"the page without https":    {"wss://127.0.0.1:" + websocket, []nats.Option{nats.RootCAs(cert), page("http://chat.example.com")}, false},
		"WebSocket without TLS":     {"ws://127.0.0.1:" + websocket, []nats.Option{page("https://chat.example.com")}, false},
		"a page without a token":    {"wss://127.0.0.1:" + websocket, []nats.Option{nats.RootCAs(cert), page("https://chat.example.com"), nats.Token("none")}, false},
	} {
		opts := append(bearing(t, auth.Claims{User: "alice"}), c.opts...)
		nc, err := nats.Connect(c.url, append(opts, patientDial)...)
		if (err == nil) != c.in {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		if m, err := nc.Request("room.cmd.enter.alice", []byte(`{"roomID":"lobby"}`), within); err != nil || m.Header.Get("Nats-Service-Error") != "" {
			t.Errorf("%s: %v, %+v", name, err, m)
		}
		nc.Close()
	}
	r.end(t)
}
