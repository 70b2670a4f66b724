package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/roomtest/receiver"
	"natsrooms/roomsvc/webhooks"
)

// Flags and the file say the same of webhooks.
func TestWebhookSettings(t *testing.T) {
	cfg := mustParse(t, "--config", settings(t, `
webhook-secret: one
webhook:
  app: https://app.example/a=b
  classes:
    url: http://10.0.0.1/
    secret: [two, three]
    types: [member.joined, message.sent]
    rooms: class-
    messages: true
    binary: true
    private: true
    timeout: 5s
`))
	want := []webhooks.Hook{
		{Name: "app", URL: "https://app.example/a=b", Secrets: []string{"one"}},
		{Name: "classes", URL: "http://10.0.0.1/", Secrets: []string{"two", "three"}, Types: []string{"member.joined", "message.sent"}, Rooms: "class-", Messages: true, Binary: true, Private: true, Timeout: 5 * time.Second},
	}
	if got := cfg.webhooks().Hooks; !reflect.DeepEqual(got, want) {
		t.Errorf("the file gives\n%+v, want\n%+v", got, want)
	}
	cfg = mustParse(t, "--webhook", "app=https://app.example/?k=hidden", "--webhook", "https://b.example/hidden,x", "--webhook-secret", "one,two", "--hook", "send=https://c.example/hidden")
	want = []webhooks.Hook{
		{Name: "app", URL: "https://app.example/?k=hidden", Secrets: []string{"one", "two"}},
		{Name: webhooks.NameOf("https://b.example/hidden,x"), URL: "https://b.example/hidden,x", Secrets: []string{"one", "two"}},
	}
	if got := cfg.webhooks().Hooks; !reflect.DeepEqual(got, want) {
		t.Errorf("flags give\n%+v, want\n%+v", got, want)
	}
	var printed strings.Builder
	in, err := read([]string{"--webhook", "app=https://app.example/?k=hidden", "--webhook-secret", "one", "--hook", "send=https://c.example/hidden"}, io.Discard, nil)
	if err == nil {
		err = in.print(&printed)
	}
	if err != nil || strings.Contains(printed.String(), "hidden") || !strings.Contains(printed.String(), "app=https://app.example") || !strings.Contains(printed.String(), "send=https://c.example") {
		t.Errorf("%v\n%s", err, printed.String())
	}
	if err := examine(in.cfg, io.Discard); err == nil || !strings.Contains(err.Error(), `--webhook: webhook "app": secret can't be read`) {
		t.Errorf("config check says %v", err)
	}
}

// With the permissions of the shipped configuration roomd delivers, and back ends ask about that;
// end users may not.
func TestWebhookWithPermissions(t *testing.T) {
	r := receiver.New(t)
	g := newGuarded(t, "--webhook", "app="+r.URL, "--webhook-secret", r.Secret, "--webhook-private")
	defer g.roomd.end(t)
	if got := r.Wait(within, 1)[0]; got.Event.Type() != events.RoomCreated {
		t.Errorf("%s arrives", got.Body)
	}
	m, err := g.backend.Request("room.webhooks.list", []byte(`{"webhook":"app"}`), within)
	if err != nil || !strings.Contains(string(m.Data), `"name":"app"`) {
		t.Errorf("%v, %+v", err, m)
	}
	if _, err := g.alice.Request("room.webhooks.list", []byte(`{}`), time.Second); err == nil {
		t.Error("an end user is told of webhooks")
	}
	if log := g.roomd.stderr.String(); strings.Contains(log, "the NATS connection reports an error") {
		t.Errorf("the service lacks a permission:\n%s", log)
	}
}

// After kill -9, in the middle of deliveries, every fact arrives in its room's order; what comes
// again has the ID that it had.
func TestWebhookKill(t *testing.T) {
	r := receiver.New(t)
	v := newVictim(t)
	v.args = []string{"--webhook", "app=" + r.URL, "--webhook-secret", r.Secret, "--webhook-private"}
	v.start()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	nc, err := nats.Connect(v.url(), patientDial, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectBufSize(-1), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	const rooms, changes = 4, 60
	var changing sync.WaitGroup
	half := make(chan struct{}, rooms)
	for i := range rooms {
		changing.Go(func() {
			id := fmt.Sprintf("room-%d", i)
			c := client.New(nc, client.Config{UserID: "alice"})
			if _, err := c.Enter(ctx, client.CreateRequest{RoomID: id}); err != nil {
				t.Error(err)
			}
			for n := range changes - 1 {
				if _, err := c.SetAttributes(ctx, client.SetAttributesRequest{RoomID: id, Set: map[string]string{"n": fmt.Sprint(n)}}); err != nil {
					t.Error(err)
					return
				}
				if n%(changes/3) == changes/3-1 {
					half <- struct{}{}
				}
			}
		})
	}
	for range kills() - 1 {
		for range rooms / 2 {
			<-half
		}
		v.kill()
		v.start()
	}
	go func() {
		for range half { // nobody waits any more
		}
	}()
	changing.Wait()
	close(half)
	r.Until(4*within, "all facts", func() bool { return len(r.Taken()) >= rooms*changes })
	last := map[string]uint64{}
	for _, g := range r.Taken() {
		var data struct {
			Sequence uint64 `json:"sequence"`
		}
		if err := json.Unmarshal(g.Event.Data(), &data); err != nil {
			t.Fatal(err)
		}
		if data.Sequence != last[g.Room()]+1 {
			t.Errorf("%s: after %d comes %d", g.Room(), last[g.Room()], data.Sequence)
		}
		last[g.Room()] = data.Sequence
	}
	t.Logf("%d facts, of %d rooms; %d were delivered again", rooms*changes, rooms, repeats(r))
}

// repeats is how many deliveries were of what had been taken before.
func repeats(r *receiver.Receiver) (n int) {
	for _, g := range r.Taken() {
		n += r.Tries(g.ID) - 1
	}
	return n
}
