package room_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// enter lets a user join: through its own client, or through a back end.
func (w *world) enter(u string, own, granted bool) room.Verdict {
	c := w.command("enter " + u + " lobby")
	c.OwnForm, c.Granted = own, granted
	verdicts, facts := w.decide(c)
	for _, f := range facts {
		w.store(f)
	}
	return verdicts[0]
}

func (w *world) setAccess(q room.SetAccessRequest) room.Verdict {
	w.Helper()
	c := &room.Command{Verb: room.SetAccess, Room: "lobby", User: "ops"}
	if err := c.SetAccess(&q); err != nil {
		return room.Verdict{Refused: err}
	}
	verdicts, facts := w.decide(c)
	for _, f := range facts {
		w.store(f)
	}
	return verdicts[0]
}

func allowed(v room.Verdict) bool { return v.Refused == nil && v.Changed }

func keptOut(v room.Verdict) bool {
	return !v.Changed && v.Refused != nil && v.Refused.Code == room.ErrNotAllowed
}

func TestAccess(t *testing.T) {
	w := newWorld(t)
	if !allowed(w.enter("alice", true, false)) || !allowed(w.enter("bob", true, false)) {
		t.Fatal("a new room is not open")
	}
	if v := w.setAccess(room.SetAccessRequest{Access: "listed", Allow: []string{"carol", "a.b", "carol"}}); !v.Changed {
		t.Fatalf("%+v", v)
	}
	w.reload("lobby")
	if c := w.rooms["lobby"].Config; c.Access != "listed" || !slices.Equal(c.AllowedUsers, []string{"a.b", "alice", "carol"}) { // she made it
		t.Fatalf("%+v", c)
	}
	w.block("join zoe lobby\nleave alice lobby\nleave bob lobby")
	for u, in := range map[string]bool{"alice": true, "bob": false, "carol": true} {
		if v := w.enter(u, true, true); allowed(v) != in || keptOut(v) == in {
			t.Errorf("%s: %+v", u, v)
		}
	}
	if !allowed(w.enter("bob", false, false)) {
		t.Error("a back end can't bring bob in")
	}
	if v := w.enter("bob", true, false); v.Refused != nil || v.Changed {
		t.Errorf("a user who is in already: %+v", v)
	}
	if v := w.setAccess(room.SetAccessRequest{Disallow: []string{"carol", "nobody"}}); !v.Changed || w.rooms["lobby"].Member("carol") == nil {
		t.Errorf("carol was put out: %+v", v)
	}
	if v := w.setAccess(room.SetAccessRequest{Access: "listed", Disallow: []string{"nobody"}}); v.Changed || v.Refused != nil {
		t.Errorf("nothing to do: %+v", v)
	}
	if v := w.setAccess(room.SetAccessRequest{Access: "token"}); !v.Changed {
		t.Errorf("%+v", v)
	}
	if v := w.enter("dave", true, false); !keptOut(v) {
		t.Errorf("without a token: %+v", v)
	}
	if v := w.enter("dave", true, true); !allowed(v) {
		t.Errorf("with a token: %+v", v)
	}
	if v := w.setAccess(room.SetAccessRequest{Access: "open"}); !v.Changed || !allowed(w.enter("erin", true, false)) {
		t.Errorf("%+v", v)
	}
}

// A user who is kept out of a room does not learn that it is full.
func TestAccessBeforeFull(t *testing.T) {
	w := newWorld(t)
	c := w.command("create alice lobby")
	c.Config = events.Config{MaxMembers: 1, Access: room.AccessListed, AllowedUsers: []string{"carol"}}
	_, facts := w.decide(c)
	w.store(facts[0])
	if v := w.enter("mallory", true, false); !keptOut(v) {
		t.Errorf("a stranger: %+v", v)
	}
	if v := w.enter("carol", true, false); v.Refused == nil || v.Refused.Code != room.ErrRoomFull {
		t.Errorf("a user on the list: %+v", v)
	}
}

// A room's rules hold for users who join together with its creator too, and for a switch.
func TestAccessOfNewRooms(t *testing.T) {
	w := newWorld(t)
	a, b := w.command("enter alice lobby"), w.command("enter bob lobby")
	a.OwnForm, b.OwnForm = true, true
	a.Config = events.Config{Access: room.AccessListed, AllowedUsers: []string{"carol"}}
	c := w.command("switch carol garden lobby")
	c.OwnForm = true
	d := w.command("switch dave garden lobby")
	d.OwnForm = true
	w.block("create carol garden\njoin dave garden")
	verdicts, facts := w.decide(a, b)
	if !allowed(verdicts[0]) || !keptOut(verdicts[1]) {
		t.Errorf("%+v", verdicts)
	}
	w.store(facts[0])
	verdicts, _ = w.decide(c, d)
	if !allowed(verdicts[0]) || !keptOut(verdicts[1]) {
		t.Errorf("%+v", verdicts)
	}
}

func TestAccessChecks(t *testing.T) {
	many := make([]string, room.MaxAllowed+1)
	for i := range many {
		many[i] = fmt.Sprint("u", i)
	}
	long := make([]string, 130)
	for i := range long {
		long[i] = fmt.Sprintf("%03d%s", i, strings.Repeat("x", 125))
	}
	w := newWorld(t)
	w.block("create alice lobby")
	for name, c := range map[string]struct {
		q     room.SetAccessRequest
		field string
	}{
		"nothing":      {room.SetAccessRequest{}, "access"},
		"another word": {room.SetAccessRequest{Access: "Open"}, "access"},
		"no user":      {room.SetAccessRequest{Allow: []string{""}}, "allow"},
		"too many":     {room.SetAccessRequest{Allow: many}, "allow"},
		"too many off": {room.SetAccessRequest{Disallow: many}, "disallow"},
		"too long":     {room.SetAccessRequest{Allow: long}, "allow"},
	} {
		v := w.setAccess(c.q)
		if v.Refused == nil || v.Refused.Code != room.ErrParamInvalid || v.Refused.Field != c.field || v.Changed {
			t.Errorf("%s: %+v", name, v.Refused)
		}
	}
	for range 2 { // together they are too much
		v := w.setAccess(room.SetAccessRequest{Allow: many[:300]})
		if v.Refused != nil {
			t.Errorf("%+v", v.Refused)
		}
	}
	if v := w.setAccess(room.SetAccessRequest{Allow: many[300:501]}); v.Refused == nil || v.Refused.Limit != room.MaxAllowed {
		t.Errorf("%+v", v)
	}
	for name, config := range map[string]room.RoomConfig{
		"config.access":       {Access: "members"},
		"config.allowedUsers": {AllowedUsers: []string{"bob"}},
	} {
		c := &room.Command{Verb: room.Create, User: "alice"}
		if err := c.Making("roomName", "", &config, defaults); err == nil || err.Field != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := &room.Command{Verb: room.Create, User: "alice"}
	if err := c.Making("roomName", "", &room.RoomConfig{Access: "listed", AllowedUsers: long}, defaults); err == nil || err.Field != "config.allowedUsers" {
		t.Errorf("%v", err)
	}
}

// A room with as many attributes and listed users as may be can still end, and be renewed.
func TestAccessBesideAttributes(t *testing.T) {
	w := newWorld(t)
	c := w.command("create alice lobby")
	c.Attributes = map[string]string{}
	for i := range 64 {
		c.Attributes[fmt.Sprint("k", i)] = strings.Repeat("\"", 300)
	}
	c.Config = events.Config{Access: room.AccessListed}
	_, facts := w.decide(c)
	w.store(facts[0])
	list := make([]string, 120)
	for i := range list {
		list[i] = string(subjects.User(fmt.Sprintf("%03d%s", i, strings.Repeat("x", 125))))
	}
	if v := w.setAccess(room.SetAccessRequest{Allow: list}); v.Refused == nil || v.Refused.Field != "allow" {
		t.Errorf("attributes and list together exceed a fact: %+v", v)
	}
	refused := false
	for i := 0; i < len(list) && !refused; i += 5 {
		refused = w.setAccess(room.SetAccessRequest{Allow: list[i : i+5]}).Refused != nil
	}
	if n := len(w.rooms["lobby"].Config.AllowedUsers); !refused || n == 0 {
		t.Errorf("%d users fit", n)
	}
	renewal := room.NewRenewal(w.rooms["lobby"])
	for f := renewal.Next(w.rooms["lobby"], w.input("lobby")); f != nil; f = renewal.Next(w.rooms["lobby"], w.input("lobby")) {
		w.store(f) // checks its size
	}
}
