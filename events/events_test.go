package events_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/subjects"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	t0    events.Time = 1_767_225_600_007 // 2026-01-01T00:00:00.007Z
	trace             = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

// sampleFacts has a fact of each type, every field of each set at least once.
func sampleFacts() []*events.Fact {
	room := &events.Room{
		RoomID: "a.b>c", RoomName: "Zimmer <1>", InstanceID: "I1", CreatedAt: t0, CreatedBy: "alice",
		Config:     events.Config{RoomDestroyDelayTime: 10800, MaxMembers: 8, Delivery: "members", Access: "open", HistoryForJoiners: new(bool)},
		Attributes: map[string]string{"topic": "tea & <milk>", "free": ""}, MemberCount: 1, Sequence: 1,
	}
	alice, bob := "alice", "bob"
	empty := &events.Room{RoomID: "a.b>c", InstanceID: "I1", CreatedAt: t0, Attributes: map[string]string{}, Sequence: 9, Revision: 70, DestroyAt: t0 + 300_000}
	joined := []events.Joined{
		{UserID: "alice", UserName: "Alice", UserInfo: jsontext.Value(`{"age":7}`), SessionID: "tab-1", JoinedAt: t0, Via: events.ViaCreate, RequestID: "R1"},
		{UserID: "bob", SessionID: "default", JoinedAt: t0 + 1, Via: events.ViaSwitch, FromRoomID: "hall", Attributes: map[string]string{"hand": "up", "mic": "on"}, DeleteAfterOwnerLeft: []string{"mic"}},
	}
	further := joined[1]
	further.Attributes, further.DeleteAfterOwnerLeft = nil, nil
	left := []events.Left{
		{UserID: "alice", UserName: "Alice", SessionID: "tab-1", JoinedAt: t0, LeftAt: t0 + 60_000, Reason: events.ReasonSwitched, ToRoomID: "hall", RequestID: "R2"},
		{UserID: "bob", SessionID: "default", JoinedAt: t0, LeftAt: t0 + 60_000, Reason: events.ReasonDestroyed, ReasonText: "closing", Operator: "ops"},
	}
	digests := []string{"digest-1", "digest-2"}
	facts := []*events.Fact{
		{
			Type: events.RoomCreated, Info: room, Joined: joined[:1], RequestID: "R1", TraceParent: trace, Digests: digests[:1],
			Ownership: events.Ownership{Owners: map[string]*string{"topic": &alice, "free": nil}, DeleteAfterOwnerLeft: []string{"topic"}},
		},
		{Type: events.MemberJoined, Joined: joined, MemberCount: 2, Digests: digests},
		{Type: events.SessionJoined, Joined: []events.Joined{further}, MemberCount: 2, Digests: digests[1:]},
		{Type: events.MemberLeft, Left: left, MemberCount: 0, Deleted: []string{"seat-1", "seat-2"}, Digests: digests},
		{Type: events.SessionLeft, Left: left[:1], MemberCount: 1, Digests: digests[:1]},
		{Type: events.RoomKept},
		{Type: events.RoomAccessChanged, Access: "listed", Allowed: []string{"a.b", "alice"}, User: "ops", RequestID: "R5", Digests: digests[:1]},
		{Type: events.RoomDestroyed, Info: empty, Reason: events.DestroyedRequested, Operator: "ops", RequestID: "R3", Digests: digests[:1]},
		{
			Type: events.RoomAttributesChanged, Set: map[string]string{"seat-1": "bob", "<b>": "", "topic": "tea & <milk>"}, Delete: []string{"old", "older"}, User: "bob", Digests: digests,
			Ownership: events.Ownership{Owners: map[string]*string{"seat-1": &bob, "<b>": nil, "topic": &alice}, DeleteAfterOwnerLeft: []string{"seat-1"}},
			Changes: []events.AttributesChange{
				{UserID: "alice", RequestID: "R4", Set: []string{"<b>", "topic"}, ErrorKeys: []string{"seat-2"}},
				{UserID: "bob", Set: []string{"seat-1"}, Delete: []string{"old", "older"}},
			},
		},
		{
			Type: events.MemberAttributesChanged, User: "alice", RequestID: "R5", Staying: true, Digests: digests[:1],
			Infos: []events.MemberAttributes{{UserID: "bob", Attributes: map[string]string{"hand": "up", "badge": "<1>"}}, {UserID: "alice", Attributes: map[string]string{}}},
		},
		{
			Type: events.RoomUpdated, Name: "Zimmer <2>", User: "alice", RequestID: "R6", Digests: digests[:1],
			Config: &events.Config{MaxMembers: 9, Attributes: "owned", Speakers: "hosts", Hosts: "creator", AllowedUsers: []string{"alice"}},
		},
		{
			Type: events.MemberUpdated, User: "alice", RequestID: "R7", Digests: digests,
			Updates: []events.MemberUpdate{{UserID: "bob", Role: events.RoleHost}, {UserID: "carol", UserName: "Carol", UserInfo: jsontext.Value(`{"age":8}`), RequestID: "R8"}},
		},
	}
	return placed(facts)
}

// later are the types of facts that did not say everything in any version.
var later = []string{events.RoomUpdated, events.MemberUpdated}

// laterFields is facts with fields that their types did not have at first.
func laterFields() []*events.Fact {
	return placed([]*events.Fact{
		{Type: events.RoomCreated, Info: &events.Room{RoomID: "a.b>c", InstanceID: "I1", CreatedAt: t0, CreatedBy: "alice", Attributes: map[string]string{}, MemberCount: 1, Sequence: 1}, Joined: []events.Joined{
			{UserID: "alice", SessionID: "default", JoinedAt: t0, Via: events.ViaCreate, Role: events.RoleHost},
		}},
		{
			Type: events.RoomAccessChanged, Access: "open", Allowed: []string{}, User: "ops",
			Bans:  []events.Restriction{{UserID: "eve", Until: t0 + 60_000, Reason: "spam <1>"}, {UserID: "mallory", Lifted: true}},
			Mutes: []events.Restriction{{UserID: "bob"}},
		},
	})
}

func TestLaterFields(t *testing.T) {
	for _, f := range laterFields() {
		raw := must(f.Encode(""))
		if got, err := events.DecodeFact(raw); err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", raw, err, got, f)
		}
	}
}

// placed gives facts what all facts have.
func placed(facts []*events.Fact) []*events.Fact {
	for i, f := range facts {
		f.ID, f.Room, f.InstanceID, f.Sequence, f.Time = "E1", "a.b>c", "I1", uint64(i+1), t0
	}
	return facts
}

func sampleNotice() *events.Notice {
	return &events.Notice{
		ID: "N1", Time: t0, Room: "a.b>c", InstanceID: "I1", Sequence: 7, User: "alice", SessionID: "tab-1", State: events.Connected, Event: events.EnterFailed,
		Error: &events.NoticeError{Code: "ROOM_FULL", Number: 7000002}, ReasonText: "full", RequestID: "R1",
	}
}

// must unwraps an encoder's result; its input here is always valid.
func must(raw []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return raw
}

// sdkEvent reads an event as any consumer would, and checks what all our events have.
func sdkEvent(t *testing.T, raw []byte) *event.Event {
	t.Helper()
	e := new(event.Event)
	if err := e.UnmarshalJSON(raw); err != nil {
		t.Fatalf("not a CloudEvent: %v\n%s", err, raw)
	}
	if err := e.Validate(); err != nil {
		t.Errorf("not a valid CloudEvent: %v\n%s", err, raw)
	}
	if e.SpecVersion() != "1.0" || e.DataContentType() != "application/json" || !strings.HasPrefix(e.Type(), events.TypePrefix) {
		t.Errorf("unexpected envelope\n%s", raw)
	}
	return e
}

func TestGolden(t *testing.T) {
	encoded := map[string][]byte{events.UserStateChanged: must(sampleNotice().Encode("")), events.MessageSent: must(sampleMessage().Encode(""))}
	for _, f := range sampleFacts() {
		encoded[f.Type] = must(f.Encode(""))
	}
	for typ, raw := range encoded {
		if e := sdkEvent(t, raw); e.Type() != typ {
			t.Errorf("type %q, want %q", e.Type(), typ)
		}
		got := jsontext.Value(bytes.Clone(raw))
		if err := got.Indent(); err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		path := filepath.Join("testdata", strings.TrimPrefix(typ, events.TypePrefix)+".json")
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs (-update rewrites it); got\n%s", path, got)
		}
	}
}

func TestFactEnvelope(t *testing.T) {
	for _, f := range sampleFacts() {
		e := sdkEvent(t, must(f.Encode("https://example.org/")))
		want := map[string]any{"sequence": fmt.Sprintf("%020d", f.Sequence), "roominstance": "I1", "partitionkey": "a.b>c"}
		if f.TraceParent != "" {
			want["traceparent"] = trace
		}
		if got := e.Extensions(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: extensions %v, want %v", f.Type, got, want)
		}
		if e.ID() != "E1" || e.Subject() != "a.b>c" || e.Source() != "https://example.org/rooms/a=2Eb=3Ec/I1" || events.TimeOf(e.Time()) != t0 {
			t.Errorf("%s: unexpected envelope\n%v", f.Type, e)
		}
	}
	big := events.Fact{ID: "E1", Type: events.RoomKept, Room: "lobby", InstanceID: "I1", Sequence: 1 << 53, Time: t0}
	if got := sdkEvent(t, must(big.Encode(""))).Extensions()["sequence"]; got != "00009007199254740992" {
		t.Errorf("sequence %v", got)
	}
}

// Everybody who sorts or compares times as text needs them to have one form.
func TestTimeHasThreeDigits(t *testing.T) {
	for _, c := range []struct {
		at   events.Time
		want string
	}{{t0 - 7, "2026-01-01T00:00:00.000Z"}, {t0 + 93, "2026-01-01T00:00:00.100Z"}, {t0 + 13, "2026-01-01T00:00:00.020Z"}, {t0, "2026-01-01T00:00:00.007Z"}} {
		notice, message := sampleNotice(), sampleMessage()
		notice.Time, message.Time = c.at, c.at
		all := [][]byte{must(notice.Encode("")), must(message.Encode(""))}
		for _, f := range sampleFacts() {
			f.Time = c.at
			all = append(all, must(f.Encode("")))
		}
		for _, raw := range all {
			var e struct {
				Time string `json:"time"`
			}
			if err := json.Unmarshal(raw, &e); err != nil || e.Time != c.want {
				t.Errorf("%v: time %q, want %q\n%s", err, e.Time, c.want, raw)
			}
		}
	}
}

func TestFactRoundTrip(t *testing.T) {
	for _, f := range sampleFacts() {
		raw := must(f.Encode(""))
		if bytes.Contains(raw, []byte("digest")) {
			t.Errorf("%s: the digests are in the body\n%s", f.Type, raw)
		}
		f.Digests = nil
		if got, err := events.DecodeFact(raw); err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", f.Type, err, got, f)
		}
	}
}

// written is a fact of the type as it was written before facts left anything out: the sample.
func written(t testing.TB, typ string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "before", strings.TrimPrefix(typ, events.TypePrefix)+".json"))
	if err == nil {
		err = (*jsontext.Value)(&raw).Compact()
	}
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Journals keep facts from before, which say everything.
func TestFactsOfBefore(t *testing.T) {
	for _, f := range sampleFacts() {
		if slices.Contains(later, f.Type) {
			continue
		}
		f.Digests = nil
		if got, err := events.DecodeFact(written(t, f.Type)); err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", f.Type, err, got, f)
		}
	}
}

// A fact that is as usual says nothing but what is its own.
func TestUsualIsLeftOut(t *testing.T) {
	alice := "alice"
	for _, c := range []struct {
		fact events.Fact
		data string
	}{
		{events.Fact{
			Type: events.RoomCreated, Sequence: 1, Joined: []events.Joined{{UserID: "alice", SessionID: "default", JoinedAt: t0, Via: events.ViaEnter, RequestID: "R1"}},
			Info: &events.Room{RoomID: "lobby", InstanceID: "I1", CreatedAt: t0, CreatedBy: "alice", Attributes: map[string]string{}, MemberCount: 1, Sequence: 1},
		}, `{"sequence":1,"room":{"createdBy":"alice"},"memberList":[{"userID":"alice","sessionID":"default","requestID":"R1"}]}`},
		{events.Fact{
			Type: events.RoomCreated, Sequence: 1, Joined: []events.Joined{},
			Info: &events.Room{RoomID: "lobby", InstanceID: "I1", CreatedAt: t0, Attributes: map[string]string{}, Sequence: 1},
		}, `{"sequence":1,"room":{}}`},
		{events.Fact{
			Type: events.MemberJoined, Sequence: 2, MemberCount: 2, Joined: []events.Joined{{UserID: "bob", SessionID: "default", JoinedAt: t0, Via: events.ViaEnter}},
		}, `{"sequence":2,"memberList":[{"userID":"bob","sessionID":"default"}],"memberCount":2}`},
		{events.Fact{
			Type: events.MemberLeft, Sequence: 3, MemberCount: 1, Left: []events.Left{{UserID: "bob", SessionID: "default", JoinedAt: t0 - 5000, LeftAt: t0, Reason: events.ReasonLeft}},
		}, `{"sequence":3,"memberList":[{"userID":"bob","sessionID":"default","joinedAt":"2025-12-31T23:59:55.007Z"}],"memberCount":1}`},
		{events.Fact{
			Type: events.RoomAttributesChanged, Sequence: 4, User: "alice", Set: map[string]string{"k": "v"}, Delete: []string{},
			Ownership: events.Ownership{Owners: map[string]*string{"k": &alice}}, Changes: []events.AttributesChange{{UserID: "alice", Set: []string{"k"}}},
		}, `{"sequence":4,"set":{"k":"v"},"userID":"alice","changes":[{"userID":"alice","set":["k"]}]}`},
		{events.Fact{
			Type: events.RoomAttributesChanged, Sequence: 5, User: "alice", Set: map[string]string{}, Delete: []string{"k"},
			Ownership: events.Ownership{Owners: map[string]*string{}}, Changes: []events.AttributesChange{{UserID: "alice", Delete: []string{"k"}}},
		}, `{"sequence":5,"delete":["k"],"userID":"alice","changes":[{"userID":"alice","delete":["k"]}]}`},
		{events.Fact{
			Type: events.MemberAttributesChanged, Sequence: 6, User: "alice", Infos: []events.MemberAttributes{{UserID: "alice", Attributes: map[string]string{"k": "v"}}},
		}, `{"sequence":6,"infos":[{"userID":"alice","attributes":{"k":"v"}}],"userID":"alice"}`},
		{events.Fact{Type: events.RoomAccessChanged, Sequence: 7, Access: "open", Allowed: []string{}}, `{"sequence":7,"access":"open"}`},
		{events.Fact{Type: events.RoomKept, Sequence: 8}, `{"sequence":8}`},
		{events.Fact{
			Type: events.RoomDestroyed, Sequence: 9, Reason: events.DestroyedEmpty,
			Info: &events.Room{RoomID: "lobby", InstanceID: "I1", CreatedAt: t0 - 5000, Attributes: map[string]string{}, Sequence: 9},
		}, `{"sequence":9,"room":{"createdAt":"2025-12-31T23:59:55.007Z"},"reason":"empty"}`},
	} {
		f := &c.fact
		f.ID, f.Room, f.InstanceID, f.Time = "E1", "lobby", "I1", t0
		raw := must(f.Encode(""))
		if data := string(sdkEvent(t, raw).Data()); data != c.data {
			t.Errorf("%s: the data is\n%s\nwant\n%s", f.Type, data, c.data)
		}
		if got, err := events.DecodeFact(raw); err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", f.Type, err, got, f)
		}
	}
}

// barest is a fact without what is always said though the reader could know it.
func barest(t testing.TB, f *events.Fact) []byte {
	t.Helper()
	raw := must(f.Encode(""))
	for _, said := range []string{fmt.Sprintf(`"sequence":%d,`, f.Sequence), `"sessionID":"default",`} {
		if !bytes.Contains(raw, []byte(said)) {
			t.Fatalf("there is no %s in %s", said, raw)
		}
		raw = bytes.ReplaceAll(raw, []byte(said), nil)
	}
	return raw
}

// What is always said is not missed either.
func TestBareFacts(t *testing.T) {
	for _, f := range sampleFacts() {
		if f.Digests = nil; f.Type != events.MemberJoined && f.Type != events.MemberLeft {
			continue
		}
		if got, err := events.DecodeFact(barest(t, f)); err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", f.Type, err, got, f)
		}
	}
}

// Of a fact of a later version only the envelope is known, and what earlier facts had in their data.
func TestUnknownFactHasItsPlace(t *testing.T) {
	for _, raw := range [][]byte{must(sampleFacts()[1].Encode("")), barest(t, sampleFacts()[1]), written(t, events.MemberJoined)} {
		f, err := events.DecodeFact(bytes.Replace(raw, []byte("member.joined.v1"), []byte("member.painted.v1"), 1))
		if !errors.Is(err, events.ErrUnknownType) || f.Room != "a.b>c" || f.InstanceID != "I1" || f.Sequence != 2 {
			t.Errorf("%v, %+v", err, f)
		}
	}
	if f, err := events.DecodeFact(must(sampleMessage().Encode(""))); !errors.Is(err, events.ErrUnknownType) || f.Sequence != 0 {
		t.Errorf("a message is a fact: %v, %+v", err, f)
	}
}

func TestNoticeRoundTrip(t *testing.T) {
	plain := &events.Notice{ID: "N1", Time: t0, Room: "lobby", User: "alice", SessionID: "default"}
	for _, n := range []*events.Notice{sampleNotice(), plain} {
		if got, err := events.DecodeNotice(must(n.Encode(""))); err != nil || !reflect.DeepEqual(got, n) {
			t.Errorf("%v\n got %+v\nwant %+v", err, got, n)
		}
	}
	for state, stateName := range []string{"disconnected", "connecting", "connected"} {
		for ev, eventName := range []string{
			"success", "networkInterrupted", "networkDisconnected", "roomNotExist", "activeCreate", "createFailed", "activeEnter",
			"enterFailed", "kickedOut", "connectTimeout", "kickedOutByOtherDevice", "activeSwitch", "switchFailed",
		} {
			plain.State, plain.Event = events.State(state), events.Event(ev)
			raw := must(plain.Encode(""))
			var d struct {
				State     string `json:"state"`
				Event     string `json:"event"`
				StateCode int    `json:"stateCode"`
				EventCode int    `json:"eventCode"`
			}
			if err := json.Unmarshal(sdkEvent(t, raw).Data(), &d); err != nil || d.State != stateName || d.Event != eventName || d.StateCode != state || d.EventCode != ev {
				t.Errorf("%s, %s: %v\n%s", stateName, eventName, err, raw)
			}
			if got, err := events.DecodeNotice(raw); err != nil || !reflect.DeepEqual(got, plain) {
				t.Errorf("%s, %s: %v, %+v", stateName, eventName, err, got)
			}
		}
	}
}

// IDs may begin and end with spaces, or consist of spaces; the envelope keeps them unchanged.
func TestSpacesInIDsAreKept(t *testing.T) {
	for _, r := range []subjects.Room{" lobby ", "\u00a0lobby", "lobby\u3000"} {
		f := &events.Fact{ID: " E1", Type: events.RoomKept, Room: r, InstanceID: "I1", Sequence: 2, Time: t0}
		n := &events.Notice{ID: "N1", Time: t0, Room: r, User: " ", SessionID: " "}
		for _, raw := range [][]byte{must(f.Encode("")), must(n.Encode(""))} {
			if e := sdkEvent(t, raw); e.Subject() != string(r) {
				t.Errorf("subject %q, want %q", e.Subject(), r)
			}
		}
	}
}

// Text that HTML would escape must not grow six times over: limits are in bytes.
func TestNoHTMLEscapes(t *testing.T) {
	lots := strings.Repeat("<", 32<<10)
	f := sampleFacts()[0]
	f.Info.Attributes = map[string]string{"k": lots}
	if raw := must(f.Encode("")); len(raw) > 34<<10 {
		t.Errorf("32 KiB of < in an attribute take %d bytes", len(raw))
	}
	f.Info.Attributes, f.Joined[0].UserInfo = nil, jsontext.Value(`{"k":"`+lots+`"}`)
	if raw := must(f.Encode("")); len(raw) > 34<<10 {
		t.Errorf("32 KiB of < in userInfo take %d bytes", len(raw))
	}
}

func TestTime(t *testing.T) {
	for text, want := range map[string]struct {
		time  events.Time
		again string
	}{
		"1970-01-01T00:00:00Z":           {0, "1970-01-01T00:00:00.000Z"},
		"2026-01-01T00:00:00.007Z":       {t0, "2026-01-01T00:00:00.007Z"},
		"2026-01-01T02:00:00.0079+02:00": {t0, "2026-01-01T00:00:00.007Z"},
		"2026-01-01T00:00:00Z":           {t0 - 7, "2026-01-01T00:00:00.000Z"},
		"1969-12-31T23:59:59.999Z":       {-1, "1969-12-31T23:59:59.999Z"},
		"9999-12-31T23:59:59.999Z":       {253402300799999, "9999-12-31T23:59:59.999Z"},
	} {
		var got events.Time
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want.time || got.String() != want.again {
			t.Errorf("%q: %d, %q, %v; want %d, %q", text, got, got, err, want.time, want.again)
		}
		if b, err := json.Marshal(got); err != nil || string(b) != `"`+want.again+`"` {
			t.Errorf("%q: JSON %s, %v", text, b, err)
		}
	}
	for _, text := range []string{"", "now", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"} {
		var got events.Time
		if err := got.UnmarshalText([]byte(text)); err == nil || got != 0 {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	f := &events.Fact{ID: "E1", Type: events.TypePrefix + "room.painted.v1", Room: "lobby", InstanceID: "I1", Sequence: 2}
	if _, err := f.Encode(""); !errors.Is(err, events.ErrUnknownType) {
		t.Errorf("unknown type: %v", err)
	}
	f.Type, f.Joined = events.MemberJoined, []events.Joined{{UserInfo: jsontext.Value(`{`)}}
	if _, err := f.Encode(""); err == nil {
		t.Error("broken userInfo is encoded")
	}
}

func TestDecodeRefuses(t *testing.T) {
	fact, notice := string(must(sampleFacts()[1].Encode(""))), string(must(sampleNotice().Encode("")))
	bare := string(barest(t, sampleFacts()[1]))
	created := string(must(sampleFacts()[0].Encode("")))
	said := string(written(t, events.MemberJoined))
	decodeFact := func(raw []byte) error { _, err := events.DecodeFact(raw); return err }
	decodeNotice := func(raw []byte) error { _, err := events.DecodeNotice(raw); return err }
	for _, c := range []struct {
		name          string
		decode        func([]byte) error
		raw, old, new string
		want          error
	}{
		{"fact: unknown type", decodeFact, fact, "member.joined.v1", "member.joined.v2", events.ErrUnknownType},
		{"fact: a notice", decodeFact, notice, "", "", events.ErrUnknownType},
		{"fact: nothing", decodeFact, "", "", "", events.ErrMalformed},
		{"fact: null", decodeFact, "null", "", "", events.ErrMalformed},
		{"fact: array", decodeFact, "[]", "", "", events.ErrMalformed},
		{"fact: cut off", decodeFact, fact[:len(fact)/2], "", "", events.ErrMalformed},
		{"fact: something after it", decodeFact, fact + "{}", "", "", events.ErrMalformed},
		{"fact: not UTF-8", decodeFact, fact, `"E1"`, "\"\xff\"", events.ErrMalformed},
		{"fact: CloudEvents 0.3", decodeFact, fact, `"1.0"`, `"0.3"`, events.ErrMalformed},
		{"fact: no id", decodeFact, fact, `"E1"`, `""`, events.ErrMalformed},
		{"fact: no data", decodeFact, fact, `"data":`, `"other":`, events.ErrMalformed},
		{"fact: null data", decodeFact, fact, `"data":`, `"data":null,"other":`, events.ErrMalformed},
		{"fact: no room", decodeFact, fact, `"subject":"a.b>c"`, `"subject":""`, events.ErrMalformed},
		{"fact: bad room", decodeFact, fact, `"subject":"a.b>c"`, `"subject":"\n"`, events.ErrMalformed},
		{"fact: no instance", decodeFact, fact, `"roominstance"`, `"other"`, events.ErrMalformed},
		{"fact: sequence -1", decodeFact, fact, `"sequence":2`, `"sequence":-1`, events.ErrMalformed},
		{"fact: sequence 1", decodeFact, fact, `"sequence":2`, `"sequence":1`, events.ErrMalformed},
		{"fact: no sequence", decodeFact, bare, `"sequence"`, `"other"`, events.ErrMalformed},
		{"fact: sequence 0", decodeFact, bare, `00000000002"`, `00000000000"`, events.ErrMalformed},
		{"fact: sequence of no digits", decodeFact, bare, `00000000002"`, `0000000000x"`, events.ErrMalformed},
		{"fact: sequence that is no text", decodeFact, fact, `"00000000000000000002"`, `2`, events.ErrMalformed},
		{"fact of before: bad room", decodeFact, said, `"roomID":"a.b>c"`, `"roomID":"\n"`, events.ErrMalformed},
		{"fact of before: sequence -1", decodeFact, said, `"sequence":2`, `"sequence":-1`, events.ErrMalformed},
		{"fact of before: sequence 1", decodeFact, said, `"sequence":2`, `"sequence":1`, events.ErrMalformed},
		{"fact: wrong shape", decodeFact, fact, `"memberCount":2`, `"memberCount":"two"`, events.ErrMalformed},
		{"fact: created with sequence 2", decodeFact, created, `"sequence":1`, `"sequence":2`, events.ErrMalformed},
		{"fact: created without a room", decodeFact, created, `"room":`, `"other":`, events.ErrMalformed},
		{"notice: a fact", decodeNotice, fact, "", "", events.ErrUnknownType},
		{"notice: nothing", decodeNotice, "", "", "", events.ErrMalformed},
		{"notice: cut off", decodeNotice, notice[:len(notice)/2], "", "", events.ErrMalformed},
		{"notice: no data", decodeNotice, notice, `"data":`, `"other":`, events.ErrMalformed},
		{"notice: null data", decodeNotice, notice, `"data":`, `"data":null,"other":`, events.ErrMalformed},
		{"notice: bad room", decodeNotice, notice, `"data":{"roomID":"`, `"data":{"roomID":"\n`, events.ErrMalformed},
		{"notice: no user", decodeNotice, notice, `"userID":"alice"`, `"userID":""`, events.ErrMalformed},
		{"notice: state 3", decodeNotice, notice, `"stateCode":2`, `"stateCode":3`, events.ErrMalformed},
		{"notice: event 13", decodeNotice, notice, `"eventCode":7`, `"eventCode":13`, events.ErrMalformed},
		{"notice: event -1", decodeNotice, notice, `"eventCode":7`, `"eventCode":-1`, events.ErrMalformed},
	} {
		if !strings.Contains(c.raw, c.old) {
			t.Fatalf("%s: there is no %s in\n%s", c.name, c.old, c.raw)
		}
		if err := c.decode([]byte(strings.Replace(c.raw, c.old, c.new, 1))); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
	if err := decodeFact([]byte(strings.Replace(fact, `"memberCount"`, `"later":{"a":1},"memberCount"`, 1))); err != nil {
		t.Errorf("a field of a later version is refused: %v", err)
	}
}
