package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/roomtest"
)

const shipped = "../../nats.conf"

var quiet = slog.New(slog.DiscardHandler)

func embedded(t *testing.T, args ...string) *link {
	t.Helper()
	l, err := embed(mustParse(t, args...), quiet)
	if err != nil {
		t.Fatalf("roomd %s: %v", strings.Join(args, " "), err)
	}
	return l
}

// refuses checks that roomd does not start, and that it says why in one line.
func refuses(t *testing.T, open func(Config, *slog.Logger) (*link, error), args []string, says ...string) {
	t.Helper()
	l, err := open(mustParse(t, args...), quiet)
	if err == nil {
		l.close()
		t.Fatalf("roomd %s starts", strings.Join(args, " "))
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) || strings.Contains(err.Error(), "\n") {
			t.Errorf("it says %q; want %q in it, on one line", err, s)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestShippedConfigurationLoads(t *testing.T) {
	opts, err := server.ProcessConfigFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	if !opts.JetStream || !opts.SyncAlways || opts.MaxPayload != 1<<20 || opts.Host != defaultHost || opts.Port != defaultPort || opts.StoreDir != defaultStoreDir {
		t.Errorf("JetStream %v, sync always %v, max_payload %d, at %s:%d, in %s", opts.JetStream, opts.SyncAlways, opts.MaxPayload, opts.Host, opts.Port, opts.StoreDir)
	}
	if _, err := server.NewServer(opts); err != nil {
		t.Errorf("a server does not accept it: %v", err)
	}
}

func TestServerOptions(t *testing.T) {
	file := write(t, `host: 127.0.0.2, port: 5222, jetstream { store_dir: "/from/file", sync_interval: 10s }`)
	bare := write(t, `max_payload: 1MB`)
	for _, c := range []struct {
		args  string
		at    string
		store string
		sync  Sync
	}{
		{"", "127.0.0.1:4222", "data", Sync{Always: true}},
		{"--sync 2m --store-dir d --host ::1 --port -1", "[::1]:-1", "d", Sync{Every: 2 * time.Minute}},
		{"--config " + file, "127.0.0.2:5222", "/from/file", Sync{Every: 10 * time.Second}},
		{"--config " + file + " --sync always", "127.0.0.2:5222", "/from/file", Sync{Always: true}},
		{"--config " + file + " --port 1 --store-dir d", "127.0.0.2:1", "d", Sync{Every: 10 * time.Second}},
		{"--config " + bare, "127.0.0.1:4222", "data", Sync{Always: true}},
		{"--config " + shipped, "127.0.0.1:4222", "data", Sync{Always: true}},
		{"--config " + shipped + " --sync 1s", "127.0.0.1:4222", "data", Sync{Every: time.Second}},
	} {
		o, err := serverOptions(mustParse(t, strings.Fields(c.args)...), quiet)
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		at := net.JoinHostPort(o.Host, fmt.Sprint(o.Port))
		sync := Sync{Always: o.SyncAlways}
		if !sync.Always {
			sync.Every = o.SyncInterval
		}
		if o.PingInterval != pingEvery || o.MaxPingsOut != pingMost { // the shipped file says the same
			t.Errorf("%q: a ping every %v, %d at most unanswered", c.args, o.PingInterval, o.MaxPingsOut)
		}
		if at != c.at || o.StoreDir != c.store || sync != c.sync || !o.JetStream || !o.NoSigs {
			t.Errorf("%q: at %s, in %s, sync %v, JetStream %v", c.args, at, o.StoreDir, sync, o.JetStream)
		}
	}
}

func TestUnusableConfigurations(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"jetstream { store_dir: ":                                           "correct it",
		"no_such_setting: 1":                                                "no_such_setting",
		`cluster { name: c, listen: "127.0.0.1:6222" }`:                     "run nats-server with it, and roomd with --nats URL",
		`gateway { name: g, listen: "127.0.0.1:-1" }`:                       "run nats-server with it, and roomd with --nats URL",
		`accounts { A { users [{ user: a }] }, B { users [{ user: b }] } }`: "users in the accounts A, B",
		`jetstream { key: "k", cipher: "none" }`:                            "cipher",
		`http: "10.255.255.1:8222", jetstream { store_dir: x}`:              "does not start",
	} {
		refuses(t, embed, []string{"--config", write(t, text), "--port", "-1", "--store-dir", t.TempDir()}, says)
	}
	refuses(t, embed, []string{"--config", filepath.Join(t.TempDir(), "none")}, "cannot read the configuration", "correct --config")
}

func TestEmbedStoresAndKeepsItsName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	args := []string{"--config", shipped, "--port", "-1", "--store-dir", dir}
	l := embedded(t, args...)
	nc, err := nats.Connect("nats://"+l.address, patientDial)
	if err != nil {
		t.Fatalf("by TCP: %v", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "T", Subjects: []string{"t"}}); err != nil {
		t.Fatal(err)
	}
	name, id := l.nc.ConnectedServerName(), l.instance
	if id == "" || name != "roomd-"+id {
		t.Errorf("server %q, instance %q", name, id)
	}
	nc.Close()
	l.close()

	l = embedded(t, args...)
	defer l.close()
	if nc, err = nats.Connect("nats://"+l.address, patientDial); err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if l.instance != id || l.nc.ConnectedServerName() != name {
		t.Errorf("after a restart it is %q, was %q", l.instance, id)
	}
	if js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Stream(t.Context(), "T"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// tlsBlock is a tls block with a certificate that nobody trusts.
func tlsBlock(t *testing.T) string {
	t.Helper()
	https := httptest.NewTLSServer(nil)
	https.Close()
	cert := https.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("tls { cert_file: %q, key_file: %q, verify: true }",
		write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))),
		write(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))))
}

func TestConfigurationsThatClientsMustSatisfy(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`no_auth_user: any, accounts { A { jetstream: enabled, users [{ user: any, password: p }] } }`,
		`proxy_protocol: true`,
		tlsBlock(t),
	} {
		l := embedded(t, "--config", write(t, text), "--port", "-1", "--store-dir", t.TempDir())
		js, err := jetstream.New(l.nc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.AccountInfo(t.Context()); err != nil {
			t.Errorf("%s: the service has no JetStream: %v", text, err)
		}
		l.close()
	}
}

func TestStoreInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := []string{"--port", "-1", "--store-dir", dir}
	l := embedded(t, args...)
	refuses(t, embed, args, dir+" is in use by another roomd (process "+fmt.Sprint(os.Getpid())+")", "stop that one, or choose another directory with --store-dir")
	l.close()
	embedded(t, args...).close()
}

func TestStoreNotWritable(t *testing.T) {
	t.Parallel()
	file := write(t, "")
	for _, dir := range []string{file, filepath.Join(file, "below"), unreadable(t)} {
		refuses(t, embed, []string{"--port", "-1", "--store-dir", dir}, dir+" cannot be written", "choose another with --store-dir")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jetstream"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, embed, []string{"--port", "-1", "--store-dir", dir}, "Can't start JetStream", "choose another --store-dir")
	// A start that failed gives the directory back.
	if err := os.Remove(filepath.Join(dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	embedded(t, "--port", "-1", "--store-dir", dir).close()
}

// unreadable makes a store directory whose instance file cannot be read, whoever runs this.
func unreadable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, instanceFile), 0o750); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTornInstanceFileIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, torn := range []string{"", "ABC", "two names\n", strings.Repeat("*", 26)} {
		if err := os.WriteFile(filepath.Join(dir, instanceFile), []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := openStore(dir)
		if err != nil {
			t.Fatal(err)
		}
		st.close()
		again, err := openStore(dir)
		if err != nil {
			t.Fatal(err)
		}
		again.close()
		if st.instance == strings.TrimSpace(torn) || st.instance != again.instance {
			t.Errorf("%q became %q, then %q", torn, st.instance, again.instance)
		}
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	l := embedded(t, "--port", "-1", "--store-dir", t.TempDir())
	defer l.close()
	_, port, err := net.SplitHostPort(l.address)
	if err != nil {
		t.Fatal(err)
	}
	refuses(t, embed, []string{"--port", port, "--store-dir", t.TempDir()}, "port "+port+" at 127.0.0.1 is taken", "--port -1")
	refuses(t, embed, []string{"--host", "192.0.2.1", "--port", port, "--store-dir", t.TempDir()}, "cannot listen at 192.0.2.1, port "+port, "--host and --port")
}

func TestAddressForClients(t *testing.T) {
	t.Parallel()
	l := embedded(t, "--host", "0.0.0.0", "--port", "-1", "--store-dir", t.TempDir())
	defer l.close()
	if host, _, err := net.SplitHostPort(l.address); err != nil || host != "127.0.0.1" {
		t.Errorf("clients are told %q, %v", l.address, err)
	}
}

func TestSuggestions(t *testing.T) {
	for _, c := range []struct {
		address string
		asks    asks
		tokens  bool
		want    string
	}{
		{"127.0.0.1:4222", asks{}, false, "roomctl enter lobby --as alice"},
		{"127.0.0.1:5000", asks{}, false, "roomctl -s nats://127.0.0.1:5000 enter lobby --as alice"},
		{"[::1]:4222", asks{}, false, "roomctl -s nats://[::1]:4222 enter lobby --as alice"},
		{"127.0.0.1:4222", asks{tls: true}, false, "roomctl -s tls://127.0.0.1:4222 enter lobby --as alice"},
		{"127.0.0.1:4222", asks{credentials: true}, false, "roomctl -s nats://USER:PASSWORD@127.0.0.1:4222 enter lobby --as alice"},
		{"[::1]:4222", asks{credentials: true, tls: true}, false, "roomctl -s tls://USER:PASSWORD@[::1]:4222 enter lobby --as alice"},
		{"127.0.0.1:4222", asks{credentials: true}, true, "roomctl token --key KEY"},
		{"127.0.0.1:4222", asks{credentials: true, tls: true}, true, "roomctl -s tls://127.0.0.1:4222 token --key KEY"},
		{"127.0.0.1:4222", asks{credentials: true, sentinel: true}, true, "roomctl token --key KEY"},
	} {
		var out strings.Builder
		suggest(&out, c.address, c.asks, c.tokens)
		if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 4 || !strings.Contains(lines[1], c.want) {
			t.Errorf("at %s, %+v:\n%s", c.address, c.asks, out.String())
		}
	}
}

// What roomd suggests typing next is not refused.
func TestSuggestionsFitTheServer(t *testing.T) {
	t.Parallel()
	locked := roomtest.Server(t, func(o *server.Options) { o.Users = []*server.User{{Username: "u", Password: "p"}} })
	host := strings.TrimPrefix(locked.ClientURL(), "nats://")
	cert, key := certificate(t)
	tls := write(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q }", cert, key))
	for _, c := range []struct {
		args []string
		want string // ADDRESS is the one in the ready line
	}{
		{[]string{"--config", shipped}, "-s nats://ADDRESS enter lobby"},
		{[]string{"--config", unlocked(t)}, "with a user that the configuration names:\n  roomctl -s nats://USER:PASSWORD@ADDRESS enter lobby --as alice\n"},
		{[]string{"--nats", "nats://u:p@" + host}, "-s nats://USER:PASSWORD@ADDRESS enter lobby"},
		{[]string{"--nats", roomtest.Server(t).ClientURL()}, "-s nats://ADDRESS enter lobby"},
		{[]string{"--config", tls}, "-s tls://ADDRESS enter lobby"},
	} {
		if c.args[0] == "--config" {
			c.args = append(c.args, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m")
		}
		r := start(t, c.args...)
		r.end(t)
		if want := strings.Replace(c.want, "ADDRESS", strings.TrimPrefix(r.url, "nats://"), 1); !strings.Contains(r.stderr.String(), want) {
			t.Errorf("%v: no %q in\n%s", c.args, want, r.stderr)
		}
		if strings.Contains(r.stderr.String(), "level=ERROR") {
			t.Errorf("%v: finding that out leaves lines in the log\n%s", c.args, r.stderr)
		}
	}
}

func TestServerLog(t *testing.T) {
	var out strings.Builder
	l := newServerLog(slog.New(slog.NewTextHandler(&out, nil)))
	l.Noticef("started %d", 1)
	l.Debugf("detail")
	l.Tracef("protocol")
	if out.Len() > 0 {
		t.Errorf("logged at info: %s", out.String())
	}
	l.Warnf("careful %d", 2)
	l.Errorf("broken")
	l.Fatalf("cannot %s", "start")
	l.Fatalf("second")
	if why := <-l.fatal; why != "cannot start" {
		t.Errorf("fatal: %q", why)
	}
	for _, want := range []string{`level=WARN msg="careful 2" from=nats-server`, "level=ERROR msg=broken", "level=ERROR msg=second"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}
