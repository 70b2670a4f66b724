package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/invopop/jsonschema"

	"natsrooms/events"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/room"
)

// sources are the packages whose types are the contract, from the top of the module.
var sources = []string{"events", "roomsvc/hooks", "roomsvc/room"}

// reflector turns Go types into schemas. It knows the comments in their sources and the
// values of their enums.
type reflector struct {
	jsonschema.Reflector
	enums map[string][]any // by package and type
	rules map[string]rule
	used  map[string]bool // the rules that were applied
}

func newReflector() (*reflector, error) {
	r := &reflector{enums: map[string][]any{}, used: map[string]bool{}}
	r.Anonymous, r.ExpandedStruct, r.AllowAdditionalProperties = true, true, true
	r.Mapper, r.Namer = r.basic, name
	for _, dir := range sources {
		if err := r.AddGoComments("natsrooms", "./"+dir); err != nil {
			return nil, err
		}
		if err := r.addSources(dir); err != nil {
			return nil, err
		}
	}
	r.rules = rules(r.enum)
	return r, nil
}

// name is what a type is called in other languages, where all share one space of names.
func name(t reflect.Type) string {
	if t.PkgPath() == reflect.TypeFor[hooks.Question]().PkgPath() {
		return "Hook" + t.Name()
	}
	return exported(t.Name())
}

// exported is a type's name for other languages: some are not exported in Go.
func exported(name string) string {
	if name == "" {
		return ""
	}
	return string(unicode.ToUpper(rune(name[0]))) + name[1:]
}

// addSources finds the constants of string types, which are the values of such a type, and
// the comments on fields of types that are not exported, which AddGoComments leaves out.
func (r *reflector) addSources(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch spec := n.(type) {
			case *ast.ValueSpec:
				r.addEnum(dir, spec)
			case *ast.TypeSpec:
				r.addComments(dir, spec)
			}
			return true
		})
	}
	return nil
}

func (r *reflector) addEnum(dir string, spec *ast.ValueSpec) {
	typ, ok := spec.Type.(*ast.Ident)
	for _, v := range spec.Values {
		lit, literal := v.(*ast.BasicLit)
		if ok && literal && lit.Kind == token.STRING {
			value, _ := strconv.Unquote(lit.Value)
			key := "natsrooms/" + dir + "." + typ.Name
			r.enums[key] = append(r.enums[key], value)
		}
	}
}

func (r *reflector) addComments(dir string, spec *ast.TypeSpec) {
	fields, ok := spec.Type.(*ast.StructType)
	if !ok || spec.Name.IsExported() {
		return
	}
	for _, field := range fields.Fields.List {
		if text := strings.TrimSpace(field.Comment.Text()); text != "" && len(field.Names) == 1 {
			r.CommentMap["natsrooms/"+dir+"."+spec.Name.Name+"."+field.Names[0].Name] = text
		}
	}
}

// enum is the values of an enum type.
func (r *reflector) enum(t reflect.Type) []any { return r.enums[t.PkgPath()+"."+t.Name()] }

// basic is the schema of types that look different in JSON than in Go.
func (r *reflector) basic(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[events.Time]():
		return &jsonschema.Schema{Type: "string", Format: "date-time", Pattern: timePattern}
	case reflect.TypeFor[jsontext.Value]():
		return &jsonschema.Schema{Type: "object"}
	case reflect.TypeFor[events.State]():
		return number(0, int(events.Connected))
	case reflect.TypeFor[events.Event]():
		return number(0, int(events.SwitchFailed))
	case reflect.TypeFor[uint64]():
		return number(0, maxNumber)
	case reflect.TypeFor[hooks.Code]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, {Type: "number"}}}
	}
	if values := r.enum(t); values != nil {
		return &jsonschema.Schema{Type: "string", Enum: values}
	}
	return nil
}

func (r *reflector) schema(v any) *jsonschema.Schema {
	s := r.Reflect(v)
	s.Title = name(reflect.TypeOf(v).Elem())
	r.refine(s.Title, s)
	for name, def := range s.Definitions {
		r.refine(name, def)
	}
	if len(s.Definitions) == 0 {
		s.Definitions = nil
	}
	return s
}

// schemas makes the schemas of everything, by their paths.
func schemas() (document, error) {
	r, err := newReflector()
	if err != nil {
		return nil, err
	}
	all := document{errorPath: r.schema((*room.ErrorBody)(nil))}
	for _, c := range room.Commands {
		all[commandPath(string(c.Verb))] = r.schema(c.Request)
		all[replyPath(string(c.Verb))] = r.schema(c.Reply)
	}
	all[questionPath], all[answerPath] = r.schema((*hooks.Question)(nil)), r.schema((*hooks.Answer)(nil))
	for _, e := range events.Types {
		all[eventPath(shortType(e.Type))] = r.event(e)
	}
	return all, r.complete()
}

func shortType(t string) string { return strings.TrimPrefix(t, events.TypePrefix) }

// eventName is an event type's name in code: RoomCreated for room.created.v1.
func eventName(t string) string {
	name := ""
	for part := range strings.SplitSeq(strings.TrimSuffix(shortType(t), ".v1"), ".") {
		name += exported(part)
	}
	return name
}

// event is a CloudEvent with one of our types of data.
func (r *reflector) event(e events.TypeInfo) *jsonschema.Schema {
	data := r.schema(e.Data)
	s := &jsonschema.Schema{
		Version: jsonschema.Version, Title: eventName(e.Type), Type: "object", Properties: jsonschema.NewProperties(),
		Description: e.Means, Definitions: data.Definitions,
	}
	if s.Definitions == nil {
		s.Definitions = jsonschema.Definitions{}
	}
	s.Definitions[data.Title] = data
	data.Version, data.Title, data.Definitions = "", "", nil

	must := func(name string, p *jsonschema.Schema, description string) {
		p.Description = description
		s.Properties.Set(name, p)
		s.Required = append(s.Required, name)
	}
	instance, ids := "/[^/]+$", id
	switch e.Type {
	case events.UserStateChanged:
		instance = "(/[^/]+)?$" // none if the room does not exist
	case events.MessageSent, events.MessageDeleted:
		instance = "/[^/]+/messages$"
	}
	must("specversion", &jsonschema.Schema{Const: "1.0"}, "")
	must("id", text(1, 0), "unique")
	must("source", &jsonschema.Schema{Type: "string", Pattern: "/rooms/" + tokenPattern + instance}, "the room as one token, and its instance")
	must("type", &jsonschema.Schema{Const: e.Type}, "")
	must("subject", ids(&jsonschema.Schema{Type: "string"}), "the room's ID")
	must("datacontenttype", &jsonschema.Schema{Const: "application/json"}, "")
	must("time", r.basic(reflect.TypeFor[events.Time]()), "never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so")
	s.Properties.Value("time").Pattern = "Z$"
	if e.Type != events.UserStateChanged {
		must("roominstance", text(1, 0), "the room's instance")
		must("partitionkey", ids(&jsonschema.Schema{Type: "string"}), "the room's ID")
		if e.Type != events.MessageSent && e.Type != events.MessageDeleted {
			must("sequence", &jsonschema.Schema{Type: "string", Pattern: "^[0-9]{20}$"}, "the number of the fact, 1, 2, 3, ... in its instance, with 20 digits: the CloudEvents Sequence extension")
			s.Properties.Set("traceparent", &jsonschema.Schema{Type: "string", Pattern: "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$", Description: "W3C Trace Context of the command that caused the fact, if exactly one did"})
		}
	}
	s.Properties.Set("data", &jsonschema.Schema{Ref: "#/$defs/" + exported(reflect.TypeOf(e.Data).Elem().Name())})
	s.Required = append(s.Required, "data")
	return s
}

func text(least, most int) *jsonschema.Schema {
	return bound(&jsonschema.Schema{Type: "string"}, least, most)
}

// bound bounds a string's length, counted in characters; a text that keeps to a limit in
// bytes never has more characters than that.
func bound(s *jsonschema.Schema, least, most int) *jsonschema.Schema {
	if least > 0 {
		s.MinLength = count(least)
	}
	if most > 0 {
		s.MaxLength = count(most)
	}
	return s
}

func count(n int) *uint64 { u := uint64(n); return &u }

func number(least, most int) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "integer", Minimum: json.Number(strconv.Itoa(least))}
	if most > 0 {
		s.Maximum = json.Number(strconv.Itoa(most))
	}
	return s
}

// complete fails if a rule is for a field that does not exist.
func (r *reflector) complete() error {
	for name := range r.rules {
		if !r.used[name] {
			return fmt.Errorf("there is a rule for %s, but no such field", name)
		}
	}
	return nil
}
