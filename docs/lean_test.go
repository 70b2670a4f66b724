package docs

import (
	"io/fs"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/docs/contract"
	"natsrooms/events"
)

// The fact that README shows is as the service writes it.
func TestFactOfREADME(t *testing.T) {
	block := regexp.MustCompile("(?s)```json\n(\\{\"specversion.*?)```").FindStringSubmatch(read(t, "README.md"))
	if block == nil {
		t.Fatal("README shows no fact")
	}
	shown := jsontext.Value(block[1])
	if err := shown.Compact(); err != nil {
		t.Fatal(err)
	}
	f, err := events.DecodeFact(shown)
	if err != nil {
		t.Fatal(err)
	}
	want := []events.Joined{
		{UserID: "alice", SessionID: "default", JoinedAt: f.Time, Via: events.ViaEnter},
		{UserID: "bob", UserName: "Bob", SessionID: "phone", JoinedAt: f.Time, Via: events.ViaEnter},
	}
	if raw, err := f.Encode(""); err != nil || string(raw) != string(shown) || !reflect.DeepEqual(f.Joined, want) {
		t.Errorf("%v\n%s\nis not as README shows it\n%s\nof %+v", err, raw, shown, f.Joined)
	}
}

// The list of what facts leave out has the fields of which the schemas say what their absence means.
func TestListOfWhatFactsLeaveOut(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "docs/contract/README.md"), "\n## What facts leave out\n")
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\|[^|]*\|([^|]*)\|`).FindAllStringSubmatch(section, -1) {
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[1], -1) {
			listed[name[1]] = true
		}
	}
	said := map[string]bool{}
	err := fs.WalkDir(contract.Files, "schemas/events", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := contract.Files.ReadFile(path)
		if err != nil {
			return err
		}
		var schema any
		if err := json.Unmarshal(data, &schema); err != nil {
			return err
		}
		addAbsent(said, schema)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(listed, said) {
		t.Errorf("docs/contract/README.md lists %v, the schemas have %v", slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(said)))
	}
}

// addAbsent adds the properties of a schema that say what their absence means.
func addAbsent(names map[string]bool, schema any) {
	object, _ := schema.(map[string]any)
	for key, value := range object {
		if properties, ok := value.(map[string]any); ok && key == "properties" {
			for name, property := range properties {
				if text, _ := property.(map[string]any)["description"].(string); strings.Contains(text, "absent: ") {
					names[name] = true
				}
			}
		}
		addAbsent(names, value)
	}
}
