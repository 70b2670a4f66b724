package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
)

// service starts a room service that asks.
func service(t *testing.T) (connect func() *nats.Conn) {
	t.Helper()
	srv := roomtest.Server(t)
	ask := map[room.Verb]string{room.Send: "room.hook.send"}
	for _, v := range []room.Verb{room.Enter, room.Join, room.Create, room.Switch} {
		ask[v] = "room.hook.come"
	}
	s, err := roomsvc.New(t.Context(), roomtest.Conn(t, srv), roomsvc.Config{Hooks: hooks.Settings{Subjects: ask}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	return func() *nats.Conn { return roomtest.Conn(t, srv) }
}

// program starts the program that answers.
func program(t *testing.T, url string) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "hooks")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), bin, "--nats", url, "--word", "darn", "--word", "heck", "--paid", "club=alice;bob")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "answering room.hook.*\n" {
		t.Fatalf("it says %q: %v", line, err)
	}
}

func TestRules(t *testing.T) {
	nc := service(t)()
	program(t, nc.ConnectedUrl())
	as := func(user string) *client.Client {
		c := client.New(nc, client.Config{UserID: user, UserForm: true, Once: true})
		t.Cleanup(c.Close)
		return c
	}
	alice, carol := as("alice"), as("carol")
	refused := func(what string, err error) {
		t.Helper()
		var e *client.Error
		if !errors.As(err, &e) || !errors.Is(err, client.ErrNotAllowed) || e.AppCode != "PAYMENT_REQUIRED" || e.Message != "This room is for members of the club." {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := carol.Create(t.Context(), client.CreateRequest{RoomID: "club"})
	refused("create", err)
	if _, err := alice.Enter(t.Context(), client.CreateRequest{RoomID: "club"}); err != nil {
		t.Fatal(err)
	}
	_, err = carol.Enter(t.Context(), client.CreateRequest{RoomID: "club"})
	refused("enter", err)
	_, err = carol.Join(t.Context(), client.RoomRequest{RoomID: "club"})
	refused("join", err)
	if _, err := carol.Enter(t.Context(), client.CreateRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	_, err = carol.Switch(t.Context(), client.SwitchRequest{FromRoomID: "lobby", ToRoomInfo: client.RoomInfo{RoomID: "club"}})
	refused("switch", err)

	heard, err := nc.SubscribeSync("room.msg.club")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []client.SendRequest{{Type: "text", Data: "Darn it, darning is a heck of work"}, {Type: "text", Data: "fine"}, {Type: "custom", Data: "darn"}} {
		q.RoomID = "club"
		if _, err := alice.Send(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"**** it, darning is a **** of work", "fine", "darn"} {
		m, err := heard.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Data struct {
				Data string `json:"data"`
			} `json:"data"`
		}
		if err := json.Unmarshal(m.Data, &e); err != nil || e.Data.Data != want {
			t.Errorf("%q is heard, want %q: %v", e.Data.Data, want, err)
		}
	}
}

// TestTime measures what the question adds to a command: the same command without one is a
// trusted caller's, about which nobody is asked.
func TestTime(t *testing.T) {
	connect := service(t)
	nc, answers, ctx := connect(), connect(), t.Context()
	if err := NewRules([]string{"darn"}, nil).Answer(answers, "room.hook.*"); err != nil {
		t.Fatal(err)
	}
	if err := answers.FlushTimeout(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	asked := client.New(nc, client.Config{UserID: "alice", UserForm: true, SessionID: "tab", Once: true})
	unasked := client.New(nc, client.Config{UserID: "alice", SessionID: "tab", Once: true})
	t.Cleanup(asked.Close)
	t.Cleanup(unasked.Close)
	if _, err := asked.Enter(ctx, client.CreateRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	const rounds = 300
	var with, without []time.Duration
	for i := range rounds {
		for c, list := range map[*client.Client]*[]time.Duration{asked: &with, unasked: &without} {
			began := time.Now()
			if _, err := c.Send(ctx, client.SendRequest{RoomID: "lobby", Type: "text", Data: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
			*list = append(*list, time.Since(began))
		}
	}
	slices.Sort(with)
	slices.Sort(without)
	at := func(percent int) string {
		i := rounds * percent / 100
		return fmt.Sprintf("%.2f ms instead of %.2f ms", with[i].Seconds()*1000, without[i].Seconds()*1000)
	}
	roomtest.Figure(t, "a send that is asked about takes %s (half of them), %s (99 of 100)", at(50), at(99))
}
