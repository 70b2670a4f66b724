package main

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/policy"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// conf is the shipped configuration as nats-server reads it.
func conf(t *testing.T) *server.Options {
	t.Helper()
	opts, err := server.ProcessConfigFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	return opts
}

// shippedUsers is the user for each role in the shipped configuration.
var shippedUsers = map[policy.Role]string{
	policy.Service: "service", policy.BackEnd: "backend", policy.Pipeline: "pipeline", policy.Monitor: "monitor", policy.Advisor: "advisor", policy.EndUser: "alice",
}

func TestShippedPermissionsMatchTheTable(t *testing.T) {
	users := map[string]*server.User{}
	for _, u := range conf(t).Users {
		users[u.Username] = u
	}
	for _, rule := range policy.Table {
		u := users[shippedUsers[rule.Role]]
		if u == nil {
			t.Errorf("nats.conf has no user for the role %s", rule.Role)
			continue
		}
		want := rule.Permissions
		if rule.Role == policy.EndUser {
			want = policy.User("alice", nil)
		}
		p := u.Permissions
		if p == nil || len(p.Publish.Deny)+len(p.Subscribe.Deny) > 0 || (p.Response != nil) != want.Respond {
			t.Errorf("%s: permissions %+v", u.Username, p)
			continue
		}
		if r := p.Response; r != nil && (r.MaxMsgs != policy.RespondTimes || r.Expires != subjects.RespondWithin) {
			t.Errorf("%s may answer %d times within %v", u.Username, r.MaxMsgs, r.Expires)
		}
		if !slices.Equal(p.Publish.Allow, want.Publish) {
			t.Errorf("%s may publish\n%q, the table says\n%q", u.Username, p.Publish.Allow, want.Publish)
		}
		if !slices.Equal(p.Subscribe.Allow, want.Subscribe) {
			t.Errorf("%s may subscribe\n%q, the table says\n%q", u.Username, p.Subscribe.Allow, want.Subscribe)
		}
		delete(users, u.Username)
	}
	delete(users, "system")
	if len(users) > 0 {
		t.Errorf("nats.conf has users without a role: %v", users)
	}
}

// Nobody gets in as a user without a password, neither with an empty one nor with the
// text that stands in its place.
func TestShippedUsersAreLocked(t *testing.T) {
	t.Parallel()
	l := embedded(t, "--config", shipped, "--port", "-1", "--store-dir", t.TempDir())
	defer l.close()
	opts := conf(t)
	for _, u := range opts.Users {
		for _, password := range []string{"", u.Password, u.Username} {
			if nc, err := nats.Connect("nats://"+l.address, nats.UserInfo(u.Username, password)); err == nil {
				nc.Close()
				t.Errorf("%s gets in with the password %q", u.Username, password)
			}
		}
	}
}

// closedConf is the shipped configuration without its no_auth_user.
func closedConf(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	open := regexp.MustCompile(`(?m)^no_auth_user: .*\n`)
	if len(open.FindAll(text, -1)) != 1 {
		t.Fatal("nats.conf has no line no_auth_user")
	}
	return write(t, string(open.ReplaceAll(text, nil)))
}

func TestShippedWithoutNoAuthUser(t *testing.T) {
	t.Parallel()
	everybody := conf(t).NoAuthUser
	l := embedded(t, "--config", closedConf(t), "--port", "-1", "--store-dir", t.TempDir())
	defer l.close()
	key, _, err := newUserKey()
	if err != nil {
		t.Fatal(err)
	}
	for what, opts := range map[string][]nats.Option{
		"nobody":                       nil,
		"everybody, unsigned":          {nats.Nkey(everybody, func([]byte) ([]byte, error) { return nil, nil })},
		"everybody, another signature": {nats.Nkey(everybody, key.Sign)},
	} {
		if nc, err := nats.Connect("nats://"+l.address, opts...); err == nil {
			nc.Close()
			t.Errorf("%s gets in", what)
		}
	}
}

// As shipped, the file restricts nobody: everybody who connects may do everything, both
// with roomd's embedded server and with nats-server and roomd beside it.
func TestShippedAsIs(t *testing.T) {
	t.Parallel()
	embeds := start(t, "--config", shipped, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m")
	opts := conf(t)
	alone := roomtest.Server(t, func(o *server.Options) {
		o.Users, o.Nkeys, o.NoAuthUser, o.Accounts = opts.Users, opts.Nkeys, opts.NoAuthUser, opts.Accounts
	})
	beside := start(t, "--nats", alone.ClientURL())
	for _, r := range []*started{embeds, beside} {
		anybody := connected(t, r.url)
		for _, subject := range []string{"room.cmd.enter", "room.cmd.send"} {
			m, err := anybody.Request(subject, []byte(`{"roomID":"lobby","userID":"bob","type":"text","data":"hello"}`), within)
			if err != nil || m.Header.Get("Nats-Service-Error") != "" {
				t.Errorf("%s: %v, %+v", subject, err, m)
			}
		}
		for _, subject := range []string{"room.>", "$SRV.>", "orders.>"} {
			if !anybody.maySubscribe(subject) {
				t.Errorf("a user without credentials may not subscribe to %s", subject)
			}
		}
		r.end(t)
	}
}
