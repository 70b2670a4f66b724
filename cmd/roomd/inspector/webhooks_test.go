package inspector_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"natsrooms/cmd/roomd/inspector"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/roomtest/receiver"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/roomsvc/webhooks"
)

// to is a webhook that leads to a receiver.
func to(app *receiver.Receiver) webhooks.Settings {
	return webhooks.Settings{Hooks: []webhooks.Hook{{Name: "app", URL: app.URL, Secrets: []string{app.Secret}, Private: true}}}
}

// The page is told how webhooks are, and gives the commands about dead letters.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	app := receiver.New(t)
	app.Answer(receiver.Status(http.StatusGone))
	r := newRig(t, roomsvc.Config{Webhooks: to(app)}, false)
	samples := r.open("service")
	delivered, failed := 0.0, 0.0
	until := func(what string, so func(*inspector.Webhook) bool) {
		t.Helper()
		for end := time.Now().Add(patience); ; {
			data := samples.next("sample").data
			if strings.Contains(data, "token=") || strings.Contains(data, app.Key) || strings.Contains(data, app.Secret) {
				t.Fatalf("it tells a secret: %s", data)
			}
			s := worlds.Decode[inspector.Sample](t, []byte(data))
			if len(s.Webhooks) != 1 {
				t.Fatalf("%s", data)
			}
			h := &s.Webhooks[0]
			delivered, failed = delivered+h.Delivered*s.Seconds, failed+h.Failed*s.Seconds
			switch {
			case h.Name == "app" && strings.HasPrefix(h.Host, "127.0.0.1:") && h.Waiting != nil && h.Behind != nil && h.Letters != nil && so(h):
				return
			case time.Now().After(end):
				t.Fatalf("%s: %s", what, data)
			}
		}
	}
	until("nothing to do", func(h *inspector.Webhook) bool { return h.State == "delivering" && *h.Waiting == 0 && *h.Letters == 0 })
	for _, id := range []string{"lobby", "hall"} {
		worlds.OK[struct{}](r.World, "create", `{"roomID":"`+id+`","userID":"alice"}`)
	}
	until("two dead letters", func(h *inspector.Webhook) bool {
		return *h.Letters == 2 && *h.Waiting == 0 && h.State == "failing" && h.Since > 0 && h.WhyAt >= h.Since && strings.Contains(h.Why, "410")
	})
	if failed < 1.9 || failed > 2.1 || delivered != 0 {
		t.Errorf("%v delivered, %v failed", delivered, failed)
	}
	list := worlds.Decode[webhooks.Reply](t, r.ok("POST", "webhooks/list", `{"webhook":"app"}`))
	if len(list.Letters) != 2 || len(list.Webhooks) != 1 {
		t.Fatalf("%+v", list)
	}
	if got := worlds.Decode[webhooks.Reply](t, r.ok("POST", "webhooks/drop", `{"webhook":"app","ids":["`+list.Letters[0].ID+`"]}`)); got.Done != 1 {
		t.Errorf("%+v", got)
	}
	app.Answer(nil)
	if got := worlds.Decode[webhooks.Reply](t, r.ok("POST", "webhooks/replay", `{"webhook":"app","all":true}`)); got.Done != 1 {
		t.Errorf("%+v", got)
	}
	until("it was delivered", func(h *inspector.Webhook) bool { return h.State == "delivering" && *h.Letters == 0 && delivered > 0 })
	if delivered < 0.9 || delivered > 1.1 || len(app.Taken()) != 1 {
		t.Errorf("%v delivered, %d taken", delivered, len(app.Taken()))
	}
	r.wrong(404, "PARAM_INVALID", "POST", "webhooks/burn", `{}`)
	r.wrong(405, "PARAM_INVALID", "GET", "webhooks/list", "")
	r.wrong(400, "PARAM_INVALID", "POST", "webhooks/drop", `{"webhook":"nobody"}`)
	r.wrong(403, "NOT_ALLOWED", "POST", "webhooks/drop", `{"webhook":"app","all":true}`, func(q *http.Request) { q.Header.Del("X-CSRF-Token") })
}

// Where there are no webhooks, nobody answers questions about them.
func TestNoWebhooks(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, false)
	r.wrong(503, "BUSY", "POST", "webhooks/list", `{}`)
	if s := worlds.Decode[inspector.Sample](t, []byte(r.open("service").next("sample").data)); s.Webhooks == nil || len(s.Webhooks) != 0 {
		t.Errorf("%+v", s.Webhooks)
	}
}
