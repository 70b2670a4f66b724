package room

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// BadBody refuses a body that is not what it must be, and names the field that it failed at.
func BadBody(err error) *Error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		e := Refuse(ErrParamInvalid, "the body is not one JSON object: %v", syntax)
		e.Field = fieldAt(syntax.JSONPointer)
		return e
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) && semantic.JSONPointer != "" {
		name := fieldAt(semantic.JSONPointer)
		if errors.Is(err, json.ErrUnknownName) {
			return Invalid(name, "is no field there; check its spelling")
		}
		want := "another type"
		if semantic.GoType != nil {
			want = jsonType(semantic.GoType.Kind().String())
		}
		return Invalid(name, "is a %s; it must be %s", kind(semantic.JSONKind), want)
	}
	return Refuse(ErrParamInvalid, "the body must be one JSON object")
}

// fieldAt is the name of a field, with those of the objects that it is in.
func fieldAt(p jsontext.Pointer) string {
	var parts []string
	for token := range p.Tokens() {
		parts = append(parts, token)
	}
	return strings.Join(parts, ".")
}

func jsonType(goKind string) string {
	switch {
	case goKind == "string":
		return "a string"
	case goKind == "bool":
		return "true or false"
	case strings.HasPrefix(goKind, "int"), strings.HasPrefix(goKind, "uint"):
		return "a whole number in range"
	case goKind == "slice":
		return "a list"
	}
	return "an object"
}

func kind(k jsontext.Kind) string {
	switch k {
	case jsontext.KindString:
		return "string"
	case jsontext.KindNumber:
		return "number"
	case jsontext.KindBeginObject:
		return "object"
	case jsontext.KindBeginArray:
		return "list"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "boolean"
	}
	return "value of a wrong kind"
}

// How many unknown fields of a request are ignored. No request has more than mostKnown others.
const (
	mostUnknown = 64
	mostKnown   = 32
)

// CheckFields refuses an object that has so many fields that too many of them are unknown. It
// looks at no more of it than that takes; whether it is one, it leaves to others.
func CheckFields(object []byte) *Error {
	if len(object) < mostUnknown*len(`"":0,`) {
		return nil
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(object), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != jsontext.KindBeginObject {
		return nil
	}
	for fields := 0; fields <= mostUnknown+mostKnown; fields++ {
		if d.PeekKind() != jsontext.KindString || d.SkipValue() != nil || d.SkipValue() != nil {
			return nil // the end, or what is no JSON
		}
	}
	return tooManyUnknown("")
}

// Ignored lists an object's fields for a header, unless there are too many.
func Ignored(object jsontext.Value) (list string, refused *Error) {
	var fields map[string]jsontext.Value
	if json.Unmarshal(object, &fields) != nil {
		return "", nil
	}
	if len(fields) > mostUnknown {
		return "", tooManyUnknown(slices.Min(slices.Collect(maps.Keys(fields))))
	}
	var plain []string
	for name := range fields {
		if strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }) < 0 && len(name) <= 64 && len(plain) < 16 {
			plain = append(plain, name)
		}
	}
	slices.Sort(plain)
	return strings.Join(plain, ","), nil
}

// tooManyUnknown refuses a request; example is one of the fields, if one is known.
func tooManyUnknown(example string) *Error {
	what := ""
	if example != "" && len(example) <= 64 {
		what = fmt.Sprintf(", such as %q", example)
	}
	e := Refuse(ErrParamInvalid, "the request has more than %d fields that its verb does not have%s; take them out", mostUnknown, what)
	e.Limit = mostUnknown
	return e
}
