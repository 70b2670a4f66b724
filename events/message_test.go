package events_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"natsrooms/events"
	"natsrooms/subjects"
)

func sampleMessage() *events.Message {
	return &events.Message{
		ID: "M1", Time: t0, Room: "a.b>c", InstanceID: "I1", Sender: "alice", Type: events.Custom, SubType: 7, Data: "tea & <milk>",
		Priority: events.High, Extended: `{"colour":"red"}`, Seq: 42,
	}
}

func TestMessageRoundTrip(t *testing.T) {
	plain := &events.Message{ID: "M2", Time: t0, Room: "lobby", InstanceID: "I1", Type: events.Barrage, Data: "x", Priority: events.Low}
	for _, m := range []*events.Message{sampleMessage(), plain} {
		raw := must(m.Encode("https://example.org/"))
		if got, err := events.DecodeAccepted(raw); err != nil || *got != (events.Accepted{InstanceID: m.InstanceID, Sender: m.Sender, After: m.After}) {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
		if got, err := events.DecodeMessage(raw); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%v\n got %+v\nwant %+v", err, got, m)
		}
		e := sdkEvent(t, raw)
		source := "https://example.org/rooms/" + m.Room.Token() + "/I1/messages"
		if e.Type() != events.MessageSent || e.ID() != m.ID || e.Source() != source || e.Subject() != string(m.Room) || events.TimeOf(e.Time()) != t0 {
			t.Errorf("unexpected envelope\n%s", raw)
		}
		if want := (map[string]any{"roominstance": "I1", "partitionkey": string(m.Room)}); !reflect.DeepEqual(e.Extensions(), want) {
			t.Errorf("extensions %v, want %v", e.Extensions(), want)
		}
	}
	// A live-only message has no sequence, and in a server's message the sender field is empty.
	var d map[string]any
	if err := json.Unmarshal(sdkEvent(t, must(plain.Encode(""))).Data(), &d); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"roomID": "lobby", "instanceID": "I1", "messageID": "M2", "senderUserID": "", "type": "barrage", "data": "x", "priority": "low", "timestamp": float64(t0),
	}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("data %v\nwant %v", d, want)
	}
}

func TestStored(t *testing.T) {
	for typ, want := range map[events.MessageType]bool{events.Text: true, events.Custom: true, events.Signal: false, events.Barrage: false, "later": false, "": false} {
		if typ.Stored() != want {
			t.Errorf("%q: stored %v, want %v", typ, !want, want)
		}
	}
}

func TestDecodeMessageRefuses(t *testing.T) {
	message, fact := string(must(sampleMessage().Encode(""))), string(must(sampleFacts()[1].Encode("")))
	for _, c := range []struct {
		name, raw, old, new string
		want                error
	}{
		{"a fact", fact, "", "", events.ErrUnknownType},
		{"a later version", message, "message.sent.v1", "message.sent.v2", events.ErrUnknownType},
		{"nothing", "", "", "", events.ErrMalformed},
		{"null", "null", "", "", events.ErrMalformed},
		{"cut off", message[:len(message)/2], "", "", events.ErrMalformed},
		{"something after it", message + "{}", "", "", events.ErrMalformed},
		{"not UTF-8", message, "milk", "\xff", events.ErrMalformed},
		{"CloudEvents 0.3", message, `"1.0"`, `"0.3"`, events.ErrMalformed},
		{"no data", message, `"data":{`, `"other":{`, events.ErrMalformed},
		{"null data", message, `"data":{`, `"data":null,"other":{`, events.ErrMalformed},
		{"bad room", message, `"data":{"roomID":"`, `"data":{"roomID":"\n`, events.ErrMalformed},
		{"no instance", message, `"instanceID":"I1"`, `"instanceID":""`, events.ErrMalformed},
		{"no messageID", message, `"messageID":"M1"`, `"messageID":""`, events.ErrMalformed},
		{"two IDs", message, `"messageID":"M1"`, `"messageID":"M2"`, events.ErrMalformed},
		{"two times", message, `:00.007Z`, `:00.008Z`, events.ErrMalformed},
		{"a time that is no number", message, `"timestamp":1`, `"timestamp":"1`, events.ErrMalformed},
		{"bad sender", message, `"senderUserID":"`, `"senderUserID":"\n`, events.ErrMalformed},
		{"no type", message, `"type":"custom"`, `"type":""`, events.ErrMalformed},
		{"wrong shape", message, `"subType":7`, `"subType":"7"`, events.ErrMalformed},
		{"sequence -1", message, `"messageSeq":42`, `"messageSeq":-1`, events.ErrMalformed},
	} {
		if !strings.Contains(c.raw, c.old) {
			t.Fatalf("%s: there is no %s in\n%s", c.name, c.old, c.raw)
		}
		if _, err := events.DecodeMessage([]byte(strings.Replace(c.raw, c.old, c.new, 1))); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
	for old, later := range map[string]string{`"custom"`: `"sticker"`, `"high"`: `"urgent"`, `"priority"`: `"mood":1,"priority"`} {
		if _, err := events.DecodeMessage([]byte(strings.Replace(message, old, later, 1))); err != nil {
			t.Errorf("%s, which a later version may write, is refused: %v", later, err)
		}
	}
}

func TestMessageProperty(t *testing.T) {
	text := rapid.StringN(0, 20, -1)
	id := text.Filter(func(s string) bool { _, err := subjects.ParseRoom(s); return err == nil })
	rapid.Check(t, func(t *rapid.T) {
		m := &events.Message{
			ID: id.Draw(t, "id"), Time: events.Time(rapid.Int64Range(0, 253402300799999).Draw(t, "time")), Room: subjects.Room(id.Draw(t, "room")), InstanceID: id.Draw(t, "instance"),
			Sender: rapid.OneOf(rapid.Just(""), id).Draw(t, "sender"), Type: rapid.SampledFrom([]events.MessageType{events.Text, events.Custom, events.Signal, events.Barrage}).Draw(t, "type"),
			SubType: rapid.IntRange(0, 200).Draw(t, "sub"), Data: text.Draw(t, "data"), Priority: rapid.SampledFrom([]events.Priority{events.Low, events.Medium, events.High}).Draw(t, "priority"),
			Extended: text.Draw(t, "extended"), Seq: rapid.Uint64Range(0, 1<<53).Draw(t, "seq"),
		}
		raw, err := m.Encode("")
		if err != nil || !utf8.Valid(raw) {
			t.Fatalf("%v\n%s", err, raw)
		}
		got, err := events.DecodeMessage(raw)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("%v\n got %+v\nwant %+v\n%s", err, got, m, raw)
		}
		if again := must(got.Encode("")); string(again) != string(raw) {
			t.Fatalf("first\n%s\nthen\n%s", raw, again)
		}
	})
}

// Text that HTML would escape must not grow: the limit is in bytes.
func TestMessageNoHTMLEscapes(t *testing.T) {
	m := sampleMessage()
	m.Data = strings.Repeat("<", 32<<10)
	if raw := must(m.Encode("")); len(raw) > 33<<10 {
		t.Errorf("32 KiB of < take %d bytes", len(raw))
	}
}

// FuzzDecodeMessage: whatever is accepted can be written again and stays the same.
func FuzzDecodeMessage(f *testing.F) {
	f.Add(must(sampleMessage().Encode("")))
	f.Add(must((&events.Message{ID: "M", Room: "r", InstanceID: "I", Type: events.Text}).Encode("")))
	f.Add(must(sampleFacts()[1].Encode("")))
	f.Add([]byte(`{"specversion":"1.0","type":"io.natsrooms.message.sent.v1","time":"9999-12-31T23:59:59.999Z","data":{"timestamp":253402300800000}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		first, err := events.DecodeMessage(raw)
		if err != nil {
			return
		}
		again, err := first.Encode("")
		if err != nil {
			t.Fatal(err)
		}
		second, err := events.DecodeMessage(again)
		if err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("first %+v, then %+v", first, second)
		}
	})
}
