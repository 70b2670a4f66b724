package client

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"natsrooms/roomsvc/room"
)

// parsed reads Go files that match a pattern, without tests.
func parsed(t *testing.T, pattern string) map[string]*ast.File {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	files := map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if files[name], err = parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// aliases is the names of types.go by what they stand for, such as "room.Caller".
func aliases(t *testing.T) map[string]string {
	t.Helper()
	names := map[string]string{}
	add := func(name *ast.Ident, of ast.Expr) {
		if s, ok := of.(*ast.SelectorExpr); ok {
			names[s.X.(*ast.Ident).Name+"."+s.Sel.Name] = name.Name
		}
	}
	ast.Inspect(parsed(t, "types.go")["types.go"], func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			if n.Assign.IsValid() {
				add(n.Name, n.Type)
			}
		case *ast.ValueSpec:
			for i := range n.Names {
				add(n.Names[i], n.Values[i])
			}
		}
		return true
	})
	return names
}

// Every type that a request or a reply of any command has in it has a name here.
func TestTypesOfAllCommands(t *testing.T) {
	names, seen := aliases(t), map[reflect.Type]bool{}
	var check func(reflect.Type)
	check = func(typ reflect.Type) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		if name := typ.String(); strings.HasPrefix(name, "room.") && names[name] != strings.TrimPrefix(name, "room.") {
			t.Errorf("types.go has no alias of %s", name)
		}
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			check(typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				check(typ.Field(i).Type)
			}
		}
	}
	for _, c := range room.Commands {
		check(reflect.TypeOf(c.Request).Elem())
		check(reflect.TypeOf(c.Reply).Elem())
	}
	check(reflect.TypeFor[room.Error]())
}

// Every error code has a name here, and every constant of events that is not left out on
// purpose.
func TestAllValues(t *testing.T) {
	names := aliases(t)
	check := func(pkg, file string, want func(string) bool) {
		t.Helper()
		count := 0
		ast.Inspect(parsed(t, file)[file], func(n ast.Node) bool {
			if _, local := n.(*ast.FuncDecl); local {
				return false
			}
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for _, name := range spec.Names {
				if !name.IsExported() || !want(name.Name) {
					continue
				}
				if count++; names[pkg+"."+name.Name] == "" {
					t.Errorf("types.go has nothing for %s.%s", pkg, name.Name)
				}
			}
			return true
		})
		if count == 0 {
			t.Errorf("%s has no such values", file)
		}
	}
	check("room", "../room/errors.go", func(name string) bool { return strings.HasPrefix(name, "Err") })
	leftOut := map[string]bool{ // what the client itself decodes, and the table
		"TypePrefix": true, "UserStateChanged": true, "MessageSent": true, "MessageDeleted": true, "ContentType": true, "MaxFactBytes": true,
		"ErrUnknownType": true, "ErrMalformed": true, "Types": true,
	}
	check("events", "../../events/types.go", func(name string) bool { return !leftOut[name] })
	check("events", "../../events/message.go", func(string) bool { return true })
	check("follow", "follow/watch.go", func(string) bool { return true })
}

// What the package exports is said in names of its own.
func TestOwnNames(t *testing.T) {
	foreign := func(name string, n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && (x.Name == "room" || x.Name == "events" || x.Name == "follow") {
				t.Errorf("%s names %s.%s", name, x.Name, s.Sel.Name)
			}
			return true
		})
	}
	exported := 0
	for file, f := range parsed(t, "*.go") {
		if file == "types.go" {
			continue
		}
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() {
					foreign(d.Name.Name, d.Type)
					exported++
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					typ, ok := spec.(*ast.TypeSpec)
					if !ok || !typ.Name.IsExported() {
						continue
					}
					exported++
					fields, ok := typ.Type.(*ast.StructType)
					if !ok {
						continue
					}
					for _, field := range fields.Fields.List {
						if len(field.Names) == 0 || field.Names[0].IsExported() {
							foreign(typ.Name.Name, field.Type)
						}
					}
				}
			}
		}
	}
	if exported < len(room.Commands) {
		t.Errorf("it exports only %d types and functions", exported)
	}
}
