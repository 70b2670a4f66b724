package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// guarded is a roomd with everything switched on, a back end that hears everything in a
// room, and the user alice, who is in that room.
type guarded struct {
	t       *testing.T
	roomd   *started
	backend *person
	alice   *person
	heard   chan *nats.Msg
}

func newGuarded(t *testing.T, more ...string) *guarded {
	t.Helper()
	t.Parallel()
	g := &guarded{t: t, heard: make(chan *nats.Msg, 256)}
	args := []string{"--config", unlocked(t), "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--auth", "jwt", "--auth-key", write(t, secret)}
	g.roomd = start(t, append(args, more...)...)
	t.Cleanup(func() { // before the store directory is removed
		g.roomd.stop()
		<-g.roomd.ended
	})
	g.backend = connected(t, g.roomd.url, named("backend")...)
	for _, subject := range []string{"room.evt.*", "room.msg.*", "room.open.*", "room.feed.*.*"} {
		if _, err := g.backend.ChanSubscribe(subject, g.heard); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.backend.FlushTimeout(within); err != nil {
		t.Fatal(err)
	}
	g.alice = connected(t, g.roomd.url, bearing(t, auth.Claims{User: "alice"})...)
	g.command("enter", `{"roomID":"lobby"}`)
	g.hears("room.created", 1)
	return g
}

// command sends one of alice's commands, which must succeed.
func (g *guarded) command(verb, body string) {
	g.t.Helper()
	m, err := g.alice.Request("room.cmd."+verb+".alice", []byte(body), within)
	if err != nil || m.Header.Get("Nats-Service-Error") != "" {
		g.t.Fatalf("%s: %v, %+v", verb, err, m)
	}
}

// hears waits for the next event that the back end gets, which must be a fact of this
// type and sequence.
func (g *guarded) hears(what string, sequence int) {
	g.t.Helper()
	for {
		select {
		case m := <-g.heard:
			if strings.HasPrefix(m.Subject, "room.open.") || strings.HasPrefix(m.Subject, "room.feed.") {
				var e struct{ Source string }
				if json.Unmarshal(m.Data, &e) != nil || !strings.HasPrefix(e.Source, "/rooms/lobby/") {
					g.t.Fatalf("on %s: %s", m.Subject, m.Data)
				}
				continue // the service's own copy
			}
			var e struct {
				Type string
				Data struct{ Sequence int }
			}
			if err := json.Unmarshal(m.Data, &e); err != nil || m.Subject != "room.evt.lobby" || !strings.Contains(e.Type, what) || e.Data.Sequence != sequence {
				g.t.Fatalf("on %s: %s; want %s %d", m.Subject, m.Data, what, sequence)
			}
			return
		case <-time.After(within):
			g.t.Fatalf("%s %d does not arrive", what, sequence)
		}
	}
}

func TestNothingIsForged(t *testing.T) {
	g := newGuarded(t)
	for _, subject := range []string{
		"room.evt.lobby", "room.msg.lobby", "room.open.lobby", "room.feed.alice.lobby", "room.feed.bob.lobby", "room.state.alice.lobby", "room.state.bob.lobby",
		"room.journal.lobby", "room.msgjournal.lobby", "room.sync", "$KV.rooms.lobby", "$KV.rooms.lobby.bob", "$KV.room_sessions.x",
		"room.cmd.enter", "room.cmd.destroy", "room.cmd.enter.bob", "room.cmd.send.al=69ce", "_INBOX_bob.x", "_INBOX.x",
		"$JS.API.STREAM.PURGE.ROOMS", "$JS.API.STREAM.DELETE.ROOMS", "$JS.API.STREAM.PURGE.KV_rooms", "$JS.API.STREAM.DELETE.KV_rooms",
		"$JS.API.STREAM.CREATE.MINE", "$JS.API.CONSUMER.CREATE.ROOMS.c", "$JS.API.DIRECT.GET.KV_rooms.$KV.rooms.lobby", "$SYS.REQ.USER.AUTH",
	} {
		if g.alice.mayPublish(subject) {
			t.Errorf("an end user publishes on %s", subject)
		}
	}
	g.command("leave", `{"roomID":"lobby"}`)
	g.hears("member.left", 2)
}

func TestUsersActOnlyForThemselves(t *testing.T) {
	g := newGuarded(t)
	m, err := g.alice.Request("room.cmd.enter.alice", []byte(`{"roomID":"lobby","userID":"bob"}`), within)
	if err != nil || m.Header.Get("Nats-Service-Error") != "NOT_ALLOWED" {
		t.Errorf("alice enters as bob: %v, %+v", err, m)
	}
	m, err = g.alice.Request("room.cmd.kick.alice", []byte(`{"roomID":"lobby","userIDs":["alice"]}`), within)
	if err != nil || m.Header.Get("Nats-Service-Error") != "NOT_ALLOWED" {
		t.Errorf("alice kicks: %v, %+v", err, m)
	}
	g.command("leave", `{"roomID":"lobby"}`)
	g.hears("member.left", 2)
}

// The server lets anybody name any reply subject, and the service may publish almost
// anywhere.
func TestAnswersGoOnlyToInboxes(t *testing.T) {
	g := newGuarded(t)
	bob := connected(t, g.roomd.url, bearing(t, auth.Claims{User: "bob"})...)
	strays := make(chan *nats.Msg, 16)
	if _, err := bob.ChanSubscribe("_INBOX_bob.>", strays); err != nil || bob.FlushTimeout(within) != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{
		"room.evt.lobby", "room.msg.lobby", "room.open.lobby", "room.feed.bob.lobby", "room.journal.lobby", "room.msgjournal.lobby",
		"room.cmd.destroy", "_INBOX_bob.x", "$KV.rooms.lobby", "$JS.API.STREAM.PURGE.KV_rooms", "$JS.API.STREAM.DELETE.KV_rooms", "$JS.API.STREAM.PURGE.ROOM_MESSAGES",
	} {
		for _, body := range []string{`{"roomID":"lobby"}`, `not JSON`} {
			if err := g.alice.PublishRequest("room.cmd.get.alice", reply, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	g.command("get", `{"roomID":"lobby"}`) // after all of them
	g.command("leave", `{"roomID":"lobby"}`)
	g.hears("member.left", 2)
	if err := bob.FlushTimeout(within); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-strays:
		t.Errorf("bob gets %s", m.Data)
	default:
	}
}

// Nobody can work out where the service receives its own answers from the IDs that it shows.
func TestServiceInboxesAreSecret(t *testing.T) {
	g := newGuarded(t)
	appends, err := g.backend.SubscribeSync("room.journal.*")
	if err != nil || g.backend.FlushTimeout(within) != nil {
		t.Fatal(err)
	}
	answer, err := g.alice.Request("room.cmd.enter.alice", []byte(`{"roomID":"garden"}`), within)
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ InstanceID string }
	if err := json.Unmarshal(answer.Data, &made); err != nil || len(made.InstanceID) != 22 {
		t.Fatalf("%s", answer.Data)
	}
	m, err := appends.NextMsg(within)
	if err != nil {
		t.Fatal(err)
	}
	series := made.InstanceID[:12]
	for token := range strings.SplitSeq(m.Reply, ".") {
		if !strings.HasPrefix(token, series) && len(token) >= 26 || strings.HasPrefix(token, series) && len(token) >= 22+26 {
			return
		}
	}
	t.Errorf("an append is answered on %s, and the instance is called %s", m.Reply, made.InstanceID)
}

// Headers that mean something to a stream or to the server mean nothing on a command.
func TestHeadersOfCommands(t *testing.T) {
	g := newGuarded(t)
	m := nats.NewMsg("room.cmd.setAttributes.alice")
	m.Data = []byte(`{"roomID":"lobby","set":{"topic":"tea"}}`)
	for name, value := range map[string]string{
		"Nats-Rollup": "all", "Nats-TTL": "1s", "Nats-Expected-Last-Sequence": "99", "Nats-Expected-Last-Subject-Sequence": "0", "Nats-Expected-Stream": "X",
		"Nats-Expected-Last-Msg-Id": "x", "Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1", "Nats-Schedule": "@at 2030-01-01T00:00:00Z", "Nats-Marker-Reason": "Purge", "KV-Operation": "PURGE",
	} {
		m.Header.Set(name, value)
	}
	reply, err := g.alice.RequestMsg(m, within)
	if err != nil || reply.Header.Get("Nats-Service-Error") != "" {
		t.Fatalf("%v, %+v", err, reply)
	}
	g.hears("attributes.changed", 2)
	js, err := jetstream.New(g.backend.Conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), subjects.StreamRooms)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := stream.GetLastMsgForSubject(t.Context(), "room.evt.lobby")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Nats-Rollup", "Nats-TTL", "Nats-Expected-Last-Sequence", "Nats-Expected-Stream", "Nats-Batch-Id", "Nats-Schedule", "Nats-Marker-Reason", "KV-Operation"} {
		if v := stored.Header.Get(name); v != "" {
			t.Errorf("the fact has the header %s: %s", name, v)
		}
	}
	first, err := stream.GetMsg(t.Context(), 1)
	if err != nil || first.Sequence != 1 {
		t.Errorf("what was stored before is gone: %v", err)
	}
}

// A header asks the server to report a message's path, on a subject that the sender chooses.
func TestTracesAreNotSentElsewhere(t *testing.T) {
	g := newGuarded(t)
	for _, destination := range []string{"room.evt.lobby", "room.journal.lobby"} {
		m := nats.NewMsg("room.cmd.get.alice")
		m.Reply, m.Data = g.alice.NewInbox(), []byte(`{"roomID":"lobby"}`)
		m.Header.Set("Nats-Trace-Dest", destination)
		if !g.alice.forbidden(destination, func() error { return g.alice.PublishMsg(m) }) {
			t.Errorf("a trace may go to %s", destination)
		}
	}
	g.command("leave", `{"roomID":"lobby"}`)
	g.hears("member.left", 2)
}

// A connection may have thousands of subscriptions, all of which may match subjects that
// the server has just seen.
func TestManySubscriptionsDelayNobody(t *testing.T) {
	g := newGuarded(t, "--limit", "user-commands=1000000,user-subscriptions=10000")
	mallory := connected(t, g.roomd.url, bearing(t, auth.Claims{User: "mallory"})...)
	for range 1000 {
		if _, err := mallory.Request("room.cmd.rooms.mallory", []byte(`{}`), within); err != nil {
			t.Fatal(err)
		}
	}
	late, began := roomtest.Measure(t, roomtest.Server(t).ClientURL()), time.Now()
	for range 9000 {
		if _, err := mallory.ChanSubscribe("_INBOX_mallory.>", make(chan *nats.Msg)); err != nil {
			t.Fatal(err)
		}
	}
	err := mallory.FlushTimeout(within)
	if took := time.Since(began); err != nil || !late.Within(took, 10*time.Second, began) {
		t.Errorf("9,000 subscriptions took %v: %v", took, err)
	}
	g.command("leave", `{"roomID":"lobby"}`)
}

// Clients that misbehave do not fill the disk with roomd's log.
func TestLogStaysShort(t *testing.T) {
	g := newGuarded(t, "--limit", "user-commands=1000000")
	mallory, err := nats.Connect(g.roomd.url, append(bearing(t, auth.Claims{User: "mallory"}), patientDial, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer mallory.Close()
	for range 1000 {
		if err := errors.Join(mallory.Publish("room.evt.lobby", nil), mallory.PublishRequest("room.cmd.get.mallory", "_INBOX_mallory.x", nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := mallory.FlushTimeout(within); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if nc, err := nats.Connect(g.roomd.url, nats.Token("none")); err == nil {
			nc.Close()
			t.Fatal("somebody gets in")
		}
	}
	g.command("leave", `{"roomID":"lobby"}`)
	g.roomd.end(t)
	if n := strings.Count(g.roomd.stderr.String(), "\n"); n > 300 {
		t.Errorf("%d lines:\n%.2000s", n, g.roomd.stderr)
	}
}

func TestBadTokensAreRefused(t *testing.T) {
	t.Parallel()
	url := "nats://" + locked(t).address
	claims := func(c jwt.MapClaims) string {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"sub": "alice"}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for name, opts := range map[string][]nats.Option{
		"nothing":             nil,
		"no token":            {nats.Token("let me in")},
		"an unsigned token":   {nats.Token(none)},
		"an expired token":    {nats.Token(claims(jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(-time.Minute).Unix()}))},
		"a bad user":          {nats.Token(claims(jwt.MapClaims{"sub": ""}))},
		"a bad verb":          {nats.Token(claims(jwt.MapClaims{"sub": "alice", "verbs": []string{">"}}))},
		"a wrong password":    {nats.UserInfo("backend", "wrong")},
		"a named user's name": {nats.UserInfo("backend", claims(jwt.MapClaims{"sub": "alice"}))},
		"a name only":         {nats.UserInfo("x", "")},
	} {
		nc, err := nats.Connect(url, append(opts, patientDial)...)
		if err == nil {
			nc.Close()
		}
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExpiryClosesConnection(t *testing.T) {
	t.Parallel()
	url := "nats://" + locked(t).address
	told, ended := make(chan error, 8), make(chan struct{})
	opts := bearing(t, auth.Claims{User: "alice", Expires: time.Now().Add(2*time.Second - auth.Leeway)})
	nc, err := nats.Connect(url, append(opts, patientDial, nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { told <- err }),
		nats.ClosedHandler(func(*nats.Conn) { close(ended) }))...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	select {
	case <-ended:
	case <-time.After(within):
		t.Fatal("an expired token keeps its connection")
	}
	if err := <-told; !errors.Is(err, nats.ErrAuthExpired) {
		t.Errorf("the client is told %v", err)
	}
}
