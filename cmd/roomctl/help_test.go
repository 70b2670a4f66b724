package main

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/room"
)

// The commands are listed in groups by help, --help, and without anything.
func TestHelp(t *testing.T) {
	t.Parallel()
	all := roomctl(t, "--help")
	all.want(t, exitOK, "leave-all", "Exit codes", "no room service answers", "Being in rooms\n  enter ", "--context")
	for _, args := range [][]string{nil, {"help"}} {
		if got := roomctl(t, args...); got != all {
			t.Errorf("%q says\n%s", args, got.stdout)
		}
	}
	enter := roomctl(t, "enter", "--help")
	enter.want(t, exitOK, "--destroy-delay=SECONDS", "--attribute=KEY=VALUE", "Every command also takes --help")
	if got := roomctl(t, "help", "enter"); got != enter || strings.Contains(got.stdout, "--creds=") {
		t.Errorf("help enter says\n%s", got.stdout)
	}
	roomctl(t, "help", "flags").want(t, exitOK, "--creds=FILE", "$ROOMCTL_AS", "$ROOMCTL_CONTEXT")
	roomctl(t, "help", "dance").want(t, exitUsage, "there is no command dance")
	roomctl(t, "token", "--help").want(t, exitOK, "Usage: roomctl token --key=FILE --sub=USER [flags]")
	roomctl(t, "delete", "--help").want(t, exitOK, "Usage: roomctl delete ROOM [MESSAGE ...] [flags]")
}

// Every command is in a group, and groups are not torn apart.
func TestGroups(t *testing.T) {
	t.Parallel()
	var c cli
	seen := map[string]bool{}
	for _, g := range groupsOf(newParser(&c, nil, nil, nil).Model.Children) {
		if g.title == "Commands" || seen[g.title] {
			t.Errorf("the group %q has %s", g.title, g.commands[0].Name)
		}
		seen[g.title] = true
	}
}

// Errors of roomctl itself are JSON too, with a code and what they are about.
func TestErrorsAsJSON(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	for _, c := range []struct {
		line    string
		code    int
		problem string
		field   string
		outcome room.Outcome
	}{
		{"dance --json", exitUsage, "USAGE", "", room.None},
		{"join --json --as alice", exitUsage, "USAGE", "room", room.None},
		{"ls --lout --json-lines", exitUsage, "USAGE", "--lout", room.None},
		{"join lobby --json", exitUsage, "USAGE", "--as", room.None},
		{"members lobby --at noon --json", exitUsage, "USAGE", "--at", room.None},
		{"ls --json --timeout -1s", exitUsage, "USAGE", "--timeout", room.None},
		{"enter lobby --as alice --attribute topic=tea --json", exitOK, "", "", ""},
		{"enter lobby --as bob --json", exitOK, "", "", ""},
		{"kick lobby carol --json", exitRefused, "NOTHING_DONE", "", room.None},
		{"send lobby x --sub-type 7 --json", exitRefused, "PARAM_INVALID", "subType", room.None},
		{"ls --json -s nats://127.0.0.1:1", exitNoServer, "NO_SERVER", "", room.None},
		{"doctor --json -s nats://127.0.0.1:1", exitNoServer, "NOT_WELL", "", room.None},
	} {
		args := strings.Fields(c.line)
		if !strings.Contains(c.line, "-s nats:") {
			args = append(args, "-s", url)
		}
		r := roomctl(t, args...)
		r.want(t, c.code)
		if c.problem == "" {
			continue
		}
		b := errorOf(t, r.stderr)
		if b.Code != c.problem || b.Field != c.field || b.Outcome != c.outcome || b.Message == "" {
			t.Errorf("%s: %s", c.line, r.stderr)
		}
	}
	s := answerer(t, room.Join, silent)
	b := errorOf(t, roomctl(t, "join", "lobby", "--as", "alice", "-s", s.ClientURL(), "--timeout", "50ms", "--json").stderr)
	if b.Code != "NO_OUTCOME" || b.Outcome != room.Unknown || !strings.Contains(b.Hint, "--request-id=") {
		t.Errorf("%+v", b)
	}
}

func silent(*nats.Msg) *nats.Msg { return nil }

type errorFields struct {
	Code, Message, Field, Hint string
	Outcome                    room.Outcome
}

// errorOf reads the one document on standard error.
func errorOf(t *testing.T, stderr string) errorFields {
	t.Helper()
	var body struct{ Error errorFields }
	if err := json.Unmarshal([]byte(stderr), &body, json.MatchCaseInsensitiveNames(true)); err != nil || strings.Count(stderr, "\n") != 1 {
		t.Fatalf("%v: %s", err, stderr)
	}
	return body.Error
}
