package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// programs reports whether the output is for programs.
func (s *session) programs() bool { return s.JSON || s.Lines }

// listing is which lists the replies of a command have: a document has the entries of all
// pages, and lines have those of the first one.
type listing struct {
	names    []string
	backward bool // the pages came newest first
}

// answer prints the result of a command: the replies as one document for programs, and what
// show returns for people.
func (s *session) answer(err error, show func(look) string) error {
	switch {
	case err != nil:
		return err
	case !s.programs():
		fmt.Fprintln(s.stdout, show(s.look))
		return nil
	case len(s.replies) == 0:
		return nil
	}
	whole, err := s.lists.join(s.replies)
	if err != nil {
		return fmt.Errorf("the answer is not valid JSON: %w", err)
	}
	first := ""
	if len(s.lists.names) > 0 {
		first = s.lists.names[0]
	}
	return s.document(whole, first)
}

// own prints a document that is made here. With lines, it is the entries of one of its lists.
func (s *session) own(v any, list string) error {
	whole, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.document(whole, list)
}

func (s *session) document(whole jsontext.Value, list string) error {
	if !s.Lines || list == "" {
		return s.line(whole)
	}
	fields, err := fieldsOf(whole)
	if err != nil {
		return err
	}
	entries, err := fields.list(list)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := s.line(entry); err != nil {
			return err
		}
	}
	return nil
}

// line prints JSON on one line.
func (s *session) line(v jsontext.Value) error {
	v = v.Clone()
	if err := v.Compact(); err != nil {
		return fmt.Errorf("the answer is not valid JSON: %w", err)
	}
	_, err := fmt.Fprintf(s.stdout, "%s\n", v)
	return err
}

// field is a member of a JSON object.
type field struct {
	name  string
	value jsontext.Value
}

// fields are in the order in which they came.
type fields []field

func (f fields) index(name string) int {
	return slices.IndexFunc(f, func(m field) bool { return m.name == name })
}

// list is the entries of a list; none if there is none.
func (f fields) list(name string) (entries []jsontext.Value, err error) {
	if i := f.index(name); i >= 0 {
		err = json.Unmarshal(f[i].value, &entries)
	}
	return entries, err
}

func fieldsOf(object jsontext.Value) (list fields, err error) {
	dec := jsontext.NewDecoder(bytes.NewReader(object))
	if _, err = dec.ReadToken(); err != nil {
		return nil, err
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		list = append(list, field{key, value.Clone()})
	}
	_, err = dec.ReadToken()
	return list, err
}

// join makes one document of the pages of a reply: the newest one, with the entries of all. Its
// "complete" is false if that of any page is.
func (l listing) join(pages []jsontext.Value) (jsontext.Value, error) {
	if len(pages) == 1 || len(l.names) == 0 {
		return pages[len(pages)-1], nil
	}
	whole, err := fieldsOf(pages[len(pages)-1])
	if err != nil {
		return nil, err
	}
	all, complete := map[string][]jsontext.Value{}, true
	if l.backward {
		pages = slices.Clone(pages)
		slices.Reverse(pages)
	}
	for _, page := range pages {
		its, err := fieldsOf(page)
		if err != nil {
			return nil, err
		}
		for _, name := range l.names {
			entries, err := its.list(name)
			if err != nil {
				return nil, err
			}
			all[name] = append(all[name], entries...)
		}
		if i := its.index("complete"); i >= 0 && string(its[i].value) == "false" {
			complete = false
		}
	}
	for name, entries := range all {
		value, err := json.Marshal(entries)
		if err != nil {
			return nil, err
		}
		if i := whole.index(name); i >= 0 {
			whole[i].value = value
		} else if len(entries) > 0 {
			whole = append(whole, field{name, value})
		}
	}
	if i := whole.index("complete"); i >= 0 && !complete {
		whole[i].value = jsontext.Value("false")
	}
	return whole.object()
}

func (f fields) object() (jsontext.Value, error) {
	var out bytes.Buffer
	enc := jsontext.NewEncoder(&out)
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return nil, err
	}
	for _, m := range f {
		if err := enc.WriteToken(jsontext.String(m.name)); err != nil {
			return nil, err
		}
		if err := enc.WriteValue(m.value); err != nil {
			return nil, err
		}
	}
	err := enc.WriteToken(jsontext.EndObject)
	return jsontext.Value(out.Bytes()), err
}

// csv prints rows for a spreadsheet.
func (s *session) csv(rows [][]string) error {
	w := csv.NewWriter(s.stdout)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = inert(cell)
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// inert puts an apostrophe before what a spreadsheet would take for a formula. A number, such as
// that of a telephone, is none.
func inert(cell string) string {
	if cell == "" {
		return ""
	}
	formula := strings.IndexByte("=@\t\r", cell[0]) >= 0
	if cell[0] == '+' || cell[0] == '-' {
		formula = strings.Trim(cell[1:], "0123456789. ") != ""
	}
	if formula {
		return "'" + cell
	}
	return cell
}
