package ids

import "testing"

func TestPlain(t *testing.T) {
	for id, plain := range map[string]bool{
		"alice": true, "Alice": true, "al.ice@example.com": true, "auth0|123": true, "a b": true, "~!#$%^&*()_+=-`;',.<>/": true,
		"Zo\u00eb": true, "\u30b7\u30e3": true, "\u05d0\u05d1\u05d2": true, "\u0645\u0631\u062d\u0628\u0627": true, "tea \U0001F375": true,
		"Zoe\u0308":         false, // NFD
		"ali\u200bce":       false, // zero-width space
		"ali\u200dce":       false, // zero-width joiner
		"\ufeffalice":       false,
		"alice\u202e":       false, // bidi override
		"\u2066alice\u2069": false, // bidi isolate
		"alice\u00ad":       false, // soft hyphen
		"\uff41lice":        false, // full width
		"alice\u00a0":       false, // no-break space
		" alice":            false,
		"alice ":            false,
		"al  ice":           false,
		"\ufb01n":           false, // ligature
		"\u212bngstrom":     false, // the sign of the unit
		"alice\U000E0061":   false, // tag
		"alice\u034f":       false, // combining grapheme joiner
		"alice\ufe0f":       false, // variation selector
		"\u3164":            false, // Hangul filler
		" ":                 false,
	} {
		if err := Plain(id); (err == nil) != plain {
			t.Errorf("%+q: %v", id, err)
		}
	}
}
