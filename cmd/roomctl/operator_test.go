package main

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natsrooms/roomsvc/roomtest"
)

// A server in operator mode wants sentinel credentials besides a token, and roomctl says what is
// missing.
func TestOperatorMode(t *testing.T) {
	t.Parallel()
	o := roomtest.StartOperator(t, roomtest.OperatorSettings{SigningKey: true})
	issuer, err := nkeys.FromSeed([]byte(strings.TrimSpace(o.Issuer)))
	if err != nil {
		t.Fatal(err)
	}
	service := file(t, o.Service)
	guard(t, roomtest.Conn(t, o.Server, nats.UserCredentials(service)), issuer)
	url, key, sentinel, stranger := o.ClientURL(), file(t, secret), file(t, o.Sentinel), file(t, o.Stranger)
	alice, admin := token(t, "--key", key, "--sub", "alice"), token(t, "--key", key, "--sub", "ops", "--admin")
	for _, c := range []struct {
		args  []string
		code  int
		texts []string
	}{
		{[]string{"enter", "lobby", "--creds", sentinel, "--token", alice}, exitOK, []string{"alice created lobby"}},
		{[]string{"join", "garden", "--creds", sentinel, "--token", alice}, exitRefused, []string{"try: roomctl enter garden -s " + url + " --creds " + sentinel + " --token " + alice}},
		{[]string{"ls", "--creds", sentinel, "--token", admin}, exitOK, []string{"lobby"}},
		{[]string{"ls", "--creds", service}, exitOK, []string{"lobby"}},
		{[]string{"enter", "lobby", "--token", alice}, exitNoServer, []string{"that lets you in", "operator mode wants sentinel credentials as well, with --creds FILE"}},
		{[]string{"enter", "lobby", "--as", "alice"}, exitNoServer, []string{"that lets you in", "--creds FILE"}},
		{[]string{"enter", "lobby", "--creds", sentinel, "--as", "alice"}, exitNoServer, []string{"that lets you in", "add the user's token with --token FILE"}},
		{[]string{"enter", "lobby", "--creds", stranger, "--as", "alice"}, exitNoServer, []string{"that lets you in", "does not accept these credentials"}},
		{[]string{"enter", "lobby", "--creds", sentinel, "--token", alice + "x"}, exitNoServer, []string{"does not accept the token with these credentials; the log of roomd says why"}},
		{[]string{"enter", "lobby", "--creds", sentinel, "--token", expired(t, key)}, exitNoServer, []string{"the token was valid until 2"}},
	} {
		t.Log(c.args[0], c.texts)
		roomctl(t, append(c.args, "-s", url)...).want(t, c.code, c.texts...)
	}
}
