package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/docs/contract"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

func TestMain(m *testing.M) {
	if completes(context.Background(), os.Stdout, os.Stderr) { // a shell of TestCompletion asks
		os.Exit(0)
	}
	for _, name := range []string{envServer, envAs, envToken} {
		os.Unsetenv(name)
	}
	os.Exit(m.Run())
}

// result is the result of a command line.
type result struct {
	code           int
	stdout, stderr string
}

// roomctl runs a command line that is not expected to wait.
func roomctl(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := Run(t.Context(), args, strings.NewReader(""), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// want fails the test unless the code is right and the output contains the texts.
func (r result) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	for _, text := range texts {
		if !strings.Contains(r.stdout+r.stderr, text) {
			t.Errorf("%q is missing", text)
		}
	}
	if t.Failed() {
		t.Fatalf("standard output:\n%sstandard error:\n%s", r.stdout, r.stderr)
	}
}

// service starts a server with a room service. If it lets in only some, u is one of them, with
// the password p.
func service(t *testing.T, opts ...roomtest.Option) *server.Server {
	t.Helper()
	s := roomtest.Server(t, opts...)
	user := nats.UserInfo("u", "p")
	contract.Watch(t, roomtest.Conn(t, s, user))
	svc, err := roomsvc.New(t.Context(), roomtest.Conn(t, s, user), roomsvc.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("starting the service: %v", err)
	}
	t.Cleanup(func() {
		if err := svc.Stop(context.Background()); err != nil {
			t.Errorf("stopping the service: %v", err)
		}
	})
	return s
}

// answerer starts a server where one verb is answered with what answer returns, if anything.
func answerer(t *testing.T, verb room.Verb, answer func(*nats.Msg) *nats.Msg) *roomtest.Node {
	t.Helper()
	n := roomtest.Start(t)
	nc := roomtest.Conn(t, n.Server)
	_, err := nc.Subscribe(subjects.Command(string(verb)), func(m *nats.Msg) {
		if a := answer(m); a != nil {
			_ = m.RespondMsg(a) // if it does not arrive, roomctl's exit code shows it
		}
	})
	if err = errors.Join(err, nc.Flush()); err != nil {
		t.Fatal(err)
	}
	return n
}

// refuse is the refusal e as an answer.
func refuse(t *testing.T, e *room.Error) *nats.Msg {
	body, err := json.Marshal(e.Body())
	if err != nil {
		t.Error(err)
	}
	return &nats.Msg{Data: body, Header: nats.Header{micro.ErrorHeader: {e.Code.Name}, micro.ErrorCodeHeader: {strconv.Itoa(e.Code.Number)}}}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"dance"}, {"join"}, {"join", "lobby", "--lout"}, {"join", "lobby"}, {"switch", "a", "--as", "alice"}, {"rooms"}, {"create", "a", "--max-members", "many"},
		{"enter", "a", "--as", "alice", "--attribute", "blue"}, {"get", "lobby", "-s", "nats://a b:%"}, {"get", "lobby", "--creds", "/nowhere/at.all"}, {"watch", ""}, {"demo", "--json"}, {"watch", "lobby", "--json"}, {"ls", "--json", "--json-lines"}, {"help", "dance"},
		{"ls", "--context", "nowhere"}, {"ls", "--context", "nowhere", "-s", "nats://127.0.0.1:1"}, {"transcript", "lobby", "--format", "pdf"}, {"attendance", "lobby", "--from", "noon"},
		{"attendance", "lobby", "--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"}, {"attendance", "lobby", "--instance", "i", "--to", "2026-01-01T00:00:00Z"}, {"top", "--interval", "1ms"},
		{"send", "lobby", "hi", "--lines"}, {"send", "lobby", "--lines", "--request-id", "r"}, {"send", "lobby", "--lines", "--json"},
		{"set", "lobby", "blue"}, {"set-member", "lobby", "a=1", "--as", "alice"}, {"set-member", "lobby", "--user", "bob", "--as", "alice"},
		{"send", "lobby"}, {"send", "lobby", "hi", "--type", "shout"}, {"kick", "lobby"}, {"history", "lobby", "--before", "7"}, {"history", "lobby", "--count", "-1"},
		{"history", "lobby", "--messages", "--before", "7", "--after", "3"}, {"enter", "a\xff", "--as", "alice"}, {"ls", "--timeout", "-1s"},
		{"ban", "lobby"}, {"mute", "lobby", "bob", "--for", "1500ms"}, {"ban", "lobby", "bob", "--for", "-1s"}, {"set-role", "lobby", "king", "bob"}, {"set-role", "lobby", "host"},
		{"update", "lobby"}, {"update", "lobby", "--speakers", "nobody"}, {"update-member", "lobby", "--as", "bob"}, {"update-member", "lobby", "--as", "bob", "--info", "{"},
	} {
		r := roomctl(t, args...)
		if forPrograms(args) {
			r.want(t, exitUsage, `"code":"USAGE"`, "see: roomctl ")
		} else {
			r.want(t, exitUsage, "roomctl: ", "see: roomctl ", "--help")
		}
		if r.stdout != "" {
			t.Errorf("%q writes to standard output: %s", args, r.stdout)
		}
	}
}

func TestUsageNamesTheCommand(t *testing.T) {
	t.Parallel()
	roomctl(t, "switch", "a", "--as", "alice").want(t, exitUsage, "see: roomctl switch --help")
	roomctl(t, "enter", "a", "--access", "all", "--as", "alice").want(t, exitUsage, `"token" but got "all"`, "see: roomctl enter --help")
	roomctl(t, "rooms").want(t, exitUsage, "see: roomctl rooms --help")
	roomctl(t, "dance").want(t, exitUsage, "see: roomctl --help")
}

// everyCommand is each command that talks to the service.
var everyCommand = [][]string{
	{"create", "lobby"}, {"join", "lobby"}, {"enter", "lobby"}, {"switch", "lobby", "garden"}, {"leave", "lobby"}, {"leave-all"},
	{"get", "lobby"}, {"members", "lobby"}, {"rooms"}, {"ls"}, {"watch", "lobby"}, {"send", "lobby", "hello"}, {"history", "lobby"}, {"history", "lobby", "--messages"},
	{"set", "lobby", "a=1"}, {"set-member", "lobby", "a=1", "--user", "alice"}, {"attributes", "lobby"}, {"kick", "lobby", "bob"}, {"destroy", "lobby"},
	{"ban", "lobby", "bob"}, {"unban", "lobby", "bob"}, {"mute", "lobby", "bob"}, {"unmute", "lobby", "bob"}, {"set-role", "lobby", "host", "bob"},
	{"transcript", "lobby"}, {"attendance", "lobby"}, {"attendance", "lobby", "--from", "2026-01-01 00:00:00"},
	{"access", "lobby"}, {"access", "lobby", "--access", "open"}, {"update", "lobby", "--name", "Hall"}, {"update-member", "lobby", "--info", "{}"},
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	url := fmt.Sprintf("nats://127.0.0.1:%d", roomtest.Ports(t, 1)[0])
	for _, args := range everyCommand {
		roomctl(t, append(args[:len(args):len(args)], "--as", "alice", "-s", url)...).want(t, exitNoServer, "there is no NATS server at "+url, "-s URL")
	}
}

func TestServerThatLetsNobodyIn(t *testing.T) {
	t.Parallel()
	s := roomtest.Server(t, func(o *server.Options) { o.Username, o.Password = "u", "p" })
	roomctl(t, "get", "lobby", "-s", s.ClientURL()).want(t, exitNoServer, "lets you in", "--creds FILE", "nats://USER:PASSWORD@HOST:PORT")
	wrong := strings.Replace(s.ClientURL(), "://", "://u:secret@", 1)
	if r := roomctl(t, "get", "lobby", "-s", wrong); r.code != exitNoServer || strings.Contains(r.stderr, "secret") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// The file that roomd takes as --creds works for roomctl too.
func TestCredentialsFile(t *testing.T) {
	t.Parallel()
	s := roomtest.Server(t, func(o *server.Options) { o.Username, o.Password = "u", "p" })
	roomctl(t, "get", "lobby", "-s", s.ClientURL(), "--creds", file(t, "u:p\n")).want(t, exitNoService, "no room service answers")
	for _, text := range []string{"nothing", "-----BEGIN NATS USER JWT-----\nx\n"} {
		r := roomctl(t, "get", "lobby", "-s", s.ClientURL(), "--creds", file(t, text))
		r.want(t, exitUsage, "--creds cannot be used (", "user:password")
	}
}

// A server whose certificate is not trusted here is still there.
func TestServerThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	https := httptest.NewTLSServer(nil)
	https.Close()
	s := roomtest.Server(t, func(o *server.Options) { o.TLSConfig = https.TLS })
	r := roomctl(t, "get", "lobby", "-s", s.ClientURL())
	r.want(t, exitNoServer, "the server at "+s.ClientURL()+" has a certificate that is not trusted here; name its CA in SSL_CERT_FILE")
	if strings.Contains(r.stderr, "there is no NATS server") || strings.Contains(r.stderr, "name another") {
		t.Errorf("it says %s", r.stderr)
	}
}

func TestNoService(t *testing.T) {
	t.Parallel()
	url := roomtest.Server(t).ClientURL()
	for _, args := range append(everyCommand, []string{"demo"}) {
		roomctl(t, append(args[:len(args):len(args)], "--as", "alice", "-s", url)...).want(t, exitNoService, "no room service answers", "roomd --nats "+url)
	}
}

func TestNoPermission(t *testing.T) {
	t.Parallel()
	s := roomtest.Server(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"room.>"}}}}}
	})
	url := strings.Replace(s.ClientURL(), "://", "://u:p@", 1)
	roomctl(t, "join", "lobby", "--as", "alice", "-s", url).want(t, exitRefused, "the NATS server does not allow it")
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   *room.Error
		code  int
		texts []string
	}{
		"refused":     {room.Refuse(room.ErrRoomNotExist, "there is no room %q", "lobby"), exitRefused, []string{`roomctl: there is no room "lobby"`, "try: roomctl enter lobby "}},
		"busy":        {room.Refuse(room.ErrBusy, "nothing happened"), exitUnknown, []string{"try again: roomctl join lobby"}},
		"unavailable": {&room.Error{Code: room.ErrUnavailable, Message: "not known", Outcome: room.Unknown}, exitUnknown, []string{"roomctl: not known", "--request-id=r1"}},
		"later code":  {&room.Error{Code: &room.Code{Name: "TOO_LOUD", Number: 7999999}, Message: "hush", Outcome: room.None}, exitRefused, []string{"roomctl: hush"}},
	} {
		s := answerer(t, room.Join, func(*nats.Msg) *nats.Msg { return refuse(t, c.err) })
		args := []string{"join", "lobby", "--as", "alice", "-s", s.ClientURL(), "--request-id=r1"}
		t.Run(name, func(t *testing.T) {
			r := roomctl(t, args...)
			r.want(t, c.code, c.texts...)
			r = roomctl(t, append(args, "--json")...)
			r.want(t, c.code)
			var body room.ErrorBody
			if err := json.Unmarshal([]byte(r.stderr), &body); err != nil || !reflect.DeepEqual(body, c.err.Body()) || r.stdout != "" {
				t.Errorf("%v: %s", err, r.stderr)
			}
		})
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	s := answerer(t, room.Join, func(*nats.Msg) *nats.Msg { return nil })
	roomctl(t, "join", "lobby", "--as", "alice", "-s", s.ClientURL(), "--timeout", "50ms").
		want(t, exitUnknown, "no answer within 50ms; whether it happened is not known", "roomctl join lobby --as alice", " --request-id=")
}

func TestStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := answerer(t, room.Join, func(*nats.Msg) *nats.Msg { cancel(); return nil })
	var stderr bytes.Buffer
	code := Run(ctx, []string{"join", "lobby", "--as", "alice", "-s", s.ClientURL()}, strings.NewReader(""), io.Discard, &stderr)
	result{code, "", stderr.String()}.want(t, exitUnknown, "stopped before it was done; whether it happened is not known")
}

func TestServerGoesWhileWaiting(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	n := answerer(t, room.Join, func(*nats.Msg) *nats.Msg { close(asked); return nil })
	done := make(chan result)
	go func() { done <- roomctl(t, "join", "lobby", "--as", "alice", "-s", n.ClientURL()) }()
	<-asked
	n.Stop()
	r := <-done
	r.want(t, exitUnknown, "the connection broke before the answer came; whether it happened is not known")
}

func TestMembersOfAllPages(t *testing.T) {
	t.Parallel()
	page := func(instance, user, next string) string {
		return fmt.Sprintf(`{"memberList":[{"userID":%q,"userName":"","joinedAt":"2026-05-04T12:00:00.000Z","attributes":{},"sessions":[],"later":1}],"memberCount":3,"nextFlag":%q,"instanceID":%q,"sequence":3,"revision":9}`, user, next, instance)
	}
	// Between the second page and the third the room ends, and another takes its name.
	script := []struct{ flag, page string }{
		{"", page("i1", "old-1", "p2")}, {"p2", page("i1", "old-2", "p3")}, {"p3", page("i2", "new-3", "")},
		{"", page("i2", "new-1", "p2")}, {"p2", page("i2", "new-2", "p3")}, {"p3", page("i2", "new-3", "")},
	}
	asked := 0
	s := answerer(t, room.Members, func(m *nats.Msg) *nats.Msg {
		var q room.MembersRequest
		next := script[asked%len(script)]
		asked++
		if err := json.Unmarshal(m.Data, &q); err != nil || q.NextFlag != next.flag || q.RoomID != "lobby" {
			t.Errorf("%v: %s", err, m.Data)
		}
		return &nats.Msg{Data: []byte(next.page)}
	})
	r := roomctl(t, "members", "lobby", "-s", s.ClientURL())
	r.want(t, exitOK, "new-1", "new-2", "new-3")
	if strings.Contains(r.stdout, "old") || strings.Count(r.stdout, "\n") != 4 {
		t.Errorf("pages of two rooms:\n%s", r.stdout)
	}
	entry := func(i int) string {
		_, rest, _ := strings.Cut(script[i].page, "[")
		return rest[:strings.Index(rest, `],"memberCount"`)]
	}
	whole := fmt.Sprintf(`{"memberList":[%s,%s,%s],"memberCount":3,"nextFlag":"","instanceID":"i2","sequence":3,"revision":9}`, entry(3), entry(4), entry(5)) + "\n"
	if r = roomctl(t, "members", "lobby", "-s", s.ClientURL(), "--json"); r.stdout != whole {
		t.Errorf("not one document with what came:\n%s", r.stdout)
	}
	if r = roomctl(t, "members", "lobby", "-s", s.ClientURL(), "--json-lines"); r.stdout != entry(3)+"\n"+entry(4)+"\n"+entry(5)+"\n" {
		t.Errorf("not the entries on lines:\n%s", r.stdout)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	for _, c := range []struct {
		line  string
		code  int
		texts []string
	}{
		{"ls", exitOK, []string{"there is no room\n"}},
		{"rooms --as alice", exitOK, []string{"alice is in no room"}},
		{"join lobby --as alice", exitRefused, []string{"lobby", "try: roomctl enter lobby -s " + url + " --as alice"}},
		{"create lobby --as alice --user-name Alice --name Hall --max-members 2 --destroy-delay 60 --attribute topic=a=b --attribute colour=blue", exitOK, []string{"alice created lobby and is in it (1 member, sequence 1)"}},
		{"create lobby --as bob", exitRefused, []string{"try: roomctl join lobby"}},
		{"join lobby --as bob --session tab-1", exitOK, []string{"bob is in lobby (2 members, sequence 2)"}},
		{"join lobby --as carol", exitRefused, []string{"try: roomctl members lobby"}},
		{"get lobby", exitOK, []string{"Hall", "2 of 2", "1m0s", "by alice", "attribute topic", "a=b", "blue"}},
		{"members lobby", exitOK, []string{"alice  Alice", "bob ", "tab-1"}},
		{"switch nowhere garden --as bob --session tab-1", exitRefused, []string{`there is no room "nowhere"`, "try: roomctl rooms"}},
		{"switch lobby garden --as bob --session tab-1", exitRefused, []string{"try: roomctl switch lobby garden --create"}},
		{"switch lobby garden --as bob --session tab-1 --create", exitOK, []string{"bob left lobby and is in the new room garden (1 member, sequence 1)"}},
		{"leave lobby --as bob", exitRefused, []string{"try: roomctl rooms"}},
		{"enter lobby --as bob --session tab-1", exitOK, []string{"bob is in lobby (2 members, sequence 4)"}},
		{"enter quiet --as carol", exitOK, []string{"carol created quiet and is in it"}},
		{"ls --prefix g", exitOK, []string{"garden "}},
		{"rooms --as bob", exitOK, []string{"lobby ", "garden "}},
		{"leave-all --as bob --session tab-1", exitOK, []string{"bob left ", "lobby", "garden"}},
		{"leave-all --as bob --session tab-1", exitOK, []string{"bob was in no room"}},
		{"leave lobby --as alice", exitOK, []string{"alice left lobby (sequence 6)"}},
		{"members lobby", exitOK, []string{"nobody is in lobby"}},
		{"instances lobby", exitOK, []string{"INSTANCE ", "Hall "}},
		{"instances nowhere", exitRefused, []string{`no fact of an earlier one is kept`, "try: roomctl ls"}},
		{"members lobby --at 2001-02-03T04:05:06Z", exitRefused, []string{`there was no room "lobby" at 2001-02-03T04:05:06.000Z`}},
		{"members lobby --at yesterday", exitUsage, []string{"--at is"}},
		{"members lobby --at 2001-02-03T04:05:06Z --count", exitUsage, []string{"--at"}},
		{"get nowhere", exitRefused, []string{"try: roomctl ls"}},
		{"enter brief --as dora --end-user", exitOK, []string{"dora created brief and is in it (1 member, sequence 1) for 60 s; each command renews it\n"}},
		{"enter brief --as dora --end-user", exitOK, []string{"dora is in brief (1 member, sequence 1) for 60 s; each command renews it\n"}},
		{"switch brief other --create --as dora --end-user", exitOK, []string{"sequence 1) for 60 s; each command renews it\n"}},
		{"get nowhere --as dora --end-user", exitRefused, []string{"try: roomctl rooms -s " + url + " --as dora --end-user\n"}},
		{"attributes nowhere --as dora --end-user", exitRefused, []string{"try: roomctl rooms "}},
		{"history nowhere --as dora --end-user", exitRefused, []string{"try: roomctl rooms "}},
	} {
		t.Log(c.line)
		r := roomctl(t, append(strings.Fields(c.line), "-s", url)...)
		r.want(t, c.code, c.texts...)
		if r.code == exitOK && r.stderr != "" || r.code != exitOK && r.stdout != "" {
			t.Errorf("the wrong stream:\n%s\n%s", r.stdout, r.stderr)
		}
	}
	r := roomctl(t, "enter", "empty", "--as", "dora", "--json", "-s", url)
	var reply room.JoinedReply
	if err := json.Unmarshal([]byte(r.stdout), &reply); err != nil || reply.Room.RoomID != "empty" || reply.Sequence != 1 {
		t.Errorf("%v: %s", err, r.stdout)
	}
	if r = roomctl(t, "join", "--as", "eve", "-s", url, "--", "-odd"); r.code != exitRefused || strings.Contains(r.stderr, "try: ") {
		t.Errorf("exit code %d, and a hint that cannot be typed: %s", r.code, r.stderr)
	}
	id := []string{"join", "empty", "--as", "eve", "--request-id", "again-1", "-s", url}
	roomctl(t, id...).want(t, exitOK, "eve is in empty (2 members, sequence 2)")
	roomctl(t, id...).want(t, exitOK, "eve is in empty (2 members, sequence 2)")
}
