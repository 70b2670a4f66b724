package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"
)

// file is roomd's configuration file: YAML, with the names of the flags. It resolves those
// flags that neither the command line nor the environment sets.
type file struct {
	path   string
	values map[string]entry // by the flag's name
}

// entry is a value in the file.
type entry struct {
	value any // as kong takes it: text, or a map
	line  int
}

// ofRoomd reports whether a file named by --config is roomd's own. Any other is NATS server
// configuration, as it was before roomd had a file.
func ofRoomd(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".yaml" || ext == ".yml"
}

// at is where a line of the file is, for people.
func (f *file) at(line int) string { return fmt.Sprintf("%s:%d", f.path, line) }

// where is the place in the file that sets a flag, empty if there is none.
func (f *file) where(flag string) string {
	if f == nil {
		return ""
	}
	if e, ok := f.values[flag]; ok {
		return f.at(e.line)
	}
	return ""
}

// readFile reads the file and checks that each of its values fits the flag of that name.
func readFile(path string, flags []*kong.Flag) (*file, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read roomd's configuration (%w); correct --config, or leave it out", err)
	}
	f := &file{path: path, values: map[string]entry{}}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s is not YAML: %s", path, strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", "; "), "yaml: "))
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return f, nil // nothing but comments
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: it must be lines like \"port: 4222\", with the names of roomd's flags", f.at(top.Line))
	}
	names := fileNames(flags)
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], resolved(top.Content[i+1])
		flag, ok := names[key.Value]
		if !ok {
			return nil, fmt.Errorf("%s: there is no setting %q; %s", f.at(key.Line), key.Value, nearest(key.Value, names))
		}
		if first, twice := f.values[key.Value]; twice {
			return nil, fmt.Errorf("%s: %s is set again; line %d sets it already", f.at(key.Line), key.Value, first.line)
		}
		v, err := f.fit(flag, value)
		if err != nil {
			return nil, err
		}
		f.values[key.Value] = entry{v, key.Line}
	}
	return f, nil
}

// fileNames are the flags that the file may set, by name.
func fileNames(flags []*kong.Flag) map[string]*kong.Flag {
	names := map[string]*kong.Flag{}
	for _, flag := range flags {
		if len(flag.Envs) > 0 && flag.Name != "config" { // --help and --version set nothing
			names[flag.Name] = flag
		}
	}
	return names
}

// nearest suggests the known name that is closest to a wrong one, if one is close, or says where the
// names are.
func nearest(wrong string, names map[string]*kong.Flag) string {
	best, distance := "", len(wrong)/3+2
	plain := strings.ToLower(strings.ReplaceAll(wrong, "_", "-"))
	for name := range names {
		if d := levenshtein.Distance(plain, name, nil); d < distance || d == distance && name < best {
			best, distance = name, d
		}
	}
	if best == "" {
		return "the names are those of the flags, which roomd --help lists"
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// resolved is the value that an alias stands for.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// fit is a value as kong takes it for a flag.
func (f *file) fit(flag *kong.Flag, n *yaml.Node) (any, error) {
	if flag.Target.Type() == webhooksType {
		return f.fitWebhooks(flag, n)
	}
	if flag.Target.Kind() == reflect.Map {
		return f.fitMap(flag, n)
	}
	text, err := f.scalar(flag.Name, n)
	if err != nil {
		return nil, err
	}
	target := reflect.New(flag.Target.Type()).Elem()
	if target.Kind() == reflect.Pointer {
		target.Set(reflect.New(target.Type().Elem()))
	}
	scan := kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: text})
	if err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, target); err != nil {
		return nil, fmt.Errorf("%s: %s is %q; it must be %s", f.at(n.Line), flag.Name, text, kindOf(flag.Target.Type()))
	}
	return text, nil
}

// fitMap is the same for a flag with several names and values.
func (f *file) fitMap(flag *kong.Flag, n *yaml.Node) (any, error) {
	if n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: %s must be names and values, like {%s}", f.at(n.Line), flag.Name, strings.Replace(strings.ToLower(flag.PlaceHolder), "=", ": ", 1))
	}
	numbers := flag.Target.Type().Elem().Kind() == reflect.Int
	values := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolved(n.Content[i+1])
		name := flag.Name + "." + key.Value
		text, err := f.scalar(name, value)
		if err != nil {
			return nil, err
		}
		if _, twice := values[key.Value]; twice {
			return nil, fmt.Errorf("%s: %s is set twice", f.at(key.Line), name)
		}
		if values[key.Value] = text; !numbers {
			continue
		}
		number, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %s is %q; it must be a whole number", f.at(value.Line), name, text)
		}
		values[key.Value] = number
	}
	return values, nil
}

// scalar is the text of a single value.
func (f *file) scalar(name string, n *yaml.Node) (string, error) {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "", fmt.Errorf("%s: %s must be one value, and is a list", f.at(n.Line), name)
	case n.Kind != yaml.ScalarNode:
		return "", fmt.Errorf("%s: %s must be one value, and has names and values of its own", f.at(n.Line), name)
	case n.Tag == "!!null":
		return "", fmt.Errorf("%s: %s has no value; write one, or leave the line out", f.at(n.Line), name)
	}
	return n.Value, nil
}

// kindOf says what values a flag takes.
func kindOf(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.String() {
	case "time.Duration":
		return "a duration like 30s, 5m or 24h"
	case "main.Sync":
		return "always, or a duration like 2m"
	case "main.Bytes":
		return "an amount of storage like 500MB or 10GiB"
	case "main.Level":
		return "debug, info, warn or error"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	}
	return "text"
}

// fileResolver gives kong the values of the file that --config or ROOMD_CONFIG names.
type fileResolver struct {
	file *file // nil: none is named
	read bool
}

// Validate has nothing to look at before the file is known.
func (r *fileResolver) Validate(*kong.Application) error { return nil }

// Resolve is called for flags that the command line does not set.
func (r *fileResolver) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !r.read {
		r.read = true
		flags := ctx.Flags()
		i := slices.IndexFunc(flags, func(f *kong.Flag) bool { return f.Name == "config" })
		if path, _ := ctx.FlagValue(flags[i]).(string); ofRoomd(path) {
			var err error
			if r.file, err = readFile(path, flags); err != nil {
				return nil, fileError{err}
			}
		}
	}
	if r.file == nil || variable(flag) != "" {
		return nil, nil
	}
	if e, ok := r.file.values[flag.Name]; ok {
		return e.value, nil
	}
	return nil, nil
}

// fileError is an error of the file, which kong wraps in the name of whatever flag it asked for.
type fileError struct{ error }

// plain is an error of the file without what kong put before it.
func plain(err error) error {
	if f, ok := errors.AsType[fileError](err); ok {
		return f.error
	}
	return err
}

// variable is the environment variable that sets a flag, empty if none does.
func variable(flag *kong.Flag) string {
	for _, name := range flag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return name
		}
	}
	return ""
}
