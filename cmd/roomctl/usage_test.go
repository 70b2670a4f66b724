package main

import (
	"strings"
	"testing"
)

// A key without a value says what to type.
func TestKeyWithoutValue(t *testing.T) {
	for args, says := range map[string]string{
		"set lobby topic":                       "topic has no value; type topic=VALUE, or topic= for an empty value.",
		"set lobby colour=red topic":            "topic has no value",
		"set-member lobby --user alice mood":    "mood has no value; type mood=VALUE",
		"set-member lobby --user alice a=b=c d": "d has no value",
	} {
		var out, complaint strings.Builder
		if code := Run(t.Context(), strings.Fields(args), strings.NewReader(""), &out, &complaint); code != exitUsage || !strings.Contains(complaint.String(), says) || strings.Contains(complaint.String(), "<key>") {
			t.Errorf("roomctl %s: exit %d, and it says %s", args, code, complaint.String())
		}
	}
}
