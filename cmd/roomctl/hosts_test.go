package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/policy"
	"natsrooms/roomsvc/roomtest"
)

// trusting is what roomctl says about a rule on a server that trusts everybody.
func trusting(rules string) string {
	return "roomctl: this server trusts everybody who connects, and " + rules + " hold for end users only; roomd --auth jwt lets users in as such\n"
}

func TestRunningARoom(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	host, bans, mutes, joins := trusting("roles of hosts"), trusting("roles of hosts and bans"), trusting("roles of hosts and mutes"), trusting("rules of who may join and roles of hosts")
	block := "roomctl: this server trusts everybody who connects: eve cannot come into a room, but anybody may act under another ID, or unblock it; roomd --auth jwt lets users in as such\n"
	for _, c := range []struct {
		line  string
		code  int
		note  string
		texts []string
	}{
		{"create lobby --as alice --hosts creator --destroy-delay 60 --attribute topic=tea", exitOK, host, []string{"alice created lobby"}},
		{"enter stage --as alice --speakers hosts --attributes owned --access token", exitOK, trusting("rules of who may join and rules of who may send and owners of attributes"), []string{"alice created stage"}},
		{"join lobby --as bob", exitOK, "", nil},
		{"block eve", exitOK, block, nil},
		{"unblock eve", exitOK, "", nil},
		{"get lobby", exitOK, host, []string{"always a host", "tea (owner alice)"}},
		{"attributes lobby", exitOK, "", []string{"topic      alice  tea"}},
		{"set lobby topic=chai rules=kind", exitOK, "", []string{"the server set rules, topic in lobby (sequence 3)"}},
		{"attributes lobby", exitOK, "", []string{"rules             kind", "topic      alice  chai"}},
		{"set nowhere a=1", exitRefused, "", []string{"try: roomctl ls"}},
		{"members lobby", exitOK, "", []string{"ROLE", "host"}},
		{"access lobby", exitOK, host, []string{"end users who may join  everybody", "hosts who are in        alice", "its creator, alice"}},
		{"set-role lobby host bob --as eve --end-user", exitRefused, "", []string{"only hosts and back ends may setRole"}},
		{"set-role lobby host bob --as alice --end-user", exitOK, host, []string{"bob is a host now in lobby (sequence 4)"}},
		{"set-role lobby member bob carol", exitOK, host, []string{"bob is a member like others now in lobby (sequence 5); carol is not in lobby"}},
		{"set-role lobby host carol", exitRefused, "", []string{"nothing changed: carol is not in lobby", "try: roomctl members lobby"}},
		{"mute lobby bob --for 1m --reason loud --as alice --end-user", exitOK, trusting("mutes"), []string{"muted bob in lobby until ", "(sequence 6)"}},
		{"send lobby hello --as bob --end-user", exitRefused, "", []string{`"bob" may not send in "lobby" until `, "loud"}},
		{"get lobby", exitOK, mutes, []string{"muted bob", ": loud"}},
		{"unmute lobby bob", exitOK, "", []string{"lobby: bob may send again (sequence 7)"}},
		{"send lobby hello --as bob --end-user", exitOK, "", nil},
		{"ban lobby bob eve --reason spam", exitOK, trusting("bans"), []string{"banned bob, eve in lobby as long as the room exists (sequence 9)"}},
		{"enter lobby --as bob --end-user", exitRefused, "", []string{`"bob" may not come into "lobby" (spam)`}},
		{"access lobby", exitOK, bans, []string{"banned bob", "banned eve", "as long as the room exists: spam"}},
		{"unban lobby bob eve", exitOK, "", []string{"lobby: bob, eve may come in again (sequence 10)"}},
		{"enter lobby --as bob --end-user", exitOK, "", nil},
		{"access lobby --disallow alice", exitRefused, "", []string{"ban keeps users out"}},
		{"access lobby --access listed --allow bob", exitOK, trusting("rules of who may join"), []string{"only users on its list may join: alice, bob"}},
		{"access lobby", exitOK, joins, []string{"users on its list: alice, bob"}},
		{"update lobby --name Hall --max-members 9 --no-history-for-joiners --speakers hosts --hosts none --attributes owned", exitOK, trusting("rules of who may send and owners of attributes"),
			[]string{`lobby is now as follows (sequence 13): its name is "Hall", at most 9 members, it outlives its last member by 1m0s, who joins does not read what was said before, only owners and hosts change attributes, only hosts send`}},
		{"update lobby --name= --max-members 0 --destroy-delay 0 --history-for-joiners --speakers all --attributes open", exitOK, "", []string{"(sequence 14): no name, and all rules as usual"}},
		{`update-member lobby --as bob --user-name Bob --info {"n":1}`, exitOK, "", []string{`bob "Bob" is in lobby with the info {"n":1} (sequence 15)`}},
		{"update-member lobby --as eve --user-name Eve", exitRefused, "", []string{"try: roomctl enter lobby"}},
		{"history lobby", exitOK, "", []string{"the server set rules=kind, topic=chai", "alice joined (create, a host)", "bob is a host now (by alice)", "bob is muted until ", "room updated: ", "bob has a new info"}},
	} {
		t.Log(c.line)
		r := roomctl(t, append(strings.Fields(c.line), "-s", url)...)
		r.want(t, c.code, c.texts...)
		if r.code == exitOK && r.stderr != c.note || r.code != exitOK && r.stdout != "" {
			t.Errorf("the wrong stream:\n%s\n%s", r.stdout, r.stderr)
		}
	}
	if r := roomctl(t, "ban", "lobby", "eve", "--json", "-s", url); r.code != exitOK || r.stderr != "" {
		t.Errorf("exit code %d; a program is told %s", r.code, r.stderr)
	}
}

// Who has to name itself to the server is held to rules for end users only if the service was told
// that there are some, and roomctl says which it is, to those who may ask.
func TestWhoIsHeldToRules(t *testing.T) {
	t.Parallel()
	for _, feeds := range []bool{false, true} {
		s := roomtest.Server(t, func(o *server.Options) {
			of := func(name string, p policy.Permissions) *server.User {
				return &server.User{Username: name, Password: "p", Permissions: &server.Permissions{
					Publish: &server.SubjectPermission{Allow: p.Publish}, Subscribe: &server.SubjectPermission{Allow: p.Subscribe},
				}}
			}
			narrow := policy.Of(policy.BackEnd)
			narrow.Publish = []string{"room.cmd.*"}
			o.Users = []*server.User{{Username: "service", Password: "p"}, of("alice", policy.User("alice", nil)), of("shop", policy.Of(policy.BackEnd)), of("narrow", narrow)}
		})
		svc, err := roomsvc.New(t.Context(), roomtest.Conn(t, s, nats.UserInfo("service", "p")), roomsvc.Config{Feeds: feeds, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = svc.Stop(context.Background()) })
		const only = " hold only for connections that the NATS server confines to one user's commands"
		for _, c := range []struct{ user, line, note string }{
			{"alice", "create lobby --as alice --end-user --hosts creator --destroy-delay 60", "roles of hosts" + only},
			{"alice", "mute lobby eve --as alice --end-user", "mutes" + only},
			{"shop", "ban lobby eve", "bans" + only},
			{"shop", "set-role lobby member alice", "roles of hosts" + only},
			{"shop", "set-role lobby host alice", "roles of hosts" + only},
			{"shop", "update lobby --speakers hosts", "rules of who may send" + only},
			{"shop", "access lobby --access listed", "neither --auth nor --feeds, so rules of who may join hold for nobody"},
			{"shop", "access lobby", only + ", and rules of who may join hold for nobody"},
			{"shop", "block eve", "eve cannot come into a room, but whom the NATS server does not confine"},
			{"shop", "unban lobby eve", ""},
			{"shop", "ban lobby eve --json", ""},
		} {
			r := roomctl(t, append(strings.Fields(c.line), "-s", "nats://"+c.user+":p@"+s.Addr().String())...)
			r.want(t, exitOK)
			if said := r.stderr != ""; said != (!feeds && c.note != "") || said && !strings.Contains(r.stderr, c.note) {
				t.Errorf("feeds %v, %s: %s", feeds, c.line, r.stderr)
			}
		}
		r := roomctl(t, "ban", "lobby", "eve", "mallory", "-s", "nats://narrow:p@"+s.Addr().String())
		if r.want(t, exitOK, "banned eve, mallory"); !strings.Contains(r.stderr, "bans hold for end users only, and this connection may not ask") {
			t.Errorf("feeds %v, who may not ask: %s", feeds, r.stderr)
		}
		token := roomctl(t, "block", "eve", "--token-id", "T", "-s", "nats://shop:p@"+s.Addr().String())
		if token.want(t, exitOK); (token.stderr == "") != feeds || !feeds && !strings.Contains(token.stderr, "nobody in by a token") {
			t.Errorf("feeds %v: %s", feeds, token.stderr)
		}
	}
}
