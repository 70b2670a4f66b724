package main

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/policy"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/receiver"
	"natsrooms/roomsvc/webhooks"
	"natsrooms/subjects"
)

// checkup runs the doctor, and returns what it found by check; the worst of several.
func checkup(t *testing.T, code int, args ...string) map[string]finding {
	t.Helper()
	r := roomctl(t, append([]string{"doctor", "--json"}, args...)...)
	r.want(t, code)
	var doc struct{ Checks []finding }
	if err := json.Unmarshal([]byte(r.stdout), &doc, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("%v: %s", err, r.stdout)
	}
	found := map[string]finding{}
	for _, f := range doc.Checks {
		if f.Result != well && f.Result != unknown && f.Do == "" {
			t.Errorf("it does not say what to do: %+v", f)
		}
		if had, ok := found[f.Check]; !ok || had.Result == well {
			found[f.Check] = f
		}
	}
	return found
}

func expect(t *testing.T, found map[string]finding, check string, v verdict, texts ...string) {
	t.Helper()
	f := found[check]
	if f.Result != v {
		t.Errorf("%s: %+v, and should be %s", check, f, v)
	}
	for _, text := range texts {
		if !strings.Contains(f.Says+"\n"+f.Do, text) {
			t.Errorf("%s: %+v lacks %q", check, f, text)
		}
	}
}

func TestDoctorOfAHealthyService(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	found := checkup(t, exitOK, "-s", url)
	for _, check := range append([]string{"server", "service", "instances", "clock", "permissions"}, subjects.Streams...) {
		expect(t, found, check, well)
	}
	roomctl(t, "doctor", "-s", url).want(t, exitOK, "ok  server ", "ok  instances         1 instance, and one leads", "its settings are as they must be")
}

func TestDoctorWithoutAService(t *testing.T) {
	t.Parallel()
	roomctl(t, "doctor", "-s", "nats://127.0.0.1:1").want(t, exitNoServer, "bad server", "there is no NATS server at nats://127.0.0.1:1", "-> name another with -s URL", "1 of 1 checks found")
	url := roomtest.Server(t).ClientURL()
	found := checkup(t, exitNoService, "-s", url)
	expect(t, found, "server", well)
	expect(t, found, "service", unwell, "no room service answers", "start one: roomd --nats "+url)
	expect(t, found, "instances", unwell, "no roomd runs here")
	expect(t, found, subjects.StreamRooms, unwell, "there is no such stream")
	found = checkup(t, exitNoService, "-s", url, "--js-domain", "nowhere")
	expect(t, found, "streams", unwell, "--js-domain")
}

// What a connection may not look at is not said to be well, nor to be bad.
func TestDoctorWithoutPermissions(t *testing.T) {
	t.Parallel()
	s := service(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: "p"}}
		for _, role := range []policy.Role{policy.BackEnd, policy.Monitor} {
			may := policy.Of(role)
			o.Users = append(o.Users, &server.User{Username: strings.Fields(string(role))[0], Password: "p", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: may.Publish}, Subscribe: &server.SubjectPermission{Allow: may.Subscribe},
			}})
		}
		may := policy.User("alice", nil)
		o.Users = append(o.Users, &server.User{Username: "alice", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: may.Publish}, Subscribe: &server.SubjectPermission{Allow: may.Subscribe},
		}})
	})
	as := func(user string) string { return strings.Replace(s.ClientURL(), "://", "://"+user+":p@", 1) }
	found := checkup(t, exitOK, "-s", as("back"))
	expect(t, found, "service", well)
	expect(t, found, "instances", unknown, "$SRV.STATS.rooms")
	expect(t, found, subjects.StreamRooms, well)
	expect(t, found, "clock", well)
	expect(t, found, "permissions", unknown, "acts for every user", "$JS.API.STREAM.INFO."+subjects.StreamSessions)
	found = checkup(t, exitOK, "-s", as("monitor"))
	expect(t, found, "service", well)
	expect(t, found, "instances", well, "one leads")
	expect(t, found, "streams", unknown)
	found = checkup(t, exitOK, "-s", as("alice"), "--as", "alice", "--end-user")
	expect(t, found, "service", well)
	expect(t, found, "permissions", unknown, "acts for alice alone")
}

// Streams that somebody has changed, while no roomd puts it right.
func TestDoctorOfChangedStreams(t *testing.T) {
	t.Parallel()
	s := roomtest.Server(t)
	nc := roomtest.Conn(t, s)
	svc, err := roomsvc.New(t.Context(), nc, roomsvc.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := svc.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(roomtest.Conn(t, s))
	if err != nil {
		t.Fatal(err)
	}
	edit := func(name string, change func(*jetstream.StreamConfig)) {
		t.Helper()
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		change(&cfg)
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	found := checkup(t, exitNoService, "-s", s.ClientURL())
	for _, name := range subjects.Streams {
		expect(t, found, name, well)
	}
	edit(subjects.StreamRooms, func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour })
	edit(subjects.StreamMessages, func(c *jetstream.StreamConfig) { c.RePublish = nil })
	edit(subjects.StreamState, func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 30 }) // the operator may
	edit(subjects.StreamBlocks, func(c *jetstream.StreamConfig) { c.MaxBytes = 1 })
	if err := js.DeleteStream(t.Context(), subjects.StreamSessions); err != nil {
		t.Fatal(err)
	}
	found = checkup(t, exitNoService, "-s", s.ClientURL())
	expect(t, found, subjects.StreamRooms, unwell, "max_age is 1h0m0s and has to be ", "start roomd")
	expect(t, found, subjects.StreamMessages, unwell, "republish is none and has to be ")
	expect(t, found, subjects.StreamState, well)
	expect(t, found, subjects.StreamSessions, unwell, "there is no such stream")
	expect(t, found, subjects.StreamBlocks, worry, "max_bytes")
}

// The bucket of webhooks is looked at where there are webhooks.
func TestDoctorLooksAtWebhooks(t *testing.T) {
	t.Parallel()
	without := service(t).ClientURL()
	if _, found := checkup(t, exitOK, "-s", without)[subjects.StreamWebhooks]; found {
		t.Error("it looks for what is not there, where there are no webhooks")
	}
	s := roomtest.Server(t)
	app := receiver.New(t)
	cfg := roomsvc.Config{Logger: slog.New(slog.DiscardHandler), Webhooks: webhooks.Settings{Hooks: []webhooks.Hook{{Name: "app", URL: app.URL, Secrets: []string{app.Secret}, Private: true}}}}
	svc, err := roomsvc.New(t.Context(), roomtest.Conn(t, s), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = svc.Stop(context.Background()) }()
	expect(t, checkup(t, exitOK, "-s", s.ClientURL()), subjects.StreamWebhooks, well, "its settings are as they must be")
	var out bytes.Buffer
	d := &doctor{session: &session{stdout: &out, stderr: &out, abort: func(error) {}}, now: time.Now}
	d.Server, d.Timeout = s.ClientURL(), 15*time.Second
	if err := d.examine(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if !d.hooked {
		t.Error("it does not know that the service has webhooks")
	}

	// Somebody changes it while no roomd is there to put it right, and deletes it.
	if err := svc.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(roomtest.Conn(t, s))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), subjects.StreamWebhooks)
	if err != nil {
		t.Fatal(err)
	}
	changed := stream.CachedInfo().Config
	changed.MaxAge = time.Hour
	if _, err := js.UpdateStream(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	expect(t, checkup(t, exitNoService, "-s", s.ClientURL()), subjects.StreamWebhooks, unwell, "max_age is 1h0m0s and has to be 720h0m0s")
	if err := js.DeleteStream(t.Context(), subjects.StreamWebhooks); err != nil {
		t.Fatal(err)
	}
	if f, found := checkup(t, exitNoService, "-s", s.ClientURL())[subjects.StreamWebhooks]; found {
		t.Errorf("nobody has webhooks: %+v", f)
	}
	d.found = nil
	d.streams(t.Context()) // and with what an instance said before
	if i := slices.IndexFunc(d.found, func(f finding) bool { return f.Check == subjects.StreamWebhooks }); i < 0 || d.found[i].Result != unwell {
		t.Errorf("%+v", d.found)
	}
}

// A clock that is off, and a token that ends soon.
func TestDoctorLooksAtTheClock(t *testing.T) {
	t.Parallel()
	s := service(t)
	for _, c := range []struct {
		off   time.Duration
		v     verdict
		texts []string
	}{
		{time.Second, well, nil}, {5 * time.Minute, unwell, []string{"ahead of the NATS server's", "NTP"}}, {-5 * time.Minute, unwell, []string{"behind the NATS server's"}},
	} {
		var out bytes.Buffer
		d := &doctor{session: &session{stdout: &out, stderr: &out, abort: func(error) {}}, now: func() time.Time { return time.Now().Add(c.off) }}
		d.Server, d.Timeout = s.ClientURL(), 15*time.Second
		d.expires = time.Now().Add(time.Minute)
		if err := d.examine(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.close()
		found := map[string]finding{}
		for _, f := range d.found {
			found[f.Check] = f
		}
		expect(t, found, "clock", c.v, c.texts...)
		if c.off >= 0 {
			expect(t, found, "token", worry, "ask for a new one")
		}
	}
}
