package main

import (
	"fmt"
	"regexp"
)

// keyAlone is what kong says about a key=value without a value.
var keyAlone = regexp.MustCompile(`expected "<key>=<value>" but got "(.*)"$`)

// noValue says what to type instead of a key without a value; it is empty if that is not what is
// wrong.
func noValue(err error) string {
	m := keyAlone.FindStringSubmatch(err.Error())
	if m == nil {
		return ""
	}
	key := m[1]
	return fmt.Sprintf("%[1]s has no value; type %[1]s=VALUE, or %[1]s= for an empty value. To take an attribute of a room away, --delete %[1]s", printable(key))
}
