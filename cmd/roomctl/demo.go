package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"natsrooms/cmd/internal/creds"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
)

const (
	demoPause   = 1500 * time.Millisecond // time to read, on a terminal
	demoFact    = 10 * time.Second        // how long a fact or a message may take to arrive
	demoCleanUp = 5 * time.Second
)

// tour is a running demo.
type tour struct {
	*session
	alice, bob    string
	lobby, garden string

	own     *child // the roomd that it started, nil if it uses another one
	program string // of own
	dir     string // where own stores everything

	nc    *nats.Conn
	heard chan step          // what happens and is said in both rooms
	quiet context.CancelFunc // ends listening
}

// Run shows everything with two users, and leaves nothing behind.
func (c *demoCmd) Run(ctx context.Context, s *session) (err error) {
	if s.programs() {
		return usageError{errors.New("the demo is for people; leave out --json and --json-lines")}
	}
	if s.Token != "" && !c.Embed {
		return usageError{errors.New("the demo acts for two users; leave out --token (and " + envToken + "), or add --embed")}
	}
	t := &tour{session: s, quiet: func() {}, alice: "alice", bob: "bob", lobby: "lobby", garden: "garden"}
	defer func() { err = errors.Join(err, t.end()) }()
	nc, err := t.find(c.Embed)
	switch {
	case err != nil:
		return err
	case nc == nil:
		err = t.bring(ctx)
	default:
		err = t.useShared(ctx, nc)
	}
	if err != nil {
		return err
	}
	return t.walk(ctx)
}

// find connects to the server that was named; nil if the demo needs one of its own.
func (t *tour) find(embed bool) (*nats.Conn, error) {
	if embed {
		return nil, nil
	}
	nc, err := t.connect()
	if errors.Is(err, errNoServer) && !errors.Is(err, nats.ErrAuthorization) && !errors.Is(err, nats.ErrAuthExpired) {
		return nil, nil
	}
	return nc, err
}

// useShared makes unique names, for a server that others use too.
func (t *tour) useShared(ctx context.Context, nc *nats.Conn) error {
	id := nuid.Next()
	suffix := "-" + id[len(id)-5:]
	t.alice, t.bob, t.lobby, t.garden = t.alice+suffix, t.bob+suffix, t.lobby+suffix, t.garden+suffix
	t.nc = nc
	c := client.New(nc, client.Config{Timeout: t.Timeout, Once: true})
	if _, err := c.Get(ctx, room.ReadRequest{RoomID: t.lobby}); err != nil && !errors.Is(err, room.ErrRoomNotExist) {
		return err
	}
	t.say("A tour with two users, %s and %s, on the server at %s.", t.alice, t.bob, creds.Redact(t.Server))
	return t.listen(ctx, nc)
}

// bring starts a roomd just for the tour.
func (t *tour) bring(ctx context.Context) (err error) {
	if t.dir, err = os.MkdirTemp("", "roomctl-demo-"); err != nil {
		return err
	}
	if t.program, err = findRoomd(ctx, t.dir); err != nil {
		return err
	}
	t.say("A tour with two users, %s and %s, and a room service of its own.", t.alice, t.bob)
	return t.serve(ctx)
}

// serve starts the tour's own roomd with what it has stored.
func (t *tour) serve(ctx context.Context) (err error) {
	store := filepath.Join(t.dir, "store")
	t.prompt("roomd --port -1 --store-dir " + shellWord(store) + " &")
	if t.own, err = startChild(ctx, t.program, "--port", "-1", "--store-dir", store); err != nil {
		return err
	}
	fmt.Fprintf(t.stdout, "ready %s\n", t.own.url)
	t.Server, t.Creds = t.own.url, ""
	t.prompt("export " + envServer + "=" + t.Server)
	nc, err := t.connect()
	if err != nil {
		return err
	}
	return t.listen(ctx, nc)
}

// listen hears the facts and messages of both rooms from now on.
func (t *tour) listen(ctx context.Context, nc *nats.Conn) error {
	if t.nc != nil && t.nc != nc {
		t.quiet()
		t.nc.Close()
	}
	t.nc, t.heard = nc, make(chan step)
	ctx, t.quiet = context.WithCancel(ctx)
	c := client.New(nc, client.Config{Timeout: t.Timeout, Once: true})
	rooms := []string{t.lobby, t.garden}
	for _, id := range rooms {
		follow(ctx, c, id, t.heard)
	}
	for range 2 * len(rooms) { // each watch begins with a step that says so
		if _, err := t.next(ctx); err != nil {
			return err
		}
	}
	return nil
}

// next waits for the next fact or message.
func (t *tour) next(ctx context.Context) (step, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, demoFact, fmt.Errorf("the tour ends here: what it caused did not arrive within %s", demoFact))
	defer cancel()
	select {
	case st := <-t.heard:
		return st, st.err
	case <-ctx.Done():
		return step{}, context.Cause(ctx)
	}
}

func (t *tour) walk(ctx context.Context) error {
	t.say("Whoever watches a room hears each of its facts and messages; here they are shown after the commands that cause them. In another terminal you would type:")
	t.prompt(commandLine([]string{"watch", t.lobby}))
	stages := []stage{
		{"Alice makes a room and is in it.", []string{"create", t.lobby, "--name", "The lobby", "--as", t.alice}, exitOK, 1},
		{"Bob joins.", []string{"join", t.lobby, "--as", t.bob}, exitOK, 1},
		{"He is already in; that is refused, and nothing happens.", []string{"join", t.lobby, "--as", t.bob}, exitRefused, 0},
		{"He says something that everybody hears, and that is kept for those who ask later.", []string{"send", t.lobby, "Hello, Alice!", "--as", t.bob}, exitOK, 1},
		{"A room has attributes. Each belongs to the user who made it.", []string{"set", t.lobby, "topic=tea", "--as", t.alice}, exitOK, 1},
		{"", []string{"set", t.lobby, "topic=coffee", "--as", t.bob}, exitRefused, 0},
		{"Who is there?", []string{"members", t.lobby}, exitOK, 0},
		{"Bob moves from one room to another in one step: two facts, stored together or not at all.", []string{"switch", t.lobby, t.garden, "--create", "--as", t.bob}, exitOK, 2},
	}
	if err := t.stages(ctx, stages); err != nil {
		return err
	}
	if t.own != nil {
		if err := t.crash(ctx); err != nil {
			return err
		}
	}
	if err := t.stages(ctx, []stage{
		{"", []string{"members", t.lobby}, exitOK, 0},
		{"", []string{"rooms", "--as", t.bob}, exitOK, 0},
		{"Alice leaves; a room without members ends.", []string{"leave", t.lobby, "--as", t.alice}, exitOK, 2},
		{"", []string{"leave-all", "--as", t.bob}, exitOK, 2},
	}); err != nil {
		return err
	}
	t.say("That was all. Each command has its own --help.")
	return nil
}

// crash kills roomd and starts it again.
func (t *tour) crash(ctx context.Context) error {
	t.say("Now the service dies without warning, and comes back with what it stored.")
	t.prompt("kill -9 " + strconv.Itoa(t.own.cmd.Process.Pid))
	t.own.kill()
	if err := t.serve(ctx); err != nil {
		return err
	}
	t.say("Everybody is where they were.")
	return t.pause(ctx)
}

// stage is a command of the tour and its expected result.
type stage struct {
	say    string
	args   []string
	exit   int
	events int // facts and messages that it causes in both rooms
}

func (t *tour) stages(ctx context.Context, stages []stage) error {
	for _, st := range stages {
		if err := t.stage(ctx, st); err != nil {
			return err
		}
	}
	return nil
}

func (t *tour) stage(ctx context.Context, st stage) error {
	if st.say != "" {
		t.say("%s", st.say)
	}
	t.prompt(commandLine(st.args))
	// The token in the environment is for another server than the tour's own.
	flags := []string{"--server", t.Server, "--token", "", "--context", "", "--timeout", t.Timeout.String(), "--session", t.Session}
	if t.Creds != "" {
		flags = append(flags, "--creds", t.Creds)
	}
	code := Run(ctx, append(flags, st.args...), strings.NewReader(""), t.stdout, t.stdout)
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if code != st.exit {
		return fmt.Errorf("the tour ends here: the last command exited with %d, and should have with %d", code, st.exit)
	}
	if err := t.hear(ctx, st.events); err != nil {
		return err
	}
	return t.pause(ctx)
}

// hear prints the next n facts and messages.
func (t *tour) hear(ctx context.Context, n int) error {
	for range n {
		st, err := t.next(ctx)
		if err != nil {
			return err
		}
		line, err := t.look.step(st)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.stdout, "  %s %s\n", t.look.paint(text.Faint, word(st.room)+":"), line)
	}
	return nil
}

func (t *tour) say(format string, args ...any) {
	fmt.Fprintf(t.stdout, "\n%s\n", t.look.paint(text.Bold, fmt.Sprintf(format, args...)))
}

func (t *tour) prompt(line string) {
	fmt.Fprintf(t.stdout, "%s %s\n", t.look.paint(text.FgYellow, "$"), line)
}

// pause gives a person time to read.
func (t *tour) pause(ctx context.Context) error {
	if !isTerminal(t.stdout) {
		return nil
	}
	timer := time.NewTimer(demoPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end leaves nothing behind: no member, no process, no file.
func (t *tour) end() error {
	if t.nc != nil {
		t.quiet()
		if t.own == nil {
			t.leave()
		}
		t.nc.Close()
	}
	if t.own != nil {
		t.own.stop()
	}
	if t.dir == "" {
		return nil
	}
	return os.RemoveAll(t.dir)
}

// leave takes both users out of both rooms. Most of these commands are refused, because
// the users have already left.
func (t *tour) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), demoCleanUp)
	defer cancel()
	c := client.New(t.nc, client.Config{SessionID: t.Session, Once: true})
	for _, user := range []string{t.alice, t.bob} {
		_, err := c.LeaveAll(ctx, room.LeaveAllRequest{Caller: room.Caller{UserID: user}})
		if err != nil && !errors.Is(err, client.ErrNoService) {
			t.remark("%s may still be in a room of the demo: %v", user, err)
		}
	}
}
