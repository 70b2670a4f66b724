package room

import (
	"errors"
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
