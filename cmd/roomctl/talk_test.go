package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

func said(t *testing.T, m events.Message) []byte {
	t.Helper()
	m.ID, m.Room, m.InstanceID, m.Time = "id", "lobby", "i1", noon
	raw, err := m.Encode("")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestMessageLines(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]events.Message{
		"12:00:00.000   #7  alice: hi\uFFFDthere":              {Sender: "alice", Type: events.Text, Data: "hi\nthere", Priority: events.Low, Seq: 7},
		"12:00:00.000 #12345  the server (high): closing":      {Type: events.Text, Data: "closing", Priority: events.High, Seq: 12345},
		"12:00:00.000       \"the server\" (command): x":       {Sender: "the server", Type: events.Signal, Data: "x", Priority: events.Low},
		"12:00:00.000       bob (custom 3): {} (with \"b c\")": {Sender: "bob", Type: events.Custom, SubType: 3, Data: "{}", Extended: "b c"},
	} {
		if got, err := plain.message(said(t, m), 0); err != nil || got != want {
			t.Errorf("%v\n got %s\nwant %s", err, got, want)
		}
	}
	if got, err := plain.message(said(t, events.Message{Type: events.Text, Data: "x"}), 9); err != nil || !strings.Contains(got, " #9  the server: x") {
		t.Errorf("%v: %s", err, got)
	}
	if line, err := plain.message([]byte("{}"), 0); err == nil {
		t.Errorf("something that is not a message is shown as %s", line)
	}
}

// checkLines runs command lines against a service, one after another.
func checkLines(t *testing.T, url string, lines []line) {
	t.Helper()
	for _, c := range lines {
		t.Log(c.args)
		r := roomctl(t, append(slices.Clone(c.args), "-s", url)...)
		r.want(t, c.code, c.texts...)
		if r.code == exitOK && r.stderr != "" && !strings.HasPrefix(r.stderr, "roomctl: this server trusts everybody") || r.code != exitOK && r.stdout != "" {
			t.Errorf("the wrong stream:\n%s\n%s", r.stdout, r.stderr)
		}
	}
}

type line struct {
	args  []string
	code  int
	texts []string
}

func TestSend(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	checkLines(t, url, []line{
		{[]string{"send", "lobby", "hi"}, exitRefused, []string{`there is no room "lobby"; nothing was sent`, "try: roomctl ls"}},
		{[]string{"enter", "lobby", "--as", "alice"}, exitOK, nil},
		{[]string{"send", "lobby", "hi", "--as", "bob"}, exitRefused, []string{`"bob" (session default) is not in "lobby"; nothing was sent`, "try: roomctl enter lobby"}},
		{[]string{"send", "lobby", "hi", "all", "--as", "alice"}, exitOK, []string{"alice said it in lobby (message 1)\n"}},
		{[]string{"send", "lobby", "--request-id=r1", "closing", "--priority=high"}, exitOK, []string{"the server said it in lobby (message 2)\n"}},
		{[]string{"send", "lobby", "--request-id=r1", "closing", "--priority=high"}, exitOK, []string{"the server said it in lobby (message 2)\n"}},
		{[]string{"send", "lobby", "-3", "--type", "custom", "--sub-type", "7", "--as", "alice"}, exitUsage, nil},
		{[]string{"send", "lobby", "x", "--type", "custom", "--sub-type", "7", "--extended", "{}", "--as", "alice"}, exitOK, []string{"(message 3)"}},
		{[]string{"send", "lobby", "typing", "--type", "command", "--as", "alice"}, exitOK, []string{"alice said it in lobby (live only)"}},
		{[]string{"send", "lobby", "", "--as", "alice"}, exitRefused, []string{"data is empty"}},
		{[]string{"send", "lobby", "x", "--sub-type", "7"}, exitRefused, []string{"only custom messages have one"}},
		{[]string{"send", "lobby", "x", "--priority", "urgent"}, exitRefused, []string{"low, medium or high"}},
		{[]string{"send", "lobby", strings.Repeat("x", 40<<10)}, exitRefused, []string{"has 40960 bytes; a message may have 32768"}},
	})
	r := roomctl(t, "send", "lobby", "hi", "--json", "-s", url)
	var reply room.SendReply
	if err := json.Unmarshal([]byte(r.stdout), &reply); err != nil || reply.MessageSeq != 4 || reply.MessageID == "" {
		t.Errorf("%v: %s", err, r.stdout)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	run := func(code int, args ...string) result {
		t.Helper()
		r := roomctl(t, append(args, "-s", url)...)
		r.want(t, code)
		return r
	}
	// shown is what a pattern's group matches in the lines of a history.
	shown := func(pattern string, args ...string) string {
		t.Helper()
		var list []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(run(exitOK, append([]string{"history", "lobby"}, args...)...).stdout, -1) {
			list = append(list, m[1])
		}
		return strings.Join(list, " ")
	}
	run(exitRefused, "history", "lobby").want(t, exitRefused, `there is no room "lobby"`, "try: roomctl ls")
	run(exitOK, "enter", "lobby", "--as", "alice")
	run(exitOK, "history", "lobby", "--messages").want(t, exitOK, "nothing was said in lobby\n")
	run(exitOK, "join", "lobby", "--as", "bob")
	run(exitOK, "set", "lobby", "topic=tea", "--as", "bob")
	const pages = 12 // of 30 KiB each: more than a reply has room for
	for i := range pages {
		run(exitOK, "send", "lobby", fmt.Sprintf("m%d %s", i+1, strings.Repeat("x", 30<<10)), "--as", "alice")
	}
	const sequence, text = `(?m)^\d{4}-\d\d-\d\d [\d:.]+ +(\d+)  `, `#\d+  alice: m(\d+) x`
	for _, c := range []struct{ want, pattern, args string }{
		{"1 2 3", sequence, ""}, {"2 3", sequence, "--after 1"}, {"2", sequence, "--after 1 --count 1"}, {"3", sequence, "--count 1"}, {"1 2 3", sequence, "--after 0 --count 0"},
		{"1 2 3 4 5 6 7 8 9 10 11 12", text, "--messages"}, {"1 2 3 4 5 6 7 8 9 10 11 12", text, "--messages --after 0"}, {"1 2 3 4 5 6 7 8 9 10 11 12", text, "--messages --count 0"},
		{"4 5 6 7 8 9 10 11 12", text, "--messages --count 9"}, {"2 3 4 5 6 7 8 9 10 11", text, "--messages --count 10 --before 12"}, {"3 4 5 6 7 8 9 10 11", text, "--messages --after 2 --count 9"},
	} {
		if got := shown(c.pattern, strings.Fields(c.args)...); got != c.want {
			t.Errorf("history %s shows %s, not %s", c.args, got, c.want)
		}
	}
	run(exitOK, "history", "lobby").want(t, exitOK, "room created, alice joined (enter), 1 member", "bob set topic=tea")
	run(exitOK, "history", "lobby", "--after", "3").want(t, exitOK, "nothing happened in lobby after 3\n")
	run(exitOK, "history", "lobby", "--messages", "--before", "1").want(t, exitOK, "nothing was said in lobby before 1\n")
	run(exitOK, "history", "lobby", "--after", "0", "--count", "2").want(t, exitOK, "there is more: roomctl history lobby --after 2 -s ")
	run(exitOK, "history", "lobby", "--messages", "--count", "9").want(t, exitOK, "there is more: roomctl history lobby --messages --before 4 -s ")
	if got := run(exitOK, "history", "lobby", "--messages", "--after", "0", "--json").stdout; strings.Count(got, "\n") != 1 || strings.Count(got, `"messageID"`) != pages {
		t.Errorf("%d lines of JSON", strings.Count(got, "\n"))
	}
	for _, from := range []string{"--after=0", "--count=12"} { // forward, and backward from the newest
		got := run(exitOK, "history", "lobby", "--messages", from, "--json-lines").stdout
		if m := regexp.MustCompile(`(?m)^\{.*"data":"m(\d+) x`).FindAllStringSubmatch(got, -1); len(m) != pages || m[0][1] != "1" || m[pages-1][1] != "12" || strings.Count(got, "\n") != pages {
			t.Errorf("history %s: %d lines of JSON, %d of them messages", from, strings.Count(got, "\n"), len(m))
		}
	}
}

// If a room becomes another one between two pages, it is read again from the beginning.
func TestHistoryOfAnotherInstance(t *testing.T) {
	t.Parallel()
	n := roomtest.Start(t)
	nc := roomtest.Conn(t, n.Server)
	fact := func(instance string, sequence uint64) []byte {
		f := events.Fact{ID: "id", Type: events.RoomKept, Room: "lobby", InstanceID: instance, Sequence: sequence, Time: noon}
		raw, err := f.Encode("")
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	gets, asked := 0, []string{}
	serve := func(verb room.Verb, answer func(*nats.Msg) any) {
		if _, err := nc.Subscribe(subjects.Command(string(verb)), func(m *nats.Msg) {
			body, err := json.Marshal(answer(m))
			if err != nil {
				t.Error(err)
			}
			_ = m.Respond(body) // if it does not arrive, roomctl's exit code shows it
		}); err != nil {
			t.Fatal(err)
		}
	}
	serve(room.Get, func(*nats.Msg) any {
		gets++
		return &room.GetReply{Position: room.Position{InstanceID: fmt.Sprintf("i%d", gets), Sequence: 6, Revision: 9}}
	})
	serve(room.History, func(m *nats.Msg) any {
		var q room.HistoryRequest
		if err := json.Unmarshal(m.Data, &q); err != nil {
			t.Error(err)
		}
		asked = append(asked, fmt.Sprintf("%s/%d", q.InstanceID, *q.AfterSequence))
		reply := &room.HistoryReply{InstanceID: "i1", Sequence: 6, Complete: true}
		if len(asked) > 1 {
			reply.InstanceID = "i2"
		}
		if q.InstanceID != reply.InstanceID {
			reply.Complete = false
			return reply
		}
		reply.Events = append(reply.Events, fact(q.InstanceID, *q.AfterSequence+1))
		if *q.AfterSequence == 4 {
			reply.NextFlag = "5"
		} else {
			reply.Complete = false
		}
		return reply
	})
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := Run(context.Background(), []string{"history", "lobby", "--after", "4", "-s", n.ClientURL()}, strings.NewReader(""), &stdout, &stderr)
	r := result{code, stdout.String(), stderr.String()}
	r.want(t, exitOK, "some of it is no longer kept", " 5  nothing changed", " 6  nothing changed")
	if want := "i1/4 i1/5 i2/4 i2/5"; strings.Join(asked, " ") != want || strings.Count(r.stdout, "\n") != 2 {
		t.Errorf("asked for %v, shown\n%s", asked, r.stdout)
	}
}

// What is to be said may come on standard input, as one message or line by line.
func TestSendFromStandardInput(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	roomctl(t, "enter", "lobby", "--as", "alice", "-s", url).want(t, exitOK)
	send := func(code int, input io.Reader, args ...string) result {
		t.Helper()
		var stdout, stderr bytes.Buffer
		got := Run(t.Context(), append([]string{"send", "lobby", "--as", "alice", "-s", url}, args...), input, &stdout, &stderr)
		r := result{got, stdout.String(), stderr.String()}
		r.want(t, code)
		return r
	}
	send(exitOK, strings.NewReader("two\nlines\n"))
	send(exitUsage, strings.NewReader("\n")).want(t, exitUsage, "standard input is empty")
	send(exitUsage, strings.NewReader("\xff")).want(t, exitUsage, "not UTF-8")
	send(exitRefused, strings.NewReader(strings.Repeat("x", 40<<10))).want(t, exitRefused, "has 40960 bytes")
	// Each line is sent when it is there, and not when there are no more.
	in, out := io.Pipe()
	done := make(chan result)
	go func() { done <- send(exitOK, in, "--lines", "--json-lines") }()
	history := func() string { return roomctl(t, "history", "lobby", "--messages", "-s", url).stdout }
	fmt.Fprint(out, "one\r\n\n")
	for !strings.Contains(history(), "#2  alice: one\n") {
		if t.Context().Err() != nil {
			t.Fatal("the first line was not sent")
		}
	}
	fmt.Fprint(out, "two\nthree")
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if r := <-done; strings.Count(r.stdout, `"messageSeq"`) != 3 || strings.Count(r.stdout, "\n") != 3 {
		t.Errorf("it prints\n%s", r.stdout)
	}
	if got := history(); !strings.Contains(got, "#1  alice: two\uFFFDlines\n") || !strings.Contains(got, "#3  alice: two\n") || !strings.Contains(got, "#4  alice: three\n") {
		t.Errorf("what was said:\n%s", got)
	}
}
