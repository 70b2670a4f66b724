package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/receiver"
	"natsrooms/roomsvc/webhooks"
)

const patience = 30 * time.Second

// The receiver gets what happens in a room from a real service, each event once although it refuses
// some at first, and refuses what others sign.
func TestReceiver(t *testing.T) {
	file, key := receiver.Secret(t)
	secret, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	took := make(chan string, 100)
	failed := map[string]bool{}
	var mu sync.Mutex
	r := &Receiver{Secret: secret, Take: func(e *event.Event) error {
		mu.Lock()
		defer mu.Unlock()
		if !failed[e.ID()] {
			failed[e.ID()] = true
			return errors.New("the database is away")
		}
		took <- strings.TrimSuffix(strings.TrimPrefix(e.Type(), "io.natsrooms."), ".v1")
		return nil
	}}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)

	nats := roomtest.Server(t)
	svc, err := roomsvc.New(t.Context(), roomtest.Conn(t, nats), roomsvc.Config{Webhooks: webhooks.Settings{
		Hooks: []webhooks.Hook{{URL: srv.URL, Secrets: []string{file}, Private: true, Messages: true, Types: []string{"room.created", "member.joined", "member.left"}}},
		First: 10 * time.Millisecond,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = svc.Stop(context.Background()) })
	alice := client.New(roomtest.Conn(t, nats), client.Config{UserID: "alice"})
	if _, err := alice.Enter(t.Context(), client.CreateRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	bob := client.New(roomtest.Conn(t, nats), client.Config{UserID: "bob"})
	if _, err := bob.Enter(t.Context(), client.CreateRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Leave(t.Context(), client.RoomRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for range 3 {
		select {
		case what := <-took:
			got = append(got, what)
		case <-time.After(patience):
			t.Fatalf("only %q arrive", got)
		}
	}
	if want := []string{"room.created", "member.joined", "member.left"}; !slices.Equal(got, want) {
		t.Errorf("it gets %q, want %q", got, want)
	}

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, bytes.NewReader([]byte(`{"specversion":"1.0","id":"1","source":"/","type":"io.natsrooms.member.joined.v1"}`)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/cloudevents+json")
	for name, value := range map[string]string{"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"} {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized || len(took) > 0 {
		t.Errorf("a forged event is answered %s; %d were taken", res.Status, len(took))
	}
}

// The manual shows the handler as it is here.
func TestManual(t *testing.T) {
	code, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(manual), "```go\n")
	shown, _, ok := strings.Cut(shown, "```")
	if !ok || !strings.Contains(string(code), shown) {
		t.Errorf("docs/webhooks.md shows\n%s\nwhich is not in main.go", shown)
	}
}
