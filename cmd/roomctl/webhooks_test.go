package main

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/receiver"
	"natsrooms/roomsvc/webhooks"
)

// People see webhooks and dead letters, and say what becomes of these.
func TestWebhooks(t *testing.T) {
	none := service(t)
	roomctl(t, "-s", none.ClientURL(), "webhooks", "ls").want(t, exitRefused, "no instance of the service here has webhooks", "roomd --webhook URL")

	r := receiver.New(t)
	r.Answer(receiver.Status(http.StatusGone))
	s := roomtest.Server(t)
	svc, err := roomsvc.New(t.Context(), roomtest.Conn(t, s), roomsvc.Config{Logger: slog.New(slog.DiscardHandler), Webhooks: webhooks.Settings{
		Hooks: []webhooks.Hook{{Name: "app", URL: r.URL, Secrets: []string{r.Secret}, Private: true}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = svc.Stop(context.Background()) })
	on := func(args ...string) result {
		t.Helper()
		return roomctl(t, append([]string{"-s", s.ClientURL()}, args...)...)
	}
	on("create", "lobby", "--as", "alice").want(t, exitOK)
	on("create", "hall", "--as", "alice").want(t, exitOK)
	dead := func(n int64) {
		t.Helper()
		r.Until(30*time.Second, "dead letters", func() bool { return svc.Measure(t.Context()).Webhooks["app"].Letters == n })
	}
	dead(2)
	on("webhooks", "ls").want(t, exitOK, "NAME", "app", "127.0.0.1:", "DEAD LETTERS")
	list := on("webhooks", "ls", "app")
	list.want(t, exitOK, "facts.", "lobby", "hall", "io.natsrooms.room.created.v1", "410: gone")
	id := strings.Fields(strings.Split(list.stdout, "\n")[1])[0]
	on("webhooks", "ls", "app", "--json").want(t, exitOK, `"letters":[{`, `"id":"`+id+`"`)
	on("webhooks", "ls", "nobody").want(t, exitRefused, "there is none of that name; there are app")
	on("webhooks", "drop", "app").want(t, exitUsage, "give the IDs of dead letters, or --all", "roomctl webhooks drop --help")
	on("webhooks", "drop", "app", "facts.999").want(t, exitRefused, "there are no such dead letters")
	on("webhooks", "drop", "app", id).want(t, exitOK, "1 dead letter dropped")
	dead(1)
	r.Answer(nil)
	on("webhooks", "replay", "app", "--all").want(t, exitOK, "1 dead letter will be delivered once more")
	dead(0)
	if got := r.Wait(30*time.Second, 1); len(got) != 1 {
		t.Errorf("%d were delivered", len(got))
	}
	on("webhooks", "ls", "app").want(t, exitOK, "there are no dead letters of app")
}
