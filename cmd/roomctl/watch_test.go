package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	s := service(t)
	for _, c := range []struct {
		flag string
		want []string
	}{
		{"--json=false", []string{"room created, alice joined (enter), 1 member", "bob joined (join), 2 members", "  alice: hi, bob", "  bob deleted message", "bob (command): typing", "alice set topic=tea", "alice set attributes of bob: hand=up", "carol joined", "carol left (kicked by root: spam)", "bob left (switched to "}},
		{"--json-lines", []string{`"type":"` + events.RoomCreated, `"type":"` + events.MemberJoined, `"data":"hi, bob"`, `"type":"` + events.MessageDeleted, `"data":"typing"`, `"set":{"topic":"tea"}`, `"hand":"up"`, `"carol"`, `"operator":"root"`, `"toRoomID":"`}},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		lines, remarks := make(chan string, 16), make(chan string, 16)
		code := make(chan int)
		id := "watched" + c.flag
		go func() {
			code <- Run(ctx, []string{"watch", c.flag, "-s", s.ClientURL(), "--", id}, strings.NewReader(""), &lineWriter{line: func(l string) { lines <- l }}, &lineWriter{line: func(l string) { remarks <- l }})
		}()
		if got := <-remarks; !strings.Contains(got, "there is no room "+id+" yet") {
			t.Errorf("it begins with %q", got)
		}
		for _, args := range [][]string{{"enter", id, "--as", "alice"}, {"join", id, "--as", "bob"},
			{"send", id, "hi, bob", "--as", "alice"}, {"delete", id, "--of", "alice", "--as", "bob"}, {"send", id, "typing", "--type", "command", "--as", "bob"},
			{"set", id, "topic=tea", "--as", "alice"}, {"set-member", id, "hand=up", "--user", "bob", "--as", "alice"},
			{"enter", id, "--as", "carol"}, {"kick", id, "carol", "--as", "root", "--reason", "spam"}, {"switch", id, id + "-2", "--create", "--as", "bob"}} {
			roomctl(t, append(args, "-s", s.ClientURL())...).want(t, exitOK)
		}
		for _, want := range c.want {
			if got := <-lines; !strings.Contains(got, want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
		cancel()
		if got := <-code; got != exitOK {
			t.Errorf("exit code %d after the signal", got)
		}
		roomctl(t, "leave-all", "--as", "alice", "-s", s.ClientURL()).want(t, exitOK)
	}
}

func TestWatchRemarks(t *testing.T) {
	t.Parallel()
	var out, remarks bytes.Buffer
	p := &printer{session: &session{stdout: &out, stderr: &remarks, look: plain}, room: "lobby"}
	kept := encoded(t, events.Fact{Type: events.RoomKept, Sequence: 8})
	hi := said(t, events.Message{Sender: "alice", Type: events.Text, Data: "hi"})
	fact := func(recovered bool) *client.Update {
		return &client.Update{Fact: &events.Fact{}, Raw: kept, Recovered: recovered}
	}
	for _, st := range []step{
		{update: &client.Update{Fresh: client.FreshStart}}, {note: &client.Note{Kind: client.NoteListening, After: 3}},
		{update: fact(false)}, {update: fact(true)}, {update: fact(true)}, {heard: &client.Heard{Message: &events.Message{Seq: 12}, Raw: hi, Recovered: true}},
		{update: &client.Update{}}, {note: &client.Note{Kind: client.NoteLost}},
	} {
		if err := p.print(st); err != nil {
			t.Fatal(err)
		}
	}
	want := `roomctl: there is no room lobby yet; what happens in it will be shown
roomctl: what follows did not arrive live, and was read afterwards
roomctl: the room lobby is gone
roomctl: some messages were missed and are no longer kept
`
	if got := remarks.String(); got != want {
		t.Errorf("remarks:\n%s\nwant\n%s", got, want)
	}
	if got := out.String(); strings.Count(got, "\n") != 4 || !strings.Contains(got, " #12  alice: hi") {
		t.Errorf("lines:\n%s", got)
	}
}

// A watch continues through a restart of the server, and shows what happened before it was
// back, once.
func TestWatchOutlivesTheConnection(t *testing.T) {
	t.Parallel()
	n := roomtest.Start(t)
	svc, err := roomsvc.New(t.Context(), roomtest.Conn(t, n.Server), roomsvc.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = svc.Stop(context.Background()) })
	enter := func(user string) {
		t.Helper()
		caller := room.Caller{UserID: user}
		if _, err := client.New(roomtest.Conn(t, n.Server), client.Config{}).Enter(t.Context(), room.CreateRequest{Caller: caller, RoomID: "lobby"}); err != nil {
			t.Fatal(err)
		}
	}
	enter("alice")
	ctx, cancel := context.WithCancel(t.Context())
	lines, remarks, code := make(chan string, 64), make(chan string, 64), make(chan int)
	go func() {
		code <- Run(ctx, []string{"watch", "lobby", "-s", n.ClientURL()}, strings.NewReader(""), &lineWriter{line: func(l string) { lines <- l }}, &lineWriter{line: func(l string) { remarks <- l }})
	}()
	expect := func(want string) {
		t.Helper()
		for got := range remarks {
			if strings.Contains(got, want) {
				return
			}
		}
	}
	expect("watching lobby (1 member, sequence 1)")
	n.Restart()
	enter("bob")
	expect("the connection broke")
	expect("connected again")
	enter("carol")
	for _, want := range []string{"bob joined (enter), 2 members", "carol joined (enter), 3 members"} {
		if got := <-lines; !strings.HasSuffix(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	cancel()
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d after the signal", got)
	}
}

// A room of that name had messages before: nothing of the new one is said to be late.
func TestWatchOfANameThatWasUsedBefore(t *testing.T) {
	t.Parallel()
	s := service(t)
	on := func(args ...string) { t.Helper(); roomctl(t, append(args, "-s", s.ClientURL())...).want(t, exitOK) }
	on("enter", "lobby", "--as", "alice")
	on("send", "lobby", "old", "--as", "alice")
	on("destroy", "lobby")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines, remarks, code := make(chan string, 64), make(chan string, 64), make(chan int)
	go func() {
		code <- Run(ctx, []string{"watch", "lobby", "-s", s.ClientURL()}, strings.NewReader(""), &lineWriter{line: func(l string) { lines <- l }}, &lineWriter{line: func(l string) { remarks <- l }})
	}()
	if got := <-remarks; !strings.Contains(got, "there is no room lobby yet") {
		t.Fatalf("it begins with %q", got)
	}
	on("enter", "lobby", "--as", "alice")
	expect := func(want string, meanwhile func()) {
		t.Helper()
		for {
			meanwhile()
			select {
			case got := <-lines:
				if strings.Contains(got, want) {
					return
				}
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	expect("typing", func() { on("send", "lobby", "typing", "--type", "command", "--as", "alice") }) // until it listens
	on("send", "lobby", "new", "--as", "alice")
	expect("alice: new", func() {})
	cancel()
	<-code
	for len(remarks) > 0 {
		if got := <-remarks; strings.Contains(got, "live") || strings.Contains(got, "missed") {
			t.Errorf("it says %q", got)
		}
	}
}
