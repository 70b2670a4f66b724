package inspector_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"natsrooms/cmd/roomd/inspector"
	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest/worlds"
)

// What samples say is what was done.
func TestSamples(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{Feeds: true, Limits: room.Limits{UserCommands: 1}}, false)
	s := r.open("service")
	first := worlds.Decode[inspector.Sample](t, []byte(s.next("sample").data))
	if first.Seconds != 0 || !first.Ready || !first.Leads || first.Leader != first.Instance || len(first.Streams) != 5 || first.Memory.Bytes == 0 || len(first.Connections) == 0 {
		t.Errorf("the first: %+v", first)
	}
	const done = 50
	for n := range done {
		enter(r.World, fmt.Sprintf("room-%d", n), "alice")
	}
	for range 60 {
		r.Ask("rooms.flood", "")
	}
	r.Ask("join", `{"roomID":"nowhere","userID":"bob"}`)
	commands, refusals, facts := 0.0, 0.0, 0.0
	for until := time.Now().Add(patience); commands < done || facts < done || refusals < 1; {
		if time.Now().After(until) {
			t.Fatalf("%v commands, %v facts, %v refusals", commands, facts, refusals)
		}
		got := worlds.Decode[inspector.Sample](t, []byte(s.next("sample").data))
		commands += got.Commands["enter"].PerSecond * got.Seconds
		facts += got.Commit.Facts * got.Seconds
		refusals += got.Refused["ROOM_NOT_EXIST"] * got.Seconds
		if v := got.Commands["enter"]; v.PerSecond > 0 && (v.P50Ms <= 0 || v.P99Ms < v.P50Ms || got.All.P99Ms <= 0 || got.Commit.Batch < 1) {
			t.Errorf("%+v, %+v, %+v", v, got.All, got.Commit)
		}
		if commands >= done-0.1 && commands < done+0.1 {
			commands = done
		}
		if facts > done-0.1 && facts < done+0.1 {
			facts = done
		}
		if refusals > 0.9 && refusals < 1.1 {
			refusals = 1
		}
		if commands > done || facts > done || refusals > 1 {
			t.Fatalf("too much: %v commands, %v facts, %v refusals", commands, facts, refusals)
		}
		if commands == done && (len(got.Limits.Users) != 1 || got.Limits.Users[0].UserID != "flood" || got.Limits.Users[0].Refused == 0) {
			t.Errorf("who reached a limit: %+v", got.Limits)
		}
	}
}

// Each problem that there can be has its section in the manual.
func TestRunbook(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, false)
	sections := *worlds.Decode[map[string]inspector.Section](t, r.ok("GET", "runbook", ""))
	_, table, _ := strings.Cut(manual(t), "### What problems are called")
	table, _, _ = strings.Cut(table, "### Alerts")
	names := 0
	for line := range strings.Lines(table) {
		cell, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !ok || !strings.HasPrefix(cell, "`") {
			continue
		}
		for _, name := range strings.Split(cell, ", ") {
			names++
			for _, unfit := range []bool{true, false} {
				a := inspector.Anchor(strings.Trim(name, "`"), unfit)
				if s := sections[a]; s.Title == "" || !strings.Contains(s.Markdown, "- Do: ") || strings.Contains(s.Markdown, "#### ") || a == "natsroomsotherproblem" {
					t.Errorf("%s leads to %q, which is %+v", name, a, s)
				}
			}
		}
	}
	if names < 10 || sections["natsroomsotherproblem"].Title == "" {
		t.Errorf("%d names of problems", names)
	}
}

// A problem makes the sample say so, with the section.
func TestProblemInSample(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, false)
	s := r.open("service")
	s.next("sample")
	if _, err := r.JS.CreateStream(r.Ctx, jetstream.StreamConfig{Name: "OURS", Subjects: []string{"room.evt.>"}, NoAck: true}); err != nil {
		t.Fatal(err)
	}
	if r.service.Check(r.Ctx) == nil {
		t.Fatal("a stream on its subjects is no problem")
	}
	for until := time.Now().Add(patience); ; {
		got := worlds.Decode[inspector.Sample](t, []byte(s.next("sample").data))
		if len(got.Reasons) == 1 && !got.Ready && got.Reasons[0].Name == "subjects" && got.Reasons[0].Unfit && got.Reasons[0].Anchor == "natsroomssubjectstaken" {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%+v", got)
		}
	}
}

// The list of rooms of a real service: members, age, rates, and what it costs to ask.
func TestRooms(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, false)
	for n := range 30 {
		if n == 29 { // no other is as young
			made := events.TimeOf(time.Now())
			r.Until(patience, "another millisecond", func() bool { return events.TimeOf(time.Now()) > made })
		}
		enter(r.World, fmt.Sprintf("room-%02d", n), "alice")
	}
	for n := range 3 {
		enter(r.World, "room-07", fmt.Sprintf("u%d", n))
	}
	list := func(query ...string) *inspector.RoomsPage {
		return worlds.Decode[inspector.RoomsPage](t, r.ok("GET", "rooms"+param(query...), ""))
	}
	page := list("count", "10")
	if page.Total != 30 || page.Matched != 30 || page.Members != 33 || len(page.Rooms) != 10 || page.Rooms[0].RoomID != "room-07" || page.Rooms[0].Members != 4 || page.NextFlag == "" || page.AgainMs < 2000 {
		t.Errorf("%+v", page)
	}
	if page := list("prefix", "room-1", "sort", "name", "order", "desc"); page.Matched != 10 || page.Rooms[0].RoomID != "room-19" || page.NextFlag != "" {
		t.Errorf("%+v", page)
	}
	if page := list("sort", "age", "count", "1"); page.Rooms[0].RoomID != "room-29" {
		t.Errorf("the newest: %+v", page)
	}
	r.Until(patience, "a rate", func() bool {
		say(r, "room-11", "alice", "text", "hello")
		page := list("sort", "rate", "count", "1")
		return page.RateSeconds > 1 && page.Rooms[0].RoomID == "room-11" && page.Rooms[0].Rate > 0
	})
}

// Leases of a room's members, page by page.
func TestLeases(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, false)
	begun := time.Now().Add(-time.Second)
	worlds.OK[struct{}](r.World, "enter", `{"roomID":"lobby","userID":"alice","sessionID":"phone","leaseSeconds":600}`)
	worlds.OK[struct{}](r.World, "enter", `{"roomID":"lobby","userID":"bob"}`)
	worlds.OK[struct{}](r.World, "enter", `{"roomID":"lobby","userID":"carol","leaseSeconds":60}`)
	var rows []inspector.LeaseRow
	for next, pages := "", 0; ; pages++ {
		page := worlds.Decode[inspector.LeasesPage](t, r.ok("GET", "leases"+param("room", "lobby", "nextFlag", next, "count", "1"), ""))
		rows = append(rows, page.Leases...)
		if next = page.NextFlag; next == "" {
			if pages != 2 {
				t.Errorf("%d pages", pages+1)
			}
			break
		}
	}
	if len(rows) != 2 || rows[0].UserID != "alice" || rows[0].SessionID != "phone" || rows[0].LeaseSeconds != 600 || rows[1].UserID != "carol" {
		t.Fatalf("%+v", rows)
	}
	if at := rows[0].LastSignAt.Time(); at.Before(begun) || at.After(time.Now().Add(time.Second)) || rows[0].EndsAt.Time().Sub(at) != 10*time.Minute {
		t.Errorf("%+v", rows[0])
	}
}

// The statuses of answers to commands, and what is passed on.
func TestCommands(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, false)
	enter(r.World, "lobby", "alice")
	r.ok("POST", "command/setAttributes", `{"roomID":"lobby","userID":"alice","set":{"a":"a"}}`)
	for _, c := range []struct {
		status           int
		code, verb, body string
	}{
		{http.StatusNotFound, "ROOM_NOT_EXIST", "get", `{"roomID":"nowhere"}`},
		{http.StatusConflict, "ROOM_ALREADY_EXISTS", "create", `{"roomID":"lobby","userID":"alice"}`},
		{http.StatusNotFound, "USER_NOT_IN_ROOM", "leave", `{"roomID":"lobby","userID":"bob"}`},
		{http.StatusBadRequest, "PARAM_INVALID", "get", `{"roomID":""}`},
		{http.StatusBadRequest, "MESSAGE_TOO_LONG", "send", `{"roomID":"lobby","userID":"alice","type":"text","data":"` + strings.Repeat("x", 40_000) + `"}`},
		{http.StatusConflict, "REVISION_MISMATCH", "setAttributes", `{"roomID":"lobby","userID":"alice","set":{"a":"b"},"ifRevision":1}`},
	} {
		r.wrong(c.status, c.code, "POST", "command/"+c.verb, c.body)
	}
	if a := r.do("POST", "command/get", `{"roomID":"lobby","nonsense":1}`); a.Header.Get("Room-Ignored-Fields") != "nonsense" {
		t.Errorf("ignored fields: %v", a.Header)
	}
	r.wrong(http.StatusBadRequest, "PARAM_INVALID", "POST", "try", `{"token":"x"}`) // nobody has tokens here
}

// Stopping ends all streams at once and leaves nothing behind; and while nobody looks, nothing is at work.
func TestNothingIsLeft(t *testing.T) { // not in parallel: others have goroutines too
	r := newRig(t, roomsvc.Config{}, false)
	enter(r.World, "lobby", "alice")
	r.ok("POST", "command/get", `{"roomID":"lobby"}`)                                                          // the connection stays
	before, resting := goleak.IgnoreCurrent(), goleak.IgnoreTopFunction("natsrooms/roomsvc/life.(*Life).rest") // the service goes on
	streams := []*reader{r.open("service"), r.open("events?room=lobby"), r.open("service"), r.open("events?room=nowhere")}
	r.ok("GET", "rooms", "")
	streams[0].next("sample")
	streams[1].next("hello")
	for _, s := range streams {
		s.cancel()
		s.over()
	}
	r.client.CloseIdleConnections()
	r.Until(patience, "the end of what is at work", func() bool {
		return goleak.Find(before, resting, goleak.IgnoreTopFunction("natsrooms/cmd/roomd/inspector.(*rates).run")) == nil
	})
	streams = []*reader{r.open("service"), r.open("events?room=lobby")}
	r.ok("GET", "rooms", "")
	begun := time.Now()
	r.look.Close()
	for _, s := range streams {
		s.over()
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	r.wrong(http.StatusServiceUnavailable, "UNAVAILABLE", "GET", "rooms", "")
	r.client.CloseIdleConnections()
	if err := goleak.Find(before, resting); err != nil {
		t.Error(err)
	}
}

// While it starts, the inspector says so.
func TestStarting(t *testing.T) {
	t.Parallel()
	r := newRig(t, roomsvc.Config{}, false)
	fresh, err := inspector.New(inspector.Config{Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	r.server.Config.Handler = fresh
	r.wrong(http.StatusServiceUnavailable, "UNAVAILABLE", "GET", "rooms", "")
	if s := r.session(); !s.LoggedIn {
		t.Errorf("%+v", s)
	}
	fresh.Show(inspector.Backing{Service: r.service.Service})
	if !strings.Contains(fresh.Off(), "--http-password") {
		t.Errorf("where the NATS server asks for credentials: %q", fresh.Off())
	}
	if a := r.do("GET", "session", ""); a.StatusCode != http.StatusNotFound || !strings.Contains(string(a.body), "--http-password") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	far, err := inspector.New(inspector.Config{})
	if err != nil || far.Off() == "" {
		t.Errorf("on other than loopback: %v, %q", err, far.Off())
	}
	if r.look.Off() != "" {
		t.Errorf("it is off: %q", r.look.Off())
	}
}
