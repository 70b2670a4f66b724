package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/policy"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// press types keys.
func press(m tea.Model, keys ...string) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	for _, k := range keys {
		key := tea.Key{Text: k, Code: []rune(k)[0]}
		switch k {
		case "esc":
			key = tea.Key{Code: tea.KeyEscape}
		case "ctrl+c":
			key = tea.Key{Code: 'c', Mod: tea.ModCtrl}
		}
		m, cmd = m.Update(tea.KeyPressMsg(key))
	}
	return m, cmd
}

func TestTopKeys(t *testing.T) {
	t.Parallel()
	asked := 0
	var m tea.Model = newTopModel(plain, "rate", func() tea.Msg { asked++; return sampled{shot: shot()} })
	if got := m.View().Content; !strings.Contains(got, "looking...") || !m.View().AltScreen {
		t.Errorf("it begins with %s", got)
	}
	cmd := m.Init()
	m, cmd = m.Update(cmd())
	if asked != 1 || cmd == nil {
		t.Fatalf("asked %d times", asked)
	}
	m, _ = m.Update(tea.WindowSizeMsg{Width: 100, Height: 40})
	order := func() string {
		var ids []string
		for line := range strings.Lines(m.View().Content) {
			for _, id := range []string{"tenant-", "lobby", "garden"} {
				if strings.HasPrefix(line, id) {
					ids = append(ids, id)
				}
			}
		}
		return strings.Join(ids, " ")
	}
	for _, c := range []struct{ key, want string }{{"r", "tenant- lobby garden"}, {"m", "lobby tenant- garden"}, {"n", "garden lobby tenant-"}, {"r", "tenant- lobby garden"}} {
		if m, _ = press(m, c.key); order() != c.want {
			t.Errorf("after %s: %s", c.key, order())
		}
	}
	// While it pauses, what is new is not shown.
	m, _ = press(m, "p")
	other := shot()
	other.Rooms = other.Rooms[2:]
	if m, _ = m.Update(sampled{shot: other}); order() != "tenant- lobby garden" || !strings.Contains(m.View().Content, "(paused)") {
		t.Errorf("paused: %s", m.View().Content)
	}
	m, _ = press(m, "p")
	if m, _ = m.Update(sampled{shot: other}); order() != "garden" {
		t.Errorf("goes on: %s", order())
	}
	m, cmd = m.Update(sampled{err: nats.ErrDisconnected})
	if got := m.View().Content; !strings.Contains(got, "the connection broke") || order() != "garden" || cmd == nil {
		t.Errorf("without a connection: %s", got)
	}
	// A screen that is low has a room at least.
	m, _ = m.Update(tea.WindowSizeMsg{Width: 60, Height: 3})
	if order() != "garden" {
		t.Error("no room on a low screen")
	}
	for _, key := range []string{"q", "esc", "ctrl+c"} {
		if _, cmd := press(m, key); cmd == nil || cmd() != tea.Quit() {
			t.Errorf("%s does not end it", key)
		}
	}
}

// The program itself, with what somebody types, and with a signal.
func TestTopProgram(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	roomctl(t, "enter", "lobby", "--as", "alice", "-s", url).want(t, exitOK)
	for _, typed := range []string{"mq", ""} {
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		s := &session{stdin: strings.NewReader(typed), stdout: &out, stderr: &out, look: plain, abort: func(error) {}}
		s.Server, s.Timeout = url, 15*time.Second
		if err := s.dial(); err != nil {
			t.Fatal(err)
		}
		look := newSampler(s, leastInterval)
		err := (&topCmd{By: "rate"}).show(ctx, s, func() tea.Msg {
			shot, err := look.sample(ctx)
			if typed == "" {
				cancel() // a signal
			}
			return sampled{shot, err}
		})
		cancel()
		s.close()
		if err != nil {
			t.Errorf("typed %q: %v", typed, err)
		}
	}
}

func TestTopOnce(t *testing.T) {
	t.Parallel()
	s := service(t)
	url := s.ClientURL()
	roomctl(t, "top", "--once", "-s", url).want(t, exitOK, "nothing happens in any room", "leads")
	roomctl(t, "enter", "lobby", "--as", "alice", "--name", "Hall", "-s", url).want(t, exitOK)
	roomctl(t, "top", "--interval", "500ms", "-s", url).want(t, exitOK, "INSTANCE ", "leads", "lobby  Hall", "commands p50 ")
	ctx, cancel := context.WithCancel(t.Context())
	shots := make(chan snapshot)
	code := make(chan int)
	go func() {
		code <- Run(ctx, []string{"top", "--json-lines", "--interval", "500ms", "-s", url}, strings.NewReader(""), &lineWriter{line: func(l string) {
			var shot snapshot
			if err := json.Unmarshal([]byte(l), &shot); err != nil {
				t.Errorf("%v: %s", err, l)
			}
			select {
			case shots <- shot:
			case <-ctx.Done():
			}
		}}, &bytes.Buffer{})
	}()
	// Somebody talks until top has noticed.
	for n := 1; ; n++ {
		roomctl(t, "send", "lobby", "hello", "--as", "alice", "-s", url).want(t, exitOK)
		select {
		case shot := <-shots:
			i := slices.IndexFunc(shot.Rooms, func(b busy) bool { return b.Room == "lobby" })
			if i < 0 || len(shot.Instances) != 1 || !shot.Instances[0].Leads {
				t.Fatalf("%+v", shot)
			}
			if b := shot.Rooms[i]; b.Messages == 0 || shot.Messages == 0 || shot.Commands["send"] == 0 {
				continue
			} else if b.Members != 1 || b.Name != "Hall" {
				t.Errorf("%+v", b)
			}
		default:
			continue
		}
		break
	}
	cancel()
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d after the signal", got)
	}
	roomctl(t, "top", "--once", "-s", url, "--as", "alice", "--end-user").want(t, exitUsage, "those who run the service")
}

// What a monitor may not hear is named, and the rest is there.
func TestTopWithoutPermissions(t *testing.T) {
	t.Parallel()
	may := policy.Of(policy.Monitor)
	s := service(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: "p"}, {Username: "monitor", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: may.Publish}, Subscribe: &server.SubjectPermission{Allow: may.Subscribe},
		}}}
	})
	roomctl(t, "enter", "lobby", "--as", "alice", "-s", strings.Replace(s.ClientURL(), "://", "://u:p@", 1)).want(t, exitOK)
	roomctl(t, "top", "--once", "-s", strings.Replace(s.ClientURL(), "://", "://monitor:p@", 1)).
		want(t, exitOK, "leads", "lobby", "this connection may not use "+subjects.FactsPattern+", "+subjects.MessagesPattern)
}

// However many rooms there are and however much happens, the server sends top no more than was
// promised.
func TestTopHearsNoMoreThanItNeeds(t *testing.T) {
	t.Parallel()
	srv := roomtest.Server(t)
	s := &session{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, look: plain, abort: func(error) {}}
	s.Server, s.Timeout = srv.ClientURL(), 15*time.Second
	if err := s.dial(); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	ctx, cancel := context.WithCancel(t.Context())
	flood := roomtest.Conn(t, srv)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ { // 100,000 rooms
			id := subjects.Room(fmt.Sprintf("room-%d", n%100_000))
			if errors.Join(flood.Publish(subjects.Facts(id), []byte("{}")), flood.Publish(subjects.Messages(id), []byte("{}"))) != nil {
				return
			}
		}
	}()
	look := newSampler(s, leastInterval)
	for full := 0; full < 3; { // looks for which more happened than was heard; a busy machine may take some more
		before := s.nc.Stats().InMsgs
		shot, err := look.sample(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.nc.Stats().InMsgs - before; got > 2*mostHeard+probes+mostAsked+3 {
			t.Errorf("the server sent %d messages", got)
		}
		if shot.Trouble != "no room service answers" {
			t.Errorf("it says %q", shot.Trouble)
		}
		if shot.Sampled {
			if full++; shot.Facts+shot.Messages == 0 || len(shot.Rooms) != mostListed {
				t.Errorf("facts %f, messages %f, %d rooms", shot.Facts, shot.Messages, len(shot.Rooms))
			}
		}
		if len(look.known) > keptRooms {
			t.Errorf("it keeps %d rooms", len(look.known))
		}
	}
	cancel()
	<-done
}
