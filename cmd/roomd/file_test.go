package main

import (
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// settings writes a configuration file of roomd's.
func settings(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "roomd.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The file has the names of the flags; a flag wins over a variable, and both over the file.
func TestFile(t *testing.T) {
	path := settings(t, `# how rooms are served here
host: 10.0.0.1
port: 4333
store-dir: /var/lib/roomd
sync: 90s
nats-config: nats.conf
lease: 30s
grace: 0s
facts-bytes: 10GB
feeds: true
log-level: debug
limit: {attributes: 100, room-name: 200}
hook:
  send: app.send
  enter: app.enter
max-rooms: &few 7
max-members: *few
`)
	t.Setenv("ROOMD_PORT", "4444")
	t.Setenv("ROOMD_LEASE", "40s")
	cfg := mustParse(t, "--config", path, "--lease", "50s", "--limit", "attributes=50")
	zero := time.Duration(0)
	want := mustParse(t, "--port", "4444", "--lease", "50s", "--host", "10.0.0.1", "--store-dir", "/var/lib/roomd", "--sync", "90s", "--nats-config", "nats.conf",
		"--grace", "0s", "--facts-bytes", "10GB", "--feeds", "--log-level", "debug", "--limit", "attributes=50", "--hook", "send=app.send,enter=app.enter", "--max-rooms", "7", "--max-members", "7")
	want.Config, want.Grace = path, &zero
	if cfg.again == nil {
		t.Error("the file would not be read again")
	}
	if cfg.again = nil; !reflect.DeepEqual(cfg, want) {
		t.Errorf("got %+v, want %+v", cfg, want)
	}
	if cfg = mustParse(t, "--config", path); cfg.Limit["attributes"] != 100 || cfg.Limit["room-name"] != 200 || cfg.Lease != 40*time.Second {
		t.Errorf("limits %v, lease %v", cfg.Limit, cfg.Lease)
	}
	t.Setenv("ROOMD_CONFIG", path)
	if cfg = mustParse(t); cfg.Host != "10.0.0.1" || *cfg.Port != 4444 {
		t.Errorf("by ROOMD_CONFIG: host %q, port %d", cfg.Host, *cfg.Port)
	}
	if cfg = mustParse(t, "--config", settings(t, "# nothing\n")); cfg.Host != "" {
		t.Errorf("an empty file sets the host to %q", cfg.Host)
	}
}

// Every flag but --config can be set in the file, with the value that it has.
func TestFileTakesEveryFlag(t *testing.T) {
	in, err := read([]string{"--config", settings(t, "")}, io.Discard, nil)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"port": "1", "sync": "2m", "facts-bytes": "1GB", "messages-bytes": "1GB", "state-bytes": "1GB", "log-level": "warn", "limit": "{attributes: 1}", "hook": "{send: s}", "webhook": "{app: https://app.example/}", "webhook-secret": "a,b"}
	for _, flag := range in.flags {
		if flag.Name == "help" || flag.Name == "version" || flag.Name == "config" {
			continue
		}
		value, ok := values[flag.Name]
		if !ok {
			value = map[reflect.Kind]string{reflect.String: "x", reflect.Int: "3", reflect.Int64: "1m", reflect.Bool: "true", reflect.Pointer: "1m"}[flag.Target.Kind()]
		}
		path := settings(t, flag.Name+": "+value+"\n")
		with, err := read([]string{"--config", path}, io.Discard, nil)
		if err != nil {
			t.Errorf("%s: %v", flag.Name, err)
			continue
		}
		if from := with.source(flag.Name); from != path+":1" {
			t.Errorf("%s comes from %q", flag.Name, from)
		}
		for _, f := range with.flags {
			if f.Name == flag.Name && f.Target.IsZero() {
				t.Errorf("%s: %s has no effect", flag.Name, value)
			}
		}
	}
}

func TestRefusedFiles(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"host: h\nstore_dir: d\n", `:2: there is no setting "store_dir"; did you mean "store-dir"?`},
		{"hst: h\n", `:1: there is no setting "hst"; did you mean "host"?`},
		{"logLevel: info\n", `did you mean "log-level"?`},
		{"zzzzzzzzzzzz: 1\n", `:1: there is no setting "zzzzzzzzzzzz"; the names are`},
		{"config: other.yaml\n", `:1: there is no setting "config"`},
		{"version: true\n", `:1: there is no setting "version"`},
		{"\nport: www\n", `:2: port is "www"; it must be a whole number`},
		{"port: 3.5\n", `port is "3.5"; it must be a whole number`},
		{"lease: 30\n", `:1: lease is "30"; it must be a duration like 30s`},
		{"grace: soon\n", `grace is "soon"; it must be a duration`},
		{"sync: never\n", `sync is "never"; it must be always, or a duration`},
		{"facts-bytes: much\n", `facts-bytes is "much"; it must be an amount of storage`},
		{"log-level: loud\n", `log-level is "loud"; it must be debug, info, warn or error`},
		{"feeds: perhaps\n", `:1: feeds is "perhaps"; it must be true or false`},
		{"host: [a, b]\n", `:1: host must be one value, and is a list`},
		{"host: {a: b}\n", `:1: host must be one value, and has names and values`},
		{"host:\nport: 1\n", `:1: host has no value`},
		{"limit: 5\n", `:1: limit must be names and values, like {name: n}`},
		{"limit:\n  attributes: many\n", `:2: limit.attributes is "many"; it must be a whole number`},
		{"limit:\n  attributes: 1\n  attributes: 2\n", `limit.attributes`},
		{"hook: {send: [a]}\n", `hook.send must be one value`},
		{"webhook: 5\n", `:1: webhook: "5" is neither a URL nor NAME=URL`},
		{"webhook: [a]\n", `:1: webhook must be names, each with a URL or with fields`},
		{"webhook: {app: [a]}\n", `:1: webhook.app must be one value`},
		{"webhook:\n  app:\n    adress: x\n", `:3: webhook.app has no "adress"; there are url, secret,`},
		{"webhook:\n  app: {url: a, url: b}\n", `url`},
		{"webhook:\n  app: {url: [a]}\n", `:2: webhook.app.url must be text`},
		{"webhook:\n  app: {messages: perhaps}\n", `:2: webhook.app.messages must be true or false`},
		{"webhook:\n  app: {timeout: 5}\n", `:2: webhook.app.timeout must be a duration like 10s`},
		{"webhook:\n  app: {types: {a: b}}\n", `:2: webhook.app.types must be a list of types`},
		{"webhook:\n  app: {secret: {a: b}}\n", `:2: webhook.app.secret must be the name of a file, or a list of two`},
		{"host: a\nhost: b\n", "host"},
		{"- host\n", `:1: it must be lines like "port: 4222"`},
		{"host: 'a\n", "is not YAML"},
		{"host: a\nport: 0\n", ":2: --port is 0; it must be 1 to 65535"},
		{"limit:\n  nothing: 1\n", `:1: --limit names "nothing"`},
	} {
		path := settings(t, c.text)
		_, err := parse([]string{"--config", path}, io.Discard, func(int) {})
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%q: %v; want it to say %q, and the file first", c.text, err, c.says)
		}
	}
	if _, err := parse([]string{"--config", "/none/roomd.yaml"}, io.Discard, func(int) {}); err == nil || !strings.Contains(err.Error(), "correct --config") {
		t.Errorf("a file that is not there: %v", err)
	}
	// What is wrong comes from the flag here, not from the file.
	path := settings(t, "port: 1\n")
	if _, err := parse([]string{"--config", path, "--port", "0"}, io.Discard, func(int) {}); err == nil || strings.Contains(err.Error(), path) {
		t.Errorf("a wrong flag: %v", err)
	}
}

func TestConfigPrint(t *testing.T) {
	conf := write(t, "port: 5222\njetstream { sync_interval: 10s }\n")
	path := settings(t, "lease: 30s\nlimit: {room-name: 9, attributes: 8}\nnats-config: "+conf+"\n")
	t.Setenv("ROOMD_GRACE", "3s")
	var out strings.Builder
	in, err := read([]string{"config", "print", "--config", path, "--max-rooms", "5"}, io.Discard, nil)
	if err == nil {
		err = in.print(&out)
	}
	if err != nil || in.command != cmdPrint {
		t.Fatalf("%q: %v", in.command, err)
	}
	for name, want := range map[string]string{
		"lease": "30s +" + path + ":1", "limit": "attributes=8,room-name=9 +" + path + ":2", "grace": "3s +ROOMD_GRACE", "max-rooms": "5 +--max-rooms",
		"port": "5222 +" + conf, "sync": "10s +" + conf, "host": "127.0.0.1 +default", "ids": "any +default", "creds": "- +not set", "log-level": "info +default",
	} {
		if !regexp.MustCompile(`(?m)^` + name + ` +` + want + `$`).MatchString(out.String()) {
			t.Errorf("%s is not printed as %q:\n%s", name, want, &out)
		}
	}
	if n := strings.Count(out.String(), "\n"); n != len(in.flags)-2 {
		t.Errorf("%d lines for %d flags, two of which set nothing", n, len(in.flags))
	}

	out.Reset()
	in, err = read([]string{"--nats", "nats://service:hunter2@n1:4222,n2", "config", "print"}, io.Discard, nil)
	if err == nil {
		err = in.print(&out)
	}
	if err != nil || strings.Contains(out.String(), "hunter2") || !regexp.MustCompile(`(?m)^nats +nats://n1:4222,n2 +--nats$`).MatchString(out.String()) {
		t.Errorf("%v:\n%s", err, &out)
	}
}

func TestExamine(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"lease: 30s\n", ""},
		{"nats-config: " + shipped + "\n", ""},
		{"nats-config: /none/nats.conf\n", "correct --nats-config"},
		{"nats-config: " + write(t, "port: www") + "\n", "is not a usable NATS server configuration"},
		{"auth: jwt\nauth-key: " + write(t, secret) + "\n", ""},
		{"auth: jwt\nauth-key: /none/key\n", "--auth-key cannot be read"},
		{"auth: jwt\nauth-key: " + write(t, secret) + "\nnats-config: " + shipped + "\n", "take that line out of it"},
		{"nats: n\ncreds: /none/creds\n", "--creds cannot be used"},
		{"http: nowhere\n", "it must be HOST:PORT"},
	} {
		cfg, err := parse([]string{"--config", settings(t, c.text)}, io.Discard, nil)
		if err == nil {
			err = examine(cfg, io.Discard)
		}
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%q: %v; want it to say %q", c.text, err, c.says)
		}
	}
}

// The table of flags in the manual has every flag, and its default as config print shows it.
func TestFlagsInTheManual(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	in, err := read(nil, io.Discard, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range in.flags {
		row := regexp.MustCompile("(?m)^\\| `--" + flag.Name + "` \\| ([^|]*?) ?\\|").FindSubmatch(page)
		switch {
		case flag.Name == "help":
		case row == nil:
			t.Errorf("no row for --%s", flag.Name)
		case flag.Name == "ids": // depends on --auth
		default:
			if got := strings.ReplaceAll(string(row[1]), "`", ""); got != in.standard(flag.Name) {
				t.Errorf("--%s: the manual has the default %q, config print %q", flag.Name, got, in.standard(flag.Name))
			}
		}
	}
}
