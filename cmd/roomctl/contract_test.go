package main

import (
	"strings"
	"testing"

	"natsrooms/docs/contract"
)

// What --json prints are replies, refusals and events according to the contract's
// schemas.
func TestJSONFollowsTheContract(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	reply := func(verb string) func([]byte) error {
		return func(line []byte) error { return contract.Reply(verb, line) }
	}
	for _, c := range []struct {
		line  string
		check func([]byte) error
	}{
		{"create lobby --as alice --attribute topic=tea", reply("create")},
		{"create lobby --as bob", nil},
		{"join lobby --as bob --user-name Bob", reply("join")},
		{"join nowhere --as bob", nil},
		{"enter garden --as carol", reply("enter")},
		{"get lobby", reply("get")},
		{"members lobby", reply("members")},
		{"members lobby --count", reply("count")},
		{"members nowhere --count", nil},
		{"rooms --as bob", reply("rooms")},
		{"ls", reply("list")},
		{"set lobby note=x --as bob", reply("setAttributes")},
		{"set lobby note=y --as bob --if-revision 1", nil},
		{"set-member lobby hand=up --user bob --user dora --as alice", reply("setMemberAttributes")},
		{"send lobby hello --as bob", reply("send")},
		{"switch lobby garden --as bob", reply("switch")},
		{"history lobby", reply("history")},
		{"history lobby --messages", reply("history")},
		{"leave garden --as bob", reply("leave")},
		{"set-role lobby host alice dora", reply("setRole")},
		{"update lobby --name Hall --speakers hosts --attributes owned --hosts creator --max-members 9", reply("update")},
		{"update-member lobby --as alice --user-name Alice", reply("updateMember")},
		{"ban lobby eve --for 1m --reason spam", reply("ban")},
		{"mute lobby eve", reply("mute")},
		{"get lobby", reply("get")},
		{"enter lobby --as eve --end-user", nil},
		{"unmute lobby eve", reply("unmute")},
		{"unban lobby eve", reply("unban")},
		{"mute nowhere eve", nil},
		{"kick garden carol dora --reason late", reply("kick")},
		{"leave-all --as alice", reply("leaveAll")},
		{"block dora --for 24h --reason spam", reply("block")},
		{"block dora --token-id T1", reply("block")},
		{"block dora --issued-before now", reply("block")},
		{"enter lobby --as dora", nil},
		{"blocked", reply("blocked")},
		{"unblock dora --tokens", reply("unblock")},
		{"destroy nowhere", nil},
		{"enter lobby --as alice", reply("enter")},
		{"destroy lobby --reason closing", reply("destroy")},
		{"instances lobby", reply("instances")},
		{"members lobby --at 2026-01-01T00:00:00Z", nil},
	} {
		r := roomctl(t, append(strings.Fields(c.line), "--json", "-s", url)...)
		out, check := r.stdout, c.check
		if check == nil {
			out, check = r.stderr, contract.Refusal
		}
		if out == "" || r.stdout+r.stderr != out {
			t.Errorf("%s prints %q and %q", c.line, r.stdout, r.stderr)
		}
		if strings.Count(out, "\n") != 1 {
			t.Errorf("%s prints no single document: %s", c.line, out)
		}
		for line := range strings.Lines(out) {
			if err := check([]byte(line)); err != nil {
				t.Errorf("%s: %v", c.line, err)
			}
		}
	}
}
