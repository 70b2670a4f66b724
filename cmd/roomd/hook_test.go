package main

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// With the permissions of the shipped configuration an advisor answers, also where the
// configuration names another subject than those.
func TestHookWithPermissions(t *testing.T) {
	g := newGuarded(t, "--hook", "send=room.hook.send", "--hook", "join=room.hook.enter,create=moderation.ask")
	defer g.roomd.end(t)
	advisor := connected(t, g.roomd.url, named("advisor")...)
	answer := func(text string) nats.MsgHandler {
		return func(m *nats.Msg) {
			if err := m.Respond([]byte(text)); err != nil {
				t.Error(err)
			}
		}
	}
	for subject, text := range map[string]string{"room.hook.send": `{"replace":{"data":"***"}}`, "room.hook.enter": `{"deny":{"message":"not today"}}`} {
		if _, err := advisor.Subscribe(subject, answer(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := advisor.FlushTimeout(within); err != nil {
		t.Fatal(err)
	}
	g.command("send", `{"roomID":"lobby","type":"text","data":"darn"}`)
	for m := range g.heard {
		if m.Subject == "room.msg.lobby" {
			if !strings.Contains(string(m.Data), `"data":"***"`) {
				t.Errorf("it is heard as %s", m.Data)
			}
			break
		}
	}
	for verb, says := range map[string]string{"join": "not today", "create": "nobody is there to answer"} {
		m, err := g.alice.Request("room.cmd."+verb+".alice", []byte(`{"roomID":"hall"}`), within)
		if err != nil || m.Header.Get("Nats-Service-Error") != "NOT_ALLOWED" || !strings.Contains(string(m.Data), says) {
			t.Errorf("%s: %v, %+v", verb, err, m)
		}
	}
	if log := g.roomd.stderr.String(); strings.Contains(log, "the NATS connection reports an error") {
		t.Errorf("the service lacks a permission:\n%s", log)
	}
}

func TestHookFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--hook", "leave=a.b"}, `a hook is for "leave"; there are hooks for send, enter, join, create, switch`},
		{[]string{"--hook", "send=room.cmd.send"}, "is taken"},
		{[]string{"--hook", "send=a.*"}, "is no subject"},
		{[]string{"--hook", "send=a.b", "--hook-timeout", "6s"}, "it must be 10ms to 5s"},
		{[]string{"--hook", "send=a.b", "--hook-timeout", "-1s"}, "it must be 10ms to 5s"},
		{[]string{"--hook", "send=a.b", "--hook-most", "-1"}, "it must be 1 to 4096"},
		{[]string{"--hook", "send=a.b", "--hook-failure", "ask"}, "it must be deny or allow"},
		{[]string{"--hook-timeout", "2s"}, "which is not given"},
		{[]string{"--hook-trusted"}, "which is not given"},
	} {
		if _, err := parse(c.args, nil, nil); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want %q", c.args, err, c.says)
		}
	}
	t.Setenv("ROOMD_HOOK", "send=a.b,enter=c.d")
	cfg := mustParse(t, "--hook-failure", "allow")
	if s := cfg.hooks(); s.Subjects["send"] != "a.b" || s.Subjects["enter"] != "c.d" || !s.Allow {
		t.Errorf("%+v", s)
	}
	cfg = mustParse(t, "--hook", "send=e.f", "--hook", "enter=g.h")
	if s := cfg.hooks(); s.Subjects["send"] != "e.f" || s.Subjects["enter"] != "g.h" || s.Allow {
		t.Errorf("%+v", s)
	}
}
