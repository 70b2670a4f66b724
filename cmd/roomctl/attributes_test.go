package main

import (
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"natsrooms/roomsvc/room"
)

// typed is a command line of words that have no blanks in them.
func typed(s string, code int, texts ...string) line { return line{strings.Fields(s), code, texts} }

func TestAttributes(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	checkLines(t, url, []line{
		typed("set lobby a=1 --as alice", exitRefused, `there is no room "lobby"`, "try: roomctl enter lobby"),
		typed("attributes lobby", exitRefused, `there is no room "lobby"`, "try: roomctl ls"),
		typed("enter lobby --as alice", exitOK),
		typed("enter lobby --as bob", exitOK),
		typed("attributes lobby", exitOK, "lobby has no attributes (revision "),
		typed("set lobby topic=a=b note= --as alice --delete-after-left", exitOK, "alice set note, topic in lobby (sequence 3)\n"),
		typed("set lobby topic=x colour=blue --as bob", exitOK, "bob set colour in lobby (sequence 4); unchanged: topic belongs to somebody else\n"),
		{[]string{"set", "lobby", "topic=x y", "--delete", "note", "--as", "bob"}, exitRefused, []string{
			"nothing changed in lobby: topic, note belong to somebody else", "try: roomctl set lobby 'topic=x y' --delete=note --force -s "}},
		typed("set lobby topic=x --own --force --no-delete-after-left --delete note --delete gone --as bob", exitOK, "bob set topic and deleted gone, note in lobby (sequence 5)"),
		typed("set lobby topic=y --as alice", exitRefused, "topic belongs to somebody else"),
		typed("set lobby --as alice", exitRefused, "there is nothing to do"),
		typed("set lobby a=1 --delete a --as alice", exitRefused, "it can't be both"),
		typed("set lobby a=1 --if-revision 1 --as alice", exitRefused, "were changed after revision 1", "try: roomctl attributes lobby"),
		typed("attributes lobby", exitOK, "ATTRIBUTE  OWNER  VALUE\n", "colour     bob    blue\n", "topic      bob    x\n"),
		typed("set lobby a=1 --as carol", exitRefused, `"carol" (session default) is not in "lobby"`, "try: roomctl enter lobby"),
		{[]string{"set", "lobby", "a=" + strings.Repeat("x", 5000), "--as", "alice"}, exitRefused, []string{"5000", "4096"}},
	})
	if r := roomctl(t, "set", "--as", "alice", "-s", url, "--", "lobby", "-topic=y"); r.code != exitOK {
		t.Errorf("%+v", r)
	}
	if r := roomctl(t, "set", "--as", "bob", "-s", url, "--", "lobby", "-topic=z"); r.code != exitRefused || strings.Contains(r.stderr, "try: ") {
		t.Errorf("exit code %d, and a hint that cannot be typed: %s", r.code, r.stderr)
	}
	r := roomctl(t, "set", "lobby", "topic=z", "--as", "alice", "--json", "-s", url)
	var reply room.SetAttributesReply
	if err := json.Unmarshal([]byte(r.stdout), &reply); err != nil || r.code != exitRefused || len(reply.ErrorKeys) != 1 || reply.Attributes["topic"] != "x" {
		t.Errorf("exit code %d, %v: %s", r.code, err, r.stdout)
	}
	now := strconv.FormatUint(reply.Revision, 10)
	checkLines(t, url, []line{
		typed("set lobby a=1 --as alice --if-revision "+now, exitOK, "alice set a"),
		typed("set lobby a=2 --as alice --if-revision "+now, exitRefused, "were changed after revision "+now),
	})
}

func TestSetMember(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	checkLines(t, url, []line{
		typed("enter lobby --as alice", exitOK),
		typed("enter lobby --as bob", exitOK),
		typed("set-member lobby hand=up mood= --user bob --user alice --user carol --as alice", exitOK, "alice set hand, mood of bob, alice in lobby (sequence 3); carol is not in lobby\n"),
		typed("set-member lobby hand=up --user carol --as alice", exitRefused, "nothing changed: carol is not in lobby", "try: roomctl members lobby"),
		typed("set-member lobby hand=up --user alice --as carol", exitRefused, `"carol" (session default) is not in "lobby"`),
		{[]string{"set-member", "lobby", "hand=" + strings.Repeat("x", 2000), "--user", "bob", "--as", "alice"}, exitRefused, []string{"2000", "1024"}},
	})
	r := roomctl(t, "members", "lobby", "--json", "-s", url)
	r.want(t, exitOK, `"hand":"up"`)
}

func TestKickAndDestroy(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	checkLines(t, url, []line{
		typed("kick lobby bob", exitRefused, `there is no room "lobby"`, "try: roomctl ls"),
		typed("destroy lobby", exitRefused, `there is no room "lobby"`, "try: roomctl ls"),
		typed("enter lobby --as alice", exitOK),
		typed("enter lobby --as bob", exitOK),
		typed("enter lobby --as carol --session phone", exitOK),
		typed("kick lobby bob carol dave --reason spam", exitOK, "kicked bob, carol out of lobby; dave is not in lobby\n"),
		typed("kick lobby bob", exitRefused, "nobody was kicked: bob is not in lobby", "try: roomctl members lobby"),
		{[]string{"kick", "lobby", "alice", "--reason", strings.Repeat("x", 5000)}, exitRefused, []string{"reason", "5000"}},
		typed("history lobby --count 1", exitOK, "bob left (kicked: spam), carol left as phone (kicked: spam), 1 member"),
		typed("access nowhere", exitRefused, "try: roomctl ls"),
		typed("access none --access token", exitRefused, `there is no room "none"`),
		typed("access lobby --access listed --allow erin --allow fay", exitOK, "lobby: only users on its list may join: alice, erin, fay\n"),
		typed("access lobby --disallow fay", exitOK, "lobby: only users on its list may join: alice, erin\n"),
		typed("history lobby --count 1", exitOK, "who may join: listed, 2 listed"),
		typed("access lobby --access token", exitOK, "lobby: only users with a token that names it may join\n"),
		typed("access lobby --access open", exitOK, "lobby: everybody may join\n"),
		typed("destroy lobby --as root --reason closing", exitOK, "lobby is destroyed; nobody is in it any more\n"),
		typed("rooms --as alice", exitOK, "alice is in no room"),
		typed("get lobby", exitRefused, `there is no room "lobby"`),
	})
}
