package events_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
)

// asJSON shows every field of a value, but not the differences that mean nothing: spaces
// in raw JSON, and nil versus empty.
func asJSON(v any) string {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err == nil {
		err = (*jsontext.Value)(&b).Canonicalize()
	}
	return string(must(b, err))
}

// FuzzDecodeFact: whatever is accepted can be written again and stays the same.
func FuzzDecodeFact(f *testing.F) {
	for _, fact := range sampleFacts() {
		f.Add(must(fact.Encode("")))
		if !slices.Contains(later, fact.Type) {
			f.Add(written(f, fact.Type))
		}
	}
	f.Add(must(sampleNotice().Encode("")))
	f.Add([]byte(`{"datacontentencoding":"","specversion":"0.3"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		first, err := events.DecodeFact(raw)
		if err != nil {
			return
		}
		again, err := first.Encode("")
		if err != nil {
			t.Fatal(err)
		}
		second, err := events.DecodeFact(again)
		if err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
		if a, b := asJSON(first), asJSON(second); a != b {
			t.Fatalf("first\n%s\nthen\n%s", a, b)
		}
	})
}

// FuzzDecodeNotice: the same for notices.
func FuzzDecodeNotice(f *testing.F) {
	f.Add(must(sampleNotice().Encode("")))
	f.Add(bytes.ReplaceAll(must(sampleNotice().Encode("")), []byte(`,"error"`), []byte(`,"other"`)))
	f.Add(must(sampleFacts()[0].Encode("")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		first, err := events.DecodeNotice(raw)
		if err != nil {
			return
		}
		again, err := first.Encode("")
		if err != nil {
			t.Fatal(err)
		}
		second, err := events.DecodeNotice(again)
		if err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("first %+v, then %+v", first, second)
		}
	})
}
