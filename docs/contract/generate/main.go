// Command generate writes the machine-readable contract beside it, from the tables and
// types in code: JSON Schemas, an AsyncAPI document, and TypeScript types, of which the
// JavaScript client has a copy. Run it from the top of the module; make contract does.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/invopop/jsonschema"
)

// target is where the contract is, from the top of the module.
const target = "docs/contract"

// copied is where the JavaScript client has its types, from the target.
const copied = "../../clients/js/contract.d.ts"

func main() {
	files, err := contract()
	if err == nil {
		err = write(files)
	}
	if err != nil {
		log.Fatalf("generating the contract: %v", err)
	}
}

// contract makes all files, by their paths below the target.
func contract() (map[string][]byte, error) {
	all, err := schemas()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for path, s := range all {
		if files[path], err = encode(s); err != nil {
			return nil, err
		}
	}
	if files["asyncapi.json"], err = encode(asyncAPI()); err != nil {
		return nil, err
	}
	files["natsrooms.d.ts"], err = typeScript(all)
	files[copied] = files["natsrooms.d.ts"]
	return files, err
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	// Schemas encode themselves, with < and > escaped again.
	out := b.Bytes()
	for _, c := range "<>&" {
		out = bytes.ReplaceAll(out, fmt.Appendf(nil, `\u%04x`, c), []byte(string(c)))
	}
	return out, nil
}

// write replaces the folder of schemas as a whole, so that no old ones are left.
func write(files map[string][]byte) error {
	if err := os.RemoveAll(filepath.Join(target, "schemas")); err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		name := filepath.Join(target, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, files[path], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Paths of the schemas.
const (
	errorPath    = "schemas/error.json"
	questionPath = "schemas/hooks/question.json"
	answerPath   = "schemas/hooks/answer.json"
)

func commandPath(verb string) string { return "schemas/commands/" + verb + ".json" }
func replyPath(verb string) string   { return "schemas/replies/" + verb + ".json" }
func eventPath(short string) string  { return "schemas/events/" + short + ".json" }

type document = map[string]*jsonschema.Schema
