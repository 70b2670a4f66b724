// Package contract is the machine-readable contract of natsrooms, which make contract
// generates from the tables and types in code, and a check of what is on the wire against
// it.
//
// The schemas are in JSON Schema draft 2020-12: for the body of every command, for every
// reply, for the body of a refusal, and for every event as a CloudEvent. They allow unknown
// fields, since later versions add some. The check does not, for what the service sends: a
// field that no schema has is not part of the contract.
package contract

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"natsrooms/events"
)

// Files are the contract: schemas/, asyncapi.json, natsrooms.d.ts.
//
//go:embed schemas asyncapi.json natsrooms.d.ts
var Files embed.FS

// compiled are the schemas by their paths below schemas/, without the extension.
var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	all := map[string]*jsonschema.Schema{}
	return all, fs.WalkDir(Files, "schemas", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := Files.ReadFile(path)
		if err != nil {
			return err
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(path, "schemas/"), ".json")
		if !strings.HasPrefix(name, "commands/") {
			closeObjects(doc)
		}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		url := "contract:///" + path
		if err = c.AddResource(url, doc); err == nil {
			all[name], err = c.Compile(url)
		}
		return err
	})
})

// closeObjects makes a schema refuse fields that it does not name.
func closeObjects(doc any) {
	switch x := doc.(type) {
	case map[string]any:
		_, says := x["additionalProperties"]
		if _, fields := x["properties"]; x["type"] == "object" && fields && !says {
			x["additionalProperties"] = false
		}
		for _, part := range x {
			closeObjects(part)
		}
	case []any:
		for _, part := range x {
			closeObjects(part)
		}
	}
}

func check(name string, data []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err == nil {
		err = checkValue(name, v)
	}
	if err != nil {
		return fmt.Errorf("%.2000s: %w", data, err)
	}
	return nil
}

func checkValue(name string, v any) error {
	all, err := compiled()
	if err != nil {
		return err
	}
	schema := all[name]
	if schema == nil {
		return fmt.Errorf("there is no schema for %s", name)
	}
	return schema.Validate(v)
}

// HookQuestion checks what the application is asked.
func HookQuestion(body []byte) error { return check("hooks/question", body) }

// HookAnswer checks what the application answers.
func HookAnswer(body []byte) error { return check("hooks/answer", body) }

// Command checks the body of a command.
func Command(verb string, body []byte) error {
	if len(body) == 0 {
		body = []byte("{}")
	}
	return check("commands/"+verb, body)
}

// Reply checks the body of a reply to a command that succeeded, and the events in it.
func Reply(verb string, body []byte) error {
	if err := check("replies/"+verb, body); err != nil || verb != "history" {
		return err
	}
	var history struct {
		Events []json.RawMessage `json:"events"`
	}
	if err := json.Unmarshal(body, &history); err != nil {
		return err
	}
	for _, e := range history.Events {
		if err := Event(e); err != nil {
			return err
		}
	}
	return nil
}

// Refusal checks the body of a refusal.
func Refusal(body []byte) error { return check("error", body) }

// Event checks a fact, a message or a notice.
func Event(data []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err == nil {
		event, _ := v.(map[string]any)
		name, _ := event["type"].(string)
		err = checkValue("events/"+strings.TrimPrefix(name, events.TypePrefix), v)
	}
	if err != nil {
		return fmt.Errorf("%.2000s: %w", data, err)
	}
	return nil
}

// Answer checks the answer to a command: body and headers of a refusal or of a success. If
// it is a success, the command's body must fit its own schema.
func Answer(verb string, body []byte, answer *nats.Msg) error {
	name := answer.Header.Get(micro.ErrorHeader)
	if name == "" {
		return errors.Join(Reply(verb, answer.Data), Command(verb, body))
	}
	if err := Refusal(answer.Data); err != nil {
		return err
	}
	var refusal struct {
		Error struct {
			Code   string `json:"code"`
			Number int    `json:"number"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &refusal); err != nil {
		return err
	}
	if e := refusal.Error; e.Code != name || strconv.Itoa(e.Number) != answer.Header.Get(micro.ErrorCodeHeader) {
		return fmt.Errorf("the headers %v do not match %.2000s", answer.Header, answer.Data)
	}
	return nil
}
