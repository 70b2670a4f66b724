package events_test

import (
	"errors"
	"strings"
	"testing"

	"natsrooms/events"
)

// A fact that is well formed but contradicts itself is refused: code that folds facts relies on it.
func TestContradictions(t *testing.T) {
	facts := map[string]string{}
	for _, f := range sampleFacts() {
		facts[f.Type] = string(must(f.Encode("")))
	}
	facts["owned"] = strings.Replace(facts[events.RoomAttributesChanged], `"owners"`, `"others"`, 1)
	for _, c := range []struct{ name, typ, old, new string }{
		{"an owner of a key that is not set", events.RoomAttributesChanged, `"owners":{`, `"owners":{"other":"eve",`},
		{"an owner of another key", events.RoomAttributesChanged, `"owners":{"<b>"`, `"owners":{"other"`},
		{"no owner of a key that is set", events.RoomAttributesChanged, `"<b>":null,`, ``},
		{"neither owners nor a user who owns all", "owned", `"userID":"bob","changes"`, `"others":"bob","changes"`},
		{"an empty owner", events.RoomAttributesChanged, `"<b>":null,`, `"<b>":"",`},
		{"an owner with a bad ID", events.RoomAttributesChanged, `"<b>":null,`, `"<b>":"a\n",`},
		{"an owner that is no string", events.RoomAttributesChanged, `"<b>":null,`, `"<b>":7,`},
		{"deleteAfterOwnerLeft of a key that is not set", events.RoomAttributesChanged, `"deleteAfterOwnerLeft":[`, `"deleteAfterOwnerLeft":["other",`},
		{"deleteAfterOwnerLeft twice", events.RoomAttributesChanged, `"deleteAfterOwnerLeft":[`, `"deleteAfterOwnerLeft":["seat-1",`},
		{"set and deleted", events.RoomAttributesChanged, `"delete":[`, `"delete":["topic",`},
		{"set twice", events.RoomAttributesChanged, `"set":{`, `"set":{"topic":"x",`},
		{"created with an owner too many", events.RoomCreated, `"owners":{`, `"owners":{"other":null,`},
		{"created with an owner too few", events.RoomCreated, `"owners":{"free":null,`, `"owners":{`},
		{"created with deleteAfterOwnerLeft alone", events.RoomCreated, `"owners"`, `"others"`},
		{"attributes of nobody", events.MemberAttributesChanged, `"infos"`, `"others"`},
		{"nobody joined", events.MemberJoined, `"memberList"`, `"others"`},
		{"no session joined", events.SessionJoined, `"memberList"`, `"others"`},
		{"nobody left", events.MemberLeft, `"memberList"`, `"others"`},
		{"no session left", events.SessionLeft, `"memberList"`, `"others"`},
		{"joined with deleteAfterOwnerLeft of a missing attribute", events.MemberJoined, `"deleteAfterOwnerLeft":["mic"]`, `"deleteAfterOwnerLeft":["cam"]`},
	} {
		raw := facts[c.typ]
		if !strings.Contains(raw, c.old) {
			t.Fatalf("%s: there is no %s in\n%s", c.name, c.old, raw)
		}
		if _, err := events.DecodeFact([]byte(strings.Replace(raw, c.old, c.new, 1))); !errors.Is(err, events.ErrMalformed) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
	// Facts from before there were owners, and changes that only delete.
	for _, c := range []struct{ name, typ, old, new string }{
		{"created without owners", events.RoomCreated, `"owners":{"free":null,"topic":"alice"},"deleteAfterOwnerLeft":["topic"]`, `"later":1`},
		{"nothing set", events.RoomAttributesChanged, `"set":{"<b>":"","seat-1":"bob","topic":"tea & <milk>"},"delete":["old","older"],"owners":{"<b>":null,"seat-1":"bob","topic":"alice"},"deleteAfterOwnerLeft":["seat-1"]`, `"set":{},"delete":["old"],"owners":{}`},
	} {
		raw := strings.Replace(facts[c.typ], c.old, c.new, 1)
		if _, err := events.DecodeFact([]byte(raw)); err != nil || raw == facts[c.typ] {
			t.Errorf("%s: error %v\n%s", c.name, err, raw)
		}
	}
}
