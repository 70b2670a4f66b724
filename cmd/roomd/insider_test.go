package main

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/roomtest"
)

// within bounds every wait; none is expected to take nearly as long.
const within = 30 * time.Second

// hearsWhoGoes checks that a link is told when a connection closes.
func hearsWhoGoes(t *testing.T, l *link, opts ...nats.Option) {
	t.Helper()
	if l.system == nil {
		t.Fatal("there is no connection to the system account")
	}
	gone := make(chan *nats.Msg, 8)
	if _, err := l.system.ChanSubscribe("$SYS.ACCOUNT.*.DISCONNECT", gone); err != nil {
		t.Fatal(err)
	}
	if err := l.system.Flush(); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect("nats://"+l.address, append(opts, patientDial, nats.Name("leaver"))...)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	for {
		select {
		case m := <-gone:
			if strings.Contains(string(m.Data), `"leaver"`) {
				return
			}
		case <-time.After(within):
			t.Fatal("the end of the connection is not announced")
		}
	}
}

func TestSystemConnection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		opts []nats.Option
	}{
		"nothing configured":      {text: `max_payload: 1MB`},
		"a user":                  {`authorization { user: u, password: p }`, []nats.Option{nats.UserInfo("u", "p")}},
		"a token":                 {`authorization { token: secret }`, []nats.Option{nats.Token("secret")}},
		"users":                   {`authorization { users [{ user: u, password: p }] }`, []nats.Option{nats.UserInfo("u", "p")}},
		"system users":            {text: `accounts { $SYS { users [{ user: s, password: p }] } }`},
		"own system account":      {text: `system_account: S, accounts { S { users [{ user: s, password: p }] } }`},
		"account of the user":     {`no_auth_user: any, accounts { A { jetstream: enabled, users [{ user: any, password: p }] }, B { users [{ user: b, password: p }] } }`, nil},
		"somebody else's callout": {text: `authorization { users [{ user: u, password: p }], auth_callout { issuer: ADDTXVVBNKSG4BWS2AX3ERDB3KQ54RWLLGTKIJWM4WLNJS6WIZL5I5UD, auth_users: [u] } }`, opts: []nats.Option{nats.UserInfo("u", "p")}},
		"one account":             {`accounts { A { jetstream: enabled, users [{ user: u, password: p }] } }`, []nats.Option{nats.UserInfo("u", "p")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := embedded(t, "--config", write(t, c.text), "--port", "-1", "--store-dir", t.TempDir())
			defer l.close()
			hearsWhoGoes(t, l, c.opts...)
			js, err := jetstream.New(l.nc)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := js.AccountInfo(t.Context()); err != nil {
				t.Errorf("the service has no JetStream: %v", err)
			}
			if len(c.opts) > 0 {
				if nc, err := nats.Connect("nats://" + l.address); err == nil {
					nc.Close()
					t.Error("somebody gets in without credentials")
				}
			}
		})
	}
}

// greeting is the first INFO of a server. Later ones, which change nothing for a connected
// client, say that credentials are required although there is a no_auth_user.
func greeting(t *testing.T, address string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	said, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(said, "INFO ") {
		t.Fatalf("the server says %q: %v", said, err)
	}
	return said
}

// Only roomd gets into the system account.
func TestEverybodyIsInTheRoomsAccount(t *testing.T) {
	t.Parallel()
	l := embedded(t, "--port", "-1", "--store-dir", t.TempDir())
	defer l.close()
	hearsWhoGoes(t, l)
	nc, err := nats.Connect("nats://"+l.address, patientDial)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if said := greeting(t, l.address); strings.Contains(said, `"auth_required":true`) {
		t.Errorf("the server says that it asks for credentials: %s", said)
	}
	if _, err := nc.Request("$SYS.REQ.SERVER.PING", nil, within); err == nil {
		t.Error("it answers anybody's questions about the server")
	}
	heard, err := nc.SubscribeSync("to.anybody")
	if err != nil || nc.Flush() != nil {
		t.Fatal(err)
	}
	if err := l.nc.Publish("to.anybody", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := heard.NextMsg(within); err != nil {
		t.Errorf("the service and everybody else are not in the same account: %v", err)
	}
}

func TestNoSystemAccount(t *testing.T) {
	t.Parallel()
	l := embedded(t, "--config", write(t, `no_system_account: true`), "--port", "-1", "--store-dir", t.TempDir())
	defer l.close()
	if l.system != nil {
		t.Error("there is a connection to an account that does not exist")
	}
}

func TestDialSystem(t *testing.T) {
	t.Parallel()
	_, public, seed := roomtest.KeyPair(t, nkeys.CreateUser)
	s := roomtest.Server(t, func(o *server.Options) {
		system := server.NewAccount("SYSTEM")
		o.Accounts, o.SystemAccount = []*server.Account{system}, "SYSTEM"
		o.Users = []*server.User{{Username: "service", Password: "p"}, {Username: "system", Password: "p:q", Account: system},
			{Username: "bound", Password: "p", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"room.>"}}}}}
		o.Nkeys = []*server.NkeyUser{{Nkey: public, Account: system}}
	})
	url := strings.Replace(s.ClientURL(), "nats://", "nats://service:p@", 1)
	for _, creds := range []string{"system:p:q\n", strings.TrimSpace(seed)} {
		l, err := dialed(mustParse(t, "--nats", url, "--system-creds", write(t, creds)), quiet)
		if err != nil {
			t.Fatal(err)
		}
		hearsWhoGoes(t, l, nats.UserInfo("service", "p"))
		l.close()
	}
	// A user of another account is let in, but is told nothing.
	for _, user := range []string{"service:p", "bound:p"} {
		refuses(t, dialed, []string{"--nats", url, "--system-creds", write(t, user)}, "--system-creds is no user of the system account of "+s.ClientURL())
	}
	refuses(t, dialed, []string{"--nats", url, "--system-creds", write(t, "system:wrong")}, "does not let roomd in", "with --system-creds")
	refuses(t, dialed, []string{"--nats", url, "--system-creds", write(t, "nothing")}, "--system-creds cannot be used (it holds no credentials)")
}

// The server names a connection by its user, and never shows its token.
func TestTokensAreNotShown(t *testing.T) {
	t.Parallel()
	l := locked(t)
	gone := make(chan *nats.Msg, 8)
	if _, err := l.system.ChanSubscribe("$SYS.ACCOUNT.*.DISCONNECT", gone); err != nil || l.system.Flush() != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]auth.Claims{"user:al=2Eice": {User: "al.ice"}, "admin:al=2Eice": {User: "al.ice", Admin: true}} {
		connected(t, "nats://"+l.address, bearing(t, c)...).Close()
		select {
		case m := <-gone:
			if text := string(m.Data); !strings.Contains(text, `"user":"`+name+`"`) || strings.Contains(text, "eyJ") {
				t.Errorf("it shows the token in %s: %s", name, text)
			}
		case <-time.After(within):
			t.Fatal("it does not say who disconnected")
		}
	}
}
