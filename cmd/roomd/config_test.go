package main

import (
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"
)

func mustParse(t *testing.T, args ...string) Config {
	t.Helper()
	cfg, err := parse(args, io.Discard, func(code int) { t.Errorf("exit %d", code) })
	if err != nil {
		t.Fatalf("roomd %s: %v", strings.Join(args, " "), err)
	}
	return cfg
}

func TestFlagsNotGivenAreZero(t *testing.T) {
	if cfg := mustParse(t); !reflect.DeepEqual(cfg, Config{}) {
		t.Fatalf("without arguments: %+v", cfg)
	}
}

func TestFlagsAndVariables(t *testing.T) {
	flags := mustParse(t, "--config", "c", "--host", "h", "--port", "-1", "--store-dir", "s", "--sync", "90s",
		"--facts-keep", "48h", "--max-rooms", "1", "--max-members", "2", "--max-rooms-per-user", "3", "--log-level", "debug", "--lease", "30s", "--grace", "0s", "--devices", "replace")
	for name, value := range map[string]string{
		"CONFIG": "c", "HOST": "h", "PORT": "-1", "STORE_DIR": "s", "SYNC": "90s",
		"FACTS_KEEP": "48h", "MAX_ROOMS": "1", "MAX_MEMBERS": "2", "MAX_ROOMS_PER_USER": "3", "LOG_LEVEL": "debug", "LEASE": "30s", "GRACE": "0s", "DEVICES": "replace",
	} {
		t.Setenv("ROOMD_"+name, value)
	}
	vars := mustParse(t)
	for _, got := range []Config{flags, vars} {
		if *got.Port != -1 || *got.Sync != (Sync{Every: 90 * time.Second}) || got.LogLevel.Level != slog.LevelDebug {
			t.Errorf("port %d, sync %v, level %v", *got.Port, *got.Sync, got.LogLevel)
		}
		if svc := got.service(&link{}, quiet); svc.Grace >= 0 || svc.Limits.LeaseSeconds != 30 || svc.Limits.ReplaceDevices != 1 {
			t.Errorf("the service gets grace %v, lease %d s, devices %d", svc.Grace, svc.Limits.LeaseSeconds, svc.Limits.ReplaceDevices)
		}
		got.Port, got.Sync, got.LogLevel, got.Grace = nil, nil, Level{}, nil
		want := Config{Lease: 30 * time.Second, Devices: "replace", Config: "c", NATSConfig: "c", Host: "h", StoreDir: "s", FactsKeep: 48 * time.Hour, MaxRooms: 1, MaxMembers: 2, MaxRoomsPerUser: 3}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if got := mustParse(t, "--host", "mine"); got.Host != "mine" {
		t.Errorf("the variable overrides the flag: %q", got.Host)
	}
}

func TestRemoteFlags(t *testing.T) {
	cfg := mustParse(t, "--nats", "nats://n1,nats://n2", "--creds", "f", "--replicas", "3")
	if cfg.NATS != "nats://n1,nats://n2" || cfg.Creds != "f" || cfg.Replicas != 3 {
		t.Fatalf("got %+v", cfg)
	}
}

func TestRefusedArguments(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"--port 0", "--port is 0; it must be 1 to 65535, or -1"},
		{"--port 65536", "--port is 65536"},
		{"--port -2", "--port is -2"},
		{"--port www", "--port"},
		{"--sync never", `"never" is neither "always" nor a duration`},
		{"--sync 0s", `"0s" is neither`},
		{"--sync -1m", `"-1m" is neither`},
		{"--facts-keep 23h", "--facts-keep is 23h0m0s; facts are kept for at least 24h"},
		{"--max-rooms -1", "--max-rooms is -1"},
		{"--max-members -1", "--max-members is -1"},
		{"--max-rooms-per-user -1", "--max-rooms-per-user is -1"},
		{"--log-level loud", `"loud" is not debug, info, warn or error`},
		{"--lease 4s", "--lease is 4s; it must be whole seconds, 5s to 1h"},
		{"--lease 61m", "--lease is 1h1m0s"},
		{"--lease 5500ms", "--lease is 5.5s"},
		{"--limit lease-seconds=30", "give --lease"},
		{"--limit foo=1", "there are room-name, user-name, attributes,"},
		{"--grace -1s", "--grace is -1s"},
		{"--grace soon", "--grace"},
		{"--nats n --grace 1s", "--system-creds"},
		{"--devices one", `--devices is "one"; it must be many or replace`},
		{"--creds f", "--creds is for --nats URL"},
		{"--js-domain hub", "--js-domain is for --nats URL"},
		{"--nats n --js-domain a.b", `--js-domain: "a.b" is no JetStream domain`},
		{"--system-creds f", "--system-creds is for --nats URL"},
		{"--auth ldap --auth-key k", "the only kind is jwt"},
		{"--http-password f", "is for the page at --http"},
		{"--auth jwt", "needs --auth-key FILE"},
		{"--auth-key k", "are for --auth jwt, which is not given"},
		{"--auth jwt --auth-key k --auth-issuer i", "for the server it embeds, roomd makes its own"},
		{"--nats n --auth jwt --auth-key k", "needs --auth-issuer FILE"},
		{"--replicas 3", "name it with --nats URL"},
		{"--nats n --replicas 2", "--replicas is 2; JetStream keeps 1, 3 or 5 copies"},
		{"--nats n --config c", "nothing to set up with --config;"},
		{"--nats n --nats-config c", "nothing to set up with --nats-config;"},
		{"--config c --nats-config c2", "give one of the two"},
		{"--nats n --host h --port 1", "nothing to set up with --host, --port;"},
		{"--nats n --store-dir d --sync always", "nothing to set up with --store-dir, --sync;"},
		{"--websocket 8080", `--websocket is "8080"; it must be :PORT`},
		{"--websocket :0", `--websocket is ":0"`},
		{"--websocket 0.0.0.0:4280", "it has no TLS, so it is for this machine only"},
		{"--websocket example.com:4280", "for this machine only"},
		{"--websocket :4280 --websocket-origins *", `--websocket-origins has "*"`},
		{"--websocket :4280 --websocket-origins http://127.0.0.1:8000/", `has "http://127.0.0.1:8000/"`},
		{"--websocket-origins http://127.0.0.1:8000", "is for --websocket, which is not given"},
		{"--nats n --websocket :4280", "--websocket is for the embedded server"},
		{"--webhook app.example --webhook-secret s", `"app.example" is neither a URL nor NAME=URL`},
		{"--webhook https://app.example/", "secret is missing"},
		{"--webhook https://app.example/ --webhook https://app.example/ --webhook-secret s", "taken by another one"},
		{"--webhook a_b=https://app.example/ --webhook-secret s", "neither a URL nor NAME=URL"},
		{"--webhook app=http://app.example/ --webhook-secret s", `--webhook: webhook "app": url is http`},
		{"--webhook https://127.0.0.1/ --webhook-secret s", "url leads to 127.0.0.1"},
		{"--webhook-secret s", "which are not given"},
		{"--webhook-private", "which are not given"},
		{"--webhook-give-up 1h", "--webhook-give-up is for --webhook URL"},
		{"--webhook https://app.example/ --webhook-secret s --webhook-give-up 200h", "facts are kept for 168h"},
		{"--webhook https://app.example/ --webhook-secret s --webhook-give-up 30h --facts-keep 24h", "facts are kept for 24h"},
		{"--webhook https://app.example/ --webhook-secret s --webhook-give-up 1ms", "it must be 1s to 720h"},
		{"--hook send=https://app.example/", "there is no secret to sign with"},
		{"--no-such-flag", "--no-such-flag"},
		{"lobby", "lobby"},
	} {
		_, err := parse(strings.Fields(c.args), io.Discard, func(int) {})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("roomd %s: %v; want it to say %q", c.args, err, c.says)
		}
	}
}

func TestSync(t *testing.T) {
	for text, want := range map[string]Sync{
		"always": {Always: true},
		"Always": {Always: true},
		"2m":     {Every: 2 * time.Minute},
		"1h30m":  {Every: 90 * time.Minute},
	} {
		var got Sync
		if err := got.UnmarshalText([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestHelpNamesEveryVariable(t *testing.T) {
	var help strings.Builder
	code := -1
	_, _ = parse([]string{"--help"}, &help, func(c int) { code = c })
	if code != 0 {
		t.Errorf("--help exits with %d", code)
	}
	for _, name := range []string{"CONFIG", "HOST", "PORT", "STORE_DIR", "SYNC", "NATS", "CREDS", "SYSTEM_CREDS", "AUTH", "AUTH_KEY", "AUTH_AUDIENCE", "AUTH_ISSUER", "AUTH_XKEY", "FACTS_KEEP", "MAX_ROOMS", "MAX_MEMBERS", "MAX_ROOMS_PER_USER", "LEASE", "GRACE", "DEVICES", "REPLICAS", "LOG_LEVEL"} {
		if !strings.Contains(help.String(), "$ROOMD_"+name+")") {
			t.Errorf("--help does not name ROOMD_%s", name)
		}
	}
}
