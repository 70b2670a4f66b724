package journal

import "testing"

func TestCheckDomain(t *testing.T) {
	for domain, ok := range map[string]bool{"": true, "hub": true, "hub-1": true, "a.b": false, "a b": false, "*": false, ">": false, "hub\n": false} {
		if err := CheckDomain(domain); (err == nil) != ok {
			t.Errorf("%q: %v", domain, err)
		}
	}
}

// A stream is known as full from the refusal that says so until it has stored something.
func TestFull(t *testing.T) {
	var f full
	for i, step := range []struct {
		stream string
		code   int
		stored bool
		known  bool
		took   bool
	}{
		{stream: "A", stored: true}, // never refused anything
		{stream: "A", code: 10071},  // nor is that about space
		{stream: "A", code: codeFull, known: true},
		{stream: "A", code: 10071, known: true}, // says nothing new
		{stream: "A", known: true},              // a repeat, of which nothing is stored
		{stream: "B", stored: true},
		{stream: "A", stored: true, known: true, took: true},
		{stream: "A", code: codeStorage, known: true},
		{stream: "B", code: codeAccount, known: true},
	} {
		f.heard(step.stream, step.code, "no space", step.stored)
		if r := f.last[step.stream]; (r.Why != "") != step.known || r.Took != step.took || step.known && r.At.IsZero() {
			t.Errorf("step %d: %+v", i, r)
		}
	}
	a, b := f.last["A"], f.last["B"]
	if !a.Server() || a.Account() || b.Server() || !b.Account() {
		t.Errorf("%+v and %+v", a, b)
	}
}
