package room_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

func letters(n int) string { return strings.Repeat("x", max(n, 0)) }

// pairsFor makes n attributes with keys of the given length and values that add up to total bytes.
func pairsFor(n, key, total int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("%0*d", key, i)] = letters(total/n - key)
	}
	m[fmt.Sprintf("%0*d", key, 0)] += letters(total % n)
	return m
}

// limitWorld is a room with one member, to try limits in.
func limitWorld(t *testing.T, l room.Limits) *world {
	w := newWorld(t)
	w.limits, w.most = l, l.MaxMembers
	w.run("create u lobby")
	return w
}

func (w *world) set(m map[string]string, del ...string) *room.Error {
	c := w.command("setAttributes u lobby")
	if err := c.SetAttributes(&room.SetAttributesRequest{Set: m, Delete: del}, w.limits.Filled()); err != nil {
		return err
	}
	return w.one(c)
}

func (w *world) setMember(m map[string]string) *room.Error {
	c := w.command("setMemberAttributes u lobby u")
	if err := c.SetMemberAttributes(&room.SetMemberAttributesRequest{UserIDs: []string{"u"}, Attributes: m}, w.limits.Filled()); err != nil {
		return err
	}
	return w.one(c)
}

func (w *world) one(c *room.Command) *room.Error {
	verdicts, facts := w.decide(c)
	for _, f := range facts {
		w.store(f)
	}
	return verdicts[0].Refused
}

func say(q room.SendRequest, l *room.Limits) *room.Error {
	_, err := (&room.Command{Room: "lobby", User: "u"}).Say(&q, l)
	return err
}

// probe sends a request with n of what a limit counts; field and code are those of the refusal.
type probe struct {
	code  *room.Code
	field string
	send  func(t *testing.T, l room.Limits, n int) *room.Error
}

func roomAttributes(m map[string]string) *room.RoomConfig {
	return &room.RoomConfig{RoomAttributes: m}
}

func making(l room.Limits, title string, q *room.RoomConfig) *room.Error {
	return (&room.Command{User: "u"}).Making("roomName", title, q, l.Filled())
}

// probes tries the settings that the core decides. Its callers count the others.
var probes = map[string][]probe{
	"max-rooms": nil, "max-rooms-per-user": nil, "message-rate": nil, "recall": nil,
	"user-commands": nil, "user-bytes": nil, "user-waiting": nil, "user-reads": nil, "user-changes": nil,
	"user-rooms": nil, "user-empty-rooms": nil, "user-connections": nil, "user-subscriptions": nil,
	"destroy-delay": {{room.ErrParamInvalid, "config.roomDestroyDelayTime", func(_ *testing.T, l room.Limits, n int) *room.Error {
		c := &room.Command{User: "u", OwnForm: true}
		return c.Making("roomName", "", &room.RoomConfig{RoomDestroyDelayTime: int64(n)}, l.Filled())
	}}},
	"max-members": {{room.ErrRoomFull, "", func(t *testing.T, l room.Limits, n int) *room.Error {
		w := limitWorld(t, l)
		for i := range n - 2 {
			w.run(fmt.Sprintf("join v%d lobby", i))
		}
		return w.one(w.command("join last lobby"))
	}}},
	"room-name": {{room.ErrParamInvalid, "roomName", func(_ *testing.T, l room.Limits, n int) *room.Error { return making(l, letters(n), nil) }}},
	"user-name": {{room.ErrParamInvalid, "userName", func(_ *testing.T, l room.Limits, n int) *room.Error {
		_, err := (&room.Caller{UserID: "u", UserName: letters(n)}).Command(room.Join, false, l.Filled())
		return err
	}}},
	"attributes": {
		{room.ErrAttributeCount, "config.roomAttributes", func(_ *testing.T, l room.Limits, n int) *room.Error {
			return making(l, "", roomAttributes(pairsFor(n, 3, 4*n)))
		}},
		{room.ErrAttributeCount, "set", func(t *testing.T, l room.Limits, n int) *room.Error { return limitWorld(t, l).set(pairsFor(n, 3, 4*n)) }},
		{room.ErrAttributeCount, "set", func(t *testing.T, l room.Limits, n int) *room.Error { // one by one
			w := limitWorld(t, l)
			if err := w.set(pairsFor(max(n-1, 1), 3, 4*n)); err != nil {
				return err
			}
			return w.set(map[string]string{"y": ""})
		}},
	},
	"attribute-key": {
		{room.ErrAttributeKey, "config.roomAttributes", func(_ *testing.T, l room.Limits, n int) *room.Error {
			return making(l, "", roomAttributes(pairsFor(1, n, n)))
		}},
		{room.ErrAttributeKey, "set", func(t *testing.T, l room.Limits, n int) *room.Error { return limitWorld(t, l).set(pairsFor(1, n, n)) }},
		{room.ErrAttributeKey, "delete", func(t *testing.T, l room.Limits, n int) *room.Error { return limitWorld(t, l).set(nil, letters(n)) }},
	},
	"attribute-value": {
		{room.ErrAttributeValue, "config.roomAttributes", func(_ *testing.T, l room.Limits, n int) *room.Error {
			return making(l, "", roomAttributes(map[string]string{"k": letters(n)}))
		}},
		{room.ErrAttributeValue, "set", func(t *testing.T, l room.Limits, n int) *room.Error {
			return limitWorld(t, l).set(map[string]string{"k": letters(n)})
		}},
	},
	"attributes-total": {
		{room.ErrAttributeTotal, "config.roomAttributes", func(_ *testing.T, l room.Limits, n int) *room.Error {
			return making(l, "", roomAttributes(pairsFor(10, 1, n)))
		}},
		{room.ErrAttributeTotal, "set", func(t *testing.T, l room.Limits, n int) *room.Error { return limitWorld(t, l).set(pairsFor(10, 1, n)) }},
		{room.ErrAttributeTotal, "set", func(t *testing.T, l room.Limits, n int) *room.Error { // a bit more, and a bit less elsewhere
			w := limitWorld(t, l)
			if err := w.set(pairsFor(10, 1, n-1)); err != nil {
				return err
			}
			value := w.rooms["lobby"].Attributes["1"] + "x"
			return w.set(map[string]string{"1": value})
		}},
	},
	"member-attributes": {{room.ErrMemberAttributeTotal, "attributes", func(t *testing.T, l room.Limits, n int) *room.Error {
		w := limitWorld(t, l)
		if err := w.setMember(pairsFor(max(n-1, 1), 3, 4*n)); err != nil {
			return err
		}
		return w.setMember(map[string]string{"y": ""})
	}}},
	"member-attribute-key": {{room.ErrMemberAttributeKey, "attributes", func(t *testing.T, l room.Limits, n int) *room.Error {
		return limitWorld(t, l).setMember(pairsFor(1, n, n))
	}}},
	"member-attribute-value": {{room.ErrMemberAttributeValue, "attributes", func(t *testing.T, l room.Limits, n int) *room.Error {
		return limitWorld(t, l).setMember(map[string]string{"k": letters(n)})
	}}},
	"member-attributes-total": {{room.ErrMemberAttributeTotal, "attributes", func(t *testing.T, l room.Limits, n int) *room.Error {
		return limitWorld(t, l).setMember(pairsFor(10, 1, n))
	}}},
	"restrictions": {
		{room.ErrParamInvalid, "userIDs", func(t *testing.T, l room.Limits, n int) *room.Error {
			return limitWorld(t, l).restrictMany(room.Ban, n)
		}},
		{room.ErrParamInvalid, "userIDs", func(t *testing.T, l room.Limits, n int) *room.Error {
			w := limitWorld(t, l)
			if err := w.restrictMany(room.Ban, 5); err != nil && n > 5 { // they count by themselves
				return err
			}
			return w.restrictMany(room.Mute, n)
		}},
	},
	"message-data": {{room.ErrMessageTooLong, "data", func(_ *testing.T, l room.Limits, n int) *room.Error {
		return say(room.SendRequest{Type: "text", Data: letters(n)}, l.Filled())
	}}},
}

// Every limit allows exactly its value and one less, but not one more: as it is by
// default, at the most that it can be set to, and in between.
func TestLimits(t *testing.T) {
	for _, s := range room.Settings {
		if s.Name == "lease-seconds" || s.Most == 1 { // no request can exceed them
			continue
		}
		if _, ok := probes[s.Name]; !ok {
			t.Errorf("%s is not tried", s.Name)
		}
		most := s.Most
		if s.Name == "attribute-value" {
			most -= 2 // with its key, the longest value is as long as all attributes together may be
		}
		for _, limit := range []int{s.Default, most, 41} {
			if limit == 0 || limit > 1<<20 {
				continue
			}
			for i, p := range probes[s.Name] {
				l := room.Limits{}
				if limit == most { // other limits would be reached first
					l = *largest()
				}
				*s.Of(&l) = limit
				for _, n := range []int{limit - 1, limit} {
					if err := p.send(t, l, n); err != nil {
						t.Errorf("%s %d, probe %d: %d is refused: %v", s.Name, limit, i, n, err)
					}
				}
				err := p.send(t, l, limit+1)
				if err == nil || err.Code != p.code || err.Field != p.field || err.Limit != int64(limit) || err.Outcome != room.None {
					t.Errorf("%s %d, probe %d: %d gives %+v", s.Name, limit, i, limit+1, err)
				}
			}
		}
	}
}

// The table of limits matches the contract, and survives its conversions.
func TestSettings(t *testing.T) {
	for name, want := range map[string]int{
		"max-rooms": 0, "max-members": 0, "max-rooms-per-user": 0, "room-name": 64, "user-name": 256, "attributes": 64, "attribute-key": 64, "attribute-value": 4096,
		"attributes-total": 32768, "member-attributes": 30, "member-attribute-key": 64, "member-attribute-value": 1024, "member-attributes-total": 4096, "message-data": 32768, "message-rate": 0,
		"lease-seconds": 60, "replace-devices": 0,
	} {
		found := false
		for _, s := range room.Settings {
			found = found || s.Name == name && s.Default == want && *s.Of(defaults) == want
		}
		if !found {
			t.Errorf("%s is not %d", name, want)
		}
	}
	seen, fields := map[string]bool{}, room.Limits{}
	for i, s := range room.Settings {
		if seen[s.Name] || s.Means == "" || s.Default > s.Most || *s.Of(&fields) != 0 {
			t.Errorf("%+v is there twice, or incomplete", s)
		}
		seen[s.Name], *s.Of(&fields) = true, i+1
	}
	if back := room.LimitsOf(fields.Table()); *back != fields {
		t.Errorf("%+v comes back from its table as %+v", fields, *back)
	}
	if back := room.LimitsOf(nil); *back != *defaults {
		t.Errorf("no table at all is %+v", *back)
	}
	for _, s := range room.Settings {
		for v, ok := range map[int]bool{-1: false, 0: true, s.Least - 1: s.Least == 1, s.Least: true, s.Most: true, s.Most + 1: false} {
			l := room.Limits{}
			*s.Of(&l) = v
			if err := l.Check(); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), s.Name) {
				t.Errorf("%s set to %d: %v", s.Name, v, err)
			}
		}
	}
	if filled := fields.Filled(); *filled != fields || filled == &fields {
		t.Errorf("%+v is filled as %+v", fields, *filled)
	}
}

// Lowered limits take nothing away, and let what is there only shrink.
func TestLoweredLimits(t *testing.T) {
	w := limitWorld(t, room.Limits{})
	if err := errors.Join(asError(w.set(pairsFor(10, 1, 100))), asError(w.setMember(pairsFor(10, 1, 100)))); err != nil {
		t.Fatal(err)
	}
	w.limits = room.Limits{Attributes: 3, MemberAttributes: 3}
	if err := w.set(map[string]string{"0": "y"}); err == nil || err.Code != room.ErrAttributeCount || err.Actual != 10 {
		t.Errorf("a change: %+v", err)
	}
	if err := w.set(map[string]string{"0": w.rooms["lobby"].Attributes["0"]}); err != nil {
		t.Errorf("no change: %+v", err)
	}
	if err := w.set(nil, "0", "1"); err != nil || len(w.rooms["lobby"].Attributes) != 8 {
		t.Errorf("deleting: %+v", err)
	}
	if err := w.set(map[string]string{"y": "1"}, "2", "3", "4", "5", "6", "7"); err != nil || len(w.rooms["lobby"].Attributes) != 3 {
		t.Errorf("replacing: %+v", err)
	}
	if err := w.setMember(map[string]string{"0": "y"}); err == nil || err.Code != room.ErrMemberAttributeTotal || err.Actual != 10 {
		t.Errorf("a member's change: %+v", err)
	}
}

func asError(e *room.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// The longest of everything that the defaults allow fits, if it is plain text.
func TestPlainLimits(t *testing.T) {
	user := letters(subjects.MaxIDBytes)
	w := newWorld(t)
	w.run("create " + user + " lobby")
	for _, goes := range []bool{false, true} {
		c := w.command("setAttributes " + user + " lobby")
		if err := c.SetAttributes(&room.SetAttributesRequest{Set: pairsFor(32, 64, 16384), IsDeleteAfterOwnerLeft: &goes, IsUpdateOwner: true}, defaults); err != nil {
			t.Fatal(err)
		}
		if goes {
			for k, v := range c.Set {
				delete(c.Set, k)
				c.Set["y"+k[1:]] = v
			}
		}
		if err := w.one(c); err != nil {
			t.Error(err)
		}
	}
	if s := w.rooms["lobby"]; len(s.Attributes) != 64 {
		t.Error(w.show("lobby"))
	}
	create := &room.Command{User: subjects.User(user)}
	if err := create.Making("roomName", letters(64), roomAttributes(pairsFor(64, 64, 32768)), defaults); err != nil {
		t.Error(err)
	}
	if f := w.journal[len(w.journal)-1]; f.Type != events.RoomAttributesChanged {
		t.Error(describe(f.Fact))
	}
	renew(t, w, "lobby")
}
