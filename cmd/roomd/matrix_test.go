package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/policy"
	"natsrooms/subjects"
)

// places has at least one subject of each kind that there is.
var places = slices.Concat([]string{
	"room.evt.lobby", "room.msg.lobby", "room.open.lobby",
	"room.state.alice.lobby", "room.state.bob.lobby", "room.feed.alice.lobby", "room.feed.bob.lobby",
	"room.journal.lobby", "room.msgjournal.lobby", "room.sync", "room.hook.send",
	"room.cmd.enter", "room.cmd.list", "room.cmd.get", "room.cmd.enter.alice", "room.cmd.get.alice", "room.cmd.enter.bob", "room.cmd.get.alice.bob",
	"_INBOX.abc", "_INBOX_alice.abc", "_INBOX_bob.abc", "_INBOX_alice", "_INBOX_alicex.abc",
	"$KV.rooms.lobby", "$KV.room_sessions.a.b", "$KV.room_blocks.a", "$KV.others.x",
	"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.ACCOUNT.PURGE.A", "$JS.API.META.LEADER.STEPDOWN",
	"$SRV.PING", "$SRV.STATS.rooms", "$SYS.REQ.USER.AUTH", "$SYS.REQ.USER.INFO", "$SYS.REQ.SERVER.PING", "$SYS.ACCOUNT.A.DISCONNECT",
	"orders.new",
}, api("ROOMS"), api("ROOM_MESSAGES"), api("KV_rooms"), api("KV_room_sessions"), api("KV_room_blocks"), api("ORDERS"))

func api(stream string) []string {
	var list []string
	for _, s := range []string{
		"$JS.API.STREAM.CREATE.", "$JS.API.STREAM.UPDATE.", "$JS.API.STREAM.INFO.", "$JS.API.STREAM.DELETE.", "$JS.API.STREAM.PURGE.",
		"$JS.API.STREAM.MSG.GET.", "$JS.API.STREAM.MSG.DELETE.", "$JS.API.STREAM.SNAPSHOT.", "$JS.API.DIRECT.GET.", "$JS.API.CONSUMER.CREATE.", "$JS.API.CONSUMER.NAMES.",
	} {
		list = append(list, s+stream)
	}
	for _, s := range []string{
		"$JS.API.DIRECT.GET.", "$JS.API.CONSUMER.CREATE.", "$JS.API.CONSUMER.INFO.", "$JS.API.CONSUMER.MSG.NEXT.",
		"$JS.API.CONSUMER.DELETE.", "$JS.API.CONSUMER.LEADER.STEPDOWN.", "$JS.FC.",
	} {
		list = append(list, s+stream+".c")
	}
	return list
}

// swathes are subscriptions to more than one place.
var swathes = []string{
	">", "*", "*.>", "room.>", "room.*.*", "room.*.>", "room.evt.*", "room.msg.*", "room.journal.*", "room.journal.>", "room.*.lobby",
	"room.cmd.>", "room.cmd.*", "room.cmd.*.*", "room.cmd.*.alice", "room.cmd.enter.*",
	"room.feed.>", "room.feed.*.*", "room.feed.alice.*", "room.feed.alice.>", "room.feed.*.lobby", "room.feed.bob.*",
	"room.state.*.*", "room.state.alice.*", "room.state.bob.*", "room.*.alice.*", "room.*.*.lobby",
	"room.open.*", "room.open.>", "room.hook.*", "room.hook.>", "_INBOX.>", "_INBOX.*", "_INBOX_alice.>", "_INBOX_alice.*", "_INBOX_bob.>", "_INBOX_bob.*",
	"$KV.>", "$KV.rooms.>", "$JS.>", "$JS.API.>", "$SYS.>", "$SRV.>", "$SRV.*",
}

// covers reports whether a pattern allows a subject, which may be a pattern too. A server
// lets `a.>` pass where `a.*` is allowed: we have nothing below such subjects.
func covers(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		switch {
		case token == ">":
			return len(s) > i
		case i >= len(s):
			return false
		case s[i] == ">":
			return token == "*" && i == len(p)-1
		case token != "*" && token != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}

func allowed(patterns []string, subject string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, subject) })
}

// roles is everybody who can connect, with the table's permissions for them.
func roles(t *testing.T) map[string]struct {
	opts []nats.Option
	policy.Permissions
} {
	type role = struct {
		opts []nats.Option
		policy.Permissions
	}
	return map[string]role{
		"service":                {named("service"), policy.Of(policy.Service)},
		"back end":               {named("backend"), policy.Of(policy.BackEnd)},
		"pipeline":               {named("pipeline"), policy.Of(policy.Pipeline)},
		"monitor":                {named("monitor"), policy.Of(policy.Monitor)},
		"advisor":                {named("advisor"), policy.Of(policy.Advisor)},
		"end user, named":        {named("alice"), policy.User("alice", nil)},
		"end user, by token":     {bearing(t, auth.Claims{User: "alice"}), policy.User("alice", nil)},
		"end user of a verb":     {bearing(t, auth.Claims{User: "alice", Verbs: []string{"get"}}), policy.User("alice", []string{"get"})},
		"end user, odd name":     {bearing(t, auth.Claims{User: "al.*ice"}), policy.User("al.*ice", nil)},
		"back end, by token":     {bearing(t, auth.Claims{User: "alice", Admin: true}), policy.Of(policy.BackEnd)},
		"end user as a password": {[]nats.Option{nats.UserInfo("any name", signed(t, auth.Claims{User: "alice"}))}, policy.User("alice", nil)},
	}
}

// questions is the subjects of requests that get something back: an answer, or the status
// that there are no responders.
func questions() []string {
	return slices.DeleteFunc(slices.Clone(places), func(subject string) bool {
		return !strings.HasPrefix(subject, "room.cmd.") && !strings.HasPrefix(subject, "$SRV.") && !strings.HasPrefix(subject, "$JS.API.STREAM.INFO.")
	})
}

// mayAsk sends a request from an inbox of the role's own and waits for the answer.
func (p *person) mayAsk(subject, inboxes string) bool {
	p.t.Helper()
	answers, err := p.SubscribeSync(strings.Replace(inboxes, ">", nats.NewInbox()[len("_INBOX."):], 1))
	if err != nil {
		p.t.Fatal(err)
	}
	if p.forbidden(subject, func() error { return p.PublishRequest(subject, answers.Subject, nil) }) {
		return false
	}
	if _, err := answers.NextMsg(within); err != nil && !errors.Is(err, nats.ErrNoResponders) {
		p.t.Errorf("nothing comes back from %s: %v", subject, err)
	}
	return true
}

// TestMatrix tries every role on every subject.
func TestMatrix(t *testing.T) {
	t.Parallel()
	l := locked(t)
	url := "nats://" + l.address
	for name, role := range roles(t) {
		t.Run(name, func(t *testing.T) {
			p := connected(t, url, role.opts...)
			for _, subject := range places {
				if got, want := p.mayPublish(subject), allowed(role.Publish, subject); got != want {
					t.Errorf("publish on %s: %v, the table says %v", subject, got, want)
				}
			}
			for _, subject := range questions() {
				if got, want := p.mayAsk(subject, role.Subscribe[0]), allowed(role.Publish, subject); got != want {
					t.Errorf("request on %s: %v, the table says %v", subject, got, want)
				}
			}
			for _, subject := range slices.Concat(places, swathes) {
				if got, want := p.maySubscribe(subject), allowed(role.Subscribe, subject); got != want {
					t.Errorf("subscribe to %s: %v, the table says %v", subject, got, want)
				}
			}
		})
	}
}

// TestEndUsersNever checks the table itself against a list of its own of what must never
// be in it.
func TestEndUsersNever(t *testing.T) {
	for _, p := range []policy.Permissions{policy.User("alice", nil), policy.User("alice", []string{"send", "get"})} {
		if p.Respond || len(p.Publish) == 0 || len(p.Subscribe) == 0 {
			t.Errorf("%+v", p)
		}
		for _, subject := range places {
			own := strings.HasPrefix(subject, "room.cmd.") && strings.HasSuffix(subject, ".alice") && strings.Count(subject, ".") == 3
			if allowed(p.Publish, subject) && !own {
				t.Errorf("an end user may publish on %s", subject)
			}
		}
		for _, subject := range slices.Concat(places, swathes) {
			own := strings.HasPrefix(subject, "_INBOX_alice.") || strings.HasPrefix(subject, "room.feed.alice.") ||
				strings.HasPrefix(subject, "room.state.alice.") || strings.HasPrefix(subject, "room.open.")
			if allowed(p.Subscribe, subject) && !own {
				t.Errorf("an end user may subscribe to %s", subject)
			}
		}
	}
	if p := policy.User("alice", []string{"get"}); allowed(p.Publish, subjects.UserCommand("enter", "alice")) {
		t.Error("an end user with one verb may use another")
	}
}

// never is the subjects on which none of our own programs except the service may publish,
// also listed independently: what changes a stream, and what only the service publishes.
var never = func() []string {
	list := []string{
		"$KV.rooms.lobby", "$KV.rooms.lobby.alice", "$KV.rooms.=projected", "$KV.room_sessions.=leader", "$KV.room_blocks.alice", "$KV.others.x",
		"room.evt.lobby", "room.msg.lobby", "room.journal.lobby", "room.msgjournal.lobby", "room.sync", "room.hook.send",
		"room.feed.alice.lobby", "room.open.lobby", "room.state.alice.lobby",
		"$JS.API.CONSUMER.CREATE.KV_room_sessions.c", "$JS.API.STREAM.MSG.GET.KV_room_sessions", "$JS.API.DIRECT.GET.KV_room_sessions",
		"$JS.API.CONSUMER.CREATE.KV_room_blocks.c", "$JS.API.STREAM.MSG.GET.KV_room_blocks", "$JS.API.DIRECT.GET.KV_room_blocks",
		"$JS.API.ACCOUNT.PURGE.A", "$JS.API.META.LEADER.STEPDOWN", "$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.AUTH",
	}
	for _, stream := range []string{"ROOMS", "ROOM_MESSAGES", "KV_rooms", "KV_room_sessions", "KV_room_blocks", "ORDERS"} {
		for _, what := range []string{"CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE", "SNAPSHOT", "RESTORE", "LEADER.STEPDOWN", "PEER.REMOVE"} {
			list = append(list, "$JS.API.STREAM."+what+"."+stream)
		}
	}
	return list
}()

// asking is what only back ends and end users may ask for: everything that changes
// something, who is in a room, and what was said there.
var asking = []string{
	"room.cmd.create", "room.cmd.join", "room.cmd.enter", "room.cmd.switch", "room.cmd.leave", "room.cmd.leaveAll", "room.cmd.renew",
	"room.cmd.setAttributes", "room.cmd.setMemberAttributes", "room.cmd.send", "room.cmd.kick", "room.cmd.setAccess", "room.cmd.destroy",
	"room.cmd.block", "room.cmd.unblock", "room.cmd.blocked",
	"room.cmd.members", "room.cmd.memberOf", "room.cmd.history", "room.cmd.enter.alice", "room.cmd.send.alice",
}

// TestOthersNever checks the rows of our own programs against what must never be in them:
// in the table, and in what the server allows with the shipped configuration.
func TestOthersNever(t *testing.T) {
	t.Parallel()
	url := "nats://" + locked(t).address
	for name, role := range map[string]struct {
		opts         []nats.Option
		row          policy.Role
		never, deaf  []string
		may, mayHear []string // so that the refusals mean something
	}{
		"backend": {named("backend"), policy.BackEnd, never, nil,
			[]string{"room.cmd.enter", "room.cmd.kick", "$JS.API.CONSUMER.CREATE.ROOMS.c", "$JS.API.STREAM.INFO.KV_rooms"}, []string{"room.evt.*"}},
		"back end, by token": {bearing(t, auth.Claims{User: "alice", Admin: true}), policy.BackEnd, never, nil,
			[]string{"room.cmd.enter", "room.cmd.kick"}, []string{"room.evt.*"}},
		"pipeline": {named("pipeline"), policy.Pipeline,
			slices.Concat(never, asking, []string{"room.cmd.list", "$SRV.PING", "$JS.API.CONSUMER.CREATE.KV_rooms.c"}), []string{"room.>", "room.evt.*", "room.cmd.>", "$SRV.>"},
			[]string{"$JS.API.CONSUMER.CREATE.ROOMS.c", "$JS.API.CONSUMER.CREATE.ROOM_MESSAGES.c", "$JS.ACK.ROOMS.c.1.1.1.1.0"}, []string{"_INBOX.abc"}},
		"monitor": {named("monitor"), policy.Monitor,
			slices.Concat(never, asking, []string{"$JS.API.CONSUMER.CREATE.ROOMS.c", "$JS.API.STREAM.MSG.GET.ROOM_MESSAGES", "$JS.API.DIRECT.GET.KV_rooms"}), []string{"room.>", "room.evt.*", "room.cmd.>", "$SRV.>"},
			[]string{"$SRV.PING", "room.cmd.list", "room.cmd.get"}, []string{"_INBOX.abc"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, table := connected(t, url, role.opts...), policy.Of(role.row)
			if table.Respond {
				t.Error("it may answer requests")
			}
			for _, subject := range role.never {
				if allowed(table.Publish, subject) || p.mayPublish(subject) {
					t.Errorf("it may publish on %s", subject)
				}
			}
			for _, subject := range slices.Concat(role.deaf, []string{">", "*.>", "$KV.>", "$JS.>", "$SYS.>", "_INBOX_alice.>", "orders.new"}) {
				if allowed(table.Subscribe, subject) || p.maySubscribe(subject) {
					t.Errorf("it may subscribe to %s", subject)
				}
			}
			for _, subject := range role.may {
				if !p.mayPublish(subject) {
					t.Errorf("it may not publish on %s", subject)
				}
			}
			for _, subject := range role.mayHear {
				if !p.maySubscribe(subject) {
					t.Errorf("it may not subscribe to %s", subject)
				}
			}
		})
	}
}
