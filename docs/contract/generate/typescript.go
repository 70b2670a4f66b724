package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

// types writes TypeScript from schemas.
type types struct {
	out  bytes.Buffer
	done map[string]string // by name
	err  error

	defs  jsonschema.Definitions // of the schema that is written
	whole bool                   // references are to what has everything filled in
}

// typeScript makes one module from all schemas.
func typeScript(all document) ([]byte, error) {
	w := &types{done: map[string]string{}}
	w.out.WriteString("// Made by `make contract` from the schemas beside it. Readers must ignore fields, event types and\n// enum values that they do not know: later versions add some.\n")
	for _, path := range slices.Sorted(maps.Keys(all)) {
		s := all[path]
		w.defs = s.Definitions
		for _, name := range slices.Sorted(maps.Keys(s.Definitions)) {
			w.declare(name, s.Definitions[name])
		}
		w.declare(s.Title, s)
	}
	w.out.WriteString("\n/** By verb: the body of a command, and the reply to one that succeeded. */\nexport interface Commands {\n")
	for _, c := range room.Commands {
		fmt.Fprintf(&w.out, "  %s: { body: %s; reply: %s };\n", c.Verb, all[commandPath(string(c.Verb))].Title, all[replyPath(string(c.Verb))].Title)
	}
	w.out.WriteString("}\n\nexport type Verb = keyof Commands;\n\nexport type ErrorCode = ErrorInfo[\"code\"];\n")
	var facts []string
	for _, e := range events.Types {
		if e.Type != events.MessageSent && e.Type != events.MessageDeleted && e.Type != events.UserStateChanged {
			facts = append(facts, eventName(e.Type))
		}
	}
	fmt.Fprintf(&w.out, "\n/** Every fact; `type` tells which it is. */\nexport type Fact =\n  | %s;\n", strings.Join(facts, "\n  | "))
	fmt.Fprintf(&w.out, "\n/** Every fact as clients give it: what may be absent on the way is filled in. */\nexport type WholeFact =\n  | Whole%s;\n", strings.Join(facts, "\n  | Whole"))
	return w.out.Bytes(), w.err
}

// lean reports whether something in an object may be absent though readers need it: its
// description says what that means.
func (w *types) lean(s *jsonschema.Schema) bool {
	if s.Ref != "" {
		return w.lean(w.defs[strings.TrimPrefix(s.Ref, "#/$defs/")])
	}
	if s.Items != nil {
		return w.lean(s.Items)
	}
	if s.Properties == nil {
		return false
	}
	for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
		if leftOut(pair.Value) || w.lean(pair.Value) {
			return true
		}
	}
	return false
}

func leftOut(s *jsonschema.Schema) bool { return strings.Contains(s.Description, "absent: ") }

// declare writes an interface, once; and if some of it may be absent, a second one of the whole.
func (w *types) declare(name string, s *jsonschema.Schema) {
	var b strings.Builder
	comment(&b, "", s.Description)
	fmt.Fprintf(&b, "export interface %s ", name)
	w.fields(&b, "", s)
	b.WriteString("\n")
	if w.lean(s) {
		fmt.Fprintf(&b, "\nexport interface Whole%[1]s extends %[1]s {\n", name)
		w.whole = true
		for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
			if leftOut(pair.Value) || w.lean(pair.Value) {
				fmt.Fprintf(&b, "  %s: %s;\n", pair.Key, w.of("  ", pair.Value))
			}
		}
		w.whole = false
		b.WriteString("}\n")
	}
	text := b.String()
	if known, ok := w.done[name]; ok {
		if known != text {
			w.err = fmt.Errorf("two types are called %s", name)
		}
		return
	}
	w.done[name] = text
	w.out.WriteString("\n" + text)
}

func (w *types) fields(b *strings.Builder, indent string, s *jsonschema.Schema) {
	b.WriteString("{\n")
	for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
		comment(b, indent+"  ", pair.Value.Description)
		mark := "?"
		if slices.Contains(s.Required, pair.Key) {
			mark = ""
		}
		fmt.Fprintf(b, "%s  %s%s: %s;\n", indent, pair.Key, mark, w.of(indent+"  ", pair.Value))
	}
	if s.AdditionalProperties == jsonschema.TrueSchema {
		fmt.Fprintf(b, "%s  [field: string]: unknown;\n", indent)
	}
	b.WriteString(indent + "}")
}

// of is a schema in the form of a type.
func (w *types) of(indent string, s *jsonschema.Schema) string {
	switch {
	case s.Ref != "":
		if name := strings.TrimPrefix(s.Ref, "#/$defs/"); !w.whole || !w.lean(s) {
			return name
		} else {
			return "Whole" + name
		}
	case s.Const != nil:
		return literal(s.Const)
	case s.Enum != nil:
		return union(s.Enum, literal)
	case s.OneOf != nil && s.Properties == nil:
		return union(s.OneOf, func(o *jsonschema.Schema) string { return w.of(indent, o) })
	}
	switch s.Type {
	case "integer":
		return "number"
	case "array":
		if item := w.of(indent, s.Items); strings.Contains(item, " | ") {
			return "(" + item + ")[]"
		} else {
			return item + "[]"
		}
	case "object":
		if s.Properties != nil {
			var b strings.Builder
			w.fields(&b, indent, s)
			return b.String()
		}
		if s.AdditionalProperties != nil {
			return "Record<string, " + w.of(indent, s.AdditionalProperties) + ">"
		}
		return "Record<string, unknown>"
	case "string", "number", "boolean", "null":
		return s.Type
	}
	w.err = fmt.Errorf("a schema of type %q", s.Type)
	return "unknown"
}

func union[T any](list []T, f func(T) string) string {
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = f(v)
	}
	return strings.Join(parts, " | ")
}

func literal(v any) string {
	data, _ := json.Marshal(v)
	return string(data)
}

func comment(b *strings.Builder, indent, text string) {
	if text != "" {
		fmt.Fprintf(b, "%s/** %s */\n", indent, strings.ReplaceAll(text, "*/", "* /"))
	}
}
