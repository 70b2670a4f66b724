package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"natsrooms/events"
)

// top goes to the top of the module, where the generator runs.
func top(t *testing.T) {
	t.Helper()
	t.Chdir("../../..")
}

func TestContractIsCurrent(t *testing.T) {
	top(t)
	want, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	there := slices.Collect(maps.Keys(want))
	err = filepath.WalkDir(filepath.Join(target, "schemas"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			path, err = filepath.Rel(target, path)
			there = append(there, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(there)
	for _, path := range slices.Compact(there) {
		if got, err := os.ReadFile(filepath.Join(target, path)); !bytes.Equal(got, want[path]) {
			t.Errorf("%s does not match the code; make contract writes it (%v)", path, err)
		}
	}
}

func load(t *testing.T, path string) any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// TestSchemasAreValid checks every schema against the metaschema of its draft and, since
// AsyncAPI tools read them that way, of draft 7.
func TestSchemasAreValid(t *testing.T) {
	top(t)
	all, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	for url, draft := range map[string]*jsonschema.Draft{"https://json-schema.org/draft/2020-12/schema": jsonschema.Draft2020, "http://json-schema.org/draft-07/schema": jsonschema.Draft7} {
		meta, err := jsonschema.NewCompiler().Compile(url)
		if err != nil {
			t.Fatal(err)
		}
		for path := range all {
			c := jsonschema.NewCompiler()
			c.AssertFormat()
			v := load(t, filepath.Join(target, path))
			if err := meta.Validate(v); err != nil {
				t.Errorf("%s is not a schema of %s: %v", path, url, err)
			}
			if draft == jsonschema.Draft7 {
				delete(v.(map[string]any), "$schema")
				c.DefaultDraft(draft)
			}
			if err := c.AddResource(path, v); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Compile(path); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

// TestAsyncAPIIsValid checks the document against the official schema, and that everything
// it refers to exists.
func TestAsyncAPIIsValid(t *testing.T) {
	c := jsonschema.NewCompiler()
	official := load(t, "testdata/asyncapi/3.1.0.json")
	if err := c.AddResource("http://asyncapi.com/definitions/3.1.0/asyncapi.json", official); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("http://asyncapi.com/definitions/3.1.0/asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	top(t)
	document := load(t, filepath.Join(target, "asyncapi.json"))
	if err := schema.Validate(document); err != nil {
		t.Error(err)
	}
	for _, ref := range refs(document) {
		pointer, here := strings.CutPrefix(ref, "#/")
		if !here {
			if _, err := os.Stat(filepath.Join(target, ref)); err != nil {
				t.Errorf("it refers to %v", err)
			}
			continue
		}
		at := document
		for part := range strings.SplitSeq(pointer, "/") {
			at = at.(map[string]any)[part]
		}
		if at == nil {
			t.Errorf("it refers to %s, which does not exist", ref)
		}
	}
	// A document that breaks the specification is noticed.
	document.(map[string]any)["operations"].(map[string]any)["join"].(map[string]any)["action"] = "dance"
	if schema.Validate(document) == nil {
		t.Error("the official schema accepts anything")
	}
}

// TestEveryEventHasItsChannels checks what is heard where, and with which headers, against
// a list of its own.
func TestEveryEventHasItsChannels(t *testing.T) {
	d := asyncAPI()
	channels := map[string]string{}
	for name, o := range d.Operations {
		if at := d.Channels[name].Address; o.Action == "send" && at != nil { // settings say where hooks are
			channels[name] = *at
		}
	}
	want := map[string]string{"facts": "room.evt.{room}", "messages": "room.msg.{room}", "states": "room.state.{user}.{room}", "feeds": "room.feed.{user}.{room}", "open": "room.open.{room}"}
	if !maps.Equal(channels, want) {
		t.Errorf("events are heard on %v, want %v", channels, want)
	}
	for _, e := range events.Types {
		name := eventName(e.Type)
		at, headers := []string{"facts", "feeds", "open"}, 5
		switch e.Type {
		case events.MessageSent, events.MessageDeleted:
			at = []string{"feeds", "messages", "open"}
		case events.UserStateChanged:
			at, headers = []string{"states"}, 1
		}
		var got []string
		for _, channel := range slices.Sorted(maps.Keys(channels)) {
			if _, ok := d.Channels[channel].Messages[name]; ok {
				got = append(got, channel)
			}
			if slices.Contains(d.Operations[channel].Messages, ref("channels", channel, "messages", name)) != slices.Contains(at, channel) {
				t.Errorf("%s is not sent where it is heard: %s", name, channel)
			}
		}
		if !slices.Equal(got, at) {
			t.Errorf("%s is heard on %v, want %v", name, got, at)
		}
		if h := d.Components.Messages[name].Headers.(object)["properties"].(object); len(h) != headers {
			t.Errorf("%s has the headers %v", name, h)
		}
	}
}

// refs finds every $ref.
func refs(v any) (found []string) {
	switch x := v.(type) {
	case map[string]any:
		if ref, ok := x["$ref"].(string); ok {
			found = append(found, ref)
		}
		for _, part := range x {
			found = append(found, refs(part)...)
		}
	case []any:
		for _, part := range x {
			found = append(found, refs(part)...)
		}
	}
	return found
}
