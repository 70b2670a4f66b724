package events_test

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"natsrooms/events"
	"natsrooms/subjects"
)

func TestFactRoundTripProperty(t *testing.T) {
	text := rapid.StringN(0, 20, -1)
	id := text.Filter(func(s string) bool { _, err := subjects.ParseRoom(s); return err == nil })
	session := rapid.OneOf(rapid.Just(events.DefaultSession), rapid.StringN(1, 20, -1))
	// Few moments, so that some are that of the fact, which is left out.
	when := rapid.OneOf(rapid.Just(t0), rapid.Map(rapid.Int64Range(1, 253402300799999), func(ms int64) events.Time { return events.Time(ms) }))
	joined := rapid.Custom(func(t *rapid.T) events.Joined {
		return events.Joined{
			UserID: id.Draw(t, "user"), UserName: text.Draw(t, "name"), SessionID: session.Draw(t, "session"), JoinedAt: when.Draw(t, "joined"),
			UserInfo: rapid.SampledFrom([]jsontext.Value{nil, jsontext.Value(`{}`), jsontext.Value(`{"<é>":[1,null]}`)}).Draw(t, "info"),
			Via:      rapid.SampledFrom([]events.Via{events.ViaCreate, events.ViaJoin, events.ViaEnter, events.ViaSwitch, "later"}).Draw(t, "via"), RequestID: text.Draw(t, "request"),
		}
	})
	left := rapid.Custom(func(t *rapid.T) events.Left {
		return events.Left{
			UserID: id.Draw(t, "user"), UserName: text.Draw(t, "name"), SessionID: session.Draw(t, "session"), JoinedAt: when.Draw(t, "joined"),
			LeftAt: when.Draw(t, "left"), Reason: rapid.SampledFrom([]events.LeftReason{events.ReasonLeft, events.ReasonExpired, "later"}).Draw(t, "why"),
			ReasonText: text.Draw(t, "reason"), Operator: text.Draw(t, "operator"),
		}
	})
	config := rapid.Custom(func(t *rapid.T) events.Config {
		return events.Config{RoomDestroyDelayTime: rapid.Int64Range(0, 1).Draw(t, "delay"), Delivery: rapid.SampledFrom([]string{"", "open"}).Draw(t, "delivery")}
	})
	rapid.Check(t, func(t *rapid.T) {
		f := &events.Fact{
			ID: id.Draw(t, "id"), Room: subjects.Room(id.Draw(t, "room")), InstanceID: rapid.StringMatching(`[A-Z0-9]{1,22}`).Draw(t, "instance"),
			Sequence: rapid.Uint64Range(2, 1<<53).Draw(t, "sequence"), Time: when.Draw(t, "time"), TraceParent: text.Draw(t, "trace"),
			Type: rapid.SampledFrom([]string{events.RoomCreated, events.MemberJoined, events.MemberLeft, events.SessionLeft, events.RoomDestroyed, events.RoomAttributesChanged, events.MemberAttributesChanged, events.RoomAccessChanged, events.RoomKept}).Draw(t, "type"),
		}
		usually := func(usual string) string { return rapid.OneOf(rapid.Just(usual), id).Draw(t, "usually") }
		info := &events.Room{
			RoomID: usually(string(f.Room)), InstanceID: usually(f.InstanceID), RoomName: text.Draw(t, "title"), CreatedAt: when.Draw(t, "created"), CreatedBy: text.Draw(t, "creator"),
			Config: config.Draw(t, "config"), Attributes: rapid.MapOfN(text, text, 0, 3).Draw(t, "attributes"), Revision: rapid.Uint64Range(0, 1).Draw(t, "revision"),
		}
		switch f.Type {
		case events.RoomCreated:
			f.Sequence, f.Info, f.Joined, f.RequestID = 1, info, rapid.SliceOfN(joined, 0, 3).Draw(t, "joined"), text.Draw(t, "request")
			info.MemberCount, info.Sequence = len(f.Joined)+rapid.IntRange(0, 1).Draw(t, "more"), rapid.Uint64Range(1, 2).Draw(t, "room's sequence")
			if rapid.Bool().Draw(t, "owned") {
				f.Ownership = ownership(t, id, info.Attributes)
			}
		case events.MemberJoined:
			f.Joined, f.MemberCount = rapid.SliceOfN(joined, 1, 3).Draw(t, "joined"), rapid.IntRange(0, 1<<30).Draw(t, "count")
			if pairs := rapid.MapOfN(text, text, 0, 3).Draw(t, "pairs"); len(pairs) > 0 {
				f.Joined[0].Attributes, f.Joined[0].DeleteAfterOwnerLeft = pairs, some(t, pairs)
			}
		case events.MemberLeft, events.SessionLeft:
			f.Left, f.MemberCount = rapid.SliceOfN(left, 1, 3).Draw(t, "left"), rapid.IntRange(0, 1<<30).Draw(t, "count")
			if f.Type == events.MemberLeft {
				f.Deleted = rapid.SliceOfN(text, 1, 3).Draw(t, "deleted")
			}
		case events.RoomDestroyed:
			info.MemberCount, info.Sequence = rapid.IntRange(0, 1).Draw(t, "left in it"), f.Sequence+rapid.Uint64Range(0, 1).Draw(t, "room's sequence")
			f.Info, f.Reason, f.Operator, f.RequestID = info, events.DestroyedRequested, text.Draw(t, "operator"), text.Draw(t, "request")
		case events.RoomAttributesChanged:
			f.Set, f.User = rapid.MapOfN(text, text, 0, 3).Draw(t, "set"), id.Draw(t, "by")
			f.Delete = rapid.SliceOfN(text.Filter(func(k string) bool { _, ok := f.Set[k]; return !ok }), 0, 3).Draw(t, "delete")
			f.Ownership = ownership(t, rapid.OneOf(rapid.Just(f.User), id), f.Set)
			f.Changes = []events.AttributesChange{{UserID: f.User, RequestID: text.Draw(t, "request"), Set: some(t, f.Set), ErrorKeys: some(t, f.Set)}}
		case events.RoomAccessChanged:
			f.Access, f.Allowed = rapid.SampledFrom([]string{"open", "listed"}).Draw(t, "access"), rapid.SliceOfN(id, 0, 3).Draw(t, "allowed")
			f.User, f.RequestID = text.Draw(t, "by"), text.Draw(t, "request")
		case events.MemberAttributesChanged:
			f.User, f.Staying, f.RequestID = id.Draw(t, "by"), rapid.Bool().Draw(t, "staying"), text.Draw(t, "request")
			for range rapid.IntRange(1, 3).Draw(t, "infos") {
				f.Infos = append(f.Infos, events.MemberAttributes{UserID: id.Draw(t, "user"), Attributes: rapid.MapOfN(text, text, 0, 3).Draw(t, "pairs")})
			}
		}
		raw, err := f.Encode("")
		if err != nil || !utf8.Valid(raw) {
			t.Fatalf("%v\n%s", err, raw)
		}
		got, err := events.DecodeFact(raw)
		if err != nil || !reflect.DeepEqual(got, f) {
			t.Fatalf("%v\n got %+v\nwant %+v\n%s", err, got, f, raw)
		}
		for range 3 { // maps iterate in a different order each time
			if again := must(got.Encode("")); !bytes.Equal(again, raw) {
				t.Fatalf("first\n%s\nthen\n%s", raw, again)
			}
		}
	})
}

// some is some of the attributes' keys; nil if none.
func some(t *rapid.T, attributes map[string]string) (keys []string) {
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		if rapid.Bool().Draw(t, "this") {
			keys = append(keys, k)
		}
	}
	return keys
}

func ownership(t *rapid.T, id *rapid.Generator[string], attributes map[string]string) events.Ownership {
	o := events.Ownership{Owners: map[string]*string{}, DeleteAfterOwnerLeft: some(t, attributes)}
	for k := range attributes {
		o.Owners[k] = nil
	}
	for _, k := range some(t, attributes) {
		owner := id.Draw(t, "owner")
		o.Owners[k] = &owner
	}
	return o
}
