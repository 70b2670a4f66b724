package room

import (
	"reflect"
	"testing"
)

// Every command's row is complete for its kind, and only for that.
func TestCommandRows(t *testing.T) {
	seen := map[Verb]bool{}
	for i := range Commands {
		c := &Commands[i]
		if c.Verb == "" || seen[c.Verb] || c.Verb.Info() != c {
			t.Errorf("%q is not one verb's row", c.Verb)
		}
		seen[c.Verb] = true
		if c.Means == "" {
			t.Errorf("%s means nothing", c.Verb)
		}
		for what, body := range map[string]any{"request": c.Request, "reply": c.Reply} {
			v := reflect.ValueOf(body)
			if v.Kind() != reflect.Pointer || !v.IsNil() || v.Type().Elem().Kind() != reflect.Struct {
				t.Errorf("%s: its %s is %T, not a nil pointer to a body", c.Verb, what, body)
			}
		}
		if (c.Begins != 0) != (c.Fails != 0) || c.Brings() != (c.Begins != 0) {
			t.Errorf("%s: of one that brings its session into a room both its beginning and its failure are told; it has %v and %v", c.Verb, c.Begins, c.Fails)
		}
		rule, several := false, false
		switch c.Kind {
		case ChangesOne:
			rule = true
		case ChangesSeveral:
			several = true
		case Reads, Says, Erases, Bars:
			if c.Brings() {
				t.Errorf("%s %s, and brings its session into a room", c.Verb, c.Kind)
			}
		default:
			t.Errorf("%s is of the kind %q", c.Verb, c.Kind)
		}
		if (c.rule != nil) != rule || (c.several != nil) != several {
			t.Errorf("%s %s: it has a rule for one room: %v, for several: %v", c.Verb, c.Kind, c.rule != nil, c.several != nil)
		}
	}
}
