package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	s := service(t)
	for _, c := range []struct {
		flag string
		want []string
	}{
		{"--json=false", []string{"room created, alice joined (enter), 1 member", "bob joined (join), 2 members", "  alice: hi, bob", "bob (command): typing", "alice set topic=tea", "alice set attributes of bob: hand=up", "carol joined", "carol left (kicked by root: spam)", "bob left (switched to "}},
		{"--json", []string{`"type":"` + events.RoomCreated, `"type":"` + events.MemberJoined, `"data":"hi, bob"`, `"data":"typing"`, `"set":{"topic":"tea"}`, `"hand":"up"`, `"carol"`, `"operator":"root"`, `"toRoomID":"`}},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		lines, remarks := make(chan string, 16), make(chan string, 16)
		code := make(chan int)
		id := "watched" + c.flag
		go func() {
			code <- Run(ctx, []string{"watch", c.flag, "-s", s.ClientURL(), "--", id}, &lineWriter{line: func(l string) { lines <- l }}, &lineWriter{line: func(l string) { remarks <- l }})
		}()
		if got := <-remarks; !strings.Contains(got, "there is no room "+id+" yet") {
			t.Errorf("it begins with %q", got)
		}
		for _, args := range [][]string{{"enter", id, "--as", "alice"}, {"join", id, "--as", "bob"},
			{"send", id, "hi, bob", "--as", "alice"}, {"send", id, "typing", "--type", "command", "--as", "bob"},
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

func TestWatchTellsOfHoles(t *testing.T) {
	t.Parallel()
	var out, remarks bytes.Buffer
	s := &session{stdout: &out, stderr: &remarks, look: plain}
	var seen watched
	for _, sequence := range []uint64{4, 5, 8, 8, 2} { // a copy twice, then one that came late
		if err := s.show(&nats.Msg{Data: encoded(t, events.Fact{Type: events.RoomKept, Sequence: sequence})}, &seen); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.show(&nats.Msg{Data: []byte("noise")}, &seen); err != nil {
		t.Fatal(err)
	}
	if got := remarks.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "2 facts before the next did not arrive here") || !strings.Contains(got, "no event") {
		t.Errorf("remarks:\n%s", got)
	}
	if got := strings.Count(out.String(), "\n"); got != 5 {
		t.Errorf("%d lines:\n%s", got, &out)
	}
}

func TestWatchTellsOfMissingMessages(t *testing.T) {
	t.Parallel()
	var out, remarks bytes.Buffer
	s := &session{stdout: &out, stderr: &remarks, look: plain}
	var seen watched
	for _, at := range []struct{ last, seq string }{{"3", "4"}, {"", ""}, {"4", "9"}, {"12", "15"}, {"9", "12"}, {"15", "16"}} { // the last but one came late
		m := &nats.Msg{Subject: subjects.Messages("lobby"), Header: nats.Header{}, Data: said(t, events.Message{Sender: "alice", Type: events.Text, Data: "hi"})}
		if at.seq != "" {
			m.Header.Set(nats.JSSequence, at.seq)
			m.Header.Set(nats.JSLastSequence, at.last)
		}
		if err := s.show(m, &seen); err != nil {
			t.Fatal(err)
		}
	}
	if got := remarks.String(); got != "roomctl: some messages before the next did not arrive here\n" {
		t.Errorf("remarks:\n%s", got)
	}
	if got := out.String(); strings.Count(got, "alice: hi") != 6 || !strings.Contains(got, " #15  alice") {
		t.Errorf("lines:\n%s", got)
	}
}

func TestWatchOutlivesTheConnection(t *testing.T) {
	t.Parallel()
	reply := []byte(`{"room":{"roomID":"lobby","memberCount":3},"sequence":6}`)
	n := answerer(t, room.Get, func(*nats.Msg) *nats.Msg { return &nats.Msg{Data: reply} })
	ctx, cancel := context.WithCancel(t.Context())
	lines, remarks, code := make(chan string, 64), make(chan string, 16), make(chan int)
	go func() {
		code <- Run(ctx, []string{"watch", "lobby", "-s", n.ClientURL()}, &lineWriter{line: func(l string) { lines <- l }}, &lineWriter{line: func(l string) { remarks <- l }})
	}()
	expect := func(want string) {
		t.Helper()
		if got := <-remarks; !strings.Contains(got, want) {
			t.Errorf("it says %q, not %q", got, want)
		}
	}
	expect("watching lobby (3 members, sequence 6)")
	n.Restart()
	expect("the connection broke")
	expect("connected again")
	nc := roomtest.Conn(t, n.Server)
	fact := encoded(t, events.Fact{Type: events.MemberLeft, Sequence: 7, Left: []events.Left{gone("bob", events.ReasonLeft)}, MemberCount: 2})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for heard := false; !heard; { // the server may learn of the new subscription after the first of them
		if err := nc.Publish(subjects.Facts("lobby"), fact); err != nil {
			t.Fatal(err)
		}
		select {
		case line := <-lines:
			heard = strings.HasSuffix(line, "7  bob left, 2 members")
		case <-tick.C:
		}
	}
	cancel()
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d after the signal", got)
	}
}
