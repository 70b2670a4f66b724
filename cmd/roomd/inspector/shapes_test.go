package inspector_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"natsrooms/cmd/roomd/inspector"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest/receiver"
	"natsrooms/roomsvc/roomtest/worlds"
)

var update = flag.Bool("update", false, "write the shapes of the answers into testdata")

// shape is the fields of a value and their kinds, one a line. Entries of a map that is named by data are one.
func shape(into map[string]bool, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		into[path+" object"] = true
		for name, value := range v {
			for _, free := range []string{".commands", ".refused", ".failed", ""} { // whose names are data
				if strings.HasSuffix(path, free) && free != "" || path == "runbook" {
					name = "*"
				}
			}
			shape(into, path+"."+name, value)
		}
	case []any:
		into[path+" list"] = true
		for _, value := range v {
			shape(into, path+"[]", value)
		}
	case nil:
		into[path+" null"] = true
	default:
		into[fmt.Sprintf("%s %T", path, v)] = true
	}
}

// The answers and events have the fields that the page was written for.
func TestShapes(t *testing.T) {
	t.Parallel()
	app := receiver.New(t)
	app.Answer(receiver.Status(http.StatusInternalServerError))
	r := newRig(t, roomsvc.Config{Feeds: true, Limits: room.Limits{UserCommands: 1}, Webhooks: to(app), Hooks: hooks.Settings{Subjects: map[room.Verb]string{room.Send: "app.send"}, Allow: true}}, true)
	worlds.OK[struct{}](r.World, "enter", `{"roomID":"lobby","userID":"alice","leaseSeconds":60,"config":{"maxMembers":5,"access":"listed","delivery":"open"}}`)
	worlds.OK[struct{}](r.World, "create", `{"roomID":"empty","config":{"roomDestroyDelayTime":600}}`)
	for range 60 {
		r.Ask("rooms.flood", "")
	}
	lines := map[string]bool{}
	add := func(name string, data []byte) {
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		shape(lines, name, v)
	}
	add("refusal", r.wrong(401, "NOT_ALLOWED", "GET", "rooms", "").body)
	add("session", r.ok("GET", "session", ""))
	add("login", r.ok("POST", "login", `{"password":"`+secret+`"}`))
	r.session()
	for _, path := range []string{"rooms", "leases?room=lobby", "runbook"} {
		name, _, _ := strings.Cut(path, "?")
		add(name, r.ok("GET", path, ""))
	}
	events := r.open("events?room=lobby")
	add("hello", []byte(events.next("hello").data))
	samples := r.open("service")
	samples.next("sample")
	worlds.OK[struct{}](r.World, "enter", `{"roomID":"lobby","userID":"alice"}`)
	r.Ask("get", `{"roomID":"nowhere"}`)
	for entered, refused, failing := false, false, false; !entered || !refused || !failing; {
		e := samples.next("sample")
		got := worlds.Decode[inspector.Sample](t, []byte(e.data))
		entered, refused = entered || got.Commands["enter"].PerSecond > 0, refused || got.Refused["ROOM_NOT_EXIST"] > 0
		failing = failing || got.Webhooks[0].State == "failing" && got.Webhooks[0].OldestAt > 0
		add("sample", []byte(e.data))
	}
	var text bytes.Buffer
	sorted := []string{}
	for line := range lines {
		sorted = append(sorted, line)
	}
	slices.Sort(sorted)
	for _, line := range sorted {
		fmt.Fprintln(&text, line)
	}
	const file = "testdata/shapes.txt"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, text.Bytes()) {
		t.Errorf("the shapes are not those of %s (-update writes it):\n%s", file, diff(string(want), text.String()))
	}
}

// diff is the lines that only one of two texts has.
func diff(want, got string) string {
	var b strings.Builder
	for line := range strings.Lines(want) {
		if !strings.Contains(got, line) {
			b.WriteString("- " + line)
		}
	}
	for line := range strings.Lines(got) {
		if !strings.Contains(want, line) {
			b.WriteString("+ " + line)
		}
	}
	return b.String()
}
