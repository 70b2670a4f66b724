package main

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// trusting is what roomctl says about a rule on a server that trusts everybody.
func trusting(rules string) string {
	return "roomctl: this server trusts everybody who connects, and " + rules + " hold for end users only; roomd --auth jwt lets users in as such\n"
}

func TestRunningARoom(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	bans, mutes, joins := trusting("bans"), trusting("mutes"), trusting("rules of who may join")
	for _, c := range []struct {
		line  string
		code  int
		note  string
		texts []string
	}{
		{"create lobby --as alice --hosts creator --destroy-delay 60 --attribute topic=tea", exitOK, "", []string{"alice created lobby"}},
		{"enter stage --as alice --speakers hosts --attributes owned --access token", exitOK, trusting("rules of who may join and rules of who may send and owners of attributes"), []string{"alice created stage"}},
		{"join lobby --as bob", exitOK, "", nil},
		{"get lobby", exitOK, "", []string{"always a host", "tea (owner alice)"}},
		{"attributes lobby", exitOK, "", []string{"topic      alice  tea"}},
		{"set lobby topic=chai rules=kind", exitOK, "", []string{"the server set rules, topic in lobby (sequence 3)"}},
		{"attributes lobby", exitOK, "", []string{"rules             kind", "topic      alice  chai"}},
		{"set nowhere a=1", exitRefused, "", []string{"try: roomctl ls"}},
		{"members lobby", exitOK, "", []string{"ROLE", "host"}},
		{"access lobby", exitOK, "", []string{"end users who may join  everybody", "hosts who are in        alice", "its creator, alice"}},
		{"set-role lobby host bob --as eve --end-user", exitRefused, "", []string{"only hosts and back ends may setRole"}},
		{"set-role lobby host bob --as alice --end-user", exitOK, "", []string{"bob is a host now in lobby (sequence 4)"}},
		{"set-role lobby member bob carol", exitOK, "", []string{"bob is a member like others now in lobby (sequence 5); carol is not in lobby"}},
		{"set-role lobby host carol", exitRefused, "", []string{"nothing changed: carol is not in lobby", "try: roomctl members lobby"}},
		{"mute lobby bob --for 1m --reason loud --as alice --end-user", exitOK, mutes, []string{"muted bob in lobby until ", "(sequence 6)"}},
		{"send lobby hello --as bob --end-user", exitRefused, "", []string{`"bob" may not send in "lobby" until `, "loud"}},
		{"get lobby", exitOK, mutes, []string{"muted bob", ": loud"}},
		{"unmute lobby bob", exitOK, "", []string{"lobby: bob may send again (sequence 7)"}},
		{"send lobby hello --as bob --end-user", exitOK, "", nil},
		{"ban lobby bob eve --reason spam", exitOK, bans, []string{"banned bob, eve in lobby as long as the room exists (sequence 9)"}},
		{"enter lobby --as bob --end-user", exitRefused, "", []string{`"bob" may not come into "lobby" (spam)`}},
		{"access lobby", exitOK, bans, []string{"banned bob", "banned eve", "as long as the room exists: spam"}},
		{"unban lobby bob eve", exitOK, "", []string{"lobby: bob, eve may come in again (sequence 10)"}},
		{"enter lobby --as bob --end-user", exitOK, "", nil},
		{"access lobby --disallow alice", exitRefused, "", []string{"ban keeps users out"}},
		{"access lobby --access listed --allow bob", exitOK, joins, []string{"only users on its list may join: alice, bob"}},
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

// A server that asks who connects trusts nobody, so there is nothing to say.
func TestNoNoteWhereUsersAreAsked(t *testing.T) {
	t.Parallel()
	url := strings.Replace(service(t, func(o *server.Options) { o.Username, o.Password = "u", "p" }).ClientURL(), "://", "://u:p@", 1)
	roomctl(t, "create", "lobby", "-s", url).want(t, exitOK)
	if r := roomctl(t, "ban", "lobby", "eve", "-s", url); r.code != exitOK || r.stderr != "" {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}
